"""The set that samples are accepted into: what repeats another, what a quota leaves out, how it looks."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from datagen.checks import Vocabulary
from datagen.dedup import Candidate, Embed, Repeat, Repeats, Settings, load_embed
from datagen.emit import sample_id
from datagen.judging import Dropped, Judged
from datagen.ledger import Outcome
from datagen.parsing import Parsed, parse_reply
from datagen.prompting import Pack
from datagen.records import Rejected, Turn
from datagen.usefulness import Quotas, SetAims, Usefulness
from schemas import SetReport


def make_repeats(pack: Pack) -> Repeats:
    """What a pack's settings find to repeat.

    Raises InputError where the model it names for comparing by meaning cannot be loaded.
    """
    table = pack.dedup
    near_by_type = {name: each.near for name, each in pack.types.items() if each.near is not None}
    settings = Settings(
        near=table.near,
        near_words=table.near_words,
        opening=table.opening,
        opening_words=table.opening_words,
        near_by_group=near_by_type,
        meaning=table.meaning,
    )
    embed: Embed | None = None
    if table.meaning_model is not None:
        embed = load_embed(Path(table.meaning_model))
    return Repeats(settings, embed)


def why_repeat(repeat: Repeat) -> Rejected:
    """A repeat as a reason: what it repeats and how alike they are."""
    how = {"same": "the same as", "near": f"{repeat.likeness:.2f} alike to", "meaning": "means the same as"}
    said = how[repeat.how]
    if repeat.how == "meaning":
        said += f" ({repeat.likeness:.2f})"
    what = "" if repeat.scope == "sample" else f"its {repeat.scope} {repeat.text!r} is "
    if repeat.scope == "question":
        what = f"{repeat.text!r} was asked about this image before: "
    return Rejected("dedup", f"{repeat.how}_{repeat.scope}", f"{what}{said} {repeat.of}")


class Accepted(NamedTuple):
    """A sample that is in the set, without the turns that repeat others."""

    judged: Judged


class LeftOutOfSet(NamedTuple):
    """A sample that is not."""

    judged: Judged
    outcome: Literal["duplicate", "rejected"]
    why: Rejected


class SampleSet:
    """Samples as they are accepted, in an order that follows from themselves."""

    def __init__(self, pack: Pack, types: Sequence[str], vocabulary: Vocabulary) -> None:
        self._types = {name: pack.types[name] for name in types}
        self._repeats = make_repeats(pack)
        self._names_in = vocabulary.names_in
        self._quotas = Quotas(
            {name: each.most for name, each in self._types.items() if each.most},
            {name: each.most_per_category for name, each in self._types.items() if each.most_per_category},
        )
        aims = {}
        for name, each in self._types.items():
            question = each.questions[0] if each.questions else None
            parsed = [parse_reply(seed.conv, "stop", each.reply_form, question) for seed in each.seeds]
            answers = [turn.answer for seed in parsed if isinstance(seed, Parsed) for turn in seed.turns]
            aims[name] = SetAims(answers, each.answer_words, bool(each.questions))
        self._usefulness = Usefulness(aims, vocabulary.category_names, self._names_in)

    def accept(self, samples: Sequence[tuple[Outcome, Judged]]) -> Iterator[Accepted | LeftOutOfSet]:
        """What becomes of each sample, in their order."""
        has_quota = any(
            each.most is not None or each.most_per_category is not None for each in self._types.values()
        )
        # A quota decides before a sample is remembered as one that others may repeat, so with quotas
        # they are looked at one by one.
        step = 1 if has_quota else max(1, len(samples))
        for begin in range(0, len(samples), step):
            chunk = samples[begin : begin + step]
            if has_quota and (over := self._over_quota(*chunk[0])):
                yield LeftOutOfSet(chunk[0][1], "rejected", Rejected("quotas", "over_quota", over))
                continue
            found = self._repeats.find([self._candidate(*sample) for sample in chunk])
            for (outcome, judged), repeats in zip(chunk, found, strict=True):
                settled = _without(judged, repeats)
                if has_quota and isinstance(settled, Accepted):
                    self._quotas.count(outcome.unit.response_type, self._categories(settled.judged))
                yield settled

    def _candidate(self, outcome: Outcome, judged: Judged) -> Candidate:
        unit = outcome.unit
        is_apart = self._types[unit.response_type].may_repeat_questions
        return Candidate(
            sample_id(unit),
            # Questions are compared with those about the same image: here, of the type alone.
            f"{unit.response_type}/{unit.image_id}" if is_apart else unit.image_id,
            unit.response_type,
            judged.kept_turns,
            question_is_drawn=outcome.question is not None,
            is_description=outcome.question is not None,
        )

    def _over_quota(self, outcome: Outcome, judged: Judged) -> str | None:
        return self._quotas.over(outcome.unit.response_type, self._categories(judged))

    def _categories(self, judged: Judged) -> set[str]:
        return {name for turn in judged.kept_turns for text in turn for name in self._names_in(text)}

    def measure(self, response_type: str, sample: str, turns: Sequence[Turn]) -> None:
        """Measure an accepted sample."""
        self._usefulness.add(response_type, sample, turns)

    def report(self) -> dict[str, SetReport]:
        """By response type."""
        return self._usefulness.report()


def _without(judged: Judged, repeats: Sequence[Repeat]) -> Accepted | LeftOutOfSet:
    """A sample without its turns that repeat others."""
    whole = [repeat for repeat in repeats if repeat.turn is None]
    if whole:
        return LeftOutOfSet(judged, "duplicate", why_repeat(whole[0]))
    gone = {judged.kept[repeat.turn]: why_repeat(repeat) for repeat in repeats if repeat.turn is not None}
    dropped = [Dropped(at, judged.turns[at], why) for at, why in gone.items()]
    kept = tuple(at for at in judged.kept if at not in gone)
    return Accepted(dataclasses.replace(judged, kept=kept, dropped=(*judged.dropped, *dropped)))
