"""What the image shows and what goes on in it, as captions tell: content, doings, colors, settings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from datagen.teacher.programmatic.captions import Sentence, is_near_copy, not_together, tokens_of
from datagen.teacher.programmatic.facts import Facts, Kind
from datagen.teacher.programmatic.pieces import place_of, shown
from datagen.teacher.programmatic.registry import IDLE, Fact, Said, program
from datagen.teacher.programmatic.scene import SCENE, Told, ToldKind, agreeing, is_machine
from datagen.teacher.programmatic.voice import Voice
from datagen.teacher.programmatic.words import (
    ALIKE,
    CATEGORIES,
    NUMBER_WORDS,
    Noun,
    capital,
    counted,
    listed,
    load_words,
    noun_for,
    plural_of,
)

LONGEST = 24
"""Words of a caption that is repeated, where a shorter one says as much."""
LONGEST_ADDED = 10
"""Words that may be added to what is told."""
MOST_PEOPLE = 3
"""People who are spoken of one by one, or as "three men"."""
PERSON = "person"
_UNKNOWN_BOXES = frozenset(("no_word_for_it", "denied_by_captions"))
"""Reasons for which boxes are not among the kinds."""

_CAPTION_WORDS = load_words("captions.toml")
# Of the verbs that tell a sentence from a phrase, these are as often nouns, or stand in a phrase as well.
_NO_SURE_VERBS = frozenset(
    """
    skis waves trains bikes drinks heads boards steps leaves bats paddles cooks rolls points stops
    places parks races signals towers peels faces backs controls sails ends types spreads displays
    photographs pets bows looks hits lifts tops covers features docks doubles sets states lands exits
    acts drips brushes exercises winds skates skateboards crosses swings jumps walks rides plays
    stretches rests blooms laps watches glares scratches loads packs tows kicks trots surfs bends shakes
    cleans cuts turns drops reads runs passes pulls visits offers drives links reflects made been be
    held laid set laying lay kept brought surround can will could would may might must do
    """.split()
)
_SURE_VERBS = _CAPTION_WORDS["finite_verbs"] - _NO_SURE_VERBS
_SURE_PLURAL_VERBS = frozenset(
    """
    sit stand walk play look pose ride eat graze lie wait gather hold fly travel watch enjoy prepare
    stare talk swim take surround roam share wear carry relax
    """.split()
)
_PLURALS = _CAPTION_WORDS["irregular_plurals"]
_RELATIVE = frozenset("that who which where while as whose what when because if so than whom".split())
_NO_ACTIONS = _CAPTION_WORDS["ing_nouns"] | frozenset(
    "wearing holding having including living dining containing featuring sitting standing".split()
)
_STATIC_VERBS = frozenset("sitting standing lying laying sleeping resting lounging kneeling".split())
_PLACED = frozenset(
    """
    parked seated perched located displayed placed mounted docked stopped gathered propped hanging
    hung tied attached
    """.split()
)
_STATIC_PREPOSITIONS = frozenset("on in at under inside beside beneath underneath atop near by".split())
# What using a thing is: as good as holding it.
_HANDLING = frozenset("holding carrying using talking showing eating drinking texting".split())
# What nobody can see for certain, feelings and the weather; and what reads as a side of the image.
_UNSEEN = frozenset(
    """
    feeling happy happily sad sadly angry excited bored tired scared sunny sun cloudy rainy overcast
    weather daytime warm cold hot bottom
    """.split()
)
_LIVING = frozenset(("people", "animals"))

# Colors, each with those that the same thing may be called by others.
_NEAR_COLORS = {
    "red": "orange pink maroon brown purple",
    "orange": "red yellow brown gold tan pink",
    "yellow": "orange gold tan beige green white",
    "green": "teal turquoise blue yellow gray",
    "blue": "teal turquoise purple green gray black silver",
    "purple": "blue pink red maroon",
    "pink": "red purple orange white",
    "brown": "red orange tan beige black maroon gold gray",
    "black": "gray brown blue silver",
    "white": "gray silver beige tan yellow pink",
    "gray": "black white silver blue brown beige tan green",
    "tan": "brown beige yellow orange white gray gold",
    "beige": "brown tan yellow white gray gold",
    "silver": "gray white black blue",
    "gold": "yellow orange brown tan beige",
    "maroon": "red purple brown pink",
    "teal": "blue green turquoise",
    "turquoise": "blue green teal",
}
_MOST_BEFORE_NOUN = 4
_ENDS_NOUN_PHRASE = frozenset("a an the his her its their this that in on of with by at near next to".split())
_SHADES = frozenset("light dark bright pale".split())
_ASKED_COLORS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "black", "white")
_ASKED_COATS = ("black", "white", "brown", "gray")
# Of these no color is the whole truth.
_NOT_OF_ONE_COLOR = frozenset(
    "kitchen bathroom bedroom room office field street beach road wave house".split()
)
# What may be added to what is told of a thing; no second doing, which may be the same in other words.
_ADDED: dict[ToldKind, frozenset[ToldKind]] = {
    "doing": frozenset(("wearing", "holding")),
    "wearing": frozenset(("doing", "holding", "state")),
    "holding": frozenset(("doing", "wearing", "state")),
    "state": frozenset(("wearing", "holding")),
    "attribute": frozenset(("doing", "state", "place")),
    "place": frozenset(("wearing", "holding")),
    "with": frozenset(),
}
_PRONOUNS = {
    **dict.fromkeys(("man", "boy", "guy", "gentleman"), "he"),
    **dict.fromkeys(("woman", "girl", "lady"), "she"),
}
# Groups of the vocabulary as they are asked for, without what not everybody would count among them.
_GROUPS = {
    "animals": "animals",
    "vehicles": "vehicles",
    "food": "food",
    "furniture": "furniture",
    "kitchen": "tableware",
    "electronics": "electronic devices",
    "sports": "sports equipment",
    "kitchen appliances": "kitchen appliances",
    "bags": "bags",
}
_NOT_IN_GROUP = frozenset(("potted plant", "bottle", "kite", "mouse"))


def _categories_by_word() -> dict[str, str]:
    """Every word for a thing of the vocabulary, in the singular and in the plural, with its category."""
    found: dict[str, str] = {}
    for category, entry in CATEGORIES.items():
        for word in (*entry.same, *entry.kinds):
            for form in (word, entry.noun.plural if word == entry.noun.singular else plural_of(word)):
                found.setdefault(form, category)
    return found


_CATEGORY_OF = _categories_by_word()


# What captions say


def _is_whole(sentence: Sentence) -> bool:
    """Whether a caption is certainly a sentence, with a verb of its own. Errs towards no."""
    tokens = sentence.tokens
    is_clause_next = False
    before = ""
    for token in tokens:
        if token in _RELATIVE:
            is_clause_next = True
        elif token in _SURE_VERBS or (
            token in _SURE_PLURAL_VERBS and (before.endswith("s") or before in _PLURALS)
        ):
            # The first verb after "that" or "while" is not the sentence's own.
            if not is_clause_next:
                return True
            is_clause_next = False
        before = token
    return False


def _is_safe(sentence: Sentence) -> bool:
    """Whether it can be told as a sentence of its own."""
    return sentence.phrase is not None or _is_whole(sentence)


def _told_anew(facts: Facts, voice: Voice) -> list[int]:
    """Captions to repeat, in random order, by place; those that are best left out last."""

    def rank(at: int) -> int:
        sentence = facts.captions[at]
        is_long = sentence.text.count(" ") >= LONGEST
        return 2 * (not _is_safe(sentence)) + (is_long or not _UNSEEN.isdisjoint(sentence.words))

    agreed = agreeing(facts.captions)
    places = [at for at, sentence in enumerate(facts.captions) if sentence in agreed]
    return sorted(voice.shuffled(places[:4]), key=rank)


def _repeated(sentence: Sentence, voice: Voice) -> str:
    """A caption as a full sentence; one that may be none stands after a colon."""
    if _is_safe(sentence):
        return capital(shown(sentence, voice))
    return capital(voice.say("content.summary", clause=sentence.clause))


def _topics(facts: Facts, at: int) -> frozenset[str]:
    """What a caption answers beforehand: "doing person", "attribute bus"."""
    sentence = facts.captions[at]
    return frozenset(
        _topic(told)
        for told in facts.told
        if at in told.captions or not sentence.words.isdisjoint(told.words.split())
    )


def _is_action(sentence: Sentence) -> bool:
    """Whether something is going on in it that somebody or some animal does. Errs towards no."""
    known = (CATEGORIES[category].noun for category in sentence.categories if category in CATEGORIES)
    if not any(noun.group in _LIVING for noun in known):
        return False
    return any(word.endswith("ing") and word not in _NO_ACTIONS for word in sentence.words)


@lru_cache(maxsize=1024)
def _hints(noun: Noun) -> frozenset[str]:
    """Words that may speak of a thing, its own and broader ones; of several words, each."""
    known = CATEGORIES.get(noun.category)
    names = (noun.singular, *known.same, *known.kinds, *known.broader) if known else (noun.singular,)
    words = {word for name in names for word in (*name.split(), *plural_of(name).split())}
    return frozenset(words) | {noun.plural}


def _unnamed(facts: Facts, sentence: Sentence) -> list[Kind]:
    """What a caption says nothing of: what else can be seen."""
    tokens = frozenset(sentence.tokens)
    return [
        kind
        for kind in facts.kinds[:12]
        if kind.rough_amount is not None
        and ALIKE.get(kind.category, frozenset((kind.category,))).isdisjoint(sentence.categories)
        and _hints(kind.noun).isdisjoint(tokens)
    ]


def _presence_fact(kind: Kind) -> Fact:
    return ("several" if kind.noun.form == "count" and kind.is_several else "present", kind.category)


@program("conversation", "content")
def content(facts: Facts, voice: Voice) -> Iterator[Said]:
    """What the image shows or what goes on in it, by a caption, and what else is there."""
    for at in _told_anew(facts, voice):
        sentence = facts.captions[at]
        topics = _topics(facts, at)
        asks = frozenset(("content", f"caption {sentence.number}")) | _idle_after(topics)
        if voice.knows(asks):
            yield IDLE
            continue
        said: list[Fact] = [("caption", sentence.number)]
        tells = topics | {f"caption {sentence.number}"}
        boxes: tuple[int, ...] = ()
        question = voice.say(f"content.{'action_question' if _is_action(sentence) else 'question'}")
        answer = _repeated(sentence, voice)
        adds = sentence.text.count(" ") < LONGEST - 6 and voice.chance(0.7)
        others = _unnamed(facts, sentence)[:3] if adds else []
        if others:
            things = []
            for kind in others:
                number = kind.countable
                boxes += kind.boxes
                tells |= {f"presence {kind.category}"}
                if number is not None and voice.chance(0.5):
                    things.append(counted(number, kind.noun))
                    said.append(("count", kind.category, number))
                    tells |= {f"count {kind.category}"}
                else:
                    things.append(kind.rough_amount or "")
                    said.append(_presence_fact(kind))
            answer += f" {capital(voice.say('content.more', things=listed(things)))}"
        yield Said(
            question=question,
            answer=answer,
            facts=tuple(said),
            boxes=boxes,
            captions=(sentence.number,),
            asks=asks,
            tells=tells,
        )


def _idle_after(topics: frozenset[str]) -> frozenset[str]:
    """Of what a caption tells, that after which it would tell little: what is being done."""
    return frozenset(topic for topic in topics if topic.startswith("doing "))


@program("conversation", "content_again", weight=0.1)
def content_again(facts: Facts, voice: Voice) -> Iterator[Said]:
    """What the image shows, summed up by a caption that adds to what another says."""
    for at in _told_anew(facts, voice):
        sentence = facts.captions[at]
        # After one of these it would add nothing, or not agree.
        idle_after = [
            f"caption {other.number}"
            for other in facts.captions
            if is_near_copy(sentence, other) or not_together(sentence, other)
        ]
        if len(idle_after) == len(facts.captions):
            voice.unsaid["near_copy"] += 1
            continue
        asks = frozenset(("content_again", f"caption {sentence.number}", *idle_after))
        if voice.knows(asks):
            yield IDLE
            continue
        yield Said(
            question=voice.say("content.again_question"),
            answer=_repeated(sentence, voice),
            facts=(("caption", sentence.number),),
            captions=(sentence.number,),
            asks=asks,
            tells=_topics(facts, at),
        )


@program("conversation", "content")
def foreign_content(facts: Facts, voice: Voice) -> Iterator[Said]:
    """What the image shows, by a caption in another language, word for word."""
    for number, text in voice.shuffled(facts.foreign):
        yield Said(
            question=voice.say("content.foreign_question"),
            answer=text,
            facts=(("caption", number),),
            captions=(number,),
            asks=frozenset(("content",)),
        )


# What captions tell of single things


def _category(told: Told) -> str:
    """The category of the thing, or its word where the vocabulary has none."""
    return _CATEGORY_OF.get(told.head, told.head)


def _kind_of(told: Told, facts: Facts) -> Kind | None:
    """What is boxed of the thing: where its word is the name of a domain's category, that."""
    kind = facts.kind(_category(told))
    if kind is not None:
        return kind
    domain = (each for each in facts.kinds if each.category not in CATEGORIES)
    return next((each for each in domain if told.head in (each.noun.singular, each.noun.plural)), None)


def _topic(told: Told) -> str:
    return f"{told.kind} {_category(told)}"


def _acts(told: Told) -> bool:
    """Whether it is somebody, an animal or a machine, of which one asks what it does and holds."""
    category = CATEGORIES.get(_category(told))
    return is_machine(told.head) or (category is not None and category.noun.group in _LIVING)


def _is_certain(told: Told, facts: Facts, voice: Voice) -> bool:
    """Whether "the man" or "the dogs" can mean only one man, only these dogs."""
    kind = _kind_of(told, facts)
    if kind is None:
        # A pitcher where nobody is boxed may be a jug.
        is_certain = _category(told) != PERSON or not facts.kinds
    elif told.is_plural:
        is_certain = kind.is_several
    elif kind.count == 1:
        is_certain = True
    else:
        # Of people in the background captions say nothing; the one they all speak of is meant.
        naming = sum(told.head in caption.words for caption in facts.captions)
        is_certain = kind.category == PERSON and naming > 1 and naming * 2 >= len(facts.captions)
    if not is_certain:
        voice.unsaid["ambiguous"] += 1
    return is_certain


def _tellings(facts: Facts, voice: Voice, *kinds: ToldKind) -> Iterator[Told]:
    """What is told of these kinds, of things that are certain, in random order."""
    for told in voice.shuffled(told for told in facts.told if told.kind in kinds and told.head != SCENE):
        if _UNSEEN.isdisjoint(told.words.split()) and _is_certain(told, facts, voice):
            yield told


@dataclass(frozen=True, slots=True)
class _More:
    """What is said beyond the bare answer, and what it rests on."""

    text: str = ""
    facts: tuple[Fact, ...] = ()
    boxes: tuple[int, ...] = ()
    captions: tuple[int, ...] = ()
    tells: frozenset[str] = frozenset()


def _fact(told: Told, facts: Facts) -> Fact:
    return ("told", facts.captions[told.captions[0]].number, told.kind, told.head, told.words)


def _numbers(told: Told, facts: Facts) -> tuple[int, ...]:
    return tuple(facts.captions[at].number for at in told.captions)


def _slots(told: Told) -> dict[str, str]:
    return {
        "the": f"the {told.head}",
        "be": "are" if told.is_plural else "is",
        "do": "do" if told.is_plural else "does",
        "words": told.words,
    }


def _more(told: Told, facts: Facts, voice: Voice) -> _More:
    """Something else: what else is told of the same thing, where its box is, or what is there besides."""
    if len(told.words.split()) > LONGEST_ADDED:
        return _More()
    they = "they" if told.is_plural else _PRONOUNS.get(told.head, f"the {told.head}")
    slots = {"be": "are" if told.is_plural else "is", "they": capital(they)}
    for other in voice.shuffled(facts.told):
        if _may_follow(told, other):
            # "is white while parked" would mean that it is white only then.
            key = "state" if told.kind == "attribute" else other.kind
            text = voice.say(f"content.more_{key}", words=other.words, **slots)
            tells = frozenset((_topic(other),))
            return _More(text, (_fact(other, facts),), (), _numbers(other, facts), tells)
    kind = _kind_of(told, facts)
    single = kind.single if kind is not None and not told.is_plural else None
    if kind is not None and single is not None and voice.chance(0.5):
        place = place_of(single, facts.frame, voice)
        if place is not None:
            said: Fact = ("place", single.number, str(single.place))
            tells = frozenset((f"place {kind.category}",))
            return _More(voice.say("content.more_seen", place=place, **slots), (said,), (), (), tells)
    words = frozenset(tokens_of(told.words))
    beside = [
        other
        for other in facts.kinds
        if other is not kind and other.rough_amount is not None and _hints(other.noun).isdisjoint(words)
    ]
    if not beside or len(words) > LONGEST_ADDED - 3:
        return _More()
    named = voice.shuffled(beside[:4])[:2]
    tells = frozenset(f"presence {other.category}" for other in named)
    text = voice.say("content.more_beside", things=listed([other.rough_amount or "" for other in named]))
    return _More(text, tuple(map(_presence_fact, named)), _boxes_of(named), (), tells)


def _may_follow(told: Told, other: Told) -> bool:
    """Whether what another telling says of the same thing can be added, and is not the same again."""
    if (other.head, other.is_plural) != (told.head, told.is_plural) or other.kind not in _ADDED[told.kind]:
        return False
    words, known = other.words.split(), told.words.split()
    if len(words) > LONGEST_ADDED or not _UNSEEN.isdisjoint(words):
        return False
    if "holding" in (told.kind, other.kind) and not _HANDLING.isdisjoint((told.verb, other.verb)):
        # "holding a phone and talking on a smartphone"
        return False
    return not any(len(word) > 3 and word in known for word in words)


def _boxes_of(kinds: Iterable[Kind]) -> tuple[int, ...]:
    return tuple(number for kind in kinds for number in kind.boxes)


def _answered(
    told: Told,
    facts: Facts,
    voice: Voice,
    *,
    question: str,
    answer: str,
    brief: str,
    asks: Iterable[str],
    **others: str,
) -> Said:
    """A question for what is told, and its answer with something more; both by their keys."""
    asks = frozenset(asks)
    if voice.knows(asks):
        return IDLE
    more = _more(told, facts, voice)
    slots = _slots(told) | others
    kind = _kind_of(told, facts)
    is_meant = kind is not None and (told.is_plural or kind.count == 1)
    boxes = kind.boxes if kind is not None and is_meant else ()
    return Said(
        question=voice.say(f"content.{question}", **slots),
        answer=voice.say(f"content.{answer}", **slots, more=more.text),
        brief=brief,
        facts=(_fact(told, facts), *more.facts),
        boxes=boxes + more.boxes,
        captions=tuple(dict.fromkeys((*_numbers(told, facts), *more.captions))),
        asks=asks,
        tells=more.tells | {_topic(told), f"presence {_category(told)}"},
    )


@program("conversation", "doing", weight=2.0)
def doing(facts: Facts, voice: Voice) -> Iterator[Said]:
    """What somebody, some animal or machine is doing, as captions tell."""
    for told in _tellings(facts, voice, "doing"):
        if _acts(told):
            is_still = told.verb in _STATIC_VERBS or is_machine(told.head)
            question = "doing_question" if is_still or voice.chance(0.5) else "busy_question"
            asks = (_topic(told), f"action {told.verb}")
            yield _answered(
                told, facts, voice, question=question, answer="doing_answer", brief=told.verb, asks=asks
            )


@program("conversation", "doing")
def wearing(facts: Facts, voice: Voice) -> Iterator[Said]:
    """What somebody is wearing, as captions tell."""
    for told in _tellings(facts, voice, "wearing"):
        yield _answered(
            told,
            facts,
            voice,
            question="wearing_question",
            answer="wearing_answer",
            brief=told.words,
            asks=(_topic(told),),
        )


@program("conversation", "doing")
def holding(facts: Facts, voice: Voice) -> Iterator[Said]:
    """What somebody or some machine is holding, as captions tell."""
    for told in _tellings(facts, voice, "holding"):
        if _acts(told):
            yield _answered(
                told,
                facts,
                voice,
                question="holding_question",
                answer="holding_answer",
                brief=told.words,
                asks=(_topic(told),),
            )


# Colors


def _colored(facts: Facts, voice: Voice) -> Iterator[tuple[Told, tuple[str, ...]]]:
    """Things whose color captions give, all that give one the same; with the colors, without shades."""
    for told in _tellings(facts, voice, "attribute"):
        colors = tuple(word for word in told.words.split() if word != "and" and word not in _SHADES)
        if told.head.split()[-1] in _NOT_OF_ONE_COLOR or not all(color in _NEAR_COLORS for color in colors):
            continue
        if "orange" in colors[:-1]:
            # "is orange and white" might name the fruit.
            continue
        same = [other for other in facts.told if other.kind == "attribute" and other.head == told.head]
        if any(other.words != told.words for other in same) or _is_called_otherwise(told, colors, facts):
            voice.unsaid["captions_differ"] += 1
        else:
            yield told, colors


def _is_called_otherwise(told: Told, colors: tuple[str, ...], facts: Facts) -> bool:
    """Whether a caption gives it another color in passing: "a gray house cat" beside "a white cat"."""
    *_, last = told.head.split()
    for caption in facts.captions:
        for at, token in enumerate(caption.tokens):
            if token != last:
                continue
            for before in reversed(caption.tokens[max(0, at - _MOST_BEFORE_NOUN) : at]):
                if before in _ENDS_NOUN_PHRASE:
                    break
                color = "gray" if before == "grey" else before
                if color in _NEAR_COLORS and color not in colors:
                    return True
    return False


@program("conversation", "attribute", weight=2.0)
def color(facts: Facts, voice: Voice) -> Iterator[Said]:
    """What color something has, where all captions that give it one agree."""
    for told, colors in _colored(facts, voice):
        yield _answered(
            told,
            facts,
            voice,
            question="color_question",
            answer="color_answer",
            brief=" and ".join(colors),
            asks=(_topic(told),),
        )


@program("conversation", "attribute", weight=0.6)
def color_check(facts: Facts, voice: Voice) -> Iterator[Said]:
    """Whether something has a given color, its own or one that is far from it."""
    for told, colors in _colored(facts, voice):
        other = _other_color(told, colors, facts, voice)
        if other is None:
            # Asked all the same, the answer would always be yes.
            voice.unsaid["no_color_far_enough"] += 1
        else:
            is_true = voice.chance(0.5)
            yield _answered(
                told,
                facts,
                voice,
                question="color_check_question",
                answer="color_yes" if is_true else "color_no",
                brief="yes" if is_true else "no",
                asks=(_topic(told),),
                color=voice.pick(colors) if is_true else other,
            )


def _other_color(told: Told, colors: tuple[str, ...], facts: Facts, voice: Voice) -> str | None:
    """A color that nobody would give it: far from its own, and in no caption."""
    category = CATEGORIES.get(_category(told))
    is_animal = category is not None and category.noun.group == "animals"
    if is_animal and len(told.captions) < 2:
        return None
    near = {color for own in colors for color in (own, *_NEAR_COLORS[own].split())}
    others = [
        color
        for color in (_ASKED_COATS if is_animal else _ASKED_COLORS)
        if color not in near and not any(color in caption.words for caption in facts.captions)
    ]
    return voice.pick(others) if others else None


# Where it is set


@program("conversation", "where", weight=1.5)
def setting(facts: Facts, voice: Voice) -> Iterator[Said]:
    """Where the scene is set, as captions tell."""
    for told in voice.shuffled(told for told in facts.told if told.kind == "place" and told.head == SCENE):
        if not _UNSEEN.isdisjoint(told.words.split()):
            continue
        words = frozenset(tokens_of(told.words))
        inside = [
            kind
            for kind in facts.kinds
            if kind.rough_amount is not None and _hints(kind.noun).isdisjoint(words)
        ]
        named = voice.shuffled(inside[:5])[: voice.pick((2, 3))]
        things = listed([kind.rough_amount or "" for kind in named])
        more = voice.say("content.more_things", things=things) if named else ""
        yield Said(
            question=voice.say("content.setting_question"),
            answer=voice.say("content.setting_answer", words=told.words, more=more),
            brief=told.words,
            facts=(_fact(told, facts), *map(_presence_fact, named)),
            boxes=_boxes_of(named),
            captions=_numbers(told, facts),
            asks=frozenset(("setting",)),
            tells=frozenset(f"presence {kind.category}" for kind in named),
        )


@program("conversation", "where", weight=1.5)
def setting_of(facts: Facts, voice: Voice) -> Iterator[Said]:
    """Where somebody or something is, sits or is parked, as captions tell."""
    for told in _tellings(facts, voice, "place", "doing", "state"):
        verb, _, rest = told.words.partition(" ")
        is_resting = told.kind != "place"
        where = rest if is_resting else told.words
        if where.partition(" ")[0] not in _STATIC_PREPOSITIONS:
            continue
        if is_resting and verb not in (_STATIC_VERBS if told.kind == "doing" else _PLACED):
            continue
        if any(word.endswith("ing") and word not in _NO_ACTIONS for word in where.split()):
            # "in the middle of swinging a bat"
            continue
        # The same question as where its box is.
        asks = [f"place {_category(told)}"]
        if told.kind == "doing":
            asks += [_topic(told), f"action {told.verb}"]
        yield _answered(
            told,
            facts,
            voice,
            question="where_resting_question" if is_resting else "where_is_question",
            answer="where_answer",
            brief=where,
            asks=asks,
            resting=verb,
        )


# What and who is there


@program("conversation", "listing", weight=0.4)
def listing(facts: Facts, voice: Voice) -> Iterator[Said]:
    """Some of the things in view, without their numbers."""
    named = [kind for kind in facts.kinds if kind.rough_amount is not None][:8]
    if len(named) < 2:
        return
    named = voice.shuffled(named)[: voice.pick((3, 4, 5))]
    is_living = any(kind.noun.group in _LIVING for kind in named)
    question = voice.say("listing.living_question" if is_living else "listing.question")
    yield _list(named, voice, question, frozenset(("listing",)))


@program("conversation", "listing", weight=0.7)
def listing_of_group(facts: Facts, voice: Voice) -> Iterator[Said]:
    """Which kinds of animals, of vehicles, of food … are in view."""
    for group, called in voice.shuffled(_GROUPS.items()):
        named = [
            kind for kind in facts.kinds if kind.noun.group == group and kind.category not in _NOT_IN_GROUP
        ]
        if not 2 <= len(named) <= 5 or any(kind.rough_amount is None for kind in named):
            continue
        question = voice.say("listing.group_question", group=called)
        yield _list(voice.shuffled(named), voice, question, frozenset((f"listing {group}",)))


def _list(named: list[Kind], voice: Voice, question: str, asks: frozenset[str]) -> Said:
    things = listed([kind.rough_amount or "" for kind in named])
    return Said(
        question=question,
        answer=voice.say("listing.answer", things=things),
        facts=tuple(map(_presence_fact, named)),
        boxes=_boxes_of(named),
        asks=asks,
        tells=frozenset(f"presence {kind.category}" for kind in named),
    )


@program("conversation", "doing", weight=0.7)
def people(facts: Facts, voice: Voice) -> Iterator[Said]:
    """Who is in the image, where boxes and captions agree on it, and what they are doing."""
    kind = facts.kind(PERSON)
    if kind is None or kind.count is None or kind.count > MOST_PEOPLE:
        return
    for told in _tellings(facts, voice, "doing", "state"):
        if _category(told) != PERSON or told.is_plural != (kind.count > 1):
            continue
        number = NUMBER_WORDS[kind.count]
        is_counted = any(number in facts.captions[at].numbers for at in told.captions)
        if told.is_plural and told.head != "people" and not is_counted:
            # Of three boxes, one may be a woman beside "two men".
            continue
        noun = noun_for(told.head)
        if told.is_plural:
            who = f"{number} {told.head}"
        elif noun is not None:
            who = noun.one
        else:
            continue
        yield Said(
            question=voice.say("content.people_question"),
            answer=voice.say("content.people_answer", **_slots(told), who=who),
            brief=who,
            facts=(("count", PERSON, kind.count), _fact(told, facts)),
            boxes=kind.boxes,
            captions=_numbers(told, facts),
            asks=frozenset(("people", f"doing {PERSON}", f"action {told.verb}")),
            tells=frozenset((f"presence {PERSON}", f"count {PERSON}")),
        )


@program("conversation", "content", weight=0.3)
def subject(facts: Facts, voice: Voice) -> Iterator[Said]:
    """What the main subject is: what most captions begin with and what has the largest box."""
    kind = max(facts.kinds, key=lambda kind: kind.area, default=None)
    thing = kind.single if kind is not None else None
    if kind is None or thing is None or not facts.captions:
        return
    begun = sum(_first_named(caption) == kind.category for caption in facts.captions)
    if begun * 2 <= len(facts.captions):
        return
    others = [other for each in facts.kinds for other in each.things if other is not thing]
    is_largest = all(thing.area >= other.area * facts.margins.larger for other in others)
    if (
        not is_largest
        or any(each.crowds for each in facts.kinds)
        or not _UNKNOWN_BOXES.isdisjoint(facts.unsaid)
    ):
        voice.unsaid["near_tie"] += 1
        return
    for told in _tellings(facts, voice, "doing", "state", "place"):
        if told.is_plural or _category(told) != kind.category:
            continue
        noun = noun_for(told.head) or kind.noun
        yield Said(
            question=voice.say("content.subject_question"),
            answer=voice.say("content.subject_answer", **_slots(told), one=noun.one, which=kind.noun.which),
            brief=told.head,
            facts=(("largest", thing.number, "*"), ("present", kind.category), _fact(told, facts)),
            boxes=(thing.number,),
            captions=_numbers(told, facts),
            asks=frozenset(("content", "subject", f"doing {kind.category}")),
            tells=frozenset((_topic(told), f"presence {kind.category}")),
        )


def _first_named(caption: Sentence) -> str | None:
    """The category of the thing that a caption begins with."""
    for word in caption.clause.split()[:6]:
        if (category := _CATEGORY_OF.get(word)) is not None:
            return category
    return None
