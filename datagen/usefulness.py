"""What can only be seen of a set as a whole: balance, variety, coverage, lengths, copies of the seeds.

`Usefulness` measures the accepted samples, `warnings` says what in the figures calls for action, and
`Quotas` keeps sets and categories from growing past what was asked for.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from datagen.records import Turn
from schemas.usefulness import (
    AnswerWords,
    Categories,
    Common,
    Questions,
    SeedCopies,
    SeedCopy,
    SetReport,
    TurnExample,
    TurnsFound,
    YesNo,
)

_EXAMPLES = 3
_COMMONEST = 10
_EXAMPLE_LENGTH = 200
_COPY_SHARE = 0.5
_SHORTEST_COPY = 8

# From where on a figure is worth a warning.
_ENOUGH = 200
_YES_MARGIN = 0.2
_MANY_REPEAT = 0.02
_FEW_DISTINCT = 0.1
_COMMON_OPENING = 0.2
_COMMON_PAIR = 0.1
_COMMON_CATEGORY = 0.75
_MANY_CATEGORIES = 10
_SAMPLES_A_CATEGORY = 20
_MANY_UNNAMED = 0.05
_MANY_OFF_TARGET = 0.2
_MANY_COPIES = 0.005

_MARKS = ".,;:!?\"'()[]{}<>«»“”‘…–—-*_#`~/\\|。，、！？：；"


def _word_set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_AUXILIARIES = _word_set("""
    is are am was were be been being do does did has have had can could will would shall should may
    might must isn't aren't wasn't weren't doesn't don't didn't hasn't haven't can't couldn't won't
    wouldn't
""")
_QUESTION_WORDS = _word_set("what where which who whom whose when why how what's where's who's")
_OFFERS_CHOICE = _word_set("or whether if")
# Words that tell one image from no other. Numbers, negations and places (on, under, left) are not among
# them: each can be the whole of an answer.
_EMPTY_WORDS = (
    _AUXILIARIES
    | _QUESTION_WORDS
    | _word_set("""
    a an the this that these those it its it's he she they them his her their there here and of to in at
    for with by from as i you we me us your our any some so also very please seen visible shown located
    image images picture pictures photo photos photograph photographs tile tiles scene scenes
""")
)
# Cannot stand between a number and what it counts.
_ENDS_PHRASE = _EMPTY_WORDS | _word_set("""
    or but not on near next under behind above below beside between while towards left right
""")

# Common verbs of questions about images; several are nouns as well, and then the rule may err.
_BASE_VERBS = _word_set("""
    add appear ask attract be belong bring build buy call carry catch cause celebrate change choose
    clean climb come compare connect consider contain contribute control cook count cover create cross
    cut dance depict describe determine differ discuss do drink drive eat encounter encourage enhance
    enjoy ensure enter explain express face fall feature feed feel find fit fly follow get give go grow
    guess handle hang happen have help hide hit hold identify imply impact improve include indicate infer
    influence inspect interact invite jump keep know lead lean leave lie list live look make mean
    mention move name need notice observe occupy occur offer own park perform pick play point pose
    prepare present prevent protect provide pull push put reach read relate rely require ride roll run
    say see seem sell serve share show sit skate sleep stand stay stop strike suggest sum surround swim
    swing take talk tell think throw touch travel try turn use visit wait walk want watch wear work
    write
""")
_IRREGULAR_VERBS = _word_set("""
    built bought caught came chose drank drunk drove driven ate eaten fell fallen fed felt found flew
    flown got given gave gone went grew grown hung held kept known knew led lay lain made meant ran rode
    ridden said saw sat slept stood struck swam swum swung took taken told thought threw thrown wore
    worn wrote written
""")
_VERBS = (
    _BASE_VERBS
    | _IRREGULAR_VERBS
    | {verb + ending for verb in _BASE_VERBS for ending in ("s", "es")}
    | {verb[:-1] + "ies" for verb in _BASE_VERBS if verb.endswith("y")}
) - _AUXILIARIES
_NO_VERBS = _word_set("""
    thing something anything everything nothing during morning evening building buildings ceiling king
    ring string wing spring clothing railing wedding painting sibling interesting surrounding red bed
    shed seed sled weed breed speed hundred naked being
""")

# "One can see three dogs" is of no one.
_ONE_MAY = _word_set("can could may might would")
# Cannot be what a question is about.
_NO_NOUN = (
    _ENDS_PHRASE
    | _VERBS
    | _word_set("""
    about out up down over off into through during before after around along against among most mostly more
    less all other else such than then likely someone somebody anyone anybody one
    main prior potential possible important
""")
)

_COUNTS = (*map(str, range(1, 10)), "10+")
_NUMBER_WORDS = "one two three four five six seven eight nine ten eleven twelve"
# As it is written, to how it is counted.
_NUMBERS = {"single": "1"}
_NUMBERS |= {str(number): _COUNTS[min(number, 10) - 1] for number in range(1, 1000)}
_NUMBERS |= {word: _COUNTS[min(i, 9)] for i, word in enumerate(_NUMBER_WORDS.split())}
_NUMBERS |= {word.capitalize(): count for word, count in _NUMBERS.items()}


@dataclass(frozen=True)
class SetAims:
    """What a response type's samples are measured against."""

    seed_answers: Sequence[str]
    """The answers of its seed examples."""
    answer_words: tuple[int, int] | None
    """Fewest and most words an answer should have; None where the pack says nothing."""
    question_is_drawn: bool
    """Whether questions come from the pack's list: their variety is then not the teacher's."""


class Usefulness:
    """Measures the samples of a run, one at a time; `report` may be asked for at any point.

    `objects_in` gives the categories that a text names, in the order of the text and with repetition;
    it must be pure. `vocabulary` is every category that the annotations know.

    Memory grows by a few counters and, for each different question, 8 bytes' worth of digest.
    """

    def __init__(
        self,
        types: Mapping[str, SetAims],
        vocabulary: Sequence[str],
        objects_in: Callable[[str], Sequence[str]],
    ) -> None:
        self._vocabulary = tuple(dict.fromkeys(vocabulary))
        self._sets = {name: _Set(aims, objects_in) for name, aims in types.items()}

    def add(self, response_type: str, sample: str, turns: Sequence[Turn]) -> None:
        """Count an accepted sample in; `sample` is the id of its record."""
        self._sets[response_type].add(sample, turns)

    def report(self) -> dict[str, SetReport]:
        """The figures so far, by response type."""
        return {name: measured.report(self._vocabulary) for name, measured in self._sets.items()}


class _Set:
    """The figures of one response type while they grow."""

    def __init__(self, aims: SetAims, objects_in: Callable[[str], Sequence[str]]) -> None:
        self._aims = aims
        self._objects_in = objects_in
        self._seeds = _Seeds(aims.seed_answers)
        self._samples = self._turns = self._yes = self._no = self._without_category = 0
        self._repeats = self._copies = 0
        self._repeat_examples: list[TurnExample] = []
        self._copy_examples: list[SeedCopy] = []
        self._question_digests: set[bytes] = set()
        self._openings: Counter[str] = Counter()
        self._pairs: Counter[str] = Counter()
        self._categories: Counter[str] = Counter()
        self._counts: Counter[str] = Counter()
        self._lengths: Counter[int] = Counter()

    def add(self, sample: str, turns: Sequence[Turn]) -> None:
        self._samples += 1
        named: set[str] = set()
        for question, answer in turns:
            self._turns += 1
            asked, said = _words(question), _words(answer)
            one_line = " ".join(asked)
            objects = self._objects_in(question)
            named.update(objects)
            named.update(self._objects_in(answer))
            if not self._aims.question_is_drawn:
                self._question_digests.add(hashlib.blake2b(one_line.encode(), digest_size=8).digest())
                self._openings[" ".join(asked[:3])] += 1
                self._pairs[_verb_and_noun(asked, objects)] += 1
            self._lengths[len(answer.split())] += 1
            if not _asks_for_choice(question, asked):
                if _repeats(said, asked):
                    self._repeats += 1
                    if len(self._repeat_examples) < _EXAMPLES:
                        example = TurnExample(sample=sample, question=_short(question), answer=_short(answer))
                        self._repeat_examples.append(example)
            elif said and said[0] in ("yes", "no"):
                self._yes += said[0] == "yes"
                self._no += said[0] == "no"
            if not _NUMBERS.keys().isdisjoint(said):
                self._counts.update(self._stated_counts(one_line, answer, said))
            seed = self._seeds.copied_by(said)
            if seed is not None:
                self._copies += 1
                if len(self._copy_examples) < _EXAMPLES:
                    copy = SeedCopy(sample=sample, answer=_short(answer), seed_answer=_short(seed))
                    self._copy_examples.append(copy)
        self._categories.update(named)
        self._without_category += not named

    def _stated_counts(self, asked: str, answer: str, said: Sequence[str]) -> list[str]:
        if "how many " in asked or "number of " in asked:
            # Numbers after the first are of parts: "three: the one in front and two more".
            for word, following in zip(said, [*said[1:], ""], strict=True):
                if word in _NUMBERS and following not in _ONE_MAY:
                    return [_NUMBERS[word]]
            return []
        pieces = answer.split()
        stated = []
        for i, piece in enumerate(pieces):
            if piece in _NUMBERS and self._objects_in(" ".join(_phrase(pieces[i + 1 : i + 4]))):
                stated.append(_NUMBERS[piece])
        return stated

    def report(self, vocabulary: Sequence[str]) -> SetReport:
        return SetReport(
            samples=self._samples,
            turns=self._turns,
            yes_no=YesNo(
                yes=self._yes,
                no=self._no,
                yes_share=_share(self._yes, self._yes + self._no) if self._yes or self._no else None,
            ),
            answers_repeating_question=TurnsFound(
                count=self._repeats,
                share=_share(self._repeats, self._turns),
                examples=list(self._repeat_examples),
            ),
            questions=None if self._aims.question_is_drawn else self._questions(),
            categories=Categories(
                samples=dict(_commonest(self._categories)),
                samples_without=self._without_category,
                never_named=[name for name in vocabulary if name not in self._categories],
            ),
            counts={number: self._counts[number] for number in _COUNTS},
            answer_words=self._answer_words(),
            seed_copies=SeedCopies(
                count=self._copies,
                share=_share(self._copies, self._turns),
                examples=list(self._copy_examples),
            ),
        )

    def _questions(self) -> Questions:
        def common(counter: Counter[str]) -> list[Common]:
            return [
                Common(text=text, count=count, share=_share(count, self._turns))
                for text, count in _commonest(counter)[:_COMMONEST]
            ]

        return Questions(
            distinct=len(self._question_digests),
            common_openings=common(self._openings),
            distinct_pairs=len(self._pairs),
            common_pairs=common(self._pairs),
        )

    def _answer_words(self) -> AnswerWords | None:
        if not self._turns:
            return None
        lengths = sorted(self._lengths.items())
        target = self._aims.answer_words
        below = above = None
        if target is not None:
            below = _share(sum(count for words, count in lengths if words < target[0]), self._turns)
            above = _share(sum(count for words, count in lengths if words > target[1]), self._turns)
        return AnswerWords(
            shortest=lengths[0][0],
            tenth_percentile=_percentile(lengths, 10),
            median=_percentile(lengths, 50),
            ninetieth_percentile=_percentile(lengths, 90),
            longest=lengths[-1][0],
            target=target,
            share_below=below,
            share_above=above,
        )


class _Seeds:
    """Finds the seed answer that an answer nearly repeats."""

    def __init__(self, answers: Iterable[str]) -> None:
        self._triples = {answer: _triples(words) for answer in answers if len(words := _words(answer)) >= 3}
        self._all: frozenset[tuple[str, ...]] = frozenset().union(*self._triples.values())

    def copied_by(self, words: Sequence[str]) -> str | None:
        """The seed that shares most word triples: at least half of all that either has."""
        if len(words) < _SHORTEST_COPY or self._all.isdisjoint(
            zip(words, words[1:], words[2:], strict=False)
        ):
            return None
        own = _triples(words)
        # The two share no more than this, and have no fewer than the answer alone.
        if len(own & self._all) < _COPY_SHARE * len(own):
            return None
        most, copied = 0.0, None
        for answer, triples in self._triples.items():
            shared = len(own & triples) / len(own | triples)
            if shared >= _COPY_SHARE and shared > most:
                most, copied = shared, answer
        return copied


def warnings(reports: Mapping[str, SetReport]) -> list[str]:
    """What in the reports calls for action: one sentence a finding, each begun with its response type.

    A figure is judged only where enough was seen for it to mean something; a small run gets none.
    """
    return [f"{name}: {finding}" for name, report in reports.items() for finding in _findings(report)]


def _findings(report: SetReport) -> Iterator[str]:
    yes_no = report.yes_no
    if (
        yes_no.yes_share is not None
        and yes_no.yes + yes_no.no >= _ENOUGH
        and abs(yes_no.yes_share - 0.5) > _YES_MARGIN
    ):
        yield f"{yes_no.yes_share:.0%} of yes/no answers are yes (aim for about half)"
    if report.turns < _ENOUGH:
        return
    repeating = report.answers_repeating_question
    if repeating.share > _MANY_REPEAT:
        first = repeating.examples[0]
        yield (
            f"{repeating.share:.1%} of answers say no more than their question "
            f"({first.sample}: {_quoted(first.question)} {_quoted(first.answer)})"
        )
    if report.questions:
        yield from _question_findings(report.questions, report.turns)
    yield from _coverage_findings(report)
    words = report.answer_words
    if words and words.target and words.share_below is not None and words.share_above is not None:
        if words.share_below > _MANY_OFF_TARGET:
            yield f"{words.share_below:.0%} of answers have fewer than the {words.target[0]} words aimed for"
        if words.share_above > _MANY_OFF_TARGET:
            yield f"{words.share_above:.0%} of answers have more than the {words.target[1]} words aimed for"
    copies = report.seed_copies
    if copies.share > _MANY_COPIES:
        first_copy = copies.examples[0]
        yield (
            f"{copies.share:.1%} of answers nearly repeat a seed example's "
            f"({first_copy.sample}: {_quoted(first_copy.answer)})"
        )


def _question_findings(questions: Questions, turns: int) -> Iterator[str]:
    if questions.distinct < turns * _FEW_DISTINCT:
        yield f"its {turns:,} questions are only {questions.distinct:,} different ones"
    opening, pair = questions.common_openings[0], questions.common_pairs[0]
    if opening.share > _COMMON_OPENING:
        yield f"{opening.share:.0%} of questions begin {_quoted(opening.text)}"
    if pair.share > _COMMON_PAIR:
        yield f"{pair.share:.0%} of questions ask the same of the same thing ({pair.text})"


def _coverage_findings(report: SetReport) -> Iterator[str]:
    named, never = report.categories.samples, report.categories.never_named
    known = len(named) + len(never)
    if named:
        name, samples = next(iter(named.items()))
        # Of few categories, one is bound to be in most images.
        if known >= _MANY_CATEGORIES and samples > report.samples * _COMMON_CATEGORY:
            yield f"{samples / report.samples:.0%} of samples name {name}"
    if len(never) > _MANY_UNNAMED * known and report.samples >= _SAMPLES_A_CATEGORY * known:
        first = ", ".join(never[:_EXAMPLES]) + (", …" if len(never) > _EXAMPLES else "")
        yield f"{len(never):,} of {known:,} categories are never named ({first})"
    stated = sum(report.counts.values())
    # Larger ones are rare in any images.
    unsaid = [number for number in _COUNTS[:5] if not report.counts[number]]
    if stated >= _ENOUGH and unsaid:
        yield f"no answer counts {' or '.join(unsaid)} of anything"


class Quotas:
    """Caps on how much is accepted: samples of a type, and samples of a type that name a category.

    A sample counts for every category it names, but is over only when all of them are full: a cap on a
    common category (person) is not to keep out the rare thing beside it. So a common category may end
    above its cap, by the samples that something rarer brought in. A sample that names no category is
    held to `most` alone.
    """

    def __init__(self, most: Mapping[str, int], most_per_category: Mapping[str, int]) -> None:
        """Both by response type; a type without an entry has no such cap."""
        self._most = dict(most)
        self._most_per_category = dict(most_per_category)
        self._accepted: Counter[str] = Counter()
        self._naming: dict[str, Counter[str]] = {name: Counter() for name in most_per_category}

    def over(self, response_type: str, categories: Collection[str]) -> str | None:
        """Which quota keeps this sample out; None where there is room for it, which `count` takes.

        Samples are to be shown in a fixed order, so that what is accepted does not depend on the order
        of replies.
        """
        most, accepted = self._most.get(response_type), self._accepted[response_type]
        if most is not None and accepted >= most:
            return f"already accepted: {accepted:,} (most = {most})"
        cap = self._most_per_category.get(response_type)
        if cap is not None:
            naming, names = self._naming[response_type], sorted(set(categories))
            if names and all(naming[name] >= cap for name in names):
                full = ", ".join(f"{naming[name]:,} that name {name}" for name in names)
                return f"already accepted: {full} (most_per_category = {cap})"
        return None

    def count(self, response_type: str, categories: Collection[str]) -> None:
        """Count a sample that was accepted."""
        self._accepted[response_type] += 1
        if response_type in self._naming:
            self._naming[response_type].update(set(categories))


def _words(text: str) -> list[str]:
    """In lower case, without the marks around them."""
    return [word for piece in text.lower().replace("’", "'").split() if (word := piece.strip(_MARKS))]


def _asks_for_choice(question: str, words: Sequence[str]) -> bool:
    """Whether yes, no or one of the things it names answers a question.

    It does where the question, or what follows a comma in it, begins with an auxiliary, or where it
    has an "or", "whether" or "if".
    """
    if (words and words[0] in _AUXILIARIES) or not _OFFERS_CHOICE.isdisjoint(words):
        return True
    clauses = question.split(",")[1:]
    return any(next(iter(_words(clause)), "") in _AUXILIARIES for clause in clauses)


def _phrase(pieces: Sequence[str]) -> list[str]:
    """The pieces of a text up to a mark, or a word that cannot stand between a number and its noun."""
    phrase: list[str] = []
    for piece in pieces:
        if piece.lower().strip(_MARKS) in _ENDS_PHRASE:
            break
        phrase.append(piece)
        if piece[-1] in _MARKS:
            break
    return phrase


def _triples(words: Sequence[str]) -> frozenset[tuple[str, ...]]:
    return frozenset(zip(words, words[1:], words[2:], strict=False))


def _repeats(said: Sequence[str], asked: Sequence[str]) -> bool:
    """Whether every word that carries meaning is the question's; not where there are no words at all."""
    return bool(said) and all(word in _EMPTY_WORDS or word in asked for word in said)


def _verb_and_noun(words: Sequence[str], objects: Sequence[str]) -> str:
    """What a question asks, and of what: "how many are / dog", "what doing / person".

    By rule, without a parser, so wrong now and then. Before the slash: the first question word, with
    the word after it in "how many", "what color", "which animal"; then the first word that looks like
    a verb (in a list of common ones, or ending in -ing or -ed), else the first auxiliary. After it:
    the first category named, else the first other word that carries meaning; nothing where there is
    neither.
    """
    start = next((i for i, word in enumerate(words) if word in _QUESTION_WORDS), None)
    asked: list[str] = []
    rest = words
    if start is not None:
        asked = [words[start]]
        following = words[start + 1] if start + 1 < len(words) else ""
        if asked[0] in ("how", "what", "which") and following and following not in _NO_NOUN:
            asked.append(following)
        rest = words[start + len(asked) :]
    verb = next((word for word in rest if _looks_like_verb(word)), None)
    if verb is None:
        verb = next((word for word in words if word in _AUXILIARIES), None)
    if verb is not None:
        asked.append(verb)
    if objects:
        noun = objects[0]
    else:
        nouns = (word for word in rest if word not in _NO_NOUN and not _looks_like_verb(word))
        noun = next(nouns, "")
    return " ".join(asked) + (f" / {noun}" if noun else "")


def _looks_like_verb(word: str) -> bool:
    return word in _VERBS or (word.endswith(("ing", "ed")) and len(word) > 4 and word not in _NO_VERBS)


def _quoted(text: str) -> str:
    return f'"{" ".join(text.split())}"'


def _short(text: str) -> str:
    return text if len(text) <= _EXAMPLE_LENGTH else text[: _EXAMPLE_LENGTH - 1] + "…"


def _commonest(counter: Counter[str]) -> list[tuple[str, int]]:
    """Equal counts in the order of their names, whatever came first."""
    return sorted(counter.items(), key=lambda item: (-item[1], item[0]))


def _share(part: int, whole: int) -> float:
    return round(part / whole, 4) if whole else 0.0


def _percentile(lengths: Sequence[tuple[int, int]], percent: int) -> int:
    """The least length that `percent` of all are no longer than."""
    total, seen = sum(count for _, count in lengths), 0
    for length, count in lengths:
        seen += count
        if seen * 100 >= total * percent:
            return length
    raise ValueError("no lengths")
