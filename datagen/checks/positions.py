"""Claims about where things are and how much of the image they take, by box centres and areas."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import pairwise, product

from datagen.checks.claims import Claim, Verdict
from datagen.checks.english import BE, MARK, SIDE, THERE, VERB
from datagen.checks.evidence import Evidence, Region, own_sides
from datagen.checks.reading import Mention, Mode, Reading
from datagen.checks.vocabulary import Vocabulary
from datagen.records import Frame

# Fractions of the frame: how far beyond the middle a centre must lie to contradict a side, and how
# far apart two centres must be to have an order.
_BEYOND = 0.08
_FAR_BEYOND = 0.25
_APART = 0.05
# Of more pairs of boxes than this, some will stand any way round.
_PAIRS = 10_000

_FRAME_WORDS = frozenset(
    (
        "image picture photo photograph tile frame scene shot view composition room street road field "
        "background foreground area space beach park kitchen yard lot intersection"
    ).split()
)
_WHOLE = frozenset("image picture photo photograph tile frame shot view scene composition".split())
_OF_THE_PICTURE = frozenset("image picture photo photograph tile frame view".split())
# A radiograph's left is the patient's, which is the image's right.
_MIRRORED = {"left": "right", "right": "left"}
_PARTS = frozenset(
    "side part portion half corner edge end section area third hand foreground background".split()
)
_BODY = frozenset(
    (
        "hand hands arm arms foot leg legs eye ear paw wing shoulder wrist knee wheel lane turn elbow palm "
        "ankle thumb knob turn now behind next there away"
    ).split()
)
_CLOSER = frozenset("closer nearer".split())
_LEAD = frozenset("to on at in toward towards near along from".split())
_DIRECTED = frozenset(
    "leaning leans looking looks facing faces heading heads turned turning turns pointing points tilted "
    "tilting moving moves going goes walking walks running runs driving drives flying flies".split()
)
_BETWEEN = frozenset(
    (
        "patient's the its their far very extreme upper lower top bottom more most immediate center middle "
        "front"
    ).split()
)
# Of an area that is marked on a surface. "in" is left out, as it is said of the line itself, too.
_IN_ZONE = {"inside": True, "within": True, "outside": False, "beyond": False}
# The share of a box from which it counts as inside, and up to which as outside. What stands on the line,
# or is seen at an angle over it, is neither.
_INSIDE, _OUTSIDE = 0.9, 0.1
_RELATIONS = {
    "above": "above", "below": "below", "beneath": "below", "underneath": "below", "under": "below",
    "atop": "above",
}  # fmt: skip


def position_claims(
    reading: Reading, question: Reading | None, evidence: Evidence, vocabulary: Vocabulary, frame: Frame
) -> Iterator[Claim]:
    """Sides of the frame, sides of another object, above and below, inside and outside of a marked area.

    `question` gives a subject to an answer that has none of its own.
    """
    words, codes = reading.words, reading.codes
    taken = -1
    if frame == "radiograph":
        yield from laterality_claims(reading, evidence, reading.mentions)
    for begin, limit in reading.sentences:
        for at in range(begin, limit):
            if at <= taken:
                continue
            word = words[at]
            if codes[at] == SIDE:
                phrase = _side_phrase(reading, at, begin, limit)
                if phrase is None:
                    continue
                first, end, sides, reference, is_of_frame = phrase
                taken = end - 1
                is_compared = not _CLOSER.isdisjoint(words[max(begin, first - 2) : first + 1])
                if is_compared and "than" in words[first : min(end + 2, limit)]:
                    continue  # "closer to the top of the image than the boat": not at the top
                # From overhead an image has a top and a bottom, and nothing in it does.
                is_of_thing = frame == "overhead" and not is_of_frame and sides & {"top", "bottom"}
                if reading.modes[at] != Mode.ASSERTED or is_of_thing:
                    continue
                # "on the left side of the stall": most things without a box fill the frame
                is_far = not is_of_frame and reference is None
                if is_far and not sides <= {"left", "right"}:
                    continue
                is_of_patient = frame == "radiograph" and _OF_THE_PICTURE.isdisjoint(words[first:end])
                if frame == "radiograph":
                    if len(sides) > 1:
                        sides -= {"middle"}  # "the right middle zone": of the right, not of the image
                    if is_of_patient:
                        sides = {_MIRRORED.get(side, side) for side in sides}
                yield from _place(
                    reading, question, first, end, begin, limit, sides, reference, evidence,
                    beyond=_FAR_BEYOND if is_far else _BEYOND, is_of_patient=is_of_patient,
                )  # fmt: skip
            elif word in _IN_ZONE:
                of = at + 1 < limit and words[at + 1] == "of"
                reference = _mention_at(reading, at + 1 + of, limit)
                if reference is None or not reference.noun.is_zone or reading.modes[at] != Mode.ASSERTED:
                    continue
                yield from _place(
                    reading, question, at, reference.end, begin, limit,
                    {"inside" if _IN_ZONE[word] else "outside"}, reference, evidence,
                )  # fmt: skip
            elif word in _RELATIONS or (word == "on" and words[at + 1 : at + 3] == ["top", "of"]):
                side = _RELATIONS.get(word, "above")
                is_contact = word not in ("above", "below")
                end = at + 3 if word == "on" else at + 1
                taken = end - 1
                if frame == "overhead" or reading.modes[at] != Mode.ASSERTED:
                    continue
                reference = _mention_at(reading, end, limit)
                if reference is None:
                    continue
                yield from _place(
                    reading, question, at, reference.end, begin, limit, {side}, reference, evidence,
                    is_contact=is_contact,
                )  # fmt: skip


def laterality_claims(reading: Reading, evidence: Evidence, mentions: Sequence[Mention]) -> Iterator[Claim]:
    """`a small left pleural effusion`: sides of the patient that stand before the name of a finding.

    Decided by boxes, or where there are none by the sides that captions give.
    """
    for mention in mentions:
        sides = own_sides(reading, mention)
        if not sides or mention.is_modifier or not mention.noun.things:
            continue
        if mention.mode != Mode.ASSERTED and not mention.is_definite:
            continue
        words = reading.said(mention.first, mention.end)
        regions = evidence.regions(mention.noun)
        if regions:
            number = mention.number or 1 if len(sides) == 1 else 1
            verdicts = [_in_frame(regions, {_MIRRORED[side]}, number=number) for side in sides]
        else:
            verdicts = [_side_in_captions(mention, side, evidence) for side in sides]
        worst = min(verdicts, key=lambda found: _WORST_FIRST.index(found[0]))
        yield Claim("position", words, "side of the patient", *worst)


_WORST_FIRST = ("contradicted", "unsupported", "undecidable", "supported")


def _side_in_captions(mention: Mention, side: str, evidence: Evidence) -> tuple[Verdict, str]:
    told = {
        side: caption
        for thing in mention.noun.in_order
        for side, caption in evidence.sides.get(thing, {}).items()
    }
    if side in told:
        return "supported", f"caption {told[side]}"
    if any((thing, side) in evidence.may_be_on for thing in mention.noun.in_order):
        return "undecidable", "a caption may mean something else by this side"
    if told:
        other, caption = next(iter(told.items()))
        return "contradicted", f"caption {caption} says {other}"
    return "undecidable", "no box, and no caption says which side"


def _side_phrase(
    reading: Reading, at: int, begin: int, limit: int
) -> tuple[int, int, set[str], Mention | None, bool] | None:
    """From a word such as `left`: the phrase's extent, its sides, what it is a side of."""
    words, codes = reading.words, reading.codes
    sides = set()
    first = at
    while first - 1 >= begin and words[first - 1] in _BETWEEN:
        first -= 1
        if codes[first] == SIDE:
            sides.add(words[first])
    end = at
    while end < limit and (codes[end] == SIDE or words[end] in ("hand", "most")):
        if codes[end] == SIDE:
            sides.add(words[end])
        end += 1
    has_lead = first - 1 >= begin and words[first - 1] in _LEAD
    if "from" in words[max(begin, first - 8) : first]:
        return None  # "from the left to the right"
    if has_lead and first - 2 >= begin and words[first - 2] in _DIRECTED and words[first - 1] != "on":
        return None  # "leaning to the right"
    if first - 2 >= begin and words[first - 2] in ("closer", "nearer") and "than" in words[end:limit]:
        return None  # "closer to the top of the image than the dog"
    if has_lead:
        first -= 1
    if has_lead and first > begin and words[first - 1] in ("farther", "further"):
        return None  # "farther to the left than the dog": of the dog, not of the image
    part = False
    if end < limit and words[end] in _PARTS:
        part = True
        end += 1
    elif end < limit and words[end] in _BODY:
        return None
    is_left_of = end < limit and words[end] == "of" and codes[first - 1] == BE if first > begin else False
    opens = first == begin or codes[first - 1] == MARK or words[first - 1] == "the"
    if not has_lead and not is_left_of and not (part and opens):
        return None
    named = {"center": "middle", "centre": "middle", "upper": "top", "lower": "bottom"}
    sides = {named.get(side, side) for side in sides} - {"front"}
    if not sides or ("left" in sides and "right" in sides):
        return None
    vertical_alone = not sides & {"left", "right"}
    reference = None
    if end < limit and words[end] == "of":
        reference = _mention_at(reading, end + 1, limit)
        head = next((word for word in words[end + 1 : min(end + 5, limit)] if word in _FRAME_WORDS), None)
        if reference is None or reference.noun.is_scenery or head is not None:
            if head is None and not (reference and reference.noun.is_scenery):
                return first, end, sides, None, False
            of_picture = head in _WHOLE
            if "middle" in sides and not of_picture:
                return first, end, sides, None, False
            if vertical_alone and not of_picture:
                return first, end, sides, None, False
            while end < limit and words[end] != head and codes[end] != MARK:
                end += 1
            return first, min(end + 1, limit), sides, None, True
        return first, reference.end, sides, reference, False
    if vertical_alone and sides != {"middle"} and not part:
        return first, end, sides, None, False
    return first, end, sides, None, True


def _mention_at(reading: Reading, at: int, limit: int) -> Mention | None:
    for mention in reading.mentions:
        if mention.first >= at:
            return (
                mention
                if mention.first <= at + 1 and mention.end <= limit and not mention.is_modifier
                else None
            )
    return None


_PRONOUNS = frozenset("one another other others it they he she this these those them".split())


def _subjects(
    reading: Reading,
    question: Reading | None,
    first: int,
    end: int,
    begin: int,
    limit: int,
    evidence: Evidence,
) -> tuple[Sequence[Mention], bool]:
    """Whom a place may be said of: any of these, or all where they are joined (`_joined`). And
    whether only of one of several (`one … another`)."""
    words, codes = reading.words, reading.codes
    clause = begin
    for at in range(first - 1, begin - 1, -1):
        if (
            words[at] in (";", "while", "whereas", "but")
            or (words[at] == "," and at + 1 < first and words[at + 1] in ("and", "with", "while"))
            or (words[at] == "and" and _joins_clauses(codes, begin, at, first))
        ):
            clause = at + 1
            break
    before = [
        m
        for m in reading.mentions
        if clause <= m.head and m.end <= first and not m.is_modifier
        if not m.noun.is_scenery or evidence.regions(m.noun)
        # "on the patient's right, on the left of the image": not of the patient
        if not (m.noun.is_role and words[m.end - 1].endswith("'s"))
    ]
    is_where = question is not None and begin == reading.sentences[0][0] and question.words[:1] == ["where"]
    if is_where and question and not any(code in (BE, VERB) for code in codes[begin:first]):
        # "Where is the cat?" "On the sofa, to the left of the dog."
        return [m for m in question.mentions if not m.is_modifier][:1], False
    between = words[max(before[-1].end, clause) : first] if before else words[clause:first]
    if any(word in ("one", "another", "other", "others") for word in between):
        earlier = [m for m in reading.mentions if begin <= m.head < first and m.is_plural]
        return earlier[-1:], True
    if before and not any(word in _PRONOUNS for word in between):
        nearest = before[-1]
        if words[nearest.first] in ("one", "another") or nearest.is_subset:
            return [nearest], True
        if joined := _joined(reading, before, first):
            return joined, False
        return ([nearest] if nearest is before[0] else [before[0], nearest]), False
    if before:
        return (), False
    if any(word in ("it", "they", "he", "she") for word in words[clause:first]):
        earlier_sentences = [b for b in reading.sentences if b[1] < begin]
        if earlier_sentences:
            lo, hi = earlier_sentences[-1]
            return [m for m in reading.mentions if lo <= m.head < hi and not m.is_modifier], False
        if question is not None:
            return [m for m in question.mentions if not m.is_modifier], False
        return (), False
    # "On the left, a man …": fronted
    stop = next((at for at in range(end + 1, limit) if words[at] in (";", "while", "whereas", "but")), limit)
    after = [m for m in reading.mentions if m.head >= end and m.end <= limit and not m.is_modifier]
    after = [m for m in after if m.head < stop]
    if after and (first <= clause + 1 or THERE in codes[clause:first]):
        return after[:1], False
    if question is not None and (not reading.mentions or len(words) <= 8):
        return [m for m in question.mentions if not m.is_modifier][:1], False
    return (), False


def _joined(reading: Reading, before: Sequence[Mention], first: int) -> list[Mention]:
    """`the block and the mug` in `the block and the mug are inside …`: the place is that of each. Not in
    `there is a block and a mug on the left`, which may be said of the mug alone."""
    joined = [before[-1]]
    for mention in reversed(before[:-1]):
        if not _LISTS.issuperset(reading.words[mention.end : joined[0].first]):
            break
        joined.insert(0, mention)
    has_verb = not {BE, VERB}.isdisjoint(reading.codes[joined[-1].end : first])
    return joined if len(joined) > 1 and has_verb else []


_LISTS = frozenset((",", "and"))


def _joins_clauses(codes: Sequence[int], begin: int, at: int, end: int) -> bool:
    """`the bed is on the left and the lamp is …`: a verb on both sides."""
    verbs = (BE, VERB)
    return any(code in verbs for code in codes[begin:at]) and any(code in verbs for code in codes[at:end])


def _place(
    reading: Reading,
    question: Reading | None,
    first: int,
    end: int,
    begin: int,
    limit: int,
    sides: set[str],
    reference: Mention | None,
    evidence: Evidence,
    *,
    is_contact: bool = False,
    beyond: float = _BEYOND,
    is_of_patient: bool = False,
) -> Iterator[Claim]:
    subjects, is_shared = _subjects(reading, question, first, end, begin, limit, evidence)
    subjects = [m for m in subjects if (m is not reference and m.mode == Mode.ASSERTED) or m.is_definite]
    if reference is not None:
        subjects = [m for m in subjects if m.noun is not reference.noun]
    are_joined = bool(subjects) and subjects == _joined(reading, subjects, first)
    if not are_joined:
        # Of two in one clause the nearer may have the place, if it is a thing that has places.
        subjects = [m for m in subjects if m is subjects[0] or evidence.regions(m.noun)]
    words = reading.said(first, end)
    rule = "side of the frame" if reference is None else "side of an object"
    if not subjects:
        return
    if is_shared and reference is None and _has_both_sides(reading.words[begin : limit + 1]):
        return  # "one on the left and another on the right": of each other, as like as not
    verdicts: list[tuple[Verdict, str]] = []
    for subject in subjects:
        regions = evidence.regions(subject.noun)
        # "one of the two dogs" is one, "two smaller dogs" are two; "it" may be a dog of the question
        its_words = reading.words if question is None or subject in reading.mentions else question.words
        is_one_of = subject.first > 0 and its_words[subject.first - 1] == "of"
        number = 1 if is_one_of or (is_shared and not subject.is_subset) else subject.number or 1
        lateral = sorted(sides & {*_MIRRORED}) if is_of_patient else []
        if not regions and lateral:
            verdicts += [_side_in_captions(subject, _MIRRORED[side], evidence) for side in lateral]
        elif not regions:
            verdicts.append(("undecidable", "no box"))
        elif reference is None:
            verdicts.append(_in_frame(regions, sides, beyond, number))
        else:
            others = evidence.regions(reference.noun)
            if others:
                so_many = number if reference.noun.is_zone else 1
                verdicts.append(_beside(regions, others, sides, is_contact, so_many))
            elif sides <= {"left", "right"}:
                # What it is a side of has no box; most such things (a stall, a room) fill the frame.
                verdicts.append(_in_frame(regions, sides, _FAR_BEYOND))
            else:
                verdicts.append(("undecidable", "no box"))
    subject = subjects[0]
    if are_joined:
        verdict = min(verdicts, key=lambda found: _WORST_FIRST.index(found[0]))
        if verdict[0] == "supported":
            verdict = "supported", "; ".join(why for _, why in verdicts)
    else:
        verdict = next((v for v in verdicts if v[0] == "supported"), None) or next(
            (v for v in verdicts if v[0] == "undecidable"), verdicts[0]
        )
    if question is None or subject in reading.mentions:
        lo, hi = min(subject.first, first), max(subject.end, end)
        words = reading.said(lo, hi)
    yield Claim("position", words, rule, *verdict)


def _has_both_sides(words: Sequence[str]) -> bool:
    """Whether both sides of the frame are named; `left of the dog` is none of the frame."""
    sides = {word for word, after in pairwise(words) if after != "of"}
    return {"left", "right"} <= sides


def _in_frame(
    regions: Sequence[Region], sides: set[str], beyond: float = _BEYOND, number: int = 1
) -> tuple[Verdict, str]:
    def fits(region: Region, slack: float) -> bool:
        for side in sides:
            if side == "left" and region.x > 0.5 + slack:
                return False
            if side == "right" and region.x < 0.5 - slack:
                return False
            if side == "top" and region.y > 0.5 + slack:
                return False
            if side == "bottom" and region.y < 0.5 - slack:
                return False
            if side == "middle":
                reach = 1 / 6 + (0.14 if slack > 0 else 0)
                if abs(region.x - 0.5) > reach:
                    return False
        return True

    return _verdict([(region, fits(region, 0), fits(region, beyond)) for region in regions], number)


def _beside(
    regions: Sequence[Region], others: Sequence[Region], sides: set[str], is_contact: bool, number: int = 1
) -> tuple[Verdict, str]:
    judged = []
    if "middle" in sides:
        return "undecidable", "the middle of an object"
    if len(regions) * len(others) > _PAIRS:
        return "undecidable", f"{len(regions)} and {len(others)} boxes"
    for a, b in product(regions, others):
        if a.number == b.number:
            continue
        exact = loose = True
        for side in sides:
            if side == "inside":
                exact &= _share_in(a, b) >= _INSIDE
                loose &= _share_in(a, b) > _OUTSIDE
            elif side == "outside":
                exact &= _share_in(a, b) <= _OUTSIDE
                loose &= _share_in(a, b) < _INSIDE
            elif side == "left":
                exact &= a.x < b.x
                loose &= a.x <= b.x + _APART
            elif side == "right":
                exact &= a.x > b.x
                loose &= a.x >= b.x - _APART
            elif side in ("above", "top"):
                exact &= a.y < b.y
                loose &= a.y1 <= b.y2 if is_contact else a.y <= b.y + _APART
            else:
                exact &= a.y > b.y
                loose &= a.y2 >= b.y1 if is_contact else a.y >= b.y - _APART
        judged.append((a, exact, loose))
    if not judged:
        return "undecidable", "the same box"
    return _verdict(judged, number)


def _share_in(a: Region, b: Region) -> float:
    """How much of a box lies in another."""
    width = min(a.x2, b.x2) - max(a.x1, b.x1)
    height = min(a.y2, b.y2) - max(a.y1, b.y1)
    area = (a.x2 - a.x1) * (a.y2 - a.y1)
    return width * height / area if width > 0 and height > 0 and area else 0.0


def _verdict(judged: Sequence[tuple[Region, bool, bool]], number: int = 1) -> tuple[Verdict, str]:
    """By (region, fits, fits with a margin), so many of which have to fit."""
    fitting = sorted({region.number for region, fits, _ in judged if fits and not region.is_crowd})
    if len(fitting) >= number:
        return "supported", "box " + ", ".join(map(str, fitting[:5]))
    if sum(fits_nearly for _, _, fits_nearly in judged) >= min(number, len(judged)):
        return "undecidable", f"box {judged[0][0].number}, too near the middle to tell"
    if any(region.is_crowd for region, _, _ in judged):
        return "undecidable", "a group, whose members may be anywhere in its box"
    numbers = sorted({region.number for region, _, _ in judged})
    return "contradicted", "box " + ", ".join(map(str, numbers[:5]))


# How much of the image


_COMPARES = re.compile(
    r"""\b(?:appears?|looks?|seems?)\s(?:much\s|slightly\s|significantly\s|noticeably\s)?
            (?P<how>larger|bigger|smaller)\sthan\b
      | \b(?:takes?|taking|fills?|filling|occup(?:ies|y|ying)|covers?|covering)\s(?:up\s)?
            (?:(?:much|far|slightly|a|the)\s)*
            (?P<more>more|less|larger|bigger|greater|smaller)\b[^.,;]{0,40}?\bthan\b
      | \b(?P<plain>larger|bigger|smaller)\s(?:\w+\s){0,3}(?:in|within|of)\s(?:the|this)\s
            (?:image|picture|photo|frame|scene|view)\sthan\b
      | \b(?P<said>larger|bigger|smaller)\sthan\b
            (?=[^.;]*\b(?:in|within|of)\s(?:the|this)\s(?:image|picture|photo|frame|view)\b)""",
    re.IGNORECASE | re.VERBOSE,
)
_LARGEST = re.compile(
    r"\b(?:(?P<least>smallest)|largest|biggest)(?: \w+)? (?:in|of) (?:the|this) "
    r"(?:whole |entire )?(?:image|picture|photo|frame|scene|view)\b",
    re.IGNORECASE,
)
_FILLS = re.compile(
    r"\b(?:takes?|taking|occup(?:ies|y|ying)|fills?|filling|covers?|covering|dominat(?:es|ing)) (?:up )?"
    r"(?P<share>most of|nearly all of|almost all of|the majority of|more than half of|half of|"
    r"a small (?:part|portion) of|a tiny (?:part|portion) of) "
    r"the (?:entire |whole )?(?:image|picture|photo|frame|view|scene)\b",
    re.IGNORECASE,
)


_SIZE_WORDS = re.compile(
    r"most of|all of|majority|half of|portion|part of|largest|biggest|smallest", re.IGNORECASE
)


def size_claims(reading: Reading, evidence: Evidence) -> Iterator[Claim]:
    """`takes up more of the image than`, `appears larger than`, `fills most of the frame`."""
    text = reading.text
    if "than" not in reading.words and not _SIZE_WORDS.search(text):
        return
    for match in _COMPARES.finditer(text):
        how = (match["how"] or match["more"] or match["plain"] or match["said"]).lower()
        at = bisect_right(reading.starts, match.start()) - 1
        if reading.modes[at] == Mode.DENIED:
            continue
        subject = _before(reading, match.start())
        reference = _after(reading, match.end())
        if subject is None or reference is None or subject.noun is reference.noun:
            continue
        a, b = evidence.regions(subject.noun), evidence.regions(reference.noun)
        if not a or not b or any(r.is_crowd for r in (*a, *b)):
            continue
        is_more = how in ("larger", "bigger", "more", "greater")
        ratio = (max(r.area for r in a) + 1e-9) / (max(r.area for r in b) + 1e-9)
        if not is_more:
            ratio = 1 / ratio
        verdict: Verdict = "supported" if ratio >= 1 else "contradicted" if ratio < 0.8 else "undecidable"
        words = reading.said(subject.first, reference.end)
        yield Claim("size", words, "box areas", verdict, f"box {a[0].number} and box {b[0].number}")
    for match in _LARGEST.finditer(text):
        subject = _before(reading, match.start())
        if subject is None or not (regions := evidence.regions(subject.noun)):
            continue
        own = max(region.area for region in regions)
        rest = [r.area for of in evidence.boxes.values() for r in of if r not in regions]
        if not rest:
            continue
        is_least = bool(match["least"])
        ratio = own / (max(rest) + 1e-9) if not is_least else min(rest) / (own + 1e-9)
        most: Verdict = "supported" if ratio >= 1 else "contradicted" if ratio < 0.8 else "undecidable"
        end = bisect_right(reading.starts, match.end() - 1)
        yield Claim("size", reading.said(subject.first, end), "box areas", most, f"box {regions[0].number}")
    for match in _FILLS.finditer(text):
        subject = _before(reading, match.start())
        if subject is None or not (regions := evidence.regions(subject.noun)):
            continue
        share = min(1.0, sum(r.area for r in regions))
        wanted = match["share"].lower()
        if wanted.startswith(("a small", "a tiny")):
            fill: Verdict = "supported" if share < 0.25 else "contradicted" if share > 0.5 else "undecidable"
        else:
            fill = "supported" if share > 0.4 else "contradicted" if share < 0.25 else "undecidable"
        end = bisect_right(reading.starts, match.end() - 1)
        yield Claim("size", reading.said(subject.first, end), "box areas", fill, f"{share:.0%} of the image")


def _before(reading: Reading, char: int) -> Mention | None:
    """The first thing of the clause that reaches the character."""
    end = bisect_right(reading.starts, char) - 1
    begin = max((lo for lo, _ in reading.sentences if lo <= end), default=0)
    for at in range(end, begin, -1):
        if reading.words[at] in ("while", "whereas", "but", ";"):
            begin = at
            break
    found = [m for m in reading.mentions if begin <= m.head < end and not m.is_modifier]
    return found[0] if found else None


def _after(reading: Reading, char: int) -> Mention | None:
    for mention in reading.mentions:
        if reading.starts[mention.first] >= char - 1:
            return mention if reading.starts[mention.first] - char < 12 else None
    return None
