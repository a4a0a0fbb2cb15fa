"""Programs for conversations: each makes short questions and answers of one kind.

A program yields what it could say, in random order, as long as it is asked for more. To add one,
write the function, its phrasings in phrasings.toml, and put it into PROGRAMS.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations

from datagen.records import Turn
from datagen.teacher.programmatic.captions import Sentence, is_near_copy, names_doing, not_together
from datagen.teacher.programmatic.facts import OPPOSITE, Direction, Facts, Kind, Thing, direction
from datagen.teacher.programmatic.pieces import place_of, relation_words, shown
from datagen.teacher.programmatic.voice import Voice
from datagen.teacher.programmatic.words import Noun, capital, counted, listed

TURNS = (3, 4, 4, 5)
"""How many turns a conversation has, where the facts allow: one of these."""
YES = 0.6
"""Of the questions whether something is there. Late in a conversation only a no is left to be asked, so that
this much makes about one half of all."""
TRIES = 4
"""How often a program is asked for something that has not been said before it is passed over."""
CONTENT_FIRST = 0.8
"""Share of conversations that begin with what the image shows."""


@dataclass(frozen=True, slots=True)
class Said:
    """One turn, and what is known once it is said."""

    asks: frozenset[str]
    """What the question is about; nothing that is asked or told in a conversation is asked again."""
    tells: frozenset[str]
    """What the answer gives away, so that a later question for it would be idle."""
    question: str
    answer: str

    @property
    def turn(self) -> Turn:
        return Turn(capital(self.question), capital(self.answer))


Program = Callable[[Facts, Voice], Iterator[Said]]


def _presence(*categories: str) -> frozenset[str]:
    return frozenset(f"presence {category}" for category in categories)


def content(facts: Facts, voice: Voice) -> Iterator[Said]:
    """What the image shows, by a caption; then the same in the words of another."""
    told: list[Sentence] = []
    for sentence in voice.shuffled(facts.captions[:3]):
        if any(is_near_copy(sentence, other) or not_together(sentence, other) for other in told):
            continue
        actions = frozenset(f"action {word}" for word in sentence.words if word.endswith("ing"))
        if told:
            asks, question = "second view", voice.say("content.again_question")
        else:
            asks, question = (
                "content",
                voice.say("content.action_question" if actions else "content.question"),
            )
        told.append(sentence)
        tells = actions
        answer = capital(shown(sentence, voice))
        amounts = [amount for kind in facts.kinds if (amount := kind.amount) is not None][:3]
        if not told[1:] and len(amounts) > 1 and voice.chance(0.7):
            answer += f" {capital(voice.say('content.more', things=listed(amounts)))}"
            tells |= {"listing"}
        yield Said(frozenset((asks,)), tells, question, answer)


def foreign_content(facts: Facts, voice: Voice) -> Iterator[Said]:
    """The same from captions that are not in English: word for word."""
    if facts.foreign:
        yield Said(
            frozenset(("content",)),
            frozenset(),
            voice.say("content.foreign_question"),
            voice.pick(facts.foreign),
        )


_DOING = re.compile(
    r"an? (?P<who>(?:[a-z]+ ){0,2}?(?P<doer>[a-z]+)) (?:is )?"
    r"(?P<doing>(?P<verb>[a-z]+ing) (?P<next>[a-z]+) .+)"
)


def doing(facts: Facts, voice: Voice) -> Iterator[Said]:
    """What somebody does, where a caption begins with just that."""
    for sentence in voice.shuffled(facts.captions):
        match = _DOING.fullmatch(sentence.clause)
        if match is None or not names_doing(match["who"], match["doer"], match["verb"], match["next"]):
            continue
        if any(kind.is_several and kind.noun.singular == match["doer"] for kind in facts.kinds):
            # "the giraffe", where there are two
            continue
        if sentence.phrase is None and f"{match['who']} is " not in sentence.clause:
            # "a man wearing a hat rides a horse": the participle is not what he does.
            continue
        key = "doing.wearing_question" if match["verb"] == "wearing" else "doing.question"
        the = f"the {match['who']}"
        yield Said(
            frozenset(("doing", f"action {match['verb']}")),
            frozenset(("content",)),
            voice.say(key, the=the, be="is"),
            voice.say("doing.answer", the=the, be="is", doing=match["doing"]),
        )


def listing(facts: Facts, voice: Voice) -> Iterator[Said]:
    """Some of the things in view, without their numbers."""
    named = [(kind, amount) for kind in facts.kinds if (amount := kind.rough_amount) is not None]
    if len(named) < 2:
        return
    named = named[:5]
    is_living = any(kind.noun.group in ("people", "animals") for kind, _ in named)
    yield Said(
        frozenset(("listing",)),
        _presence(*(kind.category for kind, _ in named)),
        voice.say("listing.living_question" if is_living else "listing.question"),
        voice.say("listing.answer", things=listed([amount for _, amount in named])),
    )


def counting(facts: Facts, voice: Voice) -> Iterator[Said]:
    """How many there are of a category."""
    for kind in voice.shuffled([kind for kind in facts.kinds if kind.countable]):
        number, noun = len(kind.things), kind.noun
        tells = _presence(kind.category)
        extra = _where_they_are(kind, facts, voice)
        if extra:
            tells |= {f"place {kind.category}"}
        else:
            extra = _beside(kind, facts, voice)
        question = voice.say("counting.question", things=noun.plural)
        if number == 1:
            answer = voice.say("counting.one", thing=noun.singular, extra=extra)
        else:
            answer = voice.say("counting.many", number=counted(number, noun), extra=extra)
        asks = frozenset((f"count {kind.category}",))
        # Once it is said that there is a dog, "just one" says little more.
        yield Said(asks | _presence(kind.category) if number == 1 else asks, tells, question, answer)


def _where_they_are(kind: Kind, facts: Facts, voice: Voice) -> str:
    places = [place_of(thing, facts.frame, voice, whole=False) for thing in kind.things[:3]]
    if len(kind.things) > 3 or None in places or any(thing.area < 0.003 for thing in kind.things):
        return ""
    spoken = [place for place in places if place is not None]
    keys = [thing.place for thing in kind.things]
    if len(spoken) == 1:
        return voice.say("counting.single_place", first=spoken[0]) if voice.chance(0.6) else ""
    if len(spoken) == 2 and keys[0] == keys[1]:
        return voice.say("counting.together", first=spoken[0])
    if len(set(keys)) < len(keys):
        return ""
    if len(spoken) == 2:
        return voice.say("counting.apart", first=spoken[0], second=spoken[1])
    return voice.say("counting.apart_three", first=spoken[0], second=spoken[1], third=spoken[2])


def _beside(kind: Kind, facts: Facts, voice: Voice) -> str:
    others = [other.rough_amount for other in facts.kinds if other is not kind]
    named = [amount for amount in others if amount is not None][:2]
    return voice.say("counting.beside", others=listed(named)) if named and voice.chance(0.85) else ""


def existence(facts: Facts, voice: Voice) -> Iterator[Said]:
    """Whether something is in the image: yes as often as no, so never where no is out of the question."""
    while facts.absent and facts.kinds:
        # Drawn once for several tries: were a yes that is known already replaced by a no, most would be no.
        is_there = voice.chance(YES)
        for _ in range(TRIES):
            yield _present(facts, voice) if is_there else _absent(facts, voice)


def _present(facts: Facts, voice: Voice) -> Said:
    kind = voice.pick(facts.kinds)
    noun = kind.noun
    amount = kind.rough_amount
    is_one = amount is not None and not kind.is_several
    extra = ""
    tells = _presence(noun.category)
    single = kind.single
    if single is not None and (place := place_of(single, facts.frame, voice, whole=False)) is not None:
        extra = f", {place}"
        tells |= {f"place {noun.category}"}
    else:
        extra = _beside(kind, facts, voice)
    if amount is None:
        answer = voice.say("presence.yes_one", one=f"at least one {noun.singular}", extra="")
    elif is_one and noun.form != "plural":
        answer = voice.say("presence.yes_one", one=amount, extra=extra)
    else:
        answer = voice.say("presence.yes_many", things=amount, extra=extra)
    return Said(_presence(noun.category), tells, _is_there(noun, voice), answer)


def _absent(facts: Facts, voice: Voice) -> Said:
    groups = {kind.noun.group for kind in facts.kinds}
    near = [noun for noun in facts.absent if noun.group in groups]
    noun = voice.pick(near if near and voice.chance(0.6) else facts.absent)
    extra = ""
    others = [kind.rough_amount for kind in facts.kinds if kind.noun.group == noun.group] or [
        kind.rough_amount for kind in facts.kinds
    ]
    named = [amount for amount in others if amount is not None][:2]
    if named and voice.chance(0.85):
        extra = voice.say("presence.but", others=listed(named))
    if noun.form == "mass":
        answer = voice.say("presence.no_mass", things=noun.singular, extra=extra)
    elif noun.form == "plural" or voice.chance(0.4):
        answer = voice.say("presence.no_many", things=noun.plural, extra=extra)
    else:
        answer = voice.say("presence.no_one", thing=noun.singular, one=noun.one, extra=extra)
    return Said(_presence(noun.category), frozenset(), _is_there(noun, voice), answer)


def _is_there(noun: Noun, voice: Voice) -> str:
    if noun.form == "mass":
        return voice.say("presence.mass_question", things=noun.singular)
    if noun.form == "plural" or noun.category == "person" or voice.chance(0.5):
        return voice.say("presence.any_question", things=noun.plural)
    return voice.say("presence.one_question", one=noun.one)


def position(facts: Facts, voice: Voice) -> Iterator[Said]:
    """Where the only one of its category is."""
    singles = facts.singles
    for noun, thing in voice.shuffled(singles):
        place = place_of(thing, facts.frame, voice)
        if place is None:
            continue
        tells = {f"place {noun.category}", *_presence(noun.category)}
        slots = {"the": noun.the, "be": noun.be, "place": place}
        answer = voice.say("position.answer", **slots)
        for other, other_thing in voice.shuffled(singles):
            if other is noun or voice.chance(0.1):
                continue
            towards = direction(thing, other_thing, "across") or direction(thing, other_thing, "down")
            other_place = place_of(other_thing, facts.frame, voice, whole=False)
            if towards is not None and voice.chance(0.5):
                words = relation_words(towards, thing, other_thing, facts.frame, voice)
                answer = voice.say("position.answer_from", **slots, relation=words, other=other.the)
                tells |= _pair(noun, other) | _presence(other.category)
            elif other_place is not None and other_thing.place != thing.place:
                answer = voice.say(
                    "position.answer_and",
                    **slots,
                    other=other.the,
                    other_be=other.be,
                    other_place=other_place,
                )
                tells |= {f"place {other.category}", *_presence(other.category)}
            else:
                continue
            break
        yield Said(
            frozenset((f"place {noun.category}",)),
            frozenset(tells),
            voice.say("position.question", the=noun.the, be=noun.be),
            answer,
        )


def side(facts: Facts, voice: Voice) -> Iterator[Said]:
    """What is on one side."""
    if facts.frame == "radiograph":
        # "The left side" of a radiograph is the patient's right to those who read it.
        return
    for here, there in voice.shuffled([("left", "right"), ("right", "left")]):
        on = {
            which: [noun for noun, thing in facts.singles if thing.across == which][:3]
            for which in (here, there)
        }
        if not on[here]:
            continue
        slots = {"side": here, "things": listed([noun.one for noun in on[here]])}
        key = "side.answer"
        told = list(on[here])
        if on[there] and (len(on[here]) == 1 or voice.chance(0.5)):
            key = "side.answer_and"
            slots |= {"opposite": there, "others": listed([noun.one for noun in on[there]])}
            told += on[there]
        yield Said(
            frozenset(("side", *(f"place {noun.category}" for noun in told))),
            _presence(*(noun.category for noun in told)),
            voice.say("side.question", side=here),
            voice.say(key, **slots),
        )


def _pair(first: Noun, second: Noun) -> frozenset[str]:
    return frozenset((f"relation {' / '.join(sorted((first.category, second.category)))}",))


def _related(facts: Facts, voice: Voice) -> Iterator[tuple[Noun, Thing, Direction, Noun, Thing]]:
    """Pairs of single things of which one is clearly left of, right of, above or below the other."""
    pairs = list(combinations(facts.singles[:12], 2))
    for pair in voice.shuffled(pairs):
        (first, first_thing), (second, second_thing) = voice.shuffled(pair)
        ways = [
            way
            for axis in ("across", "down")
            if (way := direction(first_thing, second_thing, "across" if axis == "across" else "down"))
            is not None
        ]
        if ways:
            yield first, first_thing, voice.pick(ways), second, second_thing


def relation(facts: Facts, voice: Voice) -> Iterator[Said]:
    """Where one thing is, seen from another."""
    for first, first_thing, way, second, second_thing in _related(facts, voice):
        words = relation_words(way, first_thing, second_thing, facts.frame, voice)
        slots = {"first": first.the, "second": second.the, "be": first.be, "direction": words}
        tells = _presence(first.category, second.category)
        place = place_of(second_thing, facts.frame, voice)
        if place is not None and voice.chance(0.7):
            answer = voice.say(
                "relation.answer_place", **slots, second_be=second.be, which=second.which, place=place
            )
            tells |= {f"place {second.category}"}
        else:
            answer = voice.say("relation.answer", **slots)
        question = voice.say("relation.question", first=first.the, second=second.the, be=first.be)
        yield Said(_pair(first, second), tells, question, answer)


def relation_check(facts: Facts, voice: Voice) -> Iterator[Said]:
    """Whether one thing is on a given side of another; the truth is asked as often as its opposite."""
    for first, first_thing, way, second, second_thing in _related(facts, voice):
        is_true = voice.chance(0.5)
        asked = way if is_true else OPPOSITE[way]
        words = relation_words(asked, first_thing, second_thing, facts.frame, voice)
        slots = {"first": first.the, "second": second.the, "be": first.be}
        question = voice.say("relation.check_question", direction=words, **slots)
        if not is_true:
            words = relation_words(way, first_thing, second_thing, facts.frame, voice)
        answer = voice.say("relation.yes" if is_true else "relation.no", direction=words, **slots)
        tells = _presence(first.category, second.category)
        place = place_of(second_thing, facts.frame, voice, whole=False)
        if place is not None and voice.chance(0.6):
            extra = voice.say(
                "relation.extra", which=second.which, second=second.the, be=second.be, place=place
            )
            answer = f"{answer[:-1]}{extra}."
            tells |= {f"place {second.category}"}
        yield Said(_pair(first, second), tells, question, answer)


OPENERS: tuple[Program, ...] = (content, foreign_content)
PROGRAMS: tuple[Program, ...] = (
    doing,
    listing,
    counting,
    existence,
    position,
    side,
    relation,
    relation_check,
)


def converse(facts: Facts, voice: Voice) -> list[Turn]:
    """A conversation of three to five turns, fewer where the facts are few; empty where there are none."""
    wanted = voice.pick(TURNS)
    openers = [program(facts, voice) for program in OPENERS]
    programs = voice.shuffled(PROGRAMS)
    # Early or as a last resort, as later hardly anything is left to which the answer is yes.
    programs.remove(existence)
    programs.insert(0 if voice.chance(0.6) else len(programs), existence)
    sources = [program(facts, voice) for program in programs]
    sources = openers + sources if voice.chance(CONTENT_FIRST) else sources + openers
    turns: list[Turn] = []
    known: set[str] = set()
    # Every program once, then once more: variety first, length second.
    for source in (*sources, *sources):
        for said in _first_few(source):
            if known.isdisjoint(said.asks):
                turns.append(said.turn)
                known |= said.asks | said.tells
                break
        if len(turns) == wanted:
            break
    return turns


def _first_few(source: Iterator[Said]) -> Iterator[Said]:
    """A program may go on for ever, so it is given a few tries."""
    for _ in range(TRIES):
        said = next(source, None)
        if said is None:
            return
        yield said
