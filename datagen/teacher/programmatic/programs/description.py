"""The sentences of a detailed description: the whole, what is there, and where it all is.

They share the `Story` of their paragraph and look at it anew for every sentence, so that each adds
something and calls only what has been named "the dog".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import wraps
from itertools import combinations
from typing import Literal

from datagen.records import Frame
from datagen.teacher.programmatic.captions import Sentence, names_doing
from datagen.teacher.programmatic.detail import PRONOUNS, Teller, Tiding, beginning, told_in
from datagen.teacher.programmatic.facts import MOST_COMPARED, Direction, Facts, Kind, Thing, overlap, shared
from datagen.teacher.programmatic.pieces import place_words, relation_words
from datagen.teacher.programmatic.registry import Fact, Said, Write, program
from datagen.teacher.programmatic.scene import additions, agreeing, opening
from datagen.teacher.programmatic.voice import Voice
from datagen.teacher.programmatic.words import NUMBER_WORDS, Noun, counted, listed, ranged

MOST_LISTED = 5
"""Things in one list."""
MOST_RELATED = 8
"""Single things that are looked at in pairs."""
LARGE_AREA = 0.4
"""Share of the image that a box covers, from which it takes up a good part of it."""
NEARLY_ALL = 0.9
"""Share of the width or height, from which a box spans nearly all of it."""
SHARES = {0.25: "a quarter", 0.33: "a third", 0.5: "half", 0.67: "two thirds"}
SHARE_BORDER = 0.035
"""How far from such a share a box may be."""
NEAR = 0.03
"""Between two boxes, at most, where one is said to be next to the other."""
LEAST_SHARED = 0.03
"""Share of the image that a box covers, from which it is told how much of the width or height it takes up."""
PLAINLY_LARGER = 8
"""Times the area of another box, from which it goes without saying which of two things is larger."""
MOSTLY_ON = 0.5
"""Share of a box that lies in another, from which a thing is held or worn by the other, or lies on it."""
LONG_ENOUGH = 70
"""Words, from which on this is left out."""
SAME_THING = 0.3
"""Intersection over union, from which two boxes of an uncertain number are not told apart."""
MOST_PLACES = 4
"""Places of several things in one sentence."""
SHORT = 62
"""Words, below which a description ends on another caption."""
THIN = 40
"""Words, below which it ends on all captions that add anything."""
LONGEST_ASIDE = 7
"""Words of a clause put into another."""

Axis = Literal["across", "down"]
Order = Literal["together", "together_two", "two", "three", "across", "down"]
"""How several things are told to be placed."""
Single = tuple[Noun, Thing]

FACT_OF: dict[Direction, str] = {"left": "left_of", "right": "right_of", "above": "above", "below": "below"}


Tell = Callable[[Facts, Teller], Iterator[Said]]


def sentences(family: str, weight: float = 1.0) -> Callable[[Tell], Write]:
    """Registers a generator of sentences, each of which looks at what those before it have told."""

    def register(tell: Tell) -> Write:
        @wraps(tell)
        def write(facts: Facts, voice: Voice) -> Iterator[Said]:
            teller = voice if isinstance(voice, Teller) else Teller(voice)
            for said in tell(facts, teller):
                teller.story.add(said)
                yield said

        return program("detail", family, name=tell.__name__, weight=weight)(write)

    return register


# How things are called

_PRONOUNS = frozenset(("it", "they", "he", "she"))


def _is_known(teller: Teller, noun: Noun) -> bool:
    return f"presence {noun.category}" in teller.story.known


def _called(teller: Teller, noun: Noun) -> str:
    """A single thing: "a dog" the first time, "the dog" from then on."""
    spoken = teller.spoken(noun)
    return spoken.the if _is_known(teller, noun) else spoken.one


def _all_called(teller: Teller, things: Iterable[Single]) -> str:
    """Several single things, those that have been named first."""
    return listed(
        [_called(teller, noun) for noun, _ in sorted(things, key=lambda each: not _is_known(teller, each[0]))]
    )


def _subject(teller: Teller, noun: Noun, thing: Thing) -> str:
    """The same, or a pronoun where the last sentence was about this thing alone."""
    if teller.story.it == f"box {thing.number}" and (pronoun := _pronoun(teller.spoken(noun))):
        return pronoun
    return _called(teller, noun)


def _pronoun(noun: Noun) -> str:
    """ "it", "they", "he", "she"; empty for a person whose gender is not told."""
    if noun.group == "people":
        return PRONOUNS.get(noun.singular, "")
    return "they" if noun.form == "plural" else "it"


def _object(noun: Noun) -> str:
    """The same after a preposition."""
    pronoun = _pronoun(noun)
    return {"he": "him", "she": "her", "they": "them"}.get(pronoun, pronoun) or noun.the


def _named(*nouns: Noun) -> frozenset[str]:
    """What is known once single things have been named."""
    return frozenset(f"{what} {noun.category}" for noun in nouns for what in ("presence", "count"))


def _is_placed(teller: Teller, thing: Thing) -> bool:
    return f"place {thing.number}" in teller.story.known


def _place(thing: Thing, frame: Frame) -> str | None:
    """A part of the image, or "across middle" where it is halfway across and no more can be said."""
    # Of a lung that is halfway up, the side would be missing.
    if thing.place is not None or frame == "radiograph":
        return thing.place
    if thing.across == "middle":
        return "across middle"
    return "down middle" if thing.down == "middle" else None


def _place_fact(thing: Thing, key: str) -> Fact:
    if " " in key:
        axis, side = key.split(" ")
        return (axis, thing.number, side)
    return ("place", thing.number, key)


def _place_words(key: str, facts: Facts, teller: Teller, whole: bool = True) -> str:
    if " " in key:
        return teller.say(f"detail.halfway.{facts.frame}.{key.split(' ')[0]}")
    return place_words(key, facts.frame, teller, whole)


# The whole


@sentences("whole")
def foreign_whole(facts: Facts, teller: Teller) -> Iterator[Said]:
    """Captions that are not in English, word for word."""
    for number, text in teller.shuffled(facts.foreign)[:3]:
        yield Said(answer=text, facts=(("caption", number),), captions=(number,))


@sentences("whole")
def whole(facts: Facts, teller: Teller) -> Iterator[Said]:
    """What the image shows as a whole, by a caption or, without one, by what is in it."""
    teller.story.shape = "opening"
    if facts.captions:
        index, sentence = _best_opening(facts)
        teller.story.open(facts, sentence)
        teller.story.tidings = sorted(_tidings(index, facts, teller), key=lambda each: not each.introduces)
        answer, fact = _as_opening(sentence, teller)
        yield Said(answer=answer, facts=(fact,), captions=(sentence.number,), tells=teller.story.at_first)
    elif amounts := _amounts(facts.kinds)[:MOST_LISTED]:
        yield _list_of(amounts, "detail.opening.things", teller)


def _best_opening(facts: Facts) -> tuple[int, Sentence]:
    """The caption that suits best; one that is neither phrase nor sentence only where all are such."""
    captions = facts.captions
    if not facts.kinds:
        # Captions are all there is, so the one that tells most.
        most = max(range(len(captions)), key=lambda at: (_is_whole(captions[at]), len(captions[at].words)))
        return most, captions[most]
    index, sentence = opening(captions)
    if _is_whole(sentence):
        return index, sentence
    return next(((at, each) for at, each in enumerate(captions) if _is_whole(each)), (index, sentence))


def _is_whole(sentence: Sentence) -> bool:
    has_form = sentence.phrase is not None or _is_clause(sentence) or _is_view(sentence)
    return has_form and sentence.tokens[-1:][0] not in _LOST_ENDS


def _is_clause(sentence: Sentence) -> bool:
    """Whether it certainly has a verb of its own, and not only in "a dog that is on a couch"."""
    tokens = sentence.tokens
    return not _CERTAIN_VERBS.isdisjoint(tokens) and any(
        token in _CERTAIN_VERBS and index and tokens[index - 1] not in _NOT_BEFORE_VERB
        for index, token in enumerate(tokens)
    )


def _is_view(sentence: Sentence) -> bool:
    """Whether it is a phrase for the picture itself: "a close up of a dog"."""
    return _VIEW.match(sentence.clause) is not None and not _is_clause(sentence)


_VIEW = re.compile(
    r"an? (?:[a-z]+ ){0,3}(?:close ?up|view|shot|picture|photo|photograph|image|scene|painting|portrait) of "
)
_DOING = re.compile(
    r"(?P<who>an? (?:[a-z]+ ){0,2}?(?P<doer>[a-z]+)) (?P<doing>(?P<verb>[a-z]+ing) (?P<next>[a-z]+) .+)"
)
# Verbs that are hardly ever plural nouns ("skis", "covers").
_CERTAIN_VERBS = frozenset(
    """
    is are was were has have sits stands holds lies lays eats rides wears contains features includes hangs
    sleeps rests reads poses uses throws waits leans swings catches carries prepares talks cuts performs pulls
    makes takes gets goes comes moves looks crosses
    """.split()
)
# What stands before a verb of another clause, or before a noun.
_NOT_BEFORE_VERB = frozenset("that which who of in on with a an the his her its their some and it".split())
_NAMES_IMAGE = frozenset("this these image picture photo photograph".split())
# What a caption that has lost its last word ends with.
_LOST_ENDS = frozenset(
    "a an the of and to or with at from into for his her its their is are by as in on".split()
)


def _as_opening(sentence: Sentence, teller: Teller) -> tuple[str, Fact]:
    """A caption as a first sentence, and the fact that it then is."""
    repeated: Fact = ("caption", sentence.number)
    if sentence.phrase is None:
        if _is_view(sentence):
            return teller.say("detail.opening.view", phrase=sentence.clause), repeated
        if _can_follow(sentence) and teller.chance(0.4):
            return teller.say("detail.opening.clause", clause=sentence.clause), repeated
        return sentence.text, repeated
    match = _DOING.fullmatch(sentence.phrase)
    if (
        match is not None
        and names_doing(match["who"], match["doer"], match["verb"], match["next"])
        # "a man riding a horse and a dog", "a man wearing a hat riding a horse"
        and " and " not in match["doing"]
        and match["verb"] != "wearing"
        and teller.chance(0.5)
    ):
        told: Fact = ("told", sentence.number, "doing", match["doer"], match["doing"])
        return teller.say("detail.opening.doing", who=match["who"], doing=match["doing"]), told
    key = "detail.opening.phrase" if sentence.is_singular else "detail.opening.plural_phrase"
    return teller.say(key, phrase=sentence.phrase), repeated


def _can_follow(sentence: Sentence) -> bool:
    """Whether it can stand after "in the image": "the image has a clock" cannot."""
    tokens = sentence.tokens
    return sentence.clause[0].islower() and _is_clause(sentence) and _NAMES_IMAGE.isdisjoint(tokens[:3])


# What other captions add

_STATEMENT = re.compile(r"(?P<who>The [a-z -]+?|They|He|She|It) (?P<verb>is|are|has|have) (?P<words>.+)\.")
_SETTING = "The scene is set "
_DEFINITE = ("The ", "There is ", "There are ", "People ")


def _tidings(index: int, facts: Facts, teller: Teller) -> Iterator[Tiding]:
    """What the captions add to one of them."""
    who = ""
    for sentence, captions in additions(facts.captions, index):
        if sentence.startswith(_SETTING):
            who, verb, words = "", "is", sentence.removeprefix(_SETTING)[:-1]
        else:
            match = _STATEMENT.fullmatch(sentence)
            if match is None:
                continue
            # A pronoun speaks of the same as the sentence before.
            who = match["who"].lower() if match["who"].startswith("The ") else who
            verb, words = match["verb"], match["words"]
        for told in facts.told:
            # "wearing a hat" is told as "a hat", "has a sink" as "with a sink".
            if told.captions == captions and words.endswith(told.words.removeprefix("with ")):
                introduces = not told_in(words, facts) <= teller.story.at_first
                yield Tiding(who, verb, words, told, introduces)
                break


@sentences("captions")
def further(facts: Facts, teller: Teller) -> Iterator[Said]:
    """What other captions add to the first."""
    story = teller.story
    while story.tidings or _later_tidings(facts, teller):
        first = story.tidings[0]
        if not first.who:
            story.take(first)
            story.shape = "setting"
            yield _told_by((first,), teller.say("detail.told.scene", words=first.words), facts)
            continue
        story.take(first)
        told: tuple[Tiding, ...] = (first,)
        for second in story.tidings:
            # Two things that are said of the same make one sentence.
            if (
                second.who == first.who
                and second.verb == first.verb
                and first.content.isdisjoint(second.content)
            ):
                story.take(second)
                told = (second, first) if second.told.kind == "attribute" else (first, second)
                break
        box = next(
            (f"box {each.number}" for noun, each in facts.singles if teller.spoken(noun).the == first.who), ""
        )
        the = first.pronoun if box and story.it == box else first.who
        story.shape, story.subject = "told", box
        words = " and ".join(each.words for each in told)
        yield _told_by(told, teller.say("detail.told.thing", the=the, verb=first.verb, words=words), facts)
    for caption in _repeatable(facts, teller):
        # "A dog …" again would sound as though there were another.
        if (
            caption.text.startswith(_DEFINITE)
            and _is_clause(caption)
            and len(caption.words - story.words) > 2
        ):
            story.shape = "told"
            yield _repeated(caption, caption.text, facts, teller)


def _repeated(caption: Sentence, answer: str, facts: Facts, teller: Teller) -> Said:
    teller.story.words.update(map(beginning, caption.words))
    teller.story.numbers.append(caption.numbers)
    return Said(
        answer=answer,
        facts=(("caption", caption.number),),
        captions=(caption.number,),
        tells=told_in(caption.text, facts),
    )


def _repeatable(facts: Facts, teller: Teller, least: int = 3) -> Iterator[Sentence]:
    """Captions with so many new words that contradict nothing; from three on, not less new than old."""
    story = teller.story
    for caption in agreeing(facts.captions):
        new = sum(beginning(word) not in story.words for word in caption.words)
        numbers = caption.numbers
        is_disputed = numbers and any(told and told != numbers for told in story.numbers)
        is_new = new >= least and (least < 3 or new * 2 >= len(caption.words))
        if is_new and _is_whole(caption) and not is_disputed:
            yield caption


def _later_tidings(facts: Facts, teller: Teller) -> bool:
    """Whether captions tell of a thing that the opening did not name and that has been named since."""
    story = teller.story
    for told in facts.told:
        if told.is_plural or told.kind == "with":
            continue
        for noun, _ in facts.singles:
            spoken = teller.spoken(noun)
            if (
                told.head not in (noun.singular, spoken.singular)
                or f"presence {noun.category}" in story.at_first
            ):
                continue
            words = f"{told.kind} {told.words}" if told.kind in ("wearing", "holding") else told.words
            tiding = Tiding(spoken.the, spoken.be, words, told, introduces=False)
            if _is_known(teller, noun) and story.words.isdisjoint(map(beginning, tiding.content)):
                story.tidings.append(tiding)
                return True
    return False


def _told_by(tidings: Sequence[Tiding], answer: str, facts: Facts) -> Said:
    numbers = [facts.captions[each].number for tiding in tidings for each in tiding.told.captions]
    return Said(
        answer=answer,
        facts=tuple(_fact_of(tiding, facts) for tiding in tidings),
        captions=tuple(dict.fromkeys(numbers)),
        tells=told_in(answer, facts),
    )


def _fact_of(tiding: Tiding, facts: Facts) -> Fact:
    told = tiding.told
    return ("told", facts.captions[told.captions[0]].number, told.kind, told.head, told.words)


# What there is

_Amount = tuple[Kind, Fact]


def _amounts(kinds: Iterable[Kind]) -> list[_Amount]:
    """How much there is of each, as far as it may be told."""
    amounts: list[_Amount] = []
    for kind in kinds:
        if kind.noun.form != "count" or kind.is_group:
            amounts.append((kind, ("present", kind.category)))
        elif kind.span is not None:
            amounts.append((kind, ("range", kind.category, *kind.span)))
        elif kind.count is not None and (kind.countable is not None or kind.count >= len(NUMBER_WORDS)):
            amounts.append((kind, ("count", kind.category, kind.count)))
        elif kind.is_several and len(kind.boxes) > 1:
            # Where captions alone know of several, the one box may be any of them.
            amounts.append((kind, ("several", kind.category)))
    return amounts


def _spoken_amount(amount: _Amount, teller: Teller) -> str:
    """ "two dogs", "dogs", "some broccoli"."""
    kind, fact = amount
    noun = teller.spoken(kind.noun)
    if kind.span is not None:
        return ranged(kind.span, noun)
    if fact[0] == "count" and kind.count is not None:
        return counted(kind.count, noun)
    return noun.plural if fact[0] == "several" else kind.amount or ""


def _list_of(amounts: Sequence[_Amount], key: str, teller: Teller) -> Said:
    first, fact = amounts[0]
    is_many = fact[0] in ("several", "range") or (fact[0] == "count" and first.count != 1)
    categories = [kind.category for kind, _ in amounts]
    be = "are" if is_many else first.noun.be
    if len(amounts) == 1:
        teller.story.subject = f"all {categories[0]}" if is_many else ""
    return Said(
        answer=teller.say(
            key,
            things=listed([_spoken_amount(amount, teller) for amount in amounts]),
            be=be,
            are="are" if len(amounts) > 1 else be,
        ),
        facts=tuple(fact for _, fact in amounts),
        boxes=tuple(number for kind, _ in amounts for number in kind.boxes),
        tells=_named(*(kind.noun for kind, _ in amounts)),
    )


@sentences("number")
def inventory(facts: Facts, teller: Teller) -> Iterator[Said]:
    """What there is that was not named before, and the numbers of what was."""
    is_first = True
    while True:
        known = teller.story.known
        new, numbers = [], []
        for kind, fact in _amounts(facts.kinds):
            # What can be told with its places is left to the arrangement at first.
            if is_first and f"arranged {kind.category}" not in known and _order_in(kind) is not None:
                continue
            if f"presence {kind.category}" not in known:
                new.append((kind, fact))
            elif f"count {kind.category}" not in known and fact[0] in ("count", "range") and kind.count != 1:
                numbers.append((kind, fact))
        is_first = False
        if numbers and (not new or teller.chance(0.5)):
            key = f"detail.numbers.{teller.shape('subject', 'there', 'viewer', 'image')}"
            yield _list_of(numbers[:MOST_LISTED], key, teller)
        elif len(new) > 2 or any(
            kind.single is None or _place(kind.single, facts.frame) is None for kind, _ in new
        ):
            # One or two that can be placed are better named where they are.
            key = f"detail.inventory.{teller.shape('subject', 'there', 'viewer', 'image')}"
            yield _list_of(new[:MOST_LISTED], key, teller)
        else:
            return


# Where single things are


@sentences("place")
def placements(facts: Facts, teller: Teller) -> Iterator[Said]:
    """Where the things are that are the only ones of their category, those in one place together."""
    leftmost_first = teller.chance(0.4)
    teller.unsaid["near_border"] += sum(_place(thing, facts.frame) is None for _, thing in facts.singles)
    while True:
        unplaced = [each for each in facts.singles if not _is_placed(teller, each[1])]
        if leftmost_first:
            unplaced.sort(key=lambda each: each[1].x)
        by_place: dict[str, list[Single]] = {}
        for noun, thing in unplaced:
            if (key := _place(thing, facts.frame)) is not None:
                by_place.setdefault(key, []).append((noun, thing))
        if not by_place:
            return
        size = teller.pick((1, 2, 2, 3))
        yield _placed([(key, each[:3]) for key, each in by_place.items()][:size], facts, teller)


def _placed(items: Sequence[tuple[str, Sequence[Single]]], facts: Facts, teller: Teller) -> Said:
    """One, two or three places and what is there."""
    slots: dict[str, str] = {}
    said: list[Fact] = []
    captions: tuple[int, ...] = ()
    everything = [each for _, things in items for each in things]
    are_new = not any(_is_known(teller, noun) for noun, _ in everything)
    for index, (prefix, (key, things)) in enumerate(zip(("", "other_", "third_"), items, strict=False)):
        noun, thing = things[0]
        is_alone = not index and len(things) == 1
        slots |= {
            f"{prefix}thing": _subject(teller, noun, thing) if is_alone else _all_called(teller, things),
            f"{prefix}be": "are" if len(things) > 1 else teller.spoken(noun).be,
            f"{prefix}place": _place_words(key, facts, teller, whole=index == 0),
        }
        said += [_place_fact(each, key) for _, each in things]
    shapes = ["subject", "place"]
    if slots["thing"] in _PRONOUNS:
        shapes = ["subject"]
    elif len(items) < 3:
        shapes += ["viewer", "there"] if are_new and len(items) == 1 else ["viewer"]
    shape = teller.shape(*shapes)
    if shape == "subject" and len(items[0][1]) == 1 and slots["thing"] not in _PRONOUNS:
        aside = _aside(items[0][1][0], slots["thing"], facts, teller)
        if aside is not None:
            slots["thing"], fact, captions = aside
            said.append(fact)
    if len(everything) == 1:
        teller.story.subject = f"box {everything[0][1].number}"
    return Said(
        answer=teller.say(
            f"detail.{('place', 'two_places', 'three_places')[len(items) - 1]}.{shape}", **slots
        ),
        facts=tuple(said),
        boxes=tuple(thing.number for _, thing in everything),
        captions=captions,
        tells=_named(*(noun for noun, _ in everything))
        | {f"place {thing.number}" for _, thing in everything},
    )


def _aside(
    single: Single, text: str, facts: Facts, teller: Teller
) -> tuple[str, Fact, tuple[int, ...]] | None:
    """A thing with what captions add about it: "the man, who is wearing a hat,"."""
    noun = teller.spoken(single[0])
    for tiding in teller.story.tidings:
        if (
            tiding.who == noun.the == text
            and tiding.verb == noun.be
            and tiding.words.count(" ") < LONGEST_ASIDE
        ):
            teller.story.take(tiding)
            captions = tuple(facts.captions[each].number for each in tiding.told.captions)
            return f"{text}, {noun.which} {noun.be} {tiding.words},", _fact_of(tiding, facts), captions
    return None


@sentences("place")
def sweep(facts: Facts, teller: Teller) -> Iterator[Said]:
    """The things that follow one another from left to right, or from top to bottom."""
    if facts.frame == "radiograph":
        # Its sides are the image's and not the patient's, which "from left to right" leaves open.
        return
    axes: tuple[Axis, Axis] = ("across", "down")
    for axis in teller.shuffled(axes):
        row: list[Single] = []
        unplaced = [each for each in facts.singles[:MOST_RELATED] if not _is_placed(teller, each[1])]
        for noun, thing in sorted(unplaced, key=lambda each: _centre(each[1], axis)):
            if not row or _centre(thing, axis) - _centre(row[-1][1], axis) >= facts.margins.apart:
                row.append((noun, thing))
        row = row[:MOST_LISTED]
        if len(row) < 3:
            continue
        names = [_called(teller, noun) for noun, _ in row]
        teller.story.shape = "sweep"
        yield Said(
            answer=teller.say(
                f"detail.sweep.{axis}",
                things=listed(names),
                first=names[0],
                between=listed(names[1:-1]),
                last=names[-1],
            ),
            facts=(("order", axis, *(thing.number for _, thing in row)),),
            boxes=tuple(thing.number for _, thing in row),
            tells=_named(*(noun for noun, _ in row)) | {f"place {thing.number}" for _, thing in row},
        )
        return


def _centre(thing: Thing, axis: Axis) -> float:
    return thing.x if axis == "across" else thing.y


# How several of a category are placed


@sentences("place")
def arrangement(facts: Facts, teller: Teller) -> Iterator[Said]:
    """How several things of one category are placed."""
    several = [kind for kind in facts.kinds if _can_be_arranged(kind)]
    for kind in several:
        said = _arranged(kind, facts, teller)
        if said is None:
            chosen = _told_apart(kind)
            if facts.frame == "radiograph":
                # One to a side: "on the patient's left" twice would read like one place.
                chosen = list({thing.across: thing for thing in reversed(chosen)}.values())
            said = _where(kind, chosen, facts, teller) if len(chosen) >= MOST_PLACES - 1 else None
            said = said or _spread(kind, facts, teller) or _where(kind, chosen, facts, teller)
        if said is not None:
            yield said
    for kind in several:
        if f"arranged {kind.category}" in teller.story.known:
            said = _ends(kind, facts, teller) or _largest(kind, facts, teller)
            if said is not None:
                yield said


def _can_be_arranged(kind: Kind) -> bool:
    return len(kind.things) > 1 and kind.is_several and kind.noun.form == "count"


def _order_in(kind: Kind) -> Order | None:
    """How a certain number of things can be told to be placed, if at all."""
    number = kind.countable
    if number is None or not _can_be_arranged(kind):
        return None
    keys = [thing.place for thing in kind.things]
    distinct = len(set(keys))
    if None not in keys and distinct == 1:
        return "together_two" if number == 2 else "together"
    if number in (2, 3) and None not in keys and distinct == number:
        return "two" if number == 2 else "three"
    axes: tuple[Axis, Axis] = ("across", "down")
    for axis in axes:
        centres = [_centre(thing, axis) for thing in kind.things]
        low = sum(centre < 0.5 for centre in centres)
        if number > 3 and 0 < low < number and all(abs(each - 0.5) > kind.margins.border for each in centres):
            return axis
    return None


def _arranged(kind: Kind, facts: Facts, teller: Teller) -> Said | None:
    name = _order_in(kind)
    if name is None:
        return None
    if name == "across" or name == "down":
        return _halves(kind, name, facts, teller)
    keys = [thing.place or "" for thing in kind.things]
    if name in ("together", "together_two"):
        words = place_words(keys[0], facts.frame, teller)
        return _arrangement(kind, name, (("together", kind.category, keys[0]),), teller, place=words)
    spoken = [place_words(key, facts.frame, teller, whole=not index) for index, key in enumerate(keys)]
    slots = dict(zip(("first", "second", "third"), spoken, strict=False))
    each = tuple(("place", thing.number, key) for thing, key in zip(kind.things, keys, strict=True))
    return _arrangement(kind, name, each, teller, **slots)


def _arrangement(kind: Kind, name: str, said: tuple[Fact, ...], teller: Teller, **slots: str) -> Said:
    """With the number, which comes with it where it has not been told."""
    number = kind.countable
    assert number is not None
    is_new = f"count {kind.category}" not in teller.story.known
    teller.story.shape, teller.story.subject = "several", f"all {kind.category}"
    things = teller.spoken(kind.noun).plural
    key = f"detail.{name}.{'new' if is_new else 'known'}"
    return Said(
        answer=teller.say(key, number=NUMBER_WORDS[number], things=things, **slots),
        facts=(("count", kind.category, number), *said),
        boxes=kind.boxes,
        tells=_named(kind.noun) | {f"arranged {kind.category}"},
    )


def _halves(kind: Kind, axis: Axis, facts: Facts, teller: Teller) -> Said:
    """How many of them are in the one half and how many in the other."""
    number = len(kind.things)
    low = sum(_centre(thing, axis) < 0.5 for thing in kind.things)
    sides = ("left", "right") if axis == "across" else ("top", "bottom")
    spoken = ("upper", "lower") if axis == "down" and facts.frame != "overhead" else sides
    parts = list(zip((low, number - low), sides, spoken, strict=True))
    if low * 2 < number:
        parts.reverse()
    (many, side, half), (few, other_side, other_half) = parts
    said: tuple[Fact, ...] = (
        ("half", kind.category, side, many, number),
        ("half", kind.category, other_side, few, number),
    )
    return _arrangement(
        kind,
        "halves",
        said,
        teller,
        most=NUMBER_WORDS[many],
        half=half,
        rest=NUMBER_WORDS[few],
        be="are" if few > 1 else "is",
        other_half=other_half,
    )


def _spread(kind: Kind, facts: Facts, teller: Teller) -> Said | None:
    """That they are found on both sides, or near the top as well as near the bottom."""
    if facts.frame == "radiograph" or len(kind.things) < 3:
        return None
    is_across = {"left", "right"} <= {thing.across for thing in kind.things}
    if not is_across and not {"top", "bottom"} <= {thing.down for thing in kind.things}:
        return None
    axis = "across" if is_across else "down"
    story, category = teller.story, kind.category
    amounts = _amounts((kind,))
    is_new = f"presence {category}" not in story.known
    if amounts and amounts[0][1][0] == "count":
        is_new = f"count {category}" not in story.known
    if is_new:
        things = _spoken_amount(amounts[0], teller) if amounts else kind.noun.plural
    else:
        things = "they" if story.it == f"all {category}" else f"the {teller.spoken(kind.noun).plural}"
    story.shape, story.subject = "several", f"all {category}"
    said: list[Fact] = [fact for _, fact in amounts] if is_new else []
    return Said(
        answer=teller.say(f"detail.spread.{axis}", things=things),
        facts=(*said, ("spread", category, axis)),
        boxes=kind.boxes,
        tells=(_named(kind.noun) if is_new else frozenset()) | {f"arranged {category}"},
    )


def _ends(kind: Kind, facts: Facts, teller: Teller) -> Said | None:
    """Where the ones farthest to the left and to the right are."""
    if kind.crowds or len(kind.things) < 3:
        return None
    row = sorted(kind.things, key=lambda thing: thing.x)
    first, last = row[0], row[-1]
    if not (kind.can_point_at(first) and kind.can_point_at(last)):
        return None
    apart = facts.margins.apart
    if row[1].x - first.x < apart or last.x - row[-2].x < apart:
        return None
    if not _is_up_or_down(first.place) or not _is_up_or_down(last.place) or not first.place or not last.place:
        # "The leftmost is on the left" would say little.
        return None
    if first.place == last.place:
        return None
    teller.story.shape = "several"
    return Said(
        answer=teller.say(
            "detail.ends.across",
            things=teller.spoken(kind.noun).plural,
            first=place_words(first.place, facts.frame, teller),
            last=place_words(last.place, facts.frame, teller, whole=False),
        ),
        facts=(
            ("extreme", first.number, "left", kind.category),
            ("extreme", last.number, "right", kind.category),
            ("place", first.number, first.place),
            ("place", last.number, last.place),
        ),
        boxes=(first.number, last.number),
        tells=frozenset(),
    )


def _largest(kind: Kind, facts: Facts, teller: Teller) -> Said | None:
    """Where the one is that takes up the most room."""
    first, *others = sorted(kind.things[:MOST_COMPARED], key=lambda each: -each.area)
    if kind.crowds or len(kind.things) > MOST_COMPARED or len(others) < 2 or first.place is None:
        return None
    if first.area < facts.margins.larger * others[0].area or not kind.can_point_at(first):
        return None
    teller.story.shape = "several"
    said: list[Fact] = [("largest", first.number, kind.category), ("place", first.number, first.place)]
    also = ""
    shares = [(side, share) for side, share in _shares(first).items() if share in SHARES]
    if shares:
        side, share = shares[0]
        said.append(("share", first.number, side, share))
        also = teller.say("detail.largest.also", share=SHARES[share], side=side)
    return Said(
        answer=teller.say(
            "detail.largest.of",
            thing=teller.spoken(kind.noun).singular,
            things=teller.spoken(kind.noun).plural,
            who="who" if kind.noun.group == "people" else "that",
            place=place_words(first.place, facts.frame, teller, whole=False),
            also=also,
        ),
        facts=tuple(said),
        boxes=(first.number,),
    )


def _is_up_or_down(place: str | None) -> bool:
    return place is not None and place.startswith(("top", "bottom"))


def _told_apart(kind: Kind) -> list[Thing]:
    """Boxes that can be pointed at, each in another place."""
    chosen: list[Thing] = []
    for thing in sorted(kind.things[:MOST_COMPARED], key=lambda each: -each.area):
        if thing.place is None or not kind.can_point_at(thing) or len(chosen) == MOST_PLACES:
            continue
        if all(thing.place != other.place and overlap(thing, other) < SAME_THING for other in chosen):
            chosen.append(thing)
    return chosen


def _where(kind: Kind, chosen: Sequence[Thing], facts: Facts, teller: Teller) -> Said | None:
    """That there are some of them in the places of those that are chosen."""
    if not chosen:
        return None
    places = [
        place_words(thing.place, facts.frame, teller, whole=not index)
        for index, thing in enumerate(chosen)
        if thing.place is not None
    ]
    noun = teller.spoken(kind.noun)
    is_known = _is_known(teller, kind.noun)
    said: list[Fact] = [("place", thing.number, thing.place or "") for thing in chosen]
    tells = {f"presence {kind.category}", f"arranged {kind.category}"}
    things = noun.plural
    if len(chosen) == 1:
        # "one of the dogs" needs to have been told that there are several.
        if not is_known:
            return None
        name = "one"
        if kind.countable is not None:
            things = counted(kind.countable, noun)
            tells.add(f"count {kind.category}")
            said.append(("count", kind.category, kind.countable))
    else:
        name = "known" if is_known else "new"
        said.append(("several", kind.category))
    teller.story.shape = "several"
    return Said(
        answer=teller.say(f"detail.where.{name}", things=things, places=listed(places)),
        facts=tuple(said),
        boxes=kind.boxes if name == "one" and kind.countable else tuple(thing.number for thing in chosen),
        tells=frozenset(tells),
    )


# How much room things take up


@sentences("extent", weight=0.5)
def extents(facts: Facts, teller: Teller) -> Iterator[Said]:
    """How much of the image, its width or its height something takes up."""
    told = 0
    for noun, thing in facts.singles[:MOST_RELATED]:
        extent = _extent(thing, facts)
        if extent is None:
            continue
        name, said, slots = extent
        if name in ("share", "shares") and (teller.story.length > LONG_ENOUGH or thing.area < LEAST_SHARED):
            continue
        tells = {*_named(noun), f"extent {thing.number}"}
        text = _subject(teller, noun, thing)
        spoken = teller.spoken(noun)
        place, shape = thing.place, "subject"
        if name in ("all", "area"):
            shape = teller.shape("subject", "image") if text not in _PRONOUNS else shape
        elif place and text not in _PRONOUNS and not _is_placed(teller, thing):
            said.append(("place", thing.number, place))
            tells.add(f"place {thing.number}")
            where = place_words(place, facts.frame, teller, whole=False)
            text = f"{text}, {spoken.which} {spoken.be} {where},"
        teller.story.shape, teller.story.subject = shape, f"box {thing.number}"
        s, es = ("", "") if spoken.be == "are" else ("s", "es")
        yield Said(
            answer=teller.say(f"detail.extent.{name}.{shape}", thing=text, be=spoken.be, s=s, es=es, **slots),
            facts=tuple(said),
            boxes=(thing.number,),
            tells=frozenset(tells),
        )
        told += 1
        if told > 1 and teller.story.length > LONG_ENOUGH:
            return


def _extent(thing: Thing, facts: Facts) -> tuple[str, list[Fact], dict[str, str]] | None:
    """How it is said, the facts, and what it is said with."""
    sides = _shares(thing)
    said: list[Fact] = [("share", thing.number, side, share) for side, share in sides.items()]
    full = [side for side, share in sides.items() if share == NEARLY_ALL]
    parts = [f"{SHARES[share]} of the {side}" for side, share in sides.items() if share in SHARES]
    if len(full) == 2:
        return "all", said, {}
    if full:
        if parts:
            return "span_and", said, {"side": full[0], "share": parts[0]}
        edges = "from the left edge to the right" if full == ["width"] else "from the top edge to the bottom"
        return "span", said, {"side": full[0], "edges": edges}
    if thing.area >= LARGE_AREA and len(parts) < 2:
        return "area", [("covers", thing.number, LARGE_AREA)], {}
    if len(parts) == 1 and facts.frame == "camera":
        # Seen from above nothing is tall.
        ((side, share),) = sides.items()
        wide = "wide" if side == "width" else "tall"
        return "share", said, {"share": SHARES[share], "side": side, "wide": wide}
    return ("shares", said, {"share": " and ".join(parts)}) if parts else None


def _shares(thing: Thing) -> dict[str, float]:
    """The shares of the width and the height that it takes up, where they are such as are told."""
    sides = {}
    for side, extent in (("width", thing.right - thing.left), ("height", thing.bottom - thing.top)):
        near = (share for share in SHARES if abs(extent - share) <= SHARE_BORDER)
        share = NEARLY_ALL if extent >= NEARLY_ALL else next(near, None)
        if share is not None:
            sides[side] = share
    return sides


@sentences("extent", weight=0.3)
def comparisons(facts: Facts, teller: Teller) -> Iterator[Said]:
    """Which of two things takes up more room in the image."""
    singles = [each for each in facts.singles[:MOST_RELATED] if _is_known(teller, each[0])]
    singles.sort(key=lambda each: -each[1].area)
    row: list[Single] = []
    for noun, thing in singles:
        if row:
            first, last = row[0][0], row[-1][1]
            # That a bed takes up more room than a book goes without saying.
            if noun.group is None or noun.group != first.group or not is_worth_comparing(last, thing):
                continue
            if last.area < facts.margins.larger * thing.area:
                continue
        row.append((noun, thing))
    if len(row) < 2:
        return
    (noun, largest), (other, second), *rest = row
    boxes = [largest.number, second.number]
    said: list[Fact] = [("larger", largest.number, second.number)]
    slots = {"thing": teller.spoken(noun).the, "other": teller.spoken(other).the}
    if rest:
        third, thing = rest[0]
        said.append(("larger", second.number, thing.number))
        boxes.append(thing.number)
        slots["third"] = teller.spoken(third).the
    teller.story.shape = "subject"
    yield Said(
        answer=teller.say(
            f"detail.more_room.{'three' if rest else 'two'}",
            s="" if teller.spoken(noun).be == "are" else "s",
            be=teller.spoken(noun).be,
            **slots,
        ),
        facts=tuple(said),
        boxes=tuple(boxes),
    )


# How things lie to one another

_Way = tuple[Direction, Fact]


def _ways(first: Thing, second: Thing, facts: Facts, teller: Teller) -> list[_Way]:
    """Where the first is, seen from the second; not what their places have told already."""
    ways: list[_Way] = []
    axes: tuple[Axis, Axis] = ("across", "down")
    both_placed = _is_placed(teller, first) and _is_placed(teller, second)
    for axis in axes:
        way = facts.direction(first, second, axis)
        if way is not None and not (both_placed and _is_told_by_places(first, second, axis)):
            ways.append((way, (FACT_OF[way], first.number, second.number)))
    return ways


def _is_told_by_places(first: Thing, second: Thing, axis: Axis) -> bool:
    """Whether one is said to be on the left, say, and the other on the right."""
    sides = ("left", "right") if axis == "across" else ("top", "bottom")
    here, there = ([side for side in sides if side in (thing.place or "")] for thing in (first, second))
    return here != there


def _near(first: Thing, second: Thing) -> tuple[float, float]:
    """How far apart two boxes are, across and down; below 0 where they share some of it."""
    return (
        max(first.left, second.left) - min(first.right, second.right),
        max(first.top, second.top) - min(first.bottom, second.bottom),
    )


def is_worth_comparing(larger: Thing, smaller: Thing) -> bool:
    """Whether it is not plain which of two is larger, as of a man and his tie."""
    is_on = shared(larger, smaller) > MOSTLY_ON * smaller.area
    return not is_on and larger.area < PLAINLY_LARGER * smaller.area


def _are_close(first: Thing, second: Thing) -> bool:
    """Whether they are side by side and not, for the most part, the one on the other."""
    return max(_near(first, second)) <= NEAR and shared(first, second) < 0.3 * min(first.area, second.area)


def _pair(first: Thing, second: Thing) -> str:
    low, high = sorted((first.number, second.number))
    return f"relation {low} {high}"


@sentences("relation")
def surroundings(facts: Facts, teller: Teller) -> Iterator[Said]:
    """A main thing, and what is beside it."""
    singles = facts.singles[:MOST_RELATED]
    for main in singles[:3]:
        for other in singles:
            if (
                other is main
                or facts.goes_without_saying(main[0], other[0])
                or _is_placed(teller, other[1])
                or _pair(main[1], other[1]) in teller.story.known
            ):
                continue
            ways = _ways(other[1], main[1], facts, teller)
            if ways:
                yield _beside(main, other, *teller.pick(ways), facts, teller)
                break


@sentences("relation")
def relations(facts: Facts, teller: Teller) -> Iterator[Said]:
    """Where one thing is, seen from another, or that the two are close together."""
    told = 0
    for first, second in combinations(teller.shuffled(facts.singles[:MOST_RELATED]), 2):
        if told == 3:
            return
        is_told = _pair(first[1], second[1]) in teller.story.known
        if is_told or facts.goes_without_saying(first[0], second[0]):
            continue
        if _is_known(teller, first[0]) and not _is_known(teller, second[0]):
            first, second = second, first
        if not _is_known(teller, second[0]):
            continue
        if ways := _ways(first[1], second[1], facts, teller):
            told += 1
            yield _beside(second, first, *teller.pick(ways), facts, teller)
        elif (
            # On a radiograph it may lie one behind the other.
            facts.frame != "radiograph" and _are_close(first[1], second[1]) and _is_known(teller, first[0])
        ):
            told += 1
            teller.story.shape = "subject"
            yield Said(
                answer=teller.say(
                    "detail.close.two", first=teller.spoken(first[0]).the, second=teller.spoken(second[0]).the
                ),
                facts=(("near", first[1].number, second[1].number),),
                boxes=(first[1].number, second[1].number),
                tells=frozenset((_pair(first[1], second[1]),)),
            )


def _beside(main: Single, other: Single, way: Direction, fact: Fact, facts: Facts, teller: Teller) -> Said:
    """Where the other thing is, seen from the main one, and where that is if it has not been told."""
    (main_noun, there), (noun, here) = main, other
    said: list[Fact] = [fact]
    relation = relation_words(way, here, there, facts.frame, teller)
    across, down = _near(here, there)
    if relation.startswith("to the ") and across <= NEAR and down <= 0 and teller.chance(0.7):
        relation = f"just {relation}"
        said.append(("near", here.number, there.number))
    spoken = teller.spoken(main_noun)
    # "further left than it" reads badly.
    is_short = relation.endswith((" of", "above", "below"))
    slots = {"other": _called(teller, noun), "other_be": teller.spoken(noun).be, "relation": relation}
    tells = {*_named(main_noun, noun), f"place {here.number}", _pair(here, there)}
    if there.place is not None and is_short and not _is_placed(teller, there):
        said.insert(0, ("place", there.number, there.place))
        tells.add(f"place {there.number}")
        slots["thing"] = _subject(teller, main_noun, there)
        slots["be"] = spoken.be
        slots["place"] = place_words(there.place, facts.frame, teller)
        slots["it"] = _object(spoken)
        shapes = ("subject",) if slots["thing"] in _PRONOUNS else ("subject", "place")
        key = f"detail.beside.{teller.shape(*shapes)}"
    else:
        is_it = teller.story.it == f"box {there.number}" and is_short
        slots["it"] = _object(spoken) if is_it else _called(teller, main_noun)
        shapes = ("subject", "place") if is_short else ("subject",)
        key = f"detail.next.{teller.shape(*shapes)}"
    return Said(
        answer=teller.say(key, **slots),
        facts=tuple(said),
        boxes=(there.number, here.number),
        tells=frozenset(tells),
    )


@sentences("relation")
def in_between(facts: Facts, teller: Teller) -> Iterator[Said]:
    """What is between two other things, side by side with both."""
    row = sorted(facts.singles[:MOST_RELATED], key=lambda each: each[1].x)
    for (left_noun, left), (noun, thing), (right_noun, right) in zip(row, row[1:], row[2:], strict=False):
        nouns = (left_noun, noun, right_noun)
        if facts.direction(left, thing, "across") is None or facts.direction(thing, right, "across") is None:
            continue
        if max(_near(left, thing)[1], _near(thing, right)[1]) > 0 or not any(
            _is_known(teller, each) for each in nouns
        ):
            continue
        if all(_is_placed(teller, each) for each in (left, thing, right)):
            continue
        teller.story.shape = "between"
        yield Said(
            answer=teller.say(
                "detail.between.thing",
                thing=_called(teller, noun),
                be=teller.spoken(noun).be,
                left=_called(teller, left_noun),
                right=_called(teller, right_noun),
            ),
            facts=(("between", "across", thing.number, left.number, right.number),),
            boxes=(thing.number, left.number, right.number),
            tells=_named(*nouns)
            | {f"place {thing.number}", _pair(left, thing), _pair(thing, right), _pair(left, right)},
        )
        return


@sentences("relation", weight=0.6)
def all_beside(facts: Facts, teller: Teller) -> Iterator[Said]:
    """Where all of several things are, seen from one other thing."""
    for kind in facts.kinds:
        number = kind.countable or 0
        if number < 2:
            continue
        for noun, thing in facts.singles[:MOST_RELATED]:
            way = _way_of_all(kind, thing, facts)
            if way is None or not _is_known(teller, noun) or f"beside {kind.category}" in teller.story.known:
                continue
            plural = teller.spoken(kind.noun)
            is_new = f"count {kind.category}" not in teller.story.known
            everyone = counted(number, plural)
            if not is_new:
                everyone = f"both {plural.plural}" if number == 2 else f"all {everyone}"
            teller.story.shape = "several"
            yield Said(
                answer=teller.say(
                    f"detail.all_beside.{'new' if is_new else 'known'}",
                    all=everyone,
                    # The one that is the least above or below decides whether that can be said.
                    relation=relation_words(
                        way,
                        max(kind.things, key=lambda each: _near(each, thing)[0]),
                        thing,
                        facts.frame,
                        teller,
                    ),
                    thing=teller.spoken(noun).the,
                ),
                facts=(
                    ("count", kind.category, number),
                    *((FACT_OF[way], each.number, thing.number) for each in kind.things),
                ),
                boxes=(*kind.boxes, thing.number),
                tells=_named(kind.noun) | {f"beside {kind.category}"},
            )
            break


def _way_of_all(kind: Kind, thing: Thing, facts: Facts) -> Direction | None:
    axes: tuple[Axis, Axis] = ("across", "down")
    for axis in axes:
        way = facts.direction(kind.things[0], thing, axis)
        if way is not None and all(facts.direction(each, thing, axis) == way for each in kind.things[1:]):
            return way
    return None


# The end


@sentences("captions")
def closing(facts: Facts, teller: Teller) -> Iterator[Said]:
    """Where little has been said, other captions for the whole."""
    said = _in_other_words("view", facts, teller) if teller.story.length < SHORT else None
    while said is not None:
        yield said
        said = _in_other_words("again", facts, teller) if teller.story.length < THIN else None


def _in_other_words(name: str, facts: Facts, teller: Teller) -> Said | None:
    is_thin = teller.story.length < THIN
    for caption in _repeatable(facts, teller, least=2 if is_thin else 3):
        if caption.phrase is not None:
            answer = teller.say(f"detail.end.{name}", phrase=caption.phrase)
        elif is_thin and _can_follow(caption):
            answer = teller.say("detail.end.clause", clause=caption.clause)
        else:
            continue
        return _repeated(caption, answer, facts, teller)
    return None
