"""Wording: the phrasings of a pack, chosen at random and filled in.

They stand in the pack's folder `phrasings`, a file for each program or a few. A phrasing is plain
text with `<slot>` where a value goes, `{part}` where one of the wordings of that name in parts.toml
goes, and `[one|another|]` where one of several wordings is drawn. Values are put in
as they are and never read as phrasings, whatever they hold.
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from hashlib import blake2b
from itertools import chain, count
from operator import itemgetter
from struct import Struct
from typing import Any, TypeVar

from datagen.records import InputError

T = TypeVar("T")

FOLDER = "phrasings"
_PARTS = f"{FOLDER}/parts.toml"
_IMAGE = "image"
_NAMES = "parts.image"


@dataclass(frozen=True, slots=True)
class _Slot:
    name: str


@dataclass(frozen=True, slots=True)
class _Choice:
    options: tuple[Phrasing | str, ...]
    """One that is nothing but words is a string, as most are."""


@dataclass(frozen=True, slots=True)
class _Name:
    """What the image is called: drawn once for a sample, as a person does not go from image to photo."""


Phrasing = tuple["str | _Slot | _Choice | _Name", ...]


def _choice(options: Iterable[Phrasing]) -> _Choice:
    # Neighbouring pieces of text are one piece already, so a phrasing of words alone is one or none.
    return _Choice(tuple(_only_words(option) for option in options))


def _only_words(phrasing: Phrasing) -> Phrasing | str:
    if not phrasing:
        return ""
    return phrasing[0] if len(phrasing) == 1 and isinstance(phrasing[0], str) else phrasing


_PIECE = re.compile(r"<(?P<slot>[a-z_]+)>|\[(?P<choice>[^\[\]]*)\]|\{(?P<part>[a-z_]+)\}")


def compiled(text: str, parts: Mapping[str, _Choice | _Name] | None = None) -> Phrasing:
    """Reads one phrasing. Raises ValueError for a stray bracket or a part that there is not."""
    pieces: list[str | _Slot | _Choice | _Name] = []
    end = 0
    for piece in _PIECE.finditer(text):
        pieces.append(text[end : piece.start()])
        if piece["slot"] is not None:
            pieces.append(_Slot(piece["slot"]))
        elif piece["part"] is not None:
            if piece["part"] not in (parts or {}):
                known = ", ".join(sorted(parts or {})) or "none above it"
                raise ValueError(f"{text!r}: there is no part {{{piece['part']}}}; there are {known}")
            pieces.append((parts or {})[piece["part"]])
        else:
            options = piece["choice"].split("|")
            pieces.append(_choice(compiled(option, parts) for option in options))
        end = piece.end()
    pieces.append(text[end:])
    if any(isinstance(piece, str) and set(piece) & set("<>[]{}|") for piece in pieces):
        raise ValueError(f"{text!r}: a stray bracket; slots are <name>, parts {{name}}, choices [one|other]")
    return tuple(piece for piece in pieces if piece != "")


def slots_of(phrasing: Phrasing) -> frozenset[str]:
    """The names of the slots that may have to be filled."""
    slots: set[str] = set()
    for piece in phrasing:
        if isinstance(piece, _Slot):
            slots.add(piece.name)
        elif isinstance(piece, _Choice):
            slots.update(*(slots_of(option) for option in piece.options if not isinstance(option, str)))
    return frozenset(slots)


Phrasings = Mapping[str, tuple[Phrasing, ...]]
Parts = Mapping[str, "_Choice | _Name"]


def read_parts(files: Mapping[str, str]) -> Parts:
    """The parts among a pack's files, for wordings that stand elsewhere. Raises InputError as below."""
    return _parts(files.get(_PARTS, ""))[0]


def with_part(name: str, wordings: Sequence[str], parts: Parts) -> Parts:
    """The parts and another one, which may use them. Raises ValueError for a wording that is none."""
    return {**parts, name: _choice([compiled(text, parts) for text in wordings])}


def read_phrasings(files: Mapping[str, str]) -> Phrasings:
    """The phrasings among a pack's files, by key: "counting.question" for `question` in counting.toml.

    Raises InputError naming the file, the key and what is wrong with its wording.
    """
    return _read(tuple(sorted((path, text) for path, text in files.items() if path.startswith(f"{FOLDER}/"))))


@lru_cache(maxsize=8)
def _read(files: tuple[tuple[str, str], ...]) -> Phrasings:
    parts_text = dict(files).get(_PARTS, "")
    phrasings = {_NAMES: _parts(parts_text)[1]}
    for path, text in files:
        if path != _PARTS:
            phrasings |= _read_file(path, text, parts_text)
    return phrasings


@lru_cache(maxsize=128)  # a pack's copy of one file stands beside the shipped others
def _read_file(path: str, text: str, parts_text: str) -> Phrasings:
    parts, _ = _parts(parts_text)
    prefix = path.removeprefix(f"{FOLDER}/").removesuffix(".toml")
    return {
        f"{prefix}.{key}": _compiled(f"{path}: {key}", wordings, parts)
        for key, wordings in _leaves(_table(path, text))
    }


@lru_cache(maxsize=8)
def _parts(text: str) -> tuple[Parts, tuple[Phrasing, ...]]:
    """The parts by name, and what the image may be called."""
    parts: dict[str, _Choice | _Name] = {}
    names: tuple[Phrasing, ...] = (("image",),)
    for name, wordings in _table(_PARTS, text).items():
        # A part may use those above it, so that none can hold itself.
        read = _compiled(f"{_PARTS}: {name}", wordings, parts)
        if name == _IMAGE:
            if not all(len(each) == 1 and isinstance(each[0], str) for each in read):
                raise InputError(f"{_PARTS}: {name}: must be plain words, as it is drawn once for a sample")
            parts[name], names = _Name(), read
        else:
            parts[name] = _choice(read)
    return parts, names


def _table(path: str, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path}: not valid TOML: {error}") from None


def _compiled(where: str, wordings: Any, parts: Parts) -> tuple[Phrasing, ...]:
    if not isinstance(wordings, list) or not wordings or not all(isinstance(each, str) for each in wordings):
        raise InputError(f"{where}: must be a list of wordings, at least one")
    try:
        return tuple(compiled(text, parts) for text in wordings)
    except ValueError as error:
        raise InputError(f"{where}: {error}") from None


def _leaves(table: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def check_phrasings(files: Mapping[str, str], reference: Mapping[str, str]) -> None:
    """Holds a pack's phrasings against those that ship, which have every key and slot that is used.

    Raises InputError for a key that is missing, or a slot that nothing would fill.
    """
    phrasings, known = read_phrasings(files), read_phrasings(reference)

    def where(key: str) -> str:
        file, _, name = key.partition(".")
        return f"{FOLDER}/{file}.toml: {name}"

    if missing := sorted(known.keys() - phrasings.keys()):
        raise InputError(f"{where(missing[0])}: missing: copy it from the same file of the pack coco")
    for key, wordings in phrasings.items():
        if key not in known:
            raise InputError(f"{where(key)}: nothing uses it: check its spelling, or take it out")
        if wordings is known[key]:  # of the same file
            continue
        allowed = frozenset[str]().union(*map(slots_of, known[key]))
        for number, wording in enumerate(wordings, 1):
            if wrong := sorted(slots_of(wording) - allowed):
                there = ", ".join(f"<{name}>" for name in sorted(allowed)) or "no slots"
                raise InputError(f"{where(key)}, wording {number}: no slot <{wrong[0]}>; there are {there}")


_UNPACK = Struct("<16I").unpack


def _numbers(origin: str) -> Iterator[float]:
    """Numbers from 0 up to 1, the same ones for the same origin, in any version of Python.

    To seed a `Random` would take longer than most programs do.
    """
    for block in count():
        for number in _UNPACK(blake2b(f"{origin}/{block}".encode()).digest()):
            yield number * 2.0**-32


class Voice:
    """Draws wordings and makes every other random choice for one sample.

    What it draws follows from `origin`, `program` and `asked` alone. The voices of a sample's programs share
    what has been used, so that a wording is seldom heard twice, what is known, and what was left unsaid.
    `asked` is the question that the sample stands under, where that was chosen before.
    """

    def __init__(self, phrasings: Phrasings, origin: str, program: str = "", asked: str = "") -> None:
        self._phrasings = phrasings
        self._origin = origin
        self._asked = asked
        self._program = program
        self._draw: Callable[[], float] = _numbers(f"{origin}/{program}").__next__
        self.unsaid: Counter[str] = Counter()
        """What the margins forbade to say, by reason."""
        self.known: set[str] = set()
        """What has been asked and told in a conversation, as `asks` and `tells` of `Said`."""
        self._used: set[int] = set()
        self._said: list[str] = []
        self._told: list[str] = []

    @cached_property
    def image(self) -> str:
        """What the image is called in this sample, whichever program speaks."""
        names = self._phrasings[_NAMES]
        # Who is asked about a photo answers about the photo.
        names = tuple(name for name in names if str(name[0]) in self._asked) or names
        drawn = blake2b(f"{self._origin}/{_NAMES}".encode(), digest_size=8).digest()
        return str(names[int.from_bytes(drawn, "big") % len(names)][0])

    def of(self, program: str) -> Voice:
        """A voice of its own for a program of the same sample, which draws the same whatever others draw."""
        voice = Voice(self._phrasings, self._origin, program, self._asked)
        voice.unsaid, voice.known = self.unsaid, self.known
        voice._used, voice._said, voice._told = self._used, self._said, self._told
        return voice

    def knows(self, asks: Iterable[str]) -> bool:
        """Whether any of what a question asks has been asked or told before."""
        return not self.known.isdisjoint(asks)

    def say(self, key: str, **slots: str) -> str:
        """One of the phrasings under `key`, such as "position.question", with its slots filled."""
        return self.fill(key, self._phrasings[key], slots)

    def fill(self, key: str, phrasings: Sequence[Phrasing], slots: Mapping[str, str]) -> str:
        """One of these phrasings, with its slots filled. Raises KeyError for a slot without a value."""
        number = len(phrasings)
        chosen = int(self._draw() * number)
        phrasing = phrasings[chosen]
        for _ in range(3):
            # A phrasing that this sample has had before is used again only if luck insists.
            if id(phrasing) not in self._used:
                break
            chosen = int(self._draw() * number)
            phrasing = phrasings[chosen]
        if phrasing:
            self._used.add(id(phrasing))
        self._said.append(f"{key}/{chosen + 1}")
        out: list[str] = []
        self._write(phrasing, slots, out)
        return "".join(out)

    def take_said(self) -> tuple[str, ...]:
        """The phrasings drawn since the last were taken or dropped: "counting.question/3"."""
        said = tuple(self._said)
        self._told += said
        self._said.clear()
        return said

    def drop_said(self) -> None:
        """Forgets the phrasings of what does not become part of the sample."""
        self._said.clear()

    def has_said(self, keys: frozenset[str]) -> bool:
        """Whether one of these phrasings is part of the sample, or of what is being said."""
        return any(each.rpartition("/")[0] in keys for each in chain(self._told, self._said))

    def _write(self, phrasing: Phrasing, slots: Mapping[str, str], out: list[str]) -> None:
        for part in phrasing:
            if isinstance(part, str):
                out.append(part)
            elif isinstance(part, _Slot):
                out.append(slots[part.name])
            elif isinstance(part, _Name):
                out.append(self.image)
            else:
                options = part.options
                option = options[int(self._draw() * len(options))]
                if isinstance(option, str):
                    out.append(option)
                else:
                    self._write(option, slots, out)

    def index(self, length: int) -> int:
        """One of 0 to length - 1."""
        return int(self._draw() * length)

    def pick(self, options: Sequence[T]) -> T:
        """One of the options, at even odds. Raises IndexError where there are none."""
        return options[int(self._draw() * len(options))]

    def shuffled(self, items: Iterable[T]) -> list[T]:
        items = list(items)
        for last in range(len(items) - 1, 0, -1):
            other = int(self._draw() * (last + 1))
            items[last], items[other] = items[other], items[last]
        return items

    def chance(self, probability: float) -> bool:
        return self._draw() < probability

    def weighted(self, weights: Mapping[T, float]) -> list[T]:
        """All with a weight above 0, drawn one after another without putting back.

        Efraimidis and Spirakis, "Weighted random sampling with a reservoir" (2006): in the order of
        u ** (1 / weight).
        """
        drawn = []
        for key, weight in weights.items():
            # Drawn for a weight of 0 too, so that what is switched off leaves the others' order as it was.
            number = self._draw()
            if weight:
                drawn.append((number ** (1 / weight), key))
        drawn.sort(key=itemgetter(0), reverse=True)
        return [key for _, key in drawn]
