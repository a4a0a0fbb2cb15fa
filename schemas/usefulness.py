"""How useful a whole set is to train on: figures no single sample shows, one report per response type."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class YesNo(_Strict):
    """Answers to questions that can be answered with yes or no, by their first word."""

    yes: int = Field(ge=0)
    """Answers that begin with yes."""
    no: int = Field(ge=0)
    """Answers that begin with no."""
    yes_share: float | None
    """Of the two together; null where there is neither."""


class TurnExample(_Strict):
    """A turn to look at."""

    sample: str
    """The id of its record in the set."""
    question: str
    """Cut short where it is long."""
    answer: str
    """Cut short where it is long."""


class TurnsFound(_Strict):
    """How many turns have a fault, and the first few of them."""

    count: int = Field(ge=0)
    """All turns that have it."""
    share: float = Field(ge=0, le=1)
    """Of all turns."""
    examples: list[TurnExample]
    """The first ones, in the order of the set."""


class Common(_Strict):
    """Something many questions share."""

    text: str
    """What they share."""
    count: int = Field(ge=1)
    """Questions that have it."""
    share: float = Field(ge=0, le=1)
    """Of all questions."""


class Questions(_Strict):
    """How much the questions differ, in a set whose teacher wrote them."""

    distinct: int = Field(ge=0)
    """Different questions, but for case and punctuation."""
    common_openings: list[Common]
    """The ten commonest first three words."""
    distinct_pairs: int = Field(ge=0)
    """Different pairs of what is asked (the verb, with its question word) and of what (a noun)."""
    common_pairs: list[Common]
    """The ten commonest pairs: "how many are / dog", "what doing / person"."""


class Categories(_Strict):
    """Which categories the samples name, in a question or an answer."""

    samples: dict[str, int]
    """By category, commonest first: the samples that name it."""
    samples_without: int = Field(ge=0)
    """Samples that name no category."""
    never_named: list[str]
    """Categories of the annotations that no sample names, in the annotations' order."""


class AnswerWords(_Strict):
    """How long the answers are, in words between white space. Percentiles are answers that occur."""

    shortest: int = Field(ge=0)
    """Words of the shortest answer."""
    tenth_percentile: int = Field(ge=0)
    """One answer in ten is this short or shorter."""
    median: int = Field(ge=0)
    """Half of the answers are this short or shorter."""
    ninetieth_percentile: int = Field(ge=0)
    """Nine answers in ten are this short or shorter."""
    longest: int = Field(ge=0)
    """Words of the longest answer."""
    target: tuple[int, int] | None = Field(strict=False)  # a JSON list
    """Fewest and most words the pack aims for; null where it says nothing."""
    share_below: float | None
    """Answers with fewer words than the target; null without one."""
    share_above: float | None
    """Answers with more words than the target; null without one."""


class SeedCopy(_Strict):
    """An answer that nearly repeats a seed example's."""

    sample: str
    """The id of its record in the set."""
    answer: str
    """Cut short where it is long."""
    seed_answer: str
    """Cut short where it is long."""


class SeedCopies(_Strict):
    """Answers that nearly repeat an answer of a seed example: half of the word triples of both, or more."""

    count: int = Field(ge=0)
    """Answers of at least eight words that do; shorter ones agree by chance."""
    share: float = Field(ge=0, le=1)
    """Of all answers."""
    examples: list[SeedCopy]
    """The first ones, in the order of the set."""


class SetReport(_Strict):
    """The samples of one response type, as a set. Describes them; decides nothing."""

    samples: int = Field(ge=0)
    """Samples in the set."""
    turns: int = Field(ge=0)
    """Questions with their answers."""
    yes_no: YesNo
    """Whether yes/no questions can be answered without looking."""
    answers_repeating_question: TurnsFound
    """Answers whose words that carry meaning are all in their question, where that tells nothing:
    answers to yes/no and either/or questions are left out, since there the choice is the answer."""
    questions: Questions | None
    """Null where questions are drawn from the pack's list and so not the teacher's."""
    categories: Categories
    """What the samples are about."""
    counts: dict[str, int]
    """How often each number from "1" to "9", and "10+", is stated of something: the first number in
    an answer to "how many"; elsewhere in answers, numbers at most three words before a category."""
    answer_words: AnswerWords | None
    """Null for an empty set."""
    seed_copies: SeedCopies
    """Whether the teacher repeats its examples."""
