"""The set that samples are accepted into: what repeats another, what a quota leaves out, how it looks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

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
        self._usefulness = Usefulness(aims, sorted(vocabulary.categories), self._names_in)

    def without_repeats(
        self, judged: Sequence[tuple[Outcome, Judged]]
    ) -> Iterator[tuple[Outcome, Judged, list[Dropped] | Rejected]]:
        """Each sample with the turns that repeat others, or why all of it does."""
        candidates = [
            Candidate(
                sample_id(outcome.unit),
                outcome.unit.image_id,
                outcome.unit.response_type,
                each.kept,
                question_is_drawn=outcome.question is not None,
                is_description=outcome.question is not None,
            )
            for outcome, each in judged
        ]
        for (outcome, each), repeats in zip(judged, self._repeats.find(candidates), strict=True):
            whole = [repeat for repeat in repeats if repeat.turn is None]
            if whole:
                yield outcome, each, why_repeat(whole[0])
                continue
            yield (
                outcome,
                each,
                [
                    Dropped(each.kept[repeat.turn], why_repeat(repeat))
                    for repeat in repeats
                    if repeat.turn is not None
                ],
            )

    def over_quota(self, response_type: str, turns: Sequence[Turn]) -> str | None:
        """Why a sample is one too many; None for one that is now counted."""
        each = self._types[response_type]
        if each.most is None and each.most_per_category is None:
            return None
        named = {name for turn in turns for text in turn for name in self._names_in(text)}
        return self._quotas.over(response_type, named)

    def add(self, response_type: str, sample: str, turns: Sequence[Turn]) -> None:
        """Measure an accepted sample."""
        self._usefulness.add(response_type, sample, turns)

    def report(self) -> dict[str, SetReport]:
        """By response type."""
        return self._usefulness.report()
