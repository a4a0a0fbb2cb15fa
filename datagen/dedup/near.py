"""Near copies: texts that share most of their runs of three words.

Candidates come from MinHash signatures (rensa) cut into bands; each is verified by the exact Jaccard
similarity of the two sets of shingles. Everything is done for a batch at a time, in NumPy, and all
that is kept is numbers: the shingles of each kept text and its bands.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rensa import RMinHash  # type: ignore[import-untyped]

Hashes = NDArray[np.uint64]
Bands = NDArray[np.uint32]
Marks = NDArray[np.uint8]
"""Signatures cut down to a byte per place, enough to estimate a likeness by."""

SHINGLE = 3
"""Words in a shingle. Longer ones lose copies with many small edits; of shorter ones, texts about
different things share too many."""
_SIGNATURE = 160
_SEED = 17
_ROWS = (10, 8, 5, 4, 2)
"""Rows of a band; each divides the length of a signature."""
_FOUND_AT_THRESHOLD = 0.8
"""How many of the pairs just at the threshold a banding has to find; of those above it finds more."""
_CROWD = 64
"""Texts that may be found by a band they all have."""
_COUNTERS = 1 << 17
"""Counters per band; texts are counted together with few others up to some millions."""
_BLOCK = 4096
"""Pairs whose signatures are compared at a time."""
_DEVIATIONS = 4
"""Candidates whose signatures agree less than this many standard deviations below the threshold are
not looked at further: of pairs at the threshold that loses 3 in 100,000, and of the others it saves
nearly all."""

# Odd numbers to mix hashes with.
_MIX = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9], dtype=np.uint64)
_FINISH = np.array([0xBF58476D1CE4E5B9, 0x94D049BB133111EB], dtype=np.uint64)
_LOWER_HALF = np.uint64(0xFFFFFFFF)
_BYTES = np.frombuffer(hashlib.shake_128(b"one number per byte").digest(256 * 8), dtype=np.uint64)


class NearCopy(NamedTuple):
    """The kept text that is most alike, by its name."""

    of: int
    likeness: float
    """The Jaccard similarity of the two sets of shingles."""


@dataclass(slots=True)
class NearBatch:
    """Texts that were looked up together; `NearCopies.look_up` makes it."""

    places: list[int]
    """For each text its row in the arrays, or -1 for one too short to be compared."""
    shingles: list[Hashes]
    marks: Marks
    bands: Bands
    nearest: list[tuple[float, int] | None]
    """For each row the most alike of the texts kept before the batch: likeness and row there."""
    meets: NDArray[np.bool_]
    """For each row whether it shares a band with an earlier row of the batch."""
    kept: dict[int, int]
    """Rows of the batch that were kept since, and their rows among the kept."""
    is_found: NDArray[np.bool_]
    """For each row that was kept and each band, whether the row is found by it."""


class NearCopies:
    """Remembers texts, and finds the most alike of them for a new one.

    Texts are given in batches, normalised (words with single spaces) and each with its group; only
    texts of one group are alike. What is found depends neither on how texts are cut into batches nor
    on the process. Of pairs just at the threshold at least four in five are found, of those well
    above it nearly all. Texts of fewer than `least_words` words are not compared: there a single
    word, which may be the object or the number, decides how alike they are.

    Memory grows by about 1.5 kB per kept text of 90 words.
    """

    def __init__(self, threshold: float, least_words: int) -> None:
        self.threshold = threshold
        self.least_words = max(least_words, SHINGLE)
        self._rows = _rows_for(threshold)
        self._names: list[int] = []
        self._shingles: list[bytes] = []
        self._marks = np.zeros((1024, _SIGNATURE), dtype=np.uint8)
        self._to_add: list[tuple[NearBatch, int]] = []
        spread = _DEVIATIONS * (threshold * (1 - threshold) / _SIGNATURE) ** 0.5
        self._least_agreeing = (threshold - spread) * _SIGNATURE
        self._index = _BandIndex(_SIGNATURE // self._rows)

    def look_up(self, groups: Sequence[str], texts: Sequence[str]) -> NearBatch:
        """What is known of these texts before any of them is kept."""
        places: list[int] = []
        long: list[int] = []
        for n, text in enumerate(texts):
            enough = text.count(" ") + 1 >= self.least_words
            places.append(len(long) if enough else -1)
            if enough:
                long.append(n)
        if not long:
            no_marks, no_bands = np.zeros((0, _SIGNATURE), dtype=np.uint8), np.zeros((0, 0), dtype=np.uint32)
            nothing = np.zeros((0, 0), dtype=np.bool_)
            return NearBatch(places, [], no_marks, no_bands, [], np.zeros(0, dtype=np.bool_), {}, nothing)
        self._add_kept()
        flat, offsets = _shingles([groups[n] for n in long], [texts[n] for n in long])
        signatures = _signatures(flat, offsets)
        bands, marks = _bands(signatures, self._rows), signatures.astype(np.uint8)
        shingles = [flat[start:stop] for start, stop in pairwise(offsets.tolist())]
        nearest = self._nearest(shingles, marks, bands)
        is_found = np.zeros(bands.shape, dtype=np.bool_)
        return NearBatch(places, shingles, marks, bands, nearest, _meets(bands), {}, is_found)

    def nearest(self, batch: NearBatch, n: int) -> NearCopy | None:
        """The most alike of the texts kept so far, of equals the first; None if none is alike enough."""
        row = batch.places[n]
        if row < 0:
            return None
        best = batch.nearest[row]
        if batch.meets[row] and batch.kept:
            earlier = np.fromiter(batch.kept, dtype=np.intp)
            same = (batch.bands[earlier] == batch.bands[row]) & batch.is_found[earlier]
            sharing = earlier[same.any(axis=1)]
            promising = self._agree(batch.marks[sharing], batch.marks[row])
            rows = [batch.kept[other] for other in sharing[promising].tolist()]
            best = max(filter(None, (best, self._best(batch.shingles[row], rows))), key=_rank, default=None)
        return NearCopy(self._names[best[1]], best[0]) if best else None

    def keep(self, batch: NearBatch, n: int, name: int) -> None:
        """Remember a text of the batch under a name."""
        row = batch.places[n]
        if row >= 0:
            batch.kept[row] = len(self._names)
            self._names.append(name)
            self._shingles.append(batch.shingles[row].tobytes())
            batch.is_found[row] = self._index.admit(batch.bands[row])
            self._to_add.append((batch, row))

    def _add_kept(self) -> None:
        """Bring the index up to date: many rows at a time, since one by one takes far longer."""
        if not self._to_add:
            return
        start, stop = len(self._names) - len(self._to_add), len(self._names)
        if stop > len(self._marks):
            room = np.zeros((1 << stop.bit_length(), _SIGNATURE), dtype=np.uint8)
            room[:start] = self._marks[:start]
            self._marks = room
        self._marks[start:stop] = [batch.marks[row] for batch, row in self._to_add]
        bands = np.array([batch.bands[row] for batch, row in self._to_add])
        self._index.add(bands, np.array([batch.is_found[row] for batch, row in self._to_add]))
        self._to_add.clear()

    def _nearest(
        self, shingles: Sequence[Hashes], marks: Marks, bands: Bands
    ) -> list[tuple[float, int] | None]:
        nearest: list[tuple[float, int] | None] = [None] * len(shingles)
        queries, rows = self._index.sharing(bands)
        promising = np.ones(len(rows), dtype=np.bool_)
        for start in range(0, len(rows), _BLOCK):
            part = slice(start, start + _BLOCK)
            promising[part] = self._agree(self._marks[rows[part]], marks[queries[part]])
        rows_of: dict[int, list[int]] = {}
        for query, row in zip(queries[promising].tolist(), rows[promising].tolist(), strict=True):
            rows_of.setdefault(query, []).append(row)
        for query, candidates in rows_of.items():
            nearest[query] = self._best(shingles[query], candidates)
        return nearest

    def _agree(self, marks: Marks, others: Marks) -> NDArray[np.bool_]:
        """Which of these pairs may be alike, by their signatures."""
        enough: NDArray[np.bool_] = np.count_nonzero(marks == others, axis=1) >= self._least_agreeing
        return enough

    def _best(self, shingles: Hashes, rows: Sequence[int]) -> tuple[float, int] | None:
        """The most alike of these kept texts: likeness and row."""
        # Texts whose lengths differ much cannot be alike.
        least, most = self.threshold * len(shingles) * 8, len(shingles) * 8 / self.threshold
        rows = [row for row in rows if least <= len(self._shingles[row]) <= most]
        if not rows:
            return None
        texts = [self._shingles[row] for row in rows]
        lengths = np.fromiter(map(len, texts), dtype=np.intp, count=len(texts)) // 8
        flat = np.frombuffer(b"".join(texts), dtype=np.uint64)
        at = np.searchsorted(shingles, flat)
        at[at == len(shingles)] = 0
        shared = np.add.reduceat(shingles[at] == flat, np.cumsum(lengths) - lengths, dtype=np.intp)
        likeness = shared / (len(shingles) + lengths - shared)
        found = max(zip(likeness.tolist(), rows, strict=True), key=_rank)
        return found if found[0] >= self.threshold else None


class _BandIndex:
    """Which rows have a band in common: per band a hash table of chains, in a few arrays.

    A band that more than `_CROWD` rows have comes from words that all such texts share, and says
    nothing: later rows are not found by it. So a search takes no longer the more rows there are.
    """

    def __init__(self, bands: int) -> None:
        self._count = 0
        self._entries = np.zeros((1024, bands), dtype=np.uint64)
        """For each row and band its key and, in the lower half, one more than the row before in its slot;
        0 where the row is not found by the band."""
        self._held = np.zeros(bands * _COUNTERS, dtype=np.uint8)
        """How many rows are found, counted over keys that begin alike. It does not follow the slots as
        they grow, so that which rows are found depends on the rows before alone."""
        self._counter_starts = np.arange(bands) * _COUNTERS
        self._make_slots()

    def _make_slots(self) -> None:
        bands, size = self._entries.shape[1], len(self._entries) // 2
        self._mask = np.uint32(size - 1)
        self._starts = np.arange(bands) * size
        self._heads = np.zeros(size * bands, dtype=np.uint32)
        """One more than the latest row in each slot, one band's table after the other."""

    def _slots(self, keys: Bands) -> NDArray[np.intp]:
        return (keys & self._mask) + self._starts

    def admit(self, keys: Bands) -> NDArray[np.bool_]:
        """For each band of the row to be added next, whether the row will be found by it."""
        counters = (keys >> np.uint32(33 - _COUNTERS.bit_length())) + self._counter_starts
        held = self._held[counters]
        is_found: NDArray[np.bool_] = held < _CROWD
        self._held[counters] = held + is_found
        return is_found

    def add(self, keys: Bands, is_found: NDArray[np.bool_]) -> None:
        """Add rows, as they were admitted."""
        # The lowest bit of a key is set, so that the entry of a band that finds the row is never 0.
        added = np.where(is_found, keys.astype(np.uint64) << np.uint64(32), np.uint64(0))
        first, self._count = self._count, self._count + len(keys)
        if self._count > len(self._entries):
            # Four times, not twice: to link all rows anew takes longer than anything else here.
            size = len(self._entries)
            while size < self._count:
                size *= 4
            room = np.zeros((size, keys.shape[1]), dtype=np.uint64)
            room[:first] = self._entries[:first] & ~_LOWER_HALF
            self._entries = room
            self._make_slots()
            first, added = 0, np.concatenate([room[:first], added])
        self._entries[first : self._count] = added
        self._link(first)

    def _link(self, first: int) -> None:
        """Put all rows from the first on before what their slots hold."""
        bands = self._entries.shape[1]
        entries = self._entries.reshape(-1)
        places = np.flatnonzero(entries[first * bands : self._count * bands]) + first * bands
        slots = (entries[places] >> np.uint64(32)).astype(np.intp) & int(self._mask)
        slots += self._starts[places % bands]
        rows = (places // bands + 1).astype(np.uint32)
        while len(places):
            # Of rows with one slot the last one written becomes its head; the others try again.
            entries[places] |= self._heads[slots]
            self._heads[slots] = rows
            again = np.flatnonzero(self._heads[slots] != rows)
            places, slots, rows = places[again], slots[again], rows[again]
            entries[places] &= ~_LOWER_HALF

    def sharing(self, keys: Bands) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """All pairs of a row of `keys` and a row found by one of its bands, each once, in order."""
        at = self._heads[self._slots(keys)].ravel()
        places = np.flatnonzero(at)
        rows, wanted = at[places].astype(np.int64) - 1, keys.ravel()[places]
        bands = places % keys.shape[1]
        entries = self._entries.ravel()
        pairs = []
        while len(rows):
            found = entries[rows * keys.shape[1] + bands]
            same = (found >> np.uint64(32)) == wanted
            pairs.append(places[same] // keys.shape[1] << 32 | rows[same])
            before = (found & _LOWER_HALF).astype(np.int64)
            more = np.flatnonzero(before)
            rows, wanted, places, bands = before[more] - 1, wanted[more], places[more], bands[more]
        codes = np.sort(np.concatenate(pairs)) if pairs else np.zeros(0, dtype=np.int64)
        once = np.ones(len(codes), dtype=np.bool_)
        once[1:] = codes[1:] != codes[:-1]
        codes = codes[once]
        return codes >> 32, codes & 0xFFFFFFFF


def _rank(found: tuple[float, int]) -> tuple[float, int]:
    """Most alike first; of equals the one that was kept first."""
    return found[0], -found[1]


def _rows_for(threshold: float) -> int:
    """The longest bands that still find pairs at the threshold: they bring up the fewest others."""
    for rows in _ROWS:
        if 1 - (1 - threshold**rows) ** (_SIGNATURE // rows) >= _FOUND_AT_THRESHOLD:
            return rows
    return _ROWS[-1]


def _shingles(groups: Sequence[str], texts: Sequence[str]) -> tuple[Hashes, Hashes]:
    """Every text's shingles, sorted and each once, one text after the other; and where each begins."""
    lengths = np.fromiter((text.count(" ") + 1 for text in texts), dtype=np.intp, count=len(texts))
    words = _word_hashes(" ".join(texts).encode())
    runs = words[:-2] * _MIX[0] + words[1:-1] * _MIX[1] + words[2:] * _MIX[2]
    inside = np.ones(len(words), dtype=np.bool_)
    ends = np.cumsum(lengths)
    inside[ends - 1] = inside[ends - 2] = False
    counts = lengths - (SHINGLE - 1)
    salt_of = {
        group: int.from_bytes(hashlib.blake2b(group.encode(), digest_size=8).digest())
        for group in set(groups)
    }
    salts = np.fromiter((salt_of[group] for group in groups), dtype=np.uint64, count=len(groups))
    flat = _finish(runs[inside[:-2]] ^ np.repeat(salts, counts))
    starts = np.cumsum(counts) - counts
    for start, count in zip(starts.tolist(), counts.tolist(), strict=True):
        flat[start : start + count].sort()
    once = np.ones(len(flat), dtype=np.bool_)
    once[1:] = flat[1:] != flat[:-1]
    once[starts] = True
    offsets = np.zeros(len(texts) + 1, dtype=np.uint64)
    offsets[1:] = np.cumsum(np.add.reduceat(once, starts, dtype=np.intp))
    return flat[once], offsets


def _word_hashes(text: bytes) -> Hashes:
    """A hash of each word of a text of words with single spaces, the same wherever the word stands.

    Each is a polynomial in its bytes, modulo 2 ** 64: the difference of two running sums over the
    whole text, taken back from where the word stands to where the first one does.
    """
    codes = np.frombuffer(text, dtype=np.uint8)
    powers, inverses = _powers(1 << (len(codes) + 1).bit_length())
    sums = np.zeros(len(codes) + 1, dtype=np.uint64)
    np.cumsum(_BYTES[codes] * powers[: len(codes)], out=sums[1:])
    spaces = np.flatnonzero(codes == ord(" "))
    starts = np.concatenate([[0], spaces + 1])
    ends = np.concatenate([spaces, [len(codes)]])
    hashes: Hashes = (sums[ends] - sums[starts]) * inverses[starts]
    return hashes


@lru_cache(maxsize=4)
def _powers(count: int) -> tuple[Hashes, Hashes]:
    """Powers of a number and of its inverse modulo 2 ** 64."""
    base, inverse = int(_MIX[0]), pow(int(_MIX[0]), -1, 1 << 64)
    both = []
    for factor in (base, inverse):
        powers = np.full(count, factor, dtype=np.uint64)
        powers[0] = 1
        both.append(np.cumprod(powers, dtype=np.uint64))
    return both[0], both[1]


def _signatures(flat: Hashes, offsets: Hashes) -> NDArray[np.uint32]:
    made = RMinHash.digest_matrix_from_flat_token_hashes(flat, offsets, _SIGNATURE, _SEED)
    return np.array(made.to_rows(), dtype=np.uint32)


def _bands(signatures: NDArray[np.uint32], rows: int) -> Bands:
    cut = signatures.reshape(len(signatures), -1, rows)
    mixed = np.zeros(cut.shape[:2], dtype=np.uint64)
    for n in range(rows):
        mixed = _finish(mixed ^ cut[:, :, n] * _MIX[0])
    return (mixed >> np.uint64(32)).astype(np.uint32) | np.uint32(1)


def _meets(bands: Bands) -> NDArray[np.bool_]:
    order = np.argsort(bands, axis=0, kind="stable")
    inline = np.take_along_axis(bands, order, axis=0)
    meets = np.zeros(len(bands), dtype=np.bool_)
    meets[order[1:][inline[1:] == inline[:-1]]] = True
    return meets


def _finish(hashes: Hashes) -> Hashes:
    """Spread every bit over all others (the end of splitmix64)."""
    hashes = (hashes ^ (hashes >> np.uint64(30))) * _FINISH[0]
    hashes = (hashes ^ (hashes >> np.uint64(27))) * _FINISH[1]
    return hashes ^ (hashes >> np.uint64(31))
