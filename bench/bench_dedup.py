"""How fast, how well and in how much memory repeats are found, beside datasketch, in one run.

    pip install datasketch matplotlib
    python bench/bench_dedup.py [--size 158000] [--sizes 50000,158000,500000,1000000] [--plot FILE]

Samples are made as the set goes by, the same for every contender: half descriptions, half
conversations, of about 100 words, from templates over 12,000 made-up words, so that no two are near
each other by chance. One in ten is a planted copy of an earlier one: rewritten (case, punctuation,
spacing), or with 1 %, 10 % or 50 % of its words replaced, deleted, swapped with a neighbour (a swap
moves two words and counts as two), or as many inserted. A copy is found if it is dropped and the
report names its original. Each contender runs in a process of its own; only its own work is timed,
not the making of samples. They are compared by CPU time, which a shared machine disturbs less than
the clock.

- near: `NearCopies` alone, with the thresholds that finishing uses, from text to what is dropped.
- datasketch: `MinHashLSH` over the same normalised words and shingles, with its default of 128
  permutations, the same threshold, and every candidate checked by its signature's estimate. The
  faster of its two ways to make signatures (`MinHash.generator`).
- datasketch, our bands: the same with 160 permutations in 40 bands of 4, as `NearCopies` has them,
  since with its defaults it misses one in ten of the copies with 10 % changed.
- everything: `Repeats.find`, with exact repeats, questions within an image and openings as well.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import random
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from datagen.dedup import Candidate, NearCopies, Repeats, Settings, normalised  # noqa: E402
from datagen.records import Turn  # noqa: E402

CHUNK = 512
AIM_SECONDS = 30.0
AIM_MIB = 2048.0
AIM_FASTER = 5.0
AIM_RECALL = 0.97
KINDS = ("replaced", "inserted", "deleted", "swapped")
SHARES = (0.01, 0.10, 0.50)


# The samples.


class Made(NamedTuple):
    """A sample, and what it is a copy of."""

    candidate: Candidate
    kind: str
    """"" for one of its own."""
    original: str


_FIRST = (*"bcdfghklmnprstvw", "br", "gl", "pl", "st", "tr")


class _Writer:
    """Writes samples as a teacher might, the same ones for the same seed."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        syllables = [first + vowel for first in _FIRST for vowel in "aeiou"]
        # Another generator, so that words do not depend on the seed.
        letters = random.Random(5)
        words = {"".join(letters.choices(syllables, k=letters.choice((2, 2, 3)))) for _ in range(14_000)}
        self.words = sorted(words)[:12_000]

    def word(self) -> str:
        # Squared: some words are much more common than others.
        return self.words[int(len(self.words) * self.rng.random() ** 2)]

    def sentence(self) -> str:
        frame = self.rng.choice(_FRAMES)
        return frame.format(*[self.word() for _ in range(frame.count("{"))])

    def description(self) -> str:
        return " ".join(self.sentence() for _ in range(self.rng.randint(6, 9)))

    def conversation(self) -> tuple[Turn, ...]:
        turns = []
        for _ in range(self.rng.randint(3, 6)):
            question, answer = self.rng.choice(_TURNS)
            thing, other = self.word(), self.word()
            turns.append(
                Turn(question.format(thing, other), answer.format(thing, other, self.word(), self.word()))
            )
        return tuple(turns)

    def edited(self, text: str, share: float, kind: str) -> str:
        words = text.split()
        count = max(1, round(share * len(words)))
        if kind == "swapped":
            for at in self.rng.sample(range(0, len(words) - 1, 2), min(max(1, count // 2), len(words) // 2)):
                words[at], words[at + 1] = words[at + 1], words[at]
            return " ".join(words)
        for at in sorted(self.rng.sample(range(len(words)), min(count, len(words) - 1)), reverse=True):
            if kind == "deleted":
                del words[at]
            elif kind == "inserted":
                words.insert(at, self.word())
            else:
                words[at] = self.word()
        return " ".join(words)


_FRAMES = (
    "The image features a {} {} next to a {} in the middle of the {}.",
    "There is a {} standing on the {}, with a {} behind it.",
    "In the background, several {} and a {} can be seen near the {}.",
    "A {} is placed on top of the {}, which looks {} and {}.",
    "To the left of the {}, two {} are talking about the {} {}.",
    "The {} appears to be {}, suggesting that the {} was {} recently.",
    "Overall, the scene has a {} atmosphere, and the {} adds to the {} feeling.",
    "On the right side, a {} {} is partially visible behind the {}.",
    "Some {} are scattered around the {}, each with its own {} {}.",
    "The person in the {} shirt is holding a {} while looking at the {}.",
    "It seems that the {} has been {} for the {} of the {}.",
    "Further away, the {} leads to a {} with {} walls and a {} roof.",
)
_TURNS = (
    ("What is the {} doing with the {}?", "The {} is using the {} to {} the {}."),
    ("How many {} are near the {}?", "There are several {} near the {}, along with a {} and a {}."),
    ("Where is the {} standing?", "The {} is standing between the {} and the {}, close to a {}."),
    ("What color is the {}?", "The {} is {} with a few {} stripes and a {} edge."),
    ("Why might the {} be next to the {}?", "The {} might be next to the {} because the {} needs a {}."),
    ("Is there a {} in the image?", "Yes, there is a {} in the image, beside the {} {} and the {}."),
    ("What can you say about the {} {}?", "The {} looks {} and is covered in {}, which makes it {}."),
)


def samples(count: int, seed: int = 11) -> Iterator[Made]:
    """Samples one after the other; only a few thousand originals are remembered."""
    writer = _Writer(seed)
    rng = random.Random(seed + 1)
    copyable: list[Candidate] = []
    ways = [("rewritten", 0.0)] + [(kind, share) for share in SHARES for kind in KINDS]
    copies = 0
    for number in range(count):
        if number % 10 == 9:
            original = copyable.pop(rng.randrange(len(copyable)))
            kind, share = ways[copies % len(ways)]
            copies += 1
            yield Made(_copy(original, number, kind, share, writer), _label(kind, share), original.id)
            continue
        is_description = bool(number % 2)
        turns = (
            (Turn("Describe the image.", writer.description()),) if is_description else writer.conversation()
        )
        group = "detail" if is_description else "conversation"
        made = Candidate(f"{number:08d}", number, group, turns, is_description, is_description)
        if len(copyable) < 4000:
            copyable.append(made)
        else:
            copyable[rng.randrange(4000)] = made
        yield Made(made, "", "")


def _label(kind: str, share: float) -> str:
    return f"{share:.0%} {kind}" if share else kind


def _copy(original: Candidate, number: int, kind: str, share: float, writer: _Writer) -> Candidate:
    """The same said about another image."""
    if kind == "rewritten":
        turns = [
            Turn(q.upper(), f"  {a.replace(', ', ' - ').replace(' a ', '  A ')}!") for q, a in original.turns
        ]
    elif original.question_is_drawn:
        turns = [Turn(q, writer.edited(a, share, kind)) for q, a in original.turns]
    else:
        # Edited as one text, so that a short turn has its share of the edits and no more.
        flat = " \n ".join(text for turn in original.turns for text in turn)
        parts = [part.strip() for part in _edit_between(flat, share, kind, writer)]
        turns = [Turn(q, a) for q, a in zip(parts[::2], parts[1::2], strict=True)]
    return Candidate(
        f"{number:08d}",
        number,
        original.group,
        tuple(turns),
        original.question_is_drawn,
        original.is_description,
    )


def _edit_between(flat: str, share: float, kind: str, writer: _Writer) -> list[str]:
    parts = flat.split("\n")
    total = sum(len(part.split()) for part in parts)
    edits = Counter(
        writer.rng.choices(
            range(len(parts)), [len(part.split()) for part in parts], k=max(1, round(share * total))
        )
    )
    return [
        writer.edited(part, edits[n] / len(part.split()), kind) if edits[n] else part
        for n, part in enumerate(parts)
    ]


# The contenders. Each is shown chunk after chunk, and says for each sample which it repeats, or None.

Finder = Callable[[Sequence[Candidate]], list[str | None]]


def _written(candidate: Candidate) -> str:
    """What was written, as all contenders compare it."""
    return " ".join(
        normalised(text)
        for turn in candidate.turns
        for text in ((turn.answer,) if candidate.question_is_drawn else turn)
    )


def near() -> Finder:
    settings = Settings()
    copies = NearCopies(settings.near, settings.near_words)
    ids: list[str] = []

    def find(chunk: Sequence[Candidate]) -> list[str | None]:
        batch = copies.look_up([one.group for one in chunk], [_written(one) for one in chunk])
        found: list[str | None] = []
        for n, candidate in enumerate(chunk):
            copy = copies.nearest(batch, n)
            found.append(ids[copy.of] if copy else None)
            if not copy:
                copies.keep(batch, n, len(ids))
                ids.append(candidate.id)
        return found

    return find


def everything() -> Finder:
    repeats = Repeats()

    def find(chunk: Sequence[Candidate]) -> list[str | None]:
        return [found[0].of if found and found[0].turn is None else None for found in repeats.find(chunk)]

    return find


def datasketch(permutations: int = 128, bands: tuple[int, int] | None = None) -> Finder:
    try:
        from datasketch import MinHash, MinHashLSH  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        sys.exit("bench_dedup.py compares with datasketch: pip install datasketch")
    threshold = Settings().near
    index = MinHashLSH(threshold=threshold, num_perm=permutations, params=bands)
    kept: dict[str, Any] = {}

    def find(chunk: Sequence[Candidate]) -> list[str | None]:
        texts = [_written(one).split() for one in chunk]
        shingles = [{" ".join(words[n : n + 3]).encode() for n in range(len(words) - 2)} for words in texts]
        found: list[str | None] = []
        for candidate, sketch in zip(chunk, MinHash.generator(shingles, num_perm=permutations), strict=True):
            alike = [(kept[key].jaccard(sketch), key) for key in index.query(sketch)]
            best = max(alike, default=(0.0, ""))
            found.append(best[1] if best[0] >= threshold else None)
            if found[-1] is None:
                index.insert(candidate.id, sketch, check_duplication=False)
                kept[candidate.id] = sketch
        return found

    return find


CONTENDERS: dict[str, Callable[[], Finder]] = {
    "near": near,
    "datasketch": datasketch,
    "datasketch, our bands": lambda: datasketch(160, (40, 4)),
    "everything": everything,
}


class Measured(NamedTuple):
    size: int
    seconds: float
    cpu_seconds: float
    """Of this process: on a shared machine a fairer measure than the clock."""
    peak_mib: float
    planted: dict[str, int]
    found: dict[str, int]
    """Dropped, with the original named."""
    misnamed: int
    """Copies dropped for another sample than their original."""
    wrong: int
    """Samples of their own that were dropped."""


def measure(contender: str, size: int) -> Measured:
    """In this process, which should be a fresh one."""
    find = CONTENDERS[contender]()
    made_samples = samples(size)
    seconds, cpu_seconds, misnamed, wrong = 0.0, 0.0, 0, 0
    planted: Counter[str] = Counter()
    right: Counter[str] = Counter()
    while chunk := list(islice(made_samples, CHUNK)):
        candidates = [made.candidate for made in chunk]
        start, cpu_start = time.perf_counter(), time.process_time()
        found = find(candidates)
        seconds += time.perf_counter() - start
        cpu_seconds += time.process_time() - cpu_start
        for made, of in zip(chunk, found, strict=True):
            if made.kind:
                planted[made.kind] += 1
                right[made.kind] += of == made.original
                misnamed += of is not None and of != made.original
            else:
                wrong += of is not None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Measured(size, seconds, cpu_seconds, peak, dict(planted), dict(right), misnamed, wrong)


def run_alone(contender: str, size: int) -> Measured:
    """In a process of its own."""
    command = [sys.executable, __file__, "--contender", contender, "--size", str(size)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    measured = Measured(*json.loads(done.stdout))
    times = f"{measured.seconds:.1f} s, CPU {measured.cpu_seconds:.1f} s"
    print(f"{contender}, {size:,}: {times}, {measured.peak_mib:.0f} MiB", file=sys.stderr)
    return measured


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=158_000, help="samples in the comparison")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--sizes", default="50000,158000,500000,1000000", help="samples in the series")
    parser.add_argument("--plot", type=Path, help="write a picture of the series (needs matplotlib)")
    parser.add_argument("--contender", choices=CONTENDERS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.contender:
        print(json.dumps(measure(given.contender, given.size)))
        return 0

    runs: dict[str, list[Measured]] = {name: [] for name in CONTENDERS}
    for _ in range(given.repeats):
        for name in CONTENDERS:
            runs[name].append(run_alone(name, given.size))
    versions = [f"{name} {importlib.metadata.version(name)}" for name in ("rensa", "datasketch", "numpy")]
    print(f"{given.size:,} samples of about 100 words, one in ten a planted copy.")
    print(f"Python {platform.python_version()}, {', '.join(versions)}, {os.cpu_count()} cores.\n")
    report(runs)

    series = {name: [median(runs[name])] for name in runs}
    for size in map(int, given.sizes.split(",")):
        for name in series:
            # Beyond the comparison datasketch would take most of the time to say the same.
            if size != given.size and (not name.startswith("datasketch") or size < given.size):
                series[name].append(run_alone(name, size))
    report_growth(series)
    if given.plot:
        plot(series, given.plot)
    return 0


def median(runs: Sequence[Measured]) -> Measured:
    return sorted(runs, key=lambda run: run.cpu_seconds)[len(runs) // 2]


def report(runs: dict[str, list[Measured]]) -> None:
    """The comparison: time and memory, what was found by kind, and each aim with what was reached."""
    middle = {name: median(taken) for name, taken in runs.items()}
    print(f"| | CPU seconds, median of {len(runs['near'])} | lowest to highest | by the clock | "
          "CPU µs per sample | peak MiB |\n|---|---|---|---|---|---|")  # fmt: skip
    for name, taken in runs.items():
        run = middle[name]
        spread = f"{min(one.cpu_seconds for one in taken):.1f} to {max(one.cpu_seconds for one in taken):.1f}"
        each = run.cpu_seconds / run.size * 1e6
        print(f"| {name} | {run.cpu_seconds:.1f} | {spread} | {run.seconds:.1f} | {each:.0f} | "
              f"{run.peak_mib:.0f} |")  # fmt: skip
    print(f"\n| recall of copies | planted | {' | '.join(runs)} |")
    print(f"|---|---|{'---|' * len(runs)}")
    kinds = ["rewritten", *(_label(kind, share) for share in SHARES for kind in KINDS)]
    for kind in kinds:
        found = " | ".join(f"{run.found[kind] / run.planted[kind]:.4f}" for run in middle.values())
        print(f"| {kind} | {middle['near'].planted[kind]:,} | {found} |")
    for share in SHARES[:2]:
        print(f"| **{share:.0%}, all** | {_planted(middle['near'], share):,} | "
              f"{' | '.join(f'{recall(run, share):.4f}' for run in middle.values())} |")  # fmt: skip
    print(f"| dropped that are no copies | | {' | '.join(str(run.wrong) for run in middle.values())} |")
    print(f"| dropped for another than the original | | "
          f"{' | '.join(str(run.misnamed) for run in middle.values())} |")  # fmt: skip
    print(f"| precision | | {' | '.join(f'{precision(run):.4f}' for run in middle.values())} |\n")

    def aim(met: bool, words: str) -> None:
        print(f"- {'pass' if met else 'FAIL'}: {words}")

    ours, theirs, whole = middle["near"], middle["datasketch"], middle["everything"]
    for name in ("datasketch", "datasketch, our bands"):
        faster = middle[name].cpu_seconds / ours.cpu_seconds
        aim(
            faster >= AIM_FASTER,
            f"near {faster:.1f} times faster than {name}, at least {AIM_FASTER:g} wanted",
        )
    for share in SHARES[:2]:
        met = recall(ours, share) >= max(AIM_RECALL, recall(theirs, share))
        aim(met, f"{recall(ours, share):.4f} of the copies with {share:.0%} changed found, "
                 f"at least {AIM_RECALL} and datasketch's {recall(theirs, share):.4f} wanted")  # fmt: skip
    aim(
        precision(ours) >= precision(theirs),
        f"precision {precision(ours):.4f}, datasketch {precision(theirs):.4f}",
    )
    aim(
        whole.seconds <= AIM_SECONDS, f"everything in {whole.seconds:.1f} s, at most {AIM_SECONDS:g} s wanted"
    )
    aim(whole.peak_mib <= AIM_MIB, f"everything in {whole.peak_mib:.0f} MiB, at most {AIM_MIB:g} MiB wanted")


def report_growth(series: dict[str, list[Measured]]) -> None:
    print("\n| samples | contender | CPU seconds | by the clock | CPU µs per sample | peak MiB |")
    print("|---|---|---|---|---|---|")
    for name, taken in series.items():
        taken.sort()
        for run in taken:
            each = run.cpu_seconds / run.size * 1e6
            print(f"| {run.size:,} | {name} | {run.cpu_seconds:.1f} | {run.seconds:.1f} | {each:.0f} | "
                  f"{run.peak_mib:.0f} |")  # fmt: skip
    print()
    for name, taken in series.items():
        first, last = taken[0], taken[-1]
        times, more = last.cpu_seconds / first.cpu_seconds, last.size / first.size
        print(f"- {name}: {more:.1f} times the samples take {times:.1f} times as long")


def _planted(run: Measured, share: float) -> int:
    return sum(run.planted[_label(kind, share)] for kind in KINDS)


def recall(run: Measured, share: float) -> float:
    return sum(run.found[_label(kind, share)] for kind in KINDS) / _planted(run, share)


def precision(run: Measured) -> float:
    """Of all that was dropped, what is a copy of the sample that was named."""
    right = sum(run.found.values())
    return right / (right + run.misnamed + run.wrong)


def plot(series: dict[str, list[Measured]], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (time_axis, memory_axis) = plt.subplots(1, 2, figsize=(9, 3.4))
    for (name, taken), style in zip(series.items(), ("o-", "s--", "D--", "^-"), strict=True):
        sizes = [run.size / 1000 for run in taken]
        time_axis.plot(sizes, [run.cpu_seconds for run in taken], style, label=name)
        memory_axis.plot(sizes, [run.peak_mib for run in taken], style, label=name)
    base = series["everything"][0]
    most = series["everything"][-1].size
    time_axis.plot([base.size / 1000, most / 1000], [base.cpu_seconds, base.cpu_seconds * most / base.size],
                   ":", color="gray", label="everything, were it linear")  # fmt: skip
    time_axis.set_ylabel("CPU seconds")
    memory_axis.set_ylabel("peak MiB")
    for axis in (time_axis, memory_axis):
        axis.set_xlabel("thousand samples")
        axis.set_xlim(left=0)
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.3)
    figure.legend(*time_axis.get_legend_handles_labels(), loc="lower center", ncols=5, frameon=False)
    figure.tight_layout(rect=(0, 0.09, 1, 1))
    figure.savefig(path)


if __name__ == "__main__":
    sys.exit(main())
