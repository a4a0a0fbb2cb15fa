"""Claims about how many there are: numbers and quantities, by boxes and the numbers of captions."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from datagen.checks.claims import Claim, Verdict, is_presupposed, is_said_of_image
from datagen.checks.english import BE, SIDE, VERB
from datagen.checks.evidence import Evidence
from datagen.checks.reading import Mention, Mode, Reading, Span
from datagen.checks.vocabulary import Vocabulary

# From this many on, a quantity is far from the few boxes that it is held against.
_DOZENS = 24


def count_claims(reading: Reading, evidence: Evidence, vocabulary: Vocabulary) -> Iterator[Claim]:
    counted: dict[frozenset[str], int] = {}
    for mention in reading.mentions:
        if mention.number is not None:
            key = frozenset(mention.noun.things or mention.noun.members)
            counted[key] = counted.get(key, 0) + 1
    for mention in reading.mentions:
        if (mention.number is None and not mention.at_least) or mention.is_modifier:
            continue
        if mention.mode != Mode.ASSERTED and not is_presupposed(reading, mention):
            continue
        if mention.number is None and mention.span is None and not is_said_of_image(reading, mention):
            continue  # "many dogs are friendly"
        key = frozenset(mention.noun.things or mention.noun.members)
        # "a group of three" is all of them
        is_group = mention.number is not None and mention.at_least > 0
        is_partition = counted.get(key, 0) > 1 and not is_group
        if claim := count_claim(reading, mention, mention.number, evidence, vocabulary, is_partition):
            yield claim
    yield from comparisons(reading, evidence, vocabulary)


def comparisons(reading: Reading, evidence: Evidence, vocabulary: Vocabulary) -> Iterator[Claim]:
    """`more ships than cars`, `fewer dogs than cats`: by the boxes of both."""
    words = reading.words
    for first, second in pairwise(reading.mentions):
        how = words[first.first]
        if how not in ("more", "fewer") or words[first.end : second.first] != ["than"]:
            continue
        if first.mode == second.mode == Mode.ASSERTED and not second.is_modified:
            verdict, why = _compared(first, second, how == "more", evidence, vocabulary)
            yield Claim("count", reading.said(first.first, second.end), "more or fewer", verdict, why)


def _compared(
    first: Mention, second: Mention, more: bool, evidence: Evidence, vocabulary: Vocabulary
) -> tuple[Verdict, str]:
    totals = []
    for noun in (first.noun, second.noun):
        things = noun.names or noun.members
        if not things or not things <= vocabulary.categories or not evidence.open_ended.isdisjoint(things):
            return "undecidable", "boxes do not count both"
        total = sum(not region.is_crowd for region in evidence.regions(noun))
        if any(total not in evidence.numbers.get(thing, {total: 0}) for thing in things):
            return "undecidable", "a caption has another number"
        totals.append(total)
    is_so = totals[0] > totals[1] if more else totals[0] < totals[1]
    return "supported" if is_so else "contradicted", f"{totals[0]} and {totals[1]} boxes"


def count_claim(
    reading: Reading,
    mention: Mention,
    number: int | None,
    evidence: Evidence,
    vocabulary: Vocabulary,
    is_partition: bool,
    is_exhaustive: bool = False,
) -> Claim | None:
    noun = mention.noun
    things = noun.names or noun.kind_of or noun.members
    if not things or (not noun.things and not noun.members <= vocabulary.categories):
        return None
    words = reading.said(mention.first, mention.end)
    regions = evidence.regions(noun)
    total = sum(not region.is_crowd for region in regions)
    is_open = any(thing in evidence.open_ended for thing in things)
    if evidence.support(noun) is None:
        return None  # the thing itself is unsupported, and said so

    def claim(verdict: Verdict, why: str) -> Claim:
        return Claim("count", words, "number" if number is not None else "quantity", verdict, why)

    boxed = "1 box" if total == 1 else f"{total} boxes"
    if number is None and mention.span is not None:
        return claim(
            *_verdict_of_span(reading, mention, mention.span, total, evidence, is_open, is_partition)
        )
    if number is None:
        if total >= mention.at_least:
            return claim("supported", boxed)
        # A box may be drawn around a flock; two boxes are no hundreds.
        is_many = mention.at_least >= _DOZENS and total > 1
        if is_open or (not is_many and any(thing in evidence.in_plural for thing in things)):
            return claim("undecidable", boxed)
        # "several" is loose: half as many are not called that.
        if not total or total * 2 > mention.at_least or not noun.names:
            return claim("undecidable", boxed)
        return claim("contradicted", boxed)
    said = {n: c for thing in sorted(things) for n, c in evidence.numbers.get(thing, {}).items()}
    if number in said:
        return claim("supported", f"caption {said[number]}")
    if total == number and number > 0:
        return claim("supported", boxed)
    if not total:
        is_part = any(whole in evidence.boxes or whole in evidence.said for whole in noun.wholes)
        if is_part or not any(thing in evidence.said for thing in things):
            return claim("undecidable", "parts, which nobody counts")
        if not noun.things & vocabulary.categories and number == 1:
            return claim("supported", "")
        if said:
            n, caption = next(iter(said.items()))
            return claim("contradicted", f"caption {caption} says {n}")
        if is_open or any(thing in evidence.in_plural for thing in things):
            return claim("undecidable", "more than one, number unknown")
        return claim("undecidable", "no caption says how many")
    if is_open and number > total:
        return claim("undecidable", f"{boxed} and a group, number unknown")
    if number > total:
        return claim("contradicted", boxed)
    if number == 1 and not is_exhaustive and not _is_only_one(reading, mention):
        return claim("undecidable", boxed)
    # "two people are standing on the left"
    has_place = SIDE in reading.codes[mention.end : mention.end + 7]
    if not noun.names and noun.things:
        # Boxes do not tell how many are of a kind, and a caption with the same words does.
        kinds = evidence.numbers_of_words.get(noun.words, {})
        are_all = not (mention.is_subset or is_partition or mention.is_modified or has_place)
        if are_all and kinds and number < min(kinds):
            return claim("contradicted", f"caption {kinds[min(kinds)]} says {min(kinds)}")
        return claim("undecidable", f"{boxed}, of which these are a kind")
    if mention.is_subset or is_partition:
        return claim("undecidable", "some of them")
    is_group = mention.at_least > 0
    if (mention.is_modified or has_place) and not is_exhaustive and not is_group:
        # "only one dog is jumping": the others do not
        if total in said and not (
            _is_only_one(reading, mention) and reading.codes[mention.end] in (BE, VERB)
        ):
            return claim("contradicted", f"{boxed}; caption {said[total]} says {total}")
        return claim("undecidable", f"{boxed}, some of which these may be")
    return claim("contradicted", boxed)


def _verdict_of_span(
    reading: Reading,
    mention: Mention,
    span: Span,
    total: int,
    evidence: Evidence,
    is_open: bool,
    is_partition: bool,
) -> tuple[Verdict, str]:
    """Whether the boxes, or a number of a caption, lie in a range."""
    noun, boxed = mention.noun, "1 box" if total == 1 else f"{total} boxes"
    low, high = span.low, span.high
    # From where on a number is another one: "about ten" may be eight, and is not four.
    least, most = low, high
    if span.is_rough and high is not None:
        least, most = (low + 1) // 2, 2 * high
        low, high = low - max(1, low // 5), high + max(1, high // 5)
    said = {n: c for thing in sorted(noun.things) for n, c in evidence.numbers.get(thing, {}).items()}
    for number, caption in said.items():
        if low <= number and (high is None or number <= high):
            return "supported", f"caption {caption}"
    if total and low <= total and (high is None or total <= high):
        return "supported", boxed
    if not total:
        return "undecidable", "no box, and no caption says how many"
    if total < least:
        return ("undecidable", f"{boxed} and a group, number unknown") if is_open else ("contradicted", boxed)
    if most is None or total <= most:
        return "undecidable", boxed
    if (not noun.names and noun.things) or mention.is_subset or is_partition or mention.is_modified:
        return "undecidable", f"{boxed}, some of which these may be"
    if SIDE in reading.codes[mention.end : mention.end + 7]:
        return "undecidable", f"{boxed}, some of which these may be"
    return "contradicted", boxed


def _is_only_one(reading: Reading, mention: Mention) -> bool:
    before = reading.words[max(0, mention.first - 2) : mention.head]
    begins = any(begin == mention.first - 2 for begin, _ in reading.sentences)
    if begins and before[:2] == ["there", "is"] and not mention.is_modified:
        return True
    return any(word in ("only", "single", "just", "exactly", "lone") for word in before)
