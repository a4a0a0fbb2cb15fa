"""How often the grounding checks are right, what they miss, and how fast they are, in one run.

    python bench/bench_grounding.py [--shared DIR] [--limit IMAGES] [--repeats 3] [--out FILE] [--verbose]

Everything is judged as the coco pack would have it: its checks of grounding and blind spots, each
response type with its own `reject` and `may_speculate`. Prints a report as Markdown and writes it to
bench/results/grounding.md, or to --out.

1. The labelled set of tests/datagen/checks/labelled, its two halves apart.
2. Public data beside the checkout (--shared, its folder `grounding`), where there is any: answers that
   GPT-4 wrote, facts that people labelled, and errors planted in the answers.
3. Samples a second, beside a floor that does no more than split the same text into words and look each
   up. `--verbose` prints every planted error that got through, with the text around it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import re
import statistics
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from datagen.annotations import read_annotations  # noqa: E402
from datagen.checks import Claim, Evidence, Region, TypeChecks, Vocabulary, evidence_of  # noqa: E402
from datagen.checks.grounding import Grounding  # noqa: E402
from datagen.judging import Judge  # noqa: E402
from datagen.parsing import Parsed, parse_reply  # noqa: E402
from datagen.prompting import PACKS, Pack, load_pack  # noqa: E402
from datagen.records import ImageAnnotation, TeacherRequest, Turn, Unit  # noqa: E402
from datagen.teacher.programmatic import ProgrammaticTeacher  # noqa: E402
from datagen.teacher.programmatic.words import CATEGORIES  # noqa: E402

LABELLED = ROOT / "tests" / "datagen" / "checks" / "labelled"
RESULTS = ROOT / "bench" / "results" / "grounding.md"
AIM_PRECISION = 0.95
AIM_RECALL = 0.85
AIM_RATE = 2000.0
AT_FAULT = ("contradicted", "unsupported")
PUBLISHED_TYPES = {"conv": "conversation", "detail": "detail", "complex": "complex_reasoning"}


class Policy:
    """What a pack's checks of grounding and blind spots would reject."""

    def __init__(self, pack: Pack) -> None:
        self.pack = pack
        self.vocabulary: Vocabulary = Judge(pack, CATEGORIES).vocabulary
        self._checks = {
            name: TypeChecks(
                {"grounding", "blind_spots"} & set(each.checks),
                pack.word_lists,
                self.vocabulary,
                pack.frame,
                each.reject,
                may_speculate=each.may_speculate,
            )
            for name, each in pack.types.items()
        }

    def evidence(self, captions: Sequence[str], boxes: Sequence[Mapping[str, Any]]) -> Evidence:
        regions = []
        for number, box in enumerate(boxes, 1):
            x1, y1, x2, y2 = box["bbox"]
            regions.append((box["category"], Region(number, x1, y1, x2, y2, box.get("crowd", False))))
        return Evidence(self.vocabulary, captions, regions)

    def rejecting(self, response_type: str, turn: Turn, evidence: Evidence) -> list[Claim]:
        """The claims for which a turn would be rejected."""
        settings = self.pack.types[response_type]
        is_drawn = settings.reply_form == "answer"
        (checked,) = self._checks[response_type]([turn], evidence, question_is_drawn=is_drawn)
        return [
            claim
            for claim in checked.claims
            if claim.verdict in (("unsupported",) if claim.kind == "blind_spot" else settings.reject)
        ]


# The labelled set.


class Tally:
    """Rejections that are right and labelled faults that are caught, by kind and verdict."""

    def __init__(self) -> None:
        self.rejected: Counter[tuple[str, str]] = Counter()
        self.right: Counter[tuple[str, str]] = Counter()
        self.agreed: Counter[tuple[str, str]] = Counter()
        self.labelled: Counter[tuple[str, str]] = Counter()
        self.caught: Counter[tuple[str, str]] = Counter()
        self.wrong: Counter[str] = Counter()
        """Rejections that are not right, by what their words are labelled."""
        self.known: Counter[str] = Counter()
        """Labelled faults of objects and counts whose words the vocabulary has, and those caught."""
        self.turns: Counter[str] = Counter()
        """Turns at fault by a label, turns rejected, and turns that are both."""
        self.claims = 0
        self.scenes = 0

    @property
    def precision(self) -> float:
        return self.right.total() / max(1, self.rejected.total())

    def recall(self, *kinds: str) -> float:
        """Of the labelled faults of some kinds, or of all."""

        def of(counter: Counter[tuple[str, str]]) -> int:
            return sum(count for (kind, _), count in counter.items() if not kinds or kind in kinds)

        return of(self.caught) / max(1, of(self.labelled))


def compare(policy: Policy, scenes: Sequence[Mapping[str, Any]]) -> Tally:
    """Hold what the checks reject against labels made by hand.

    A rejection is right where a label that is at fault overlaps its words on its side of the turn; a
    label is caught where a rejection overlaps it.
    """
    tally = Tally()
    for scene in scenes:
        tally.scenes += 1
        evidence = policy.evidence(scene["captions"], scene["boxes"])
        for labelled in scene["turns"]:
            turn = Turn(labelled["question"], labelled["answer"])
            labels = [label for label in labelled["claims"] if label["verdict"] in AT_FAULT]
            tally.claims += len(labelled["claims"])
            caught: set[int] = set()
            rejecting = policy.rejecting(labelled["type"], turn, evidence)
            tally.turns["at fault"] += bool(labels)
            tally.turns["rejected"] += bool(rejecting)
            tally.turns["both"] += bool(labels and rejecting)
            for claim in rejecting:
                key = (claim.kind, str(claim.verdict))
                tally.rejected[key] += 1
                meant = [
                    number
                    for number, label in enumerate(labels)
                    if label["in"] == claim.where
                    and _overlap(getattr(turn, claim.where), label["words"], claim.words)
                ]
                caught |= set(meant)
                tally.right[key] += bool(meant)
                if not meant:
                    tally.wrong[_labelled(turn, labelled["claims"], claim)] += 1
                tally.agreed[key] += any(
                    _is_same_kind(labels[number]["kind"], claim)
                    and labels[number]["verdict"] == claim.verdict
                    for number in meant
                )
            for number, label in enumerate(labels):
                tally.labelled[label["kind"], label["verdict"]] += 1
                tally.caught[label["kind"], label["verdict"]] += number in caught
                if label["kind"] in ("object", "count") and _is_known(policy.vocabulary, turn, label):
                    tally.known["labelled"] += 1
                    tally.known["caught"] += number in caught
    return tally


def _is_known(vocabulary: Vocabulary, turn: Turn, label: Mapping[str, Any]) -> bool:
    """Whether the vocabulary knows what a label is about; `Yes` is about what its question names."""
    text = label["words"] if label["words"].lower().strip(",.") not in ("yes", "no") else turn.question
    words = re.findall(r"[^\W\d_]+(?:['’-][^\W\d_]+)*", text.lower())
    found = (vocabulary.find([word.removesuffix("'s") for word in words], at) for at in range(len(words)))
    return any(match and match[1] is not None and match[1].things for match in found)


def _labelled(turn: Turn, labels: Sequence[Mapping[str, Any]], claim: Claim) -> str:
    text = getattr(turn, claim.where)
    verdicts = {
        label["verdict"]
        for label in labels
        if label["in"] == claim.where and _overlap(text, label["words"], claim.words)
    }
    return next((each for each in ("supported", "undecidable") if each in verdicts), "nothing")


def _overlap(text: str, one: str, other: str) -> bool:
    return any(a < d and c < b for a, b in _spans(text, one) for c, d in _spans(text, other))


def _spans(text: str, words: str) -> list[tuple[int, int]]:
    return [match.span() for match in re.finditer(rf"(?<!\w){re.escape(words)}(?!\w)", text)]


def _is_same_kind(labelled: str, claim: Claim) -> bool:
    """A Yes or No is labelled as such; the checks name the kind of what it affirms or denies."""
    return labelled == claim.kind or (labelled == "yes_no" and claim.rule in ("yes", "no"))


def labelled_tables(title: str, tally: Tally) -> Iterator[str]:
    yield f"\n### {title}: {tally.scenes} scenes, {tally.claims:,} labelled claims\n"
    yield "| kind | verdict | rejected | right | precision | same verdict | labelled | caught | recall |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for kind, verdict in sorted(set(tally.rejected) | set(tally.labelled)):
        at = (kind, verdict)
        yield (
            f"| {kind} | {verdict} | {tally.rejected[at]} | {tally.right[at]} | "
            f"{_share(tally.right[at], tally.rejected[at])} | {tally.agreed[at]} | {tally.labelled[at]} | "
            f"{tally.caught[at]} | {_share(tally.caught[at], tally.labelled[at])} |"
        )
    yield (
        f"| all | | {tally.rejected.total()} | {tally.right.total()} | {tally.precision:.3f} | "
        f"{tally.agreed.total()} | {tally.labelled.total()} | {tally.caught.total()} | {tally.recall():.3f} |"
    )
    if tally.wrong:
        told = ", ".join(f"{tally.wrong[label]} {label}" for label in sorted(tally.wrong))
        yield f"\nThe {tally.wrong.total()} rejections that are not right, by what they are labelled:"
        yield f"{told}."
    recall = tally.known["caught"] / max(1, tally.known["labelled"])
    turns = tally.turns
    yield ""
    yield f"Turns: {turns['rejected']} rejected, {turns['both']} of them at fault by a label"
    yield f"({_share(turns['both'], turns['rejected'])}); {turns['at fault']} at fault, of which"
    yield f"{_share(turns['both'], turns['at fault'])} are rejected."
    yield ""
    yield _aim(tally.precision >= AIM_PRECISION, f"{tally.precision:.3f} of what is rejected is labelled a "
               f"fault, at least {AIM_PRECISION:g} wanted")  # fmt: skip
    told = (
        f"{recall:.3f} of the {tally.known['labelled']} labelled faults of objects and counts within the "
        f"vocabulary are caught ({tally.recall('object', 'count'):.3f} of all), {AIM_RECALL:g} wanted"
    )
    yield _aim(recall >= AIM_RECALL, told)


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.2f}" if whole else ""


def _aim(is_met: bool, text: str) -> str:
    return f"- {'pass' if is_met else 'MISSED'}: {text}"


# The public answers.


class Answer(NamedTuple):
    """A published answer and what is known of its image."""

    response_type: str
    turn: Turn
    evidence: Evidence
    captions: tuple[str, ...]
    boxed: Counter[str]
    """How many boxes each category has."""


def published(policy: Policy, folder: Path) -> list[Answer]:
    proxies = {each["id"]: each for each in read_lines(folder / "proxies.jsonl")}
    answers = []
    for each in read_lines(folder / "gpt4_answers.jsonl"):
        proxy = proxies[each["id"]]
        answers.append(
            Answer(
                PUBLISHED_TYPES[each["type"]],
                Turn(each["instruction"], each["output"]),
                policy.evidence(proxy["captions"], proxy["instances"]),
                tuple(proxy["captions"]),
                Counter(box["category"] for box in proxy["instances"]),
            )
        )
    return answers


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def published_tables(policy: Policy, answers: Sequence[Answer]) -> Iterator[str]:
    """Good output: every rejection is to be read by somebody."""
    yield "\n### Answers that GPT-4 wrote\n"
    for name, types in (
        ("conversation and detail", ("conversation", "detail")),
        ("reasoning", ("complex_reasoning",)),
    ):
        of_type = [answer for answer in answers if answer.response_type in types]
        rejected = [
            claims
            for answer in of_type
            if (claims := policy.rejecting(answer.response_type, answer.turn, answer.evidence))
        ]
        end = ":" if rejected else "."
        yield f"{len(rejected)} of {len(of_type)} answers of {name} would be rejected{end}\n"
        for claims in rejected:
            yield "- " + "; ".join(f"{claim.where}, {claim.verdict}: {claim.told}" for claim in claims)
        if rejected:
            yield ""


def facts_table(policy: Policy, folder: Path) -> Iterator[str]:
    """Facts cut from answers of vision models, which people who saw the image called true or false."""
    proxies = {each["id"]: each for each in read_lines(folder / "proxies.jsonl")}
    flagged: dict[tuple[str, str], Counter[bool]] = defaultdict(Counter)
    total: Counter[bool] = Counter()
    for each in read_lines(folder / "human_labelled_facts.jsonl"):
        proxy = proxies[each["id"]]
        evidence = policy.evidence(proxy["captions"], proxy["instances"])
        for fact, label in each["facts"].items():
            is_true = bool(label)
            total[is_true] += 1
            claims = policy.rejecting("detail", Turn("Describe the image.", fact), evidence)
            worst = min(claims, key=lambda claim: AT_FAULT.index(claim.verdict), default=None)
            at = (worst.kind, str(worst.verdict)) if worst else ("not flagged", "")
            flagged[at][is_true] += 1
    yield "\n### Facts that people labelled\n"
    yield f"{total[True]:,} true and {total[False]:,} false ones. A true fact flagged as unsupported is no"
    yield "fault of the checks: people saw the image, the checks its captions and boxes. One flagged as"
    yield "contradicted is."
    yield "\n| kind | verdict | false facts | true facts | share false |"
    yield "|---|---|---|---|---|"
    for at in sorted(flagged, key=lambda at: (at[0] == "not flagged", at)):
        count = flagged[at]
        yield (
            f"| {at[0]} | {at[1]} | {count[False]} | {count[True]} | "
            f"{_share(count[False], count.total())} |"
        )  # fmt: skip


# Planted errors.

_NUMBERS = "two three four five six seven eight nine".split()
_COLOURS = "red orange yellow green blue purple pink brown black white gray".split()
_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*|\d+|[^\s\w]")
_SENTENCE_END = re.compile(r"[.!?](?:\s|$)|\n")
_HEDGES = re.compile(
    r"""\b(?:may|might|could|would|should|must|can|cannot|possibly|perhaps|probably|presumably|maybe|likely|
        potentials?|potentially|seem(?:s|ed|ing)?|appear(?:s|ed|ing)?|suggest(?:s|ed|ing)?|imply|implies|
        implying|indicat(?:e|es|ing)|if|whether|when|unless|such\sas|for\sexample|like|as\sif|as\sthough|
        not|no|never|without|cannot|in\sorder\sto|to\s(?:be|have|get|keep|make|help|avoid|ensure)|or)\b""",
    re.IGNORECASE | re.VERBOSE,
)
_SYNONYM = re.compile(
    r"\b(?:referred to as|also known as|called|described as|kind of|type of|as an?)\s*(?:an? )?$"
)
_DETERMINED = re.compile(
    rf"\b(?:an?|the|this|that|these|those|each|one|another|{'|'.join(_NUMBERS)}) $", re.IGNORECASE
)
_NOT_A_SIDE = re.compile(r"\s+(?:now|behind|next|there|away|hand|arm|foot|leg|in front|up|over|out)\b")


class Planted(NamedTuple):
    """An answer with one error planted in it."""

    kind: str
    answer: Answer
    text: str
    at: int
    """Where in the text."""
    why_not: str
    """Why no text and boxes could tell, if so."""


class _Named(NamedTuple):
    """Words that can name one of the categories, by the word list and nothing else."""

    first: int
    end: int
    is_plural: bool
    categories: frozenset[str]
    follows_colour: bool


def named_things(text: str, vocabulary: Vocabulary) -> Iterator[_Named]:
    matches = list(_WORD.finditer(text))
    words = [match[0].lower().removesuffix("'s") for match in matches]
    at = 0
    while at < len(words):
        found = vocabulary.find(words, at)
        if found is None:
            at += 1
            continue
        size, noun, is_plural = found
        if noun is not None and (categories := noun.things & vocabulary.categories):
            before = words[at - 1] if at else ""
            # "a dog bed": no dog is named. Nouns beside each other are read by the word list alone.
            following = at + size
            gap = following < len(words) and text[matches[following - 1].end() : matches[following].start()]
            is_compound = gap == " " and (
                words[following] in vocabulary.modified_heads
                or bool((after := vocabulary.find(words, following)) and after[1])
            )
            is_colour_word = noun.words in vocabulary.attributes
            if not is_compound and not is_colour_word:
                end = matches[at + size - 1].start() + len(words[at + size - 1])
                follows = before in vocabulary.attributes or before == "-"
                yield _Named(matches[at].start(), end, is_plural, frozenset(categories), follows)
        at += size


def may_mean(text: str, vocabulary: Vocabulary) -> set[str]:
    """Things that a text may mean, members of what it names as a group among them."""
    words = [match[0].lower().removesuffix("'s") for match in _WORD.finditer(text)]
    found = [vocabulary.find(words, at) for at in range(len(words))]
    nouns = [match[1] for match in found if match and match[1]]
    return {thing for noun in nouns for thing in noun.things | noun.members}


def plant(answers: Sequence[Answer], vocabulary: Vocabulary, seed: int) -> list[Planted]:
    """One error at a time, wherever one can stand; the same ones for the same seed."""
    rng = random.Random(seed)
    plants = []
    for answer in answers:
        text = answer.turn.answer
        words_said = " ".join(answer.captions).lower()
        implied = [
            thing for words, things in vocabulary.implied.items() if words in words_said for thing in things
        ]
        said = {name for words in (*answer.captions, *implied) for name in may_mean(words, vocabulary)}
        # A person need not be seen to be spoken of, so that nobody could tell a planted one.
        absent = [
            name
            for name in CATEGORIES
            if name not in answer.boxed
            and name not in said
            and name.split()[-1] not in words_said
            and name != "person"
        ]
        colours = [colour for colour in _COLOURS if not re.search(rf"\b{colour}", words_said)]
        named = list(named_things(text, vocabulary))
        for thing in named:
            other = rng.choice(absent)
            swapped = _with(text, thing.first, thing.end, _plural(other) if thing.is_plural else other)
            before = text[: thing.first]
            why_not = "a synonym rather than a thing" if _SYNONYM.search(before) else ""
            if "person" in thing.categories and not _DETERMINED.search(before):
                why_not = why_not or "said of people in general"
            plants.append(Planted("object", answer, swapped, thing.first, why_not))
            if not thing.follows_colour:
                colour = rng.choice(colours)
                coloured = _with(text, thing.first, thing.first, f"{colour} ")
                plants.append(Planted("colour", answer, coloured, thing.first, why_not))
        for match in re.finditer(rf"\b(?:{'|'.join(_NUMBERS)})\b", text, re.IGNORECASE):
            number = rng.choice([number for number in _NUMBERS if number != match[0].lower()])
            after = [each for each in named if match.end() <= each.first <= match.end() + 25]
            between = text[match.end() : after[0].first] if after else "."
            boxed = max((answer.boxed[name] for name in after[0].categories), default=0) if after else 0
            why_not = ""
            if not boxed or re.search(r"[.,;]|kinds? of|types? of", between):
                why_not = "a number of what nobody boxed"
            elif _NUMBERS.index(number) + 2 <= boxed:
                why_not = "fewer than are boxed, as some of them may be"
            changed = _with(text, match.start(), match.end(), _cased(number, match[0]))
            plants.append(Planted("number", answer, changed, match.start(), why_not))
        for match in re.finditer(r"\b(?:left|right)\b", text, re.IGNORECASE):
            if _NOT_A_SIDE.match(text, match.end()):
                continue
            side = "right" if match[0].lower() == "left" else "left"
            sides = {
                each.lower() for each in re.findall(r"\b(?:left|right)\b", _sentence(text, match.start()))
            }
            why_not = "one on the left and another on the right" if len(sides) > 1 else ""
            changed = _with(text, match.start(), match.end(), _cased(side, match[0]))
            plants.append(Planted("side", answer, changed, match.start(), why_not))
    return plants


def _with(text: str, first: int, end: int, words: str) -> str:
    """The text with other words in a place, and the article before them as they want it."""
    before = text[:first]
    if article := re.search(r"\b([Aa])n? $", before):
        before = f"{before[: article.start()]}{article[1]}{'n' if words[0] in 'aeiou' else ''} "
    return before + _cased(words, text[first : first + 1]) + text[end:]


def _cased(words: str, like: str) -> str:
    return words[0].upper() + words[1:] if like[:1].isupper() else words


def _plural(category: str) -> str:
    import inflect

    if category in ("skis", "scissors"):
        return category
    return str(inflect.engine().plural_noun(category))


def _sentence(text: str, at: int) -> str:
    first = max((match.end() for match in _SENTENCE_END.finditer(text, 0, at)), default=0)
    last = _SENTENCE_END.search(text, at)
    return text[first : last.start() if last else len(text)]


def planted_tables(policy: Policy, plants: Sequence[Planted], *, is_verbose: bool) -> Iterator[str]:
    planted: Counter[tuple[str, str, bool]] = Counter()
    caught: Counter[tuple[str, str, bool]] = Counter()
    reasons: Counter[tuple[str, str]] = Counter()
    as_published: dict[Turn, set[tuple[str, str, str]]] = {}
    got_through = []
    for each in plants:
        answer = each.answer
        before = as_published.get(answer.turn)
        if before is None:
            before = as_published[answer.turn] = _rejections(policy, answer, answer.turn)
        is_asserted = not _HEDGES.search(_sentence(each.text, each.at))
        at = (each.kind, answer.response_type, is_asserted)
        planted[at] += 1
        if _rejections(policy, answer, answer.turn._replace(answer=each.text)) - before:
            caught[at] += 1
            continue
        why = each.why_not or ("" if is_asserted else "a hedged, denied or supposed sentence")
        reasons[why or "none: the checks' own", each.kind] += 1
        got_through.append((each, why))
    yield "\n### Errors planted in the same answers\n"
    yield f"{len(plants):,} answers with one error each, from a fixed seed. An object of the 80 categories"
    yield "became one that no box and no caption has; a number another number; left became right, or right"
    yield "left; a thing got a colour that no caption has. Caught: the answer is rejected for something that"
    yield "it was not rejected for before. Asserted: no word of its sentence hedges, supposes or denies, by a"
    yield "list of such words."
    yield "\n| error | answers | planted | caught | share | asserted | caught | share |"
    yield "|---|---|---|---|---|---|---|---|"
    kinds = list(dict.fromkeys(each.kind for each in plants))
    usual = [name for name, each in policy.pack.types.items() if not each.optional]
    groups: list[tuple[str, tuple[str, ...]]] = [(name, (name,)) for name in usual]
    groups.append(("conversation and detail", ("conversation", "detail")))
    groups.append(("all", tuple(usual)))
    for kind in kinds:
        for name, types in groups:
            sums = [
                sum(counter[kind, each, flag] for each in types for flag in flags)
                for flags in ((True, False), (True,))
                for counter in (planted, caught)
            ]
            if sums[0]:
                yield (
                    f"| {kind} | {name} | {sums[0]} | {sums[1]} | {_share(sums[1], sums[0])} | "
                    f"{sums[2]} | {sums[3]} | {_share(sums[3], sums[2])} |"
                )
    yield "\nThose that got through, by why no text beside captions and boxes could tell them:\n"
    yield f"| why | {' | '.join(kinds)} |"
    yield "|---|" + "---|" * len(kinds)
    for why in sorted({why for why, _ in reasons}):
        yield f"| {why} | {' | '.join(str(reasons[why, kind]) for kind in kinds)} |"
    if is_verbose:
        for each, why in got_through:
            around = " ".join(each.text[max(0, each.at - 90) : each.at + 60].split())
            print(f"{each.kind:7} {each.answer.response_type:18} [{why}] … {around}")


def _rejections(policy: Policy, answer: Answer, turn: Turn) -> set[tuple[str, str, str]]:
    return {
        (claim.kind, claim.words, claim.verdict)
        for claim in policy.rejecting(answer.response_type, turn, answer.evidence)
    }


# Speed.


class Sample(NamedTuple):
    """A sample to judge, as it comes out of parsing."""

    response_type: str
    annotation: ImageAnnotation
    turns: tuple[Turn, ...]
    question_is_drawn: bool


def written(pack: Pack, annotations: Sequence[ImageAnnotation]) -> list[Sample]:
    """What the programmatic teacher writes, its types mixed as a run has them."""
    teacher = ProgrammaticTeacher(pack.programs, pack.files)
    samples = []
    for annotation in annotations:
        for name, settings in pack.types.items():
            if settings.optional:
                continue
            question = settings.questions[0] if settings.questions else None
            unit = Unit(annotation.image_id, name, 0)
            request = TeacherRequest(
                unit, annotation, settings.reply_form, question, pack.frame, tuple(CATEGORIES), "bench", 0,
                0.0, 0, (),
            )  # fmt: skip
            if teacher.cannot_answer(request) is None:
                parsed = parse_reply(teacher.answer(request).body, "stop", settings.reply_form, question)
                assert isinstance(parsed, Parsed)
                samples.append(Sample(name, annotation, parsed.turns, question is not None))
    return samples


def contenders(policy: Policy, samples: Sequence[Sample]) -> dict[str, Callable[[], None]]:
    judge = Judge(policy.pack, CATEGORIES)
    vocabulary = judge.vocabulary
    alone = Grounding(vocabulary, policy.pack.frame)
    split = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*|\d+|[^\s\w]").findall

    def floor() -> None:
        for sample in samples:
            texts = [*sample.annotation.captions, *(text for turn in sample.turns for text in turn)]
            for text in texts:
                for word in split(text.lower()):
                    vocabulary.attributes.get(word)

    def grounding() -> None:
        for sample in samples:
            evidence = evidence_of(sample.annotation, vocabulary)
            may_speculate = policy.pack.types[sample.response_type].may_speculate
            for turn in sample.turns:
                alone.claims(turn, evidence, may_speculate=may_speculate)

    def everything() -> None:
        for sample in samples:
            judge.turns(
                sample.response_type,
                sample.turns,
                lambda annotation=sample.annotation: evidence_of(annotation, vocabulary),  # type: ignore[misc]
                question_is_drawn=sample.question_is_drawn,
            )

    def as_finishing_does() -> None:
        judge = Judge(policy.pack, CATEGORIES)
        # Type by type, as the units of a run come.
        for name in policy.pack.types:
            for sample in samples:
                if sample.response_type == name:
                    judge.turns(
                        name,
                        sample.turns,
                        lambda annotation=sample.annotation: judge.evidence(annotation),  # type: ignore[misc]
                        question_is_drawn=sample.question_is_drawn,
                    )

    return {
        "floor": floor,
        "grounding alone": grounding,
        "all the pack's checks, evidence built anew for each sample": everything,
        "all the pack's checks, evidence kept as finishing keeps it": as_finishing_does,
    }


def speed_table(policy: Policy, shared: Path, limit: int, repeats: int) -> Iterator[str]:
    folder = shared / "coco-val2017" / "annotations"
    captions, instances = folder / "captions_val2017.json", folder / "instances_val2017.json"
    text = "COCO val2017"
    if not captions.exists() or not instances.exists():
        folder = ROOT / "examples" / "scenes"
        captions, instances = folder / "captions.json", folder / "instances.json"
        text = "the bundled sample, over and over"
    source = read_annotations([captions], [instances])
    annotations = [item for item in source if isinstance(item, ImageAnnotation)][:limit]
    annotations = (annotations * (limit // len(annotations) + 1))[:limit] if annotations else []
    samples = written(policy.pack, annotations)
    contending = contenders(policy, samples)
    seconds: dict[str, list[float]] = defaultdict(list)
    for _ in range(repeats):
        for name, work in contending.items():
            started = time.process_time()
            work()
            seconds[name].append(time.process_time() - started)
    least = statistics.median(seconds["floor"])
    yield "\n## Speed\n"
    yield f"{len(samples):,} samples that the programmatic teacher wrote of {len(annotations):,} images of"
    yield f"{text}: conversation, detail and reasoning as they come. One core, processor time,"
    yield f"median of {repeats}. Python {platform.python_version()},"
    yield f"{os.cpu_count()} cores. The floor splits the same captions, questions and answers into words and"
    yield "looks each up in a dict.\n"
    yield "| | samples a second | µs a sample | times the floor |"
    yield "|---|---|---|---|"
    for name, times in seconds.items():
        middle = statistics.median(times)
        yield (
            f"| {name} | {len(samples) / middle:,.0f} | {middle / len(samples) * 1e6:.0f} | "
            f"{middle / least:.1f} |"
        )
    rate = len(samples) / middle
    yield ""
    yield _aim(rate >= AIM_RATE, f"{rate:,.0f} samples a second through all checks, {AIM_RATE:,.0f} wanted")


def report(options: argparse.Namespace) -> Iterator[str]:
    policy = Policy(load_pack(PACKS / "coco"))
    yield "# Grounding\n"
    yield "`python bench/bench_grounding.py`. All is measured against captions and boxes: the checks say"
    yield '"not contradicted by the captions and boxes", never "true of the image".\n'
    yield "## The labelled set\n"
    yield "A rejection is right where a claim labelled as contradicted or unsupported overlaps its words;"
    yield "such a claim is caught where a rejection overlaps it. Same verdict: the label has its kind and its"
    yield "verdict. Nobody may tune the checks on the report half."
    for half in ("develop", "report"):
        yield from labelled_tables(half, compare(policy, read_lines(LABELLED / f"{half}.jsonl")))
    yield "\n## Public answers and facts"
    folder = options.shared / "grounding"
    if folder.is_dir():
        answers = published(policy, folder)
        yield from published_tables(policy, answers)
        yield from facts_table(policy, folder)
        plants = plant(answers, policy.vocabulary, options.seed)
        yield from planted_tables(policy, plants, is_verbose=options.verbose)
    else:
        yield "\nNot measured here: there is no such data beside this checkout (`--shared`)."
    yield from speed_table(policy, options.shared, options.limit, options.repeats)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--limit", type=int, default=1000, help="images to measure speed on (default: 1000)")
    parser.add_argument("--repeats", type=int, default=3, help="times to measure speed (default: 3)")
    parser.add_argument("--seed", type=int, default=7, help="of the planted errors (default: 7)")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--verbose", action="store_true", help="print planted errors that got through")
    options = parser.parse_args()
    lines = []
    for line in report(options):
        print(line, flush=True)
        lines.append(line)
    options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
