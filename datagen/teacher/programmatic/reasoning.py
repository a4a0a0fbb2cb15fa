"""Complex reasoning: what answers rest on, how they are put together, and which program writes one.

An answer states its evidence first, then knowledge of the pack, then what follows from both, always
hedged. Each is put together from many small pieces, so that no two images share a paragraph. The
programs are in programs/inference.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise, permutations

from datagen.teacher.programmatic.captions import Sentence, mentions_in, tokens_of
from datagen.teacher.programmatic.conversation import Written
from datagen.teacher.programmatic.facts import Facts, Kind, Thing, shared
from datagen.teacher.programmatic.knowledge import About, Entry, stems_of
from datagen.teacher.programmatic.pieces import place_words, relation_words
from datagen.teacher.programmatic.registry import Fact, Program, Said
from datagen.teacher.programmatic.scene import Told
from datagen.teacher.programmatic.voice import Voice
from datagen.teacher.programmatic.words import Noun, capital, listed

SMALLEST_SUBJECT = 0.02
"""Share of the image that something must cover for an answer to be about it, unless most captions name it."""
SMALLEST_UNSAID = 0.12
"""The same for what no caption speaks of, where there are captions."""
MOSTLY_SAID = 0.4
"""Share of the captions from which on what they name may be as small as it likes."""
WORDS = (84, 92, 100, 108, 114, 122, 130)
"""How long an answer should at least become, where there is that much to say: one of these."""
SHORTEST = 80
"""A shorter answer ends with how far it can be trusted."""
LEAST = 71
"""Words that a pack wants of an answer at least."""
CLOSED = 0.25
"""Share of the longer ones that do; all are worded with care."""
MOST_KNOWN = 5
"""With so many entries of what is known in it, an answer need not become longer than the shortest."""
CAPTION_FIRST = 0.6
"""Share of answers that begin with a caption."""
CAPTION_FIRST_ALONE = 0.75
"""The same where an answer is about a single thing, and the rest of it would fit many images."""
TOLD_FIRST = 0.5
"""Share of the others that begin with what captions tell of one thing, where they do."""
PLACED_FIRST = 0.6
"""Share of those that begin with a single thing that say where it is in the same breath."""
ALONE = 0.5
"""By how much less a single thing is asked about where an image has two or more that are prominent."""
NEAR = 0.03
"""How far two boxes may lie apart, as a share of the width and of the height, to be near each other."""
UPON = 0.25
"""Share of the smaller of two boxes in the other from which on the two are not beside each other: it may be
worn, held or ridden, or lie on a plate."""
MOST_COMPARED = 12
"""Of a category's boxes, and of an image's categories, more are not compared in pairs."""

IDLE_DEEDS = frozenset(
    "standing looking staring posing walking sitting lying leaning kneeling watching smiling".split()
)
"""What is done without using what is named after "on" or "with"."""

UNKNOWN = About("")
"""What is known of a category that the knowledge does not have."""


def reason(facts: Facts, voice: Voice, weights: Mapping[Program, float]) -> Written | None:
    """What the first program that has something says, in an order drawn by weight; None if none has."""
    if sum(clue.is_prominent for clue in clues_in(facts)) > 1:
        weights = {
            program: weight * ALONE if program.family == "thing" else weight
            for program, weight in weights.items()
        }
    for program in voice.weighted(weights):
        voice.drop_said()
        said = next(program.write(facts, voice.of(program.name)), None)
        if said is not None:
            return program, said, voice.take_said()
    return None


# What answers rest on


@dataclass(frozen=True, slots=True)
class Clue:
    """A category that answers can rest on, and how it is spoken."""

    noun: Noun
    spoken: str
    """First mentioned: "two knives", "a knife", "people"."""
    number: int | None
    is_many: bool
    fact: Fact
    boxes: tuple[int, ...]
    kind: Kind | None
    """None for what only captions speak of."""
    weight: float
    """How much of the image and of the captions it takes up, each up to 1."""
    is_prominent: bool
    about: About

    @property
    def category(self) -> str:
        return self.noun.category

    @property
    def the(self) -> str:
        return f"the {self.noun.plural}" if self.is_many else self.noun.the

    @property
    def be(self) -> str:
        return "are" if self.is_many else self.noun.be

    @property
    def are(self) -> str:
        """The verb that goes with such things in general."""
        return "is" if self.noun.form == "mass" else "are"

    @property
    def it(self) -> str:
        return "them" if self.be == "are" else "it"

    @property
    def is_animal(self) -> bool:
        return self.noun.group == "animals" or "animal" in self.about.traits

    @property
    def is_person(self) -> bool:
        return self.category == "person"

    @property
    def single(self) -> Thing | None:
        return self.kind.single if self.kind is not None else None


class _Same:
    """Facts as the key of a cache: equal only to themselves."""

    __slots__ = ("facts",)

    def __init__(self, facts: Facts) -> None:
        self.facts = facts

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.facts is self.facts

    def __hash__(self) -> int:
        return id(self.facts)


def clues_in(facts: Facts) -> tuple[Clue, ...]:
    """What answers can rest on; what takes up most of the image and of the captions first."""
    return _clues_in(_Same(facts))


# Several programs ask in a row of one image.
@lru_cache(maxsize=1)
def _clues_in(same: _Same) -> tuple[Clue, ...]:
    return tuple(_clues_of(same.facts))


def _clues_of(facts: Facts) -> list[Clue]:
    clues = []
    for kind in facts.kinds:
        noun, number = kind.noun, kind.countable
        spoken = kind.amount if number is not None else kind.rough_amount
        if spoken is None:
            continue
        said = facts.said_of(kind.category)
        fact: Fact = ("present", kind.category)
        if number is not None and number > 1:
            fact = ("count", kind.category, number)
        elif kind.is_several and noun.form == "count":
            fact = ("several", kind.category)
        clues.append(
            Clue(
                noun,
                spoken,
                number,
                noun.form == "count" and (kind.is_several or kind.is_group),
                fact,
                kind.boxes,
                kind,
                (kind.area if said or not facts.captions else kind.area / 2) + said,
                _is_prominent(kind, said, bool(facts.captions)),
                facts.knowledge.things.get(kind.category, UNKNOWN),
            )
        )
    for noun, spoken in facts.spoken_of:
        about = facts.knowledge.things.get(noun.category, UNKNOWN)
        is_many = noun.form == "count" and spoken != noun.one
        said = facts.said_of(noun.category)
        clues.append(
            Clue(noun, spoken, None, is_many, ("spoken", noun.category), (), None, said, True, about)
        )
    clues.sort(key=lambda clue: -clue.weight)
    return clues


def _is_prominent(kind: Kind, said: float, has_captions: bool) -> bool:
    if not has_captions:
        return kind.is_group or kind.area >= SMALLEST_SUBJECT
    if not said:
        return kind.area >= SMALLEST_UNSAID
    return said >= MOSTLY_SAID or kind.is_group or kind.area >= SMALLEST_SUBJECT


def people_in(clues: Sequence[Clue]) -> Clue | None:
    return next((clue for clue in clues if clue.is_person), None)


def subjects_in(clues: Sequence[Clue], voice: Voice, **least: int) -> list[Clue]:
    """What an answer may be about: things of which that much is known; the prominent likely first."""
    fitting = {
        number: 0.01 + clue.weight * clue.weight
        for number, clue in enumerate(clues)
        if clue.is_prominent
        and not clue.is_person
        and all(len(getattr(clue.about, name)) >= count for name, count in least.items())
    }
    return [clues[number] for number in voice.weighted(fitting)]


def is_near(first: Thing, second: Thing) -> bool:
    """Whether the boxes overlap or lie next to each other."""
    return (
        max(first.left, second.left) - min(first.right, second.right) <= NEAR
        and max(first.top, second.top) - min(first.bottom, second.bottom) <= NEAR
    )


@dataclass(frozen=True, slots=True)
class Near:
    """That one thing is near another; of several, each has to be, or it is only said of one of them."""

    first: str
    first_be: str
    second: str
    is_beside: bool
    """Whether "next to" says it: not of what somebody may wear, hold or ride, or what lies on a plate."""
    facts: tuple[Fact, ...]


def near_in(facts: Facts, first: Clue, second: Clue) -> Near | None:
    """How the one is near the other; None where it is not, or where that is not certain."""
    if first.kind is None or second.kind is None:
        return None
    if found := _each_near(first, second):
        return Near(first.the, first.be, one_of(second), are_beside(facts, first, second), found)
    if found := _each_near(second, first):
        be = "is" if first.is_many else first.be
        return Near(one_of(first), be, second.the, are_beside(facts, first, second), found)
    return None


def are_beside(facts: Facts, first: Clue, second: Clue) -> bool:
    """Whether what is near each other is no more than that: not worn, held, ridden, or one in the other."""
    assert first.kind is not None and second.kind is not None
    most = UPON
    if first.is_person or second.is_person:
        if is_told_of_people(facts, second if first.is_person else first):
            return False
        # Of somebody and a thing, boxes that meet at all are more often hand and racket than neighbors.
        most = 0.0
    return all(
        shared(a, b) <= most * min(a.area, b.area) for a in first.kind.things for b in second.kind.things
    )


def is_told_of_people(facts: Facts, clue: Clue) -> bool:
    """Whether captions tell what people have to do with it: "a man skiing", "a man on a bench"."""
    return any(
        "person" in named_in(told.head) and clue.category in _hinted_in(told.words) for told in facts.told
    ) or any(clue.category in caption.categories and tells_deed(caption) for caption in facts.captions)


def tells_deed(caption: Sentence) -> bool:
    """Whether a caption says of people that they do something, by its verbs in -ing."""
    return "person" in caption.categories and any(
        len(token) > 5 and token.endswith("ing") and token not in IDLE_DEEDS and token not in _NO_DEEDS
        for token in caption.tokens
    )


_NO_DEEDS = frozenset(
    "building buildings ceiling clothing during evening morning parking dining living".split()
)


def one_of(clue: Clue) -> str:
    return f"one of {clue.the}" if clue.is_many else clue.the


def _each_near(first: Clue, second: Clue) -> tuple[Fact, ...]:
    assert first.kind is not None and second.kind is not None
    if first.number is None or len(second.kind.things) > MOST_COMPARED or second.kind.crowds:
        return ()
    found: list[Fact] = []
    for thing in first.kind.things:
        if not first.kind.can_point_at(thing):
            return ()
        other = next(
            (each for each in second.kind.things if second.kind.can_point_at(each) and is_near(thing, each)),
            None,
        )
        if other is None:
            return ()
        found.append(("near", thing.number, other.number))
    return tuple(found)


# How answers are put together


class Argument:
    """An answer as it is put together, and all that it rests on."""

    def __init__(self, facts: Facts, voice: Voice, program: str, **slots: str) -> None:
        self.facts = facts
        self.voice = voice
        self.concerns = False
        """Whether it concerns the people in the image, in the slot <people>."""
        self._program = program
        self._slots = slots
        self._sentences: list[str] = []
        self._length = 0
        self._wanted = voice.pick(WORDS)
        self._known = 0
        self._mentioned: set[str] = set()
        self.is_located = False
        self._near: set[frozenset[str]] = set()
        # Dictionaries for their order.
        self._facts: dict[Fact, None] = {}
        self._boxes: dict[int, None] = {}
        self._captions: dict[int, None] = {}

    @cached_property
    def _categories(self) -> frozenset[str]:
        """What may be named without bringing in what is not there."""
        return frozenset(("person", *(clue.category for clue in clues_in(self.facts))))

    @cached_property
    def _words(self) -> frozenset[str]:
        """What there is, by captions and boxes."""
        return self._categories.union(*(caption.tokens for caption in self.facts.captions))

    @cached_property
    def _image_stems(self) -> frozenset[str]:
        return stems_of(word for caption in self.facts.captions for word in caption.words)

    def fits(self, *entries: Entry) -> bool:
        """Whether one of them has to do with what captions speak of."""
        return any(not entry.stems.isdisjoint(self._image_stems) for entry in entries)

    def choose(self, entries: Sequence[Entry]) -> list[Entry]:
        """In any order, but first those that have to do with what captions speak of.

        Those that do not belong to what is there are left out, as far as two others remain.
        """
        chosen = self.voice.shuffled(entries)
        fitting = [entry for entry in chosen if self._strangeness(entry) < 2]
        return sorted(fitting if len(fitting) > 1 else chosen, key=self._strangeness)

    def _strangeness(self, *entries: Entry) -> int:
        """Last comes what does not belong to what is there, first what fits the words of captions."""
        for entry in entries:
            is_apt = not entry.only or not entry.only.isdisjoint(self._words)
            if not (is_apt and entry.names <= self._categories and entry.without.isdisjoint(self._words)):
                return 2
        return int(not self.fits(*entries))

    def remedies(self, about: About) -> tuple[list[tuple[Entry, Entry]], list[Entry]]:
        """Risks with what helps against each, no risk and no care twice, and what other care there is."""
        chosen: list[tuple[Entry, Entry]] = []
        remedies = self.voice.shuffled(about.remedies)
        for risk, care in sorted(remedies, key=lambda each: self._strangeness(*each)):
            if all(risk is not other and care is not another for other, another in chosen):
                chosen.append((risk, care))
        helping = {care.path for _, care in about.remedies}
        return chosen, self.choose([care for care in about.care if care.path not in helping])

    def add(self, sentence: str) -> None:
        self._sentences.append(capital(sentence))
        self._length += sentence.count(" ") + 1

    def say(self, key: str, **slots: str | Entry) -> None:
        """A sentence of the program's own, or of all programs where the key names their file.

        What is known goes into it by its entry, and counts as said only if the wording has it.
        """
        self.add(self._wording(key, slots))

    def know(self, entry: Entry) -> str:
        """The words of something that is known."""
        if len(entry.wording) == 1 and isinstance(entry.wording[0], str):
            return entry.wording[0]
        return self.voice.fill(f"knowledge.{entry.path}", (entry.wording,), self._slots)

    def rest_on(self, *facts: Fact) -> None:
        self._facts.update(dict.fromkeys(facts))

    def name(self, *clues: Clue) -> None:
        """Rests on these, which the question or the answer takes for granted."""
        for clue in clues:
            self.rest_on(clue.fact)
            self._mentioned.add(clue.category)
            self._boxes.update(dict.fromkeys(clue.boxes))

    def see(self, *clues: Clue, caption: Sentence | None = None) -> None:
        """Says that these are there: by a caption, by what captions tell of one, or near each other.

        A caption that is given is said.
        """
        self.name(*clues)
        named: frozenset[str] = frozenset()
        if caption is not None or (caption := self.fitting_caption(clues)) is not None:
            self.quote(caption)
            named = caption.categories
        elif self.voice.chance(TOLD_FIRST) and (told := self._fitting_telling(clues)) is not None:
            named = self.tell(told)
        elif len(clues) > 1:
            named = self._see_near(clues)
        elif (single := clues[0].single) is not None and self.voice.chance(PLACED_FIRST):
            named = self._see_placed(clues[0], single)
        rest = [clue for clue in clues if clue.category not in named]
        if rest:
            be = "are" if len(rest) > 1 else rest[0].be
            there_is = "are" if rest[0].is_many else rest[0].be
            key = "reasoning.see_also" if self._sentences else "reasoning.see"
            self.say(key, list=listed([clue.spoken for clue in rest]), list_be=be, there_be=there_is)

    def _see_placed(self, clue: Clue, thing: Thing) -> frozenset[str]:
        """Says of this thing that it is in its part of the image; its category, if that part is clear."""
        if thing.place is None:
            return frozenset()
        words = place_words(thing.place, self.facts.frame, self.voice, whole=False)
        self.say("reasoning.see_placed", one=clue.spoken, one_be=clue.be, place=words)
        self.rest_on(("place", thing.number, thing.place))
        self.is_located = True
        return frozenset((clue.category,))

    def _see_near(self, clues: Sequence[Clue]) -> frozenset[str]:
        """Says of two of these that they are near each other, if two are; the categories of the two."""
        for first, second in permutations(clues, 2):
            if second.is_many and second.number is None:
                continue
            if first.kind is None or second.kind is None or not (facts := _each_near(first, second)):
                continue
            if not are_beside(self.facts, first, second):
                continue
            other = f"one of {second.spoken}" if second.is_many else second.spoken
            self.say("reasoning.see_near", one=first.spoken, one_be=first.be, other=other)
            self.rest_on(*facts)
            self._near.add(frozenset((first.category, second.category)))
            return frozenset((first.category, second.category))
        return frozenset()

    def fitting_caption(self, clues: Sequence[Clue]) -> Sentence | None:
        """One that names some of these; None by chance or where there is none."""
        share = CAPTION_FIRST_ALONE if len(clues) < 2 else CAPTION_FIRST
        if not self.facts.captions or not self.voice.chance(share):
            return None
        return self._caption_of({clue.category for clue in clues})

    def _caption_of(self, categories: Collection[str]) -> Sentence | None:
        fitting = [
            caption
            for caption in self.facts.captions[:4]
            if caption.phrase is not None and not caption.categories.isdisjoint(categories)
        ]
        return self.voice.pick(fitting) if fitting else None

    def _fitting_telling(self, clues: Sequence[Clue]) -> Told | None:
        """What captions tell of one of these, where it can only mean what the boxes show."""
        fitting = [
            told
            for told in self.facts.told
            if told.kind in ("doing", "state")
            and any(
                told.is_plural == clue.is_many
                and (clue.is_many or clue.number == 1)
                and clue.category in named_in(told.head)
                for clue in clues
            )
        ]
        return self.voice.pick(fitting) if fitting else None

    def tell(self, told: Told) -> frozenset[str]:
        """Says what captions tell; the categories that it names."""
        self.say(
            "reasoning.told", head=told.head, head_be="are" if told.is_plural else "is", words=told.words
        )
        self.rest_on_telling(told)
        heads = named_in(told.head)
        if "person" in heads and "people" in self._slots:
            self._slots["people"] = f"the {told.head}"
        return heads | named_in(told.words)

    def rest_on_telling(self, told: Told) -> None:
        number = self.facts.captions[told.captions[0]].number
        self.rest_on(("told", number, told.kind, told.head, told.words))
        self._captions[number] = None

    def quote(self, caption: Sentence) -> None:
        phrase, is_sentence = caption.phrase, _is_sentence(caption.tokens)
        is_deed = not is_sentence and any(token.endswith("ing") for token in caption.tokens)
        # A capital that may be a name's stays, and then the caption can only stand alone.
        if phrase is None and is_deed and caption.clause[0].islower():
            phrase = caption.clause
        if phrase is not None:
            key = "reasoning.caption_too" if self._sentences else "reasoning.caption"
            self.say(key, phrase=phrase)
        elif is_sentence and caption.clause[0].islower():
            self.say("reasoning.sentence", clause=caption.clause)
        else:
            self.add(caption.text)
        self._mentioned |= caption.categories
        self.rest_on(("caption", caption.number))
        self._captions[caption.number] = None

    def locate(self, clue: Clue, others: Sequence[Clue]) -> bool:
        """Says where one thing is: near another, in which part of the image, or on which side of another."""
        thing, voice, frame = clue.single, self.voice, self.facts.frame
        if thing is None or self.is_located:
            return self.is_located
        slots = {"located": clue.the, "located_be": clue.be}
        for way in voice.shuffled(("near", "place", "related")):
            if way == "place":
                if (place := thing.place) is not None:
                    self.say("reasoning.placed", **slots, place=place_words(place, frame, voice))
                    self.rest_on(("place", thing.number, place))
                    return True
                continue
            for other in others[:MOST_COMPARED]:
                if other is clue or other.single is None:
                    continue
                if way == "near":
                    if self.draw_near(clue, other):
                        return True
                elif (side := self.facts.direction(thing, other.single, "across")) is not None:
                    words = relation_words(side, thing, other.single, frame, voice)
                    self.say("reasoning.related", **slots, direction=words, other=self._mention(other))
                    self.rest_on((f"{side}_of", thing.number, other.single.number))
                    self.name(other)
                    return True
        return False

    def draw_near(self, clue: Clue, other: Clue) -> bool:
        """Says that the one is next to the other, if it is and has not been said."""
        near = near_in(self.facts, clue, other)
        if near is None or not near.is_beside:
            return False
        pair = frozenset((clue.category, other.category))
        if pair not in self._near:
            second = near.second if near.second != other.the else self._mention(other)
            self.say("reasoning.near", located=near.first, located_be=near.first_be, other=second)
            self.rest_on(*near.facts)
            self.name(other)
            self._near.add(pair)
        return True

    def _mention(self, clue: Clue) -> str:
        """ "the cup" if it has been spoken of, else "a cup"."""
        return clue.the if clue.category in self._mentioned else clue.spoken

    def advise(self, key: str, **slots: Entry) -> None:
        """Something of what all programs say, to the people there if there are any whom it concerns."""
        self.say(f"reasoning.{key}{'_for' if self.concerns else ''}", **slots)

    def use(self, clue: Clue, *uses: Entry) -> None:
        """What such things are used for: one use, or two."""
        key = ("uses" if len(uses) > 1 else "use") + ("_of_animals" if clue.is_animal else "")
        slots: dict[str, str | Entry] = {"users": clue.noun.plural, "users_are": clue.are, "use": uses[0]}
        if len(uses) > 1:
            slots["other_use"] = uses[1]
        self.say(f"reasoning.{key}", **slots)

    @property
    def is_short(self) -> bool:
        return self._length < SHORTEST

    def fill_up(self, *more: Callable[[], object]) -> None:
        """More sentences, in any order, until the answer is long enough or says enough of what is known."""
        for add in self.voice.shuffled(more):
            if self._length >= (self._wanted if self._known < MOST_KNOWN else SHORTEST):
                return
            add()

    def elaborate(self) -> None:
        """Adds a caption to the evidence of an answer that has none, if it is not long enough."""
        if self._length >= self._wanted or self._captions:
            return
        if (caption := self._caption_of(self._mentioned)) is not None:
            self.quote(caption)
            self._sentences.insert(1, self._sentences.pop())

    def close(self, *keys: str) -> None:
        """Says how far a short answer, and some others, can be trusted."""
        self.elaborate()
        if self.is_short or self.voice.chance(CLOSED):
            self.say(self.voice.pick(keys))
        if self._length < LEAST:
            self.say("reasoning.caveat")

    def said(self, question: str, brief: str, about: str, **slots: str | Entry) -> Said:
        asked = self._wording(question, slots)
        return Said(
            question=asked,
            answer=" ".join(self._sentences),
            brief=brief,
            facts=tuple(self._facts),
            boxes=tuple(self._boxes),
            captions=tuple(self._captions),
            asks=frozenset({about}),
        )

    def _wording(self, key: str, slots: Mapping[str, str | Entry]) -> str:
        key = key if key.startswith("reasoning.") else f"{self._program}.{key}"
        words = self._slots.copy()
        entries = []
        for name, value in slots.items():
            if isinstance(value, str):
                words[name] = value
                continue
            forms = {name: self.know(value)}
            if name.endswith("reason"):
                forms[f"{name}s"] = conjugated(forms[name])
                of_people = conjugated(forms[name], is_plural=words.get("people_be") == "are")
                forms[f"they_{name}"] = of_people
            words |= forms
            entries.append((forms.values(), value))
        wording = self.voice.say(key, **words)
        for known, entry in entries:
            if any(form in wording for form in known):
                self.rest_on(("knows", entry.path))
                self._known += 1
        return wording


def conjugated(words: str, *, is_plural: bool = False) -> str:
    """What begins with a verb in its bare form, to follow "somebody", or "people"."""
    verb, space, rest = words.partition(" ")
    if verb == "be":
        verb = "are" if is_plural else "is"
    elif not is_plural:
        if verb.endswith("y") and verb[-2] not in "aeiou":
            verb = f"{verb[:-1]}ies"
        elif verb == "have":
            verb = "has"
        else:
            verb += "es" if verb.endswith(("s", "x", "z", "ch", "sh", "o")) else "s"
    return verb + space + rest


_VERBS = frozenset(("is", "are", "has", "have"))
_RELATIVE = frozenset(("that", "which", "who"))


def _is_sentence(tokens: Sequence[str]) -> bool:
    """Whether a caption has a verb of its own: "a dog is lying down", not "a dog that is lying down"."""
    return any(token in _VERBS and before not in _RELATIVE for before, token in pairwise(tokens))


@lru_cache(maxsize=1 << 14)
def named_in(words: str) -> frozenset[str]:
    """The categories that a few words name."""
    mentions, _ = mentions_in(tokens_of(words), frozenset())
    return frozenset(mentions)


@lru_cache(maxsize=1 << 14)
def _hinted_in(words: str) -> frozenset[str]:
    """The categories that a few words name or hint at: "skiing" hints at skis."""
    return mentions_in(tokens_of(words), frozenset())[1]


def named_places(facts: Facts) -> Counter[str]:
    """The places that captions name, with how many captions do so."""
    return _named_places(_Same(facts))


@lru_cache(maxsize=1)
def _named_places(same: _Same) -> Counter[str]:
    places_in, captions = same.facts.knowledge.places_in, same.facts.captions
    return Counter(place for caption in captions for place in sorted(places_in(caption.tokens)))
