"""Is what an answer says borne out by the captions and boxes?

Claims are read from each turn by rule and held against the evidence. This proves "not contradicted
by the captions and boxes", never "true of the image": annotations are incomplete, and what the
rules cannot read is no claim.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Literal

from datagen.checks.attributes import asked_attributes, attribute_claim, attribute_claims
from datagen.checks.claims import THE_IMAGE, Claim, Verdict, is_presupposed, is_said_of_image
from datagen.checks.counts import comparisons, count_claim, count_claims
from datagen.checks.english import ATTRIBUTE, BE, DENIAL, MODAL, PREPOSITION, SIDE, THERE
from datagen.checks.evidence import Bound, Evidence
from datagen.checks.positions import laterality_claims, position_claims, size_claims
from datagen.checks.reading import (
    Mention,
    Mode,
    Reading,
    Span,
    is_limited,
    number_of,
    read,
    says_none,
    span_before,
)
from datagen.checks.vocabulary import Vocabulary
from datagen.records import Frame, Turn


class Grounding:
    """Reads turns and judges their claims."""

    def __init__(self, vocabulary: Vocabulary, frame: Frame = "camera") -> None:
        self.vocabulary = vocabulary
        self.frame = frame

    def claims(self, turn: Turn, evidence: Evidence, *, may_speculate: bool = False) -> list[Claim]:
        """Every claim of one turn that the rules can read, with its verdict.

        An answer that may speculate also speaks of the world: what it names in a sentence that is
        not clearly about the image is undecidable rather than unsupported.
        """
        question = read(turn.question, self.vocabulary)
        answer = read(turn.answer, self.vocabulary)
        claims = [
            claim._replace(where="question") for claim in self._of_question(question, evidence, may_speculate)
        ]
        claims += self._of_answer(question, answer, evidence, may_speculate)
        return [_unless_said(claim, evidence, self.vocabulary) for claim in claims]

    # The question

    def _of_question(self, question: Reading, evidence: Evidence, may_speculate: bool) -> Iterator[Claim]:
        """`the cat` in a question takes a cat for granted."""
        for mention in question.mentions:
            if mention.is_definite and not mention.is_modifier and mention.mode != Mode.DENIED:
                claim = _object_claim(question, mention, evidence, self.vocabulary, "taken for granted")
                # "What makes it fit for the people who use it?" speaks of the world.
                is_of_world = may_speculate and "person" in mention.noun.things
                if (
                    claim
                    and not mention.noun.is_role
                    and not (is_of_world and claim.verdict == "unsupported")
                ):
                    yield claim
                    if self.frame == "radiograph":
                        for sided in laterality_claims(question, evidence, [mention]):
                            yield sided._replace(rule="taken for granted")
                    if mention.number is not None and claim.verdict == "supported":
                        counted = count_claim(
                            question, mention, mention.number, evidence, self.vocabulary, False
                        )
                        if counted:
                            yield counted._replace(rule="taken for granted")

    # The answer

    def _of_answer(
        self, question: Reading, answer: Reading, evidence: Evidence, may_speculate: bool
    ) -> Iterator[Claim]:
        polarity = _polarity(answer)
        asks = _yes_no_question(question) if polarity is not None else None
        if asks is not None:
            yield from self._of_polarity(question, asks, polarity == "yes", answer, evidence)
        for mention in answer.mentions:
            if mention.is_modifier:
                continue
            if mention.mode == Mode.DENIED:
                yield from self._of_absence(answer, mention, evidence)
                continue
            if mention.mode == Mode.SUPPOSED and not is_presupposed(answer, mention):
                continue
            if (gone := _not_visible(answer, mention, evidence, self.vocabulary)) is not None:
                yield gone
                continue
            if not mention.is_definite and answer.words[mention.end : mention.end + 2] in _ARE_NOT:
                continue  # "knee pads are not in sight"
            if claim := _object_claim(answer, mention, evidence, self.vocabulary, "named"):
                if may_speculate and claim.verdict == "unsupported" and self._is_of_world(answer, mention):
                    claim = claim._replace(verdict="undecidable", evidence="of the world, not of the image")
                yield claim
        yield from count_claims(answer, evidence, self.vocabulary)
        yield from _short_answers(question, answer, evidence, self.vocabulary)
        yield from position_claims(answer, question, evidence, self.vocabulary, self.frame)
        yield from self._of_place_asked(question, answer, evidence)
        yield from size_claims(answer, evidence)
        yield from attribute_claims(answer, evidence, self.vocabulary)

    def _of_place_asked(self, question: Reading, answer: Reading, evidence: Evidence) -> Iterator[Claim]:
        """`The cat and the dog.` to `Which animals are on the right?`: that each of them is."""
        if question.words[:1] not in (["which"], ["what"], ["who"]):
            return
        place = _PLACE.search(question.text)
        named = [mention for mention in answer.mentions if not mention.is_modifier]
        if place is None or not named or SIDE in answer.codes:
            return
        between = [word for a, b in pairwise(named) for word in answer.words[a.end : b.first]]
        if not {*between} <= {",", "and"} or named[0].first + len(answer.words) - named[-1].end > 4:
            return  # "A man who looks at a dog."
        for mention in named:
            if mention.mode == Mode.ASSERTED:
                words = answer.said(mention.first, mention.end)
                said = read(f"{words} is {place[0].rstrip('?. ')}.", self.vocabulary)
                for claim in position_claims(said, None, evidence, self.vocabulary, self.frame):
                    yield claim._replace(words=words)

    def _is_of_world(self, answer: Reading, mention: Mention) -> bool:
        """Whether an answer that may speculate may name a thing without claiming that it is seen."""
        if "person" in mention.noun.things:
            return True  # "the people nearby may appreciate it"
        is_the = answer.words[mention.first] in ("the", "this", "these", "those")
        if is_the and mention.noun.things & self.vocabulary.categories:
            return False
        return mention.mode != Mode.ASSERTED or not _is_of_image(answer, mention)

    def _of_absence(self, answer: Reading, mention: Mention, evidence: Evidence) -> Iterator[Claim]:
        """`there are no dogs`, `without any dogs`."""
        is_report = bool(self.vocabulary.hedges)
        if (
            not says_none(answer, mention, is_report=is_report)
            or not mention.noun.things | mention.noun.members
        ):
            return
        lead = mention.first > 0 and answer.words[mention.first - 1] != ","
        words = answer.said(mention.first - lead, mention.end)
        is_listed = mention.first > 0 and answer.words[mention.first - 1] == "or"
        is_some = bool(mention.adjectives) or mention.is_subset
        if is_some or is_limited(answer, mention) or (is_listed and not mention.noun.things):
            yield Claim("absence", words, "none said", "undecidable", "not of the whole image")
            return
        yield _absence(words, "none said", mention, evidence, self.vocabulary)

    def _of_polarity(
        self, question: Reading, asks: str, is_yes: bool, answer: Reading, evidence: Evidence
    ) -> Iterator[Claim]:
        """What `Yes` or `No` says, given the question."""
        word = answer.said(0, 1)
        rule = "yes" if is_yes else "no"
        mentions = [m for m in question.mentions if not m.is_modifier]
        if not mentions:
            return
        if asks == "presence":
            first = mentions[0]
            if compared := [*comparisons(question, evidence, self.vocabulary)]:
                yield from (_answered(claim, is_yes, word, rule) for claim in compared)
            elif is_yes and _is_hedged(answer, first):
                pass  # "Yes, atelectasis is possible."
            elif is_yes:
                claim = _object_claim(question, first, evidence, self.vocabulary, rule)
                if claim:
                    yield claim._replace(words=word, evidence=f"{claim.words}: {claim.evidence}")
                if first.number is not None or first.at_least:
                    for counted in count_claims(question, evidence, self.vocabulary):
                        yield counted._replace(rule=rule, words=word)
            elif first.number is not None or first.span is not None:
                # "Are there more than two dogs?" "No.": two are none too many.
                for counted in count_claims(question, evidence, self.vocabulary):
                    yield _answered(counted, is_yes, word, rule)
            elif not (first.adjectives or first.is_modified or first.is_subset or first.at_least):
                yield _absence(word, rule, first, evidence, self.vocabulary)
            if first.is_modified or first.adjectives:
                yield from self._of_statement(question, is_yes, word, evidence)
            return
        yield from self._of_statement(question, is_yes, word, evidence)

    def _of_statement(
        self, question: Reading, is_yes: bool, word: str, evidence: Evidence
    ) -> Iterator[Claim]:
        """A question's own claims, asserted by `Yes` or denied by `No`."""
        claims = [
            *position_claims(question, None, evidence, self.vocabulary, self.frame),
            *size_claims(question, evidence),
        ]
        for bound in asked_attributes(question, self.vocabulary):
            claims += attribute_claim(question, bound, evidence, self.vocabulary)
        if is_yes:
            for mention in question.mentions:
                if not mention.is_definite and not mention.is_modifier:
                    claim = _object_claim(question, mention, evidence, self.vocabulary, "yes")
                    claims += [claim] if claim else []
        are_many = any(len(evidence.regions(mention.noun)) > 1 for mention in question.mentions)
        for claim in claims:
            if not is_yes and (len(claims) > 1 or (claim.kind == "position" and are_many)):
                continue  # No denies one of them, nobody knows which
            yield _answered(claim, is_yes, word, "yes" if is_yes else "no")


def _answered(claim: Claim, is_yes: bool, word: str, rule: str) -> Claim:
    """What a question asks, asserted by `Yes` or denied by `No`."""
    verdict = claim.verdict if is_yes else _DENIED.get(claim.verdict, "undecidable")
    return claim._replace(verdict=verdict, words=word, rule=rule)


_DENIED: dict[Verdict, Verdict] = {"supported": "contradicted", "contradicted": "supported"}


def _is_hedged(answer: Reading, asked: Mention) -> bool:
    """Whether an answer that begins with Yes only supposes what it was asked about."""
    named = [m for m in answer.mentions if m.noun.things & asked.noun.things]
    if named:
        return all(m.mode == Mode.SUPPOSED for m in named)
    _, end = answer.sentences[0]
    return any(pair == (THERE, MODAL) for pair in pairwise(answer.codes[:end]))


def _unless_said(claim: Claim, evidence: Evidence, vocabulary: Vocabulary) -> Claim:
    """Whatever else is known: what a caption says word for word is supported by that caption."""
    if claim.verdict in ("supported", "undecidable") or claim.rule == "no":
        return claim
    words = _ARTICLE.sub("", " ".join(claim.words.lower().split()))
    if " " in words:
        for number, caption in enumerate(evidence.captions, 1):
            text = " ".join(caption.lower().split())
            if (found := re.search(rf"\b{re.escape(words)}\b", text)) and _is_asserted(
                text, found, vocabulary
            ):
                return claim._replace(verdict="supported", evidence=f"caption {number}, word for word")
    return claim


def _is_asserted(text: str, found: re.Match[str], vocabulary: Vocabulary) -> bool:
    """Whether a caption says a part of it, and does not deny it or, in a report, suppose it."""
    caption = read(text, vocabulary)
    inside = [at for at, start in enumerate(caption.starts) if found.start() <= start < found.end()]
    return all(caption.modes[at] != Mode.DENIED and at not in caption.marked for at in inside)


_ARTICLE = re.compile(r"^(a|an|the|some) ")


def _object_claim(
    reading: Reading, mention: Mention, evidence: Evidence, vocabulary: Vocabulary, rule: str
) -> Claim | None:
    noun = mention.noun
    things = noun.things
    words = reading.said(mention.first, mention.end)
    support = evidence.support(noun)
    if support:
        return Claim("object", words, rule, "supported", support)
    # A group of which every member is boxed is decided by the boxes; a part, or another group, is not.
    if not things and not (noun.members and noun.members <= vocabulary.categories):
        return None
    if noun.is_scenery:
        return Claim("object", words, rule, "undecidable", "scenery, which annotators may leave unsaid")
    for thing in noun.in_order:
        if caption := evidence.may_be.get(thing):
            return Claim("object", words, rule, "undecidable", f"caption {caption} may mean it")
    for thing in sorted(things):
        if caption := evidence.denied.get(thing):
            return Claim("object", words, rule, "contradicted", f"caption {caption} denies it")
        if caption := evidence.supposed.get(thing):
            return Claim("object", words, rule, "unsupported", f"caption {caption} only supposes it")
    is_acting = mention.end + 1 < len(reading.words) and (
        reading.codes[mention.end] == BE and reading.words[mention.end + 1].endswith("ing")
    )
    if "person" in things and (mention.is_bare or (noun.is_role and not is_acting)):
        return Claim("object", words, rule, "undecidable", "people in general")
    is_someone = mention.is_modified or mention.is_definite or mention.number is not None or is_acting
    if "person" in things and not is_someone:
        return Claim("object", words, rule, "undecidable", "people in general")
    return Claim("object", words, rule, "unsupported", "no box and no caption")


_OF_IMAGE = frozenset(
    (
        "image picture photo photograph scene visible seen shown depicted pictured here background "
        "foreground shows depicts displays features see stands sits lies hangs stand sit lie hang standing "
        "sitting lying parked placed located positioned includes include including featuring contains waits "
        "rests leans floats decorates perches grazes swims"
    ).split()
)
_BESIDE = frozenset("beside behind between next near under above below".split())


def _is_of_image(reading: Reading, mention: Mention) -> bool:
    """Whether a sentence speaks of the image: `in the image`, `there is`, `is standing`, `next to the`,
    `the presence of a`."""
    if mention.mode != Mode.ASSERTED and not mention.is_definite:
        return False
    begin, end = next((s for s in reading.sentences if s[0] <= mention.head < s[1]), (0, 0))
    words, codes = reading.words, reading.codes
    if mention.is_bare:
        if not THE_IMAGE.isdisjoint(words[begin : mention.first]):
            return True
        at = mention.first - 2
        return at >= begin and codes[at] == THERE and codes[at + 1] == BE
    if words[max(mention.first - 3, begin) : mention.first] == ["the", "presence", "of"]:
        return True
    for at in range(begin, end):
        word = words[at]
        if reading.modes[at] != Mode.ASSERTED:
            continue  # "people on a slope have to see who is coming"
        if codes[at] == THERE or word in _OF_IMAGE:
            return True
        if codes[at] == BE and at + 1 < end and words[at + 1].endswith("ing"):
            return True
        if mention.is_definite and word in _BESIDE and "the" in words[at + 1 : at + 3]:
            return True
    return (mention.number or 0) > 1


_ARE_NOT = (["is", "not"], ["are", "not"])
_GONE = frozenset("visible present seen shown there".split())


def _not_visible(
    reading: Reading, mention: Mention, evidence: Evidence, vocabulary: Vocabulary
) -> Claim | None:
    """`the ball is not visible`: an absence, whatever the article."""
    words, codes = reading.words, reading.codes
    at = mention.end
    if mention.mode != Mode.ASSERTED or at + 1 >= len(words):
        return None
    if words[at] in ("is", "are") and words[at + 1] in ("absent", "missing"):
        return _absence(reading.said(mention.first, at + 2), "not visible", mention, evidence, vocabulary)
    if words[at] in ("is", "are") and words[at + 1] == "not":
        at += 2
    elif codes[at] == DENIAL and words[at] in ("isn't", "aren't"):
        at += 1
    else:
        return None
    if at >= len(words) or words[at] not in _GONE or is_limited(reading, mention):
        return None
    return _absence(reading.said(mention.first, at + 1), "not visible", mention, evidence, vocabulary)


def _absence(words: str, rule: str, mention: Mention, evidence: Evidence, vocabulary: Vocabulary) -> Claim:
    verdict, why = _absent(mention, evidence, vocabulary)
    return Claim("absence", words, rule, verdict, why)


def _absent(mention: Mention, evidence: Evidence, vocabulary: Vocabulary) -> tuple[Verdict, str]:
    """Whether there is none of what is named."""
    noun = mention.noun
    regions = evidence.regions(noun)
    if noun.names or noun.members:
        if regions:
            return "contradicted", f"box {regions[0].number}" if len(
                regions
            ) == 1 else f"{len(regions)} boxes"
        for thing in noun.in_order:
            if caption := evidence.said.get(thing):
                return "contradicted", f"caption {caption}"
        if any(thing in evidence.may_be for thing in noun.things):
            return "undecidable", "a caption may mean it"
        if any(thing in evidence.open_ended for thing in noun.in_order):
            return "undecidable", "their boxes may be missing"
    elif caption := evidence.words.get(noun.words):
        return "contradicted", f"caption {caption}"
    elif regions:
        return "undecidable", "a kind, which boxes do not tell"
    if not vocabulary.hedges:
        # What is no category was never looked for, and captions leave things out.
        looked_for = noun.things & vocabulary.categories
        if looked_for or (noun.members and noun.members <= vocabulary.categories):
            return "supported", "no box and no caption"
        return "undecidable", "no box and no caption"
    # Reports say what was looked for and not found; of what they are silent, nobody knows.
    for thing in noun.in_order:
        if caption := evidence.denied.get(thing):
            return "supported", f"caption {caption}"
        if caption := evidence.partly_denied.get(thing):
            return "undecidable", f"caption {caption} denies some"
    return "unsupported", "no caption denies it"


_PLACE = re.compile(
    r"\b(?:(?:on|to|at|in) the (?:\w+ )?(?:left|right|top|bottom|upper|lower|middle|center)\b"
    r"|(?:inside|within|outside|beyond) (?:of )?the\b).*",
    re.IGNORECASE,
)


# Short answers: what the question is about, said of by the answer alone


_HOW_MANY = re.compile(r"\bhow many\b", re.IGNORECASE)


def _short_answers(
    question: Reading, answer: Reading, evidence: Evidence, vocabulary: Vocabulary
) -> Iterator[Claim]:
    if how_many := _HOW_MANY.search(question.text):
        asked = next((m for m in question.mentions if question.starts[m.head] > how_many.start()), None)
        if asked is None or answer.modes[:1] == [Mode.SUPPOSED]:
            return
        begin, end = answer.sentences[0] if answer.sentences else (0, 0)
        counted = [m for m in answer.mentions if (m.number is not None or m.at_least) and m.head < end]
        for mention in counted[:1]:
            # "Just a few cups.": elsewhere, few are few only where the image is spoken of
            is_loose = mention.number is None and not is_said_of_image(answer, mention)
            if is_loose and mention.span is None and mention.noun.things == asked.noun.things:
                claim = count_claim(answer, mention, None, evidence, vocabulary, False)
                if claim:
                    yield claim
        if not counted:
            for at in range(begin, end):
                if answer.modes[at] != Mode.ASSERTED and answer.words[at] != "none":
                    return
                number = 0 if answer.words[at] == "none" else number_of(answer.words[at])
                if number is None and answer.words[at] not in ("dozen", "dozens"):
                    continue
                if of_range := _range_answered(question, asked, answer, at, end, evidence, vocabulary):
                    yield of_range
                    return
                # not "one can see …", "two on the left and …"
                if number is not None and not {*answer.codes[at + 1 : at + 2]} & {MODAL, PREPOSITION}:
                    is_of_all = _asks_of_all(question, asked)
                    claim = count_claim(
                        question, asked, number, evidence, vocabulary, False, is_exhaustive=is_of_all
                    )
                    # "How many dogs are near the car?": some of them
                    is_some = not is_of_all and number < len(evidence.regions(asked.noun))
                    if claim and not (is_some and claim.verdict == "contradicted"):
                        yield claim._replace(words=answer.said(at, at + 1), rule="how many")
                    return
        return
    # "Green.", "No, it is red and white.", "They are made of metal."
    subjects = [m for m in question.mentions if not m.is_modifier and not _is_owner(question, m)]
    subject = next((m for m in subjects if m.is_definite), subjects[0] if subjects else None)
    if subject is None or not answer.sentences:
        return
    begin, end = answer.sentences[0]
    if any(m.head < end and not m.is_modifier for m in answer.mentions):
        return
    if end - begin > 4 and not any(word in ("it", "they", "them") for word in answer.words[begin:end]):
        return
    for at in range(begin, end):
        if answer.codes[at] == ATTRIBUTE and answer.modes[at] == Mode.ASSERTED:
            said = frozenset({question.words[subject.end - 1]})
            for attribute in vocabulary.attributes[answer.words[at]]:
                bound = Bound(attribute, at, at, at + 1, subject, said)
                yield from attribute_claim(answer, bound, evidence, vocabulary)


def _range_answered(
    question: Reading,
    asked: Mention,
    answer: Reading,
    at: int,
    end: int,
    evidence: Evidence,
    vocabulary: Vocabulary,
) -> Claim | None:
    """`Between 20 and 30.`, `More than a dozen.`, `Dozens.` to `How many dogs are there?`"""
    last = at + 2 if at + 2 < end and number_of(answer.words[at + 2]) is not None else at
    if last == at and answer.words[at + 1 : at + 2] == ["dozen"]:
        last = at + 1
    ranged = span_before(answer.words, 0, last) or (last > at and span_before(answer.words, 0, at)) or None
    if ranged is None and answer.words[at] == "dozens":
        ranged = Span(24, None), at
    if ranged is None:
        return None
    span, first = ranged
    if answer.codes[last + 1 : last + 2] == [PREPOSITION] and answer.words[last + 1] not in ("in", "of"):
        return None  # "about two on the left and …"
    if not _asks_of_all(question, asked):
        asked = asked._replace(is_subset=True)
    claim = count_claim(question, asked._replace(span=span), None, evidence, vocabulary, False)
    return claim and claim._replace(words=answer.said(first, last + 1), rule="how many")


_OF_ALL = frozenset(
    "are is there can could be seen see you one i do does visible shown present depicted in the this image "
    "picture photo photograph tile scene total all have has".split()
)


def _asks_of_all(question: Reading, asked: Mention) -> bool:
    """`How many dogs are there?`, not `How many dogs are near the car?`"""
    rest = question.words[asked.end :]
    return all(word in _OF_ALL or not word[0].isalnum() for word in rest)


def _is_owner(reading: Reading, mention: Mention) -> bool:
    """`the man` in `the man's hat`."""
    return reading.words[mention.end - 1].endswith("'s")


# Yes and no


_POLARITY = {"yes": "yes", "yeah": "yes", "yep": "yes", "indeed": "yes", "no": "no", "nope": "no"}
_PICTURE = frozenset("image picture photo photograph tile scene frame shot view".split())
_PREPOSITIONS_BUT_IN = frozenset("on at near under above below behind beside with left right next".split())
_AUXILIARIES = frozenset("is are was were does do did has have can could isn't aren't".split())


def _polarity(answer: Reading) -> str | None:
    """Whether the answer begins with Yes or No: not `No dogs are there`."""
    if not answer.words:
        return None
    if answer.words[0] == "there" and not answer.mentions and len(answer.words) <= 6:
        # "There is.", "There is none.", "There aren't any."
        return "no" if DENIAL in answer.codes else "yes"
    polarity = _POLARITY.get(answer.words[0])
    if (
        polarity == "no"
        and len(answer.words) > 1
        and answer.words[1] not in (",", ".", ";", "!", "there", "it")
    ):
        return None
    return polarity


def _yes_no_question(question: Reading) -> Literal["presence", "statement"] | None:
    """What kind of yes/no question is the last sentence, if it is one."""
    if not question.sentences:
        return None
    begin, end = question.sentences[-1]
    if question.words[begin] not in _AUXILIARIES:
        return None
    words = question.words[begin:end]
    if len(words) < 2 or any(word in ("or", "nobody", "no", "not", "nothing", "without") for word in words):
        return None
    if words[-1] in _PICTURE and words[-3:-2] == ["in"] and not _PREPOSITIONS_BUT_IN.intersection(words):
        return "presence"
    if (
        words[1] in ("there", "any")
        or (
            words[0] in ("does", "do", "can", "could")
            and any(
                word in ("have", "contain", "show", "include", "see", "feature", "depict")
                for word in words[1:6]
            )
            and words[1] in ("the", "this", "you", "we")
            and words[2:3]
            and words[2] in ("image", "picture", "photo", "tile", "scene", "see", "photograph")
        )
        or (
            any(w in ("visible", "present") for w in words[-6:])
            and not any(
                code == PREPOSITION and word not in ("in",)
                for code, word in zip(question.codes[begin:end], words, strict=True)
            )
        )
    ):
        return "presence"
    return "statement"


def blind_spots(question: str, vocabulary: Vocabulary, captions: Sequence[str]) -> list[Claim]:
    """What a question asks that nobody can know from boxes, and whether a caption speaks of it.

    A question may be about several topics ("When was it taken?"): one that a caption speaks of will do.
    """
    found: list[Claim] = []
    for topic, (first, end) in vocabulary.blind_spots.asked(question.replace("-", " ")):
        words = question[first:end]
        for number, caption in enumerate(captions, 1):
            if vocabulary.blind_spots.speaks_of(topic, caption.replace("-", " ")):
                told = f"caption {number}"
                return [Claim("blind_spot", words, topic, "supported", told, "question")]
        told = "no caption speaks of it"
        found.append(Claim("blind_spot", words, topic, "unsupported", told, "question"))
    return found[:1]
