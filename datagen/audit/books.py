"""What is counted of a file while it is looked at, and the examples that are shown."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from datagen.audit.records import Record
from datagen.checks import Checked
from datagen.dedup import Repeat
from datagen.finishing import turn_verdict
from datagen.judging import Judged
from datagen.records import ImageAnnotation
from datagen.sample_set import why_repeat
from schemas import SampleVerdict
from schemas.audit import Example, RepeatExample, Unreadable

EXAMPLES = 10
_SHOWN = 400
"""Characters of a text that an example shows."""


class Looked(NamedTuple):
    """A sample that was judged."""

    id: str
    type: str
    record: Record
    annotation: ImageAnnotation | None
    judged: Judged
    checked: tuple[Checked, ...]


class _Drawn:
    """By reason up to ten of all that are shown, the same ones in whatever order they come."""

    def __init__(self) -> None:
        self._by_reason: dict[str, list[tuple[bytes, Any]]] = {}

    def show(self, reason: str, sample: str, turn: int, make: Callable[[], Any]) -> None:
        draw = hashlib.blake2b(f"{reason}:{sample}:{turn}".encode(), digest_size=8).digest()
        drawn = self._by_reason.setdefault(reason, [])
        if len(drawn) < EXAMPLES or draw < drawn[-1][0]:
            drawn.append((draw, make()))
            drawn.sort(key=lambda each: each[0])
            del drawn[EXAMPLES:]

    def examples(self) -> dict[str, list[Any]]:
        """By reason, in the order of their samples."""
        return {
            reason: sorted((example for _, example in drawn), key=lambda example: example.sample)
            for reason, drawn in self._by_reason.items()
        }


@dataclass
class Counts:
    """What is counted of one response type."""

    samples: int = 0
    guessed: int = 0
    turns: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    claims: Counter[tuple[str, str]] = field(default_factory=Counter)
    faults: Counter[tuple[str, str]] = field(default_factory=Counter)


@dataclass
class Books:
    """What is counted of the whole file."""

    types: dict[str, Counts]
    form: Counter[str] = field(default_factory=Counter)
    images: Counter[str] = field(default_factory=Counter)
    unfit_turns: Counter[str] = field(default_factory=Counter)
    turn_verdicts: Counter[str] = field(default_factory=Counter)
    duplicates: Counter[str] = field(default_factory=Counter)
    repeated_turns: Counter[str] = field(default_factory=Counter)
    unfit_examples: _Drawn = field(default_factory=_Drawn)
    repeat_examples: _Drawn = field(default_factory=_Drawn)
    unreadable: list[Unreadable] = field(default_factory=list)

    def look_at(self, looked: Looked, repeats: Sequence[Repeat]) -> SampleVerdict:
        """Count what was found in a sample; the line to write of it."""
        judged, counts = looked.judged, self.types[looked.type]
        whole = next((repeat for repeat in repeats if repeat.turn is None), None)
        for repeat in [whole] if whole else repeats:
            self._repeats(looked, repeat)
        gone = {judged.kept[repeat.turn] for repeat in repeats if repeat.turn is not None}
        outcome: Literal["emitted", "rejected", "duplicate"]
        outcome = "rejected" if judged.rejected else "duplicate" if whole else "emitted"
        kept = {at for at in judged.kept if at not in gone} if outcome == "emitted" else set()
        verdicts = []
        for at, checked in enumerate(looked.checked):
            verdict = turn_verdict(checked, at in kept)
            verdicts.append(verdict)
            for claim in checked.claims:
                counts.claims[claim.kind, claim.verdict] += 1
            counts.faults.update({(fault.reason, fault.rule) for fault in checked.faults})
            if looked.annotation is not None:
                self.turn_verdicts[verdict.verdict] += 1
            reasons = {fault.reason: fault for fault in reversed(checked.faults)}
            for reason, fault in reasons.items():
                self._unfit(looked, reason, at, f"{fault.where}: {fault.detail or reason}")
        for dropped in judged.dropped:
            if dropped.why.reason == "refers_to_dropped_turn":
                self._unfit(looked, dropped.why.reason, dropped.at, dropped.why.detail)
        is_whole = len(kept) == len(judged.turns) and not any(each.faults for each in looked.checked)
        name = {"rejected": "unfit", "duplicate": "duplicate"}.get(outcome, "partly_unfit")
        counts.outcomes["passed" if outcome == "emitted" and is_whole else name] += 1
        return SampleVerdict.model_construct(id=looked.id, outcome=outcome, turns=verdicts)

    def _unfit(self, looked: Looked, reason: str, at: int, told: str) -> None:
        self.unfit_turns[reason] += 1

        def example() -> Example:
            question, answer = looked.judged.turns[at]
            known = looked.annotation
            boxes = Counter(box.category for box in known.boxes) if known else Counter[str]()
            return Example(
                sample=looked.id,
                turn=at + 1,
                told=told,
                question=short(question),
                answer=short(answer),
                captions=[short(caption) for caption in known.captions] if known else [],
                boxes=commonest(boxes),
            )

        self.unfit_examples.show(reason, looked.id, at, example)

    def _repeats(self, looked: Looked, repeat: Repeat) -> None:
        why = why_repeat(repeat)
        (self.duplicates if repeat.turn is None else self.repeated_turns)[why.reason] += 1

        def example() -> RepeatExample:
            return RepeatExample(sample=looked.id, told=short(why.detail))

        self.repeat_examples.show(why.reason, looked.id, repeat.turn or 0, example)


def commonest(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else f"{line[: _SHOWN - 1]}…"
