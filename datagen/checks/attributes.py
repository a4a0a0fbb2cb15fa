"""Claims about colours and other attributes bound to a thing, by what captions say."""

from __future__ import annotations

from collections.abc import Iterator

from datagen.checks.claims import Claim, Verdict, is_presupposed
from datagen.checks.english import ATTRIBUTE
from datagen.checks.evidence import Bound, Evidence, SaidOf, bound_attributes
from datagen.checks.reading import Mention, Mode, Reading
from datagen.checks.vocabulary import AttributeWord, Noun, Vocabulary


def attribute_claims(answer: Reading, evidence: Evidence, vocabulary: Vocabulary) -> Iterator[Claim]:
    """Everything an answer says a thing is like."""
    claims: dict[tuple[int, str], list[Claim]] = {}
    for bound in bound_attributes(answer, vocabulary):
        mode, mention = answer.modes[bound.word], bound.mention
        is_within = mention is not None and bound.word in mention.adjectives
        is_asserted = mode == Mode.ASSERTED and (mention is None or mention.mode == Mode.ASSERTED)
        if is_asserted or (
            mode == Mode.SUPPOSED and is_within and mention and is_presupposed(answer, mention)
        ):
            key = (mention.head if mention else -bound.word, bound.attribute.group)
            claims.setdefault(key, []).extend(attribute_claim(answer, bound, evidence, vocabulary))
    for same in claims.values():
        is_half_right = any(claim.verdict == "supported" for claim in same)
        for claim in same:
            if is_half_right and claim.verdict == "contradicted":
                # "a red and white umbrella" where a caption says red: of white it says nothing
                claim = claim._replace(verdict="unsupported", evidence="no caption says so")
            yield claim


def attribute_claim(
    reading: Reading, bound: Bound, evidence: Evidence, vocabulary: Vocabulary
) -> Iterator[Claim]:
    attribute = bound.attribute
    kind = "colour" if attribute.group == "colour" else "attribute"
    words = reading.said(min(bound.first, bound.word), max(bound.end, bound.word + 1))
    noun = bound.mention.noun if bound.mention else None
    same_group = [said for said in evidence.attributes if said.attribute.group == attribute.group]
    of_same = [said for said in same_group if _is_same(noun, bound.words, said)]

    def claim(verdict: Verdict, why: str) -> Claim:
        return Claim(kind, words, attribute.group, verdict, why)

    for said in of_same:
        if said.attribute.values & attribute.values:
            yield claim("supported", f"caption {said.caption}")
            return
    if of_same and _is_one(bound.mention, evidence):
        first = of_same[0]
        if all(said.attribute.values & first.attribute.values for said in of_same):
            yield claim("contradicted", f"caption {first.caption} says {min(first.attribute.values)}")
            return
    for said in same_group:
        # "a man in red" where a caption has a red shirt, "a red roof" where it has a red house
        if said.attribute.values & attribute.values and _is_part(noun, said.noun):
            is_worn = noun is not None and "person" in noun.things
            yield claim("supported" if is_worn else "undecidable", f"caption {said.caption}")
            return
    for value in sorted(attribute.values):
        if caption := evidence.loose.get((attribute.group, value)):
            yield claim("undecidable", f"caption {caption} has the word")
            return
    if not attribute.needs_caption or (noun is not None and _is_natural(noun, attribute, vocabulary)):
        yield claim("undecidable", "no caption says")
        return
    yield claim("unsupported", "no caption says so")


def _is_natural(noun: Noun, attribute: AttributeWord, vocabulary: Vocabulary) -> bool:
    """Green grass: what is so as a rule, and which annotators seldom say."""
    natural = {value for thing in noun.things for value in vocabulary.natural.get(thing, ())}
    return not attribute.values.isdisjoint(natural)


def _is_same(noun: Noun | None, words: frozenset[str], said: SaidOf) -> bool:
    """Whether a caption speaks of the same thing: not of a swan where a duck is meant."""
    if words & said.words:
        return True
    if noun is None or said.noun is None or not noun.things & said.noun.things:
        return False
    return bool(noun.names or said.noun.names)


def _is_part(one: Noun | None, other: Noun | None) -> bool:
    """Whether one is a part of the other."""
    if one is None or other is None:
        return False
    return bool(one.things & other.wholes or one.wholes & other.things)


def _is_one(mention: Mention | None, evidence: Evidence) -> bool:
    """Whether there is one such thing, as far as is known."""
    if mention is None:
        return True
    return not mention.is_plural and not any(
        len(evidence.boxes.get(thing, ())) > 1 or thing in evidence.in_plural or thing in evidence.open_ended
        for thing in mention.noun.things
    )


def asked_attributes(question: Reading, vocabulary: Vocabulary) -> Iterator[Bound]:
    """`Is the cat black?`: what stands after its subject is asked of it."""
    seen = set()
    for bound in bound_attributes(question, vocabulary):
        seen.add(bound.word)
        yield bound
    for mention in question.mentions:
        at = mention.end
        while at < len(question.words) and question.words[at] in ("mostly", "all", "both", "and", "or"):
            at += 1
        if at < len(question.words) and question.codes[at] == ATTRIBUTE and at not in seen:
            said = frozenset({question.words[mention.end - 1]})
            for attribute in vocabulary.attributes[question.words[at]]:
                yield Bound(attribute, at, mention.head, at + 1, mention, said)
