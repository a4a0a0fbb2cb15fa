"""Response types that are written down and not programmed: the turns of `<type>/dialogues.toml`.

A file has topics, each with the turns that belong together; a topic says what an image must show or
its captions say. Wordings are read as those of phrasings/, and whatever is asked of the image beyond
them is left to programs, so that its evidence is theirs.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from datagen.records import InputError
from datagen.teacher.programmatic.captions import tokens_of
from datagen.teacher.programmatic.detail import names_in
from datagen.teacher.programmatic.facts import Facts, Kind
from datagen.teacher.programmatic.knowledge import Knowledge, read_knowledge
from datagen.teacher.programmatic.registry import IDLE, Fact, Program, Said, all_programs
from datagen.teacher.programmatic.voice import (
    Parts,
    Phrasing,
    Voice,
    compiled,
    read_parts,
    slots_of,
    with_part,
)
from datagen.teacher.programmatic.words import CATEGORIES, Noun, capital
from schemas.dialogues import DialoguesToml, DialogueTopicToml

FILE = "dialogues.toml"
TRIES = 6
"""How much of what a program says is looked at for something that fits."""
_OF_A_THING = frozenset(("thing", "things", "a_thing", "the", "be", "do"))
_OF_A_WORD = frozenset(("word",))
# What a question asks, by its first word where it asks so of one thing: "place dog".
_OF_ONE_THING = frozenset(
    ("presence", "count", "place", "attribute", "doing", "wearing", "holding", "state", "grouping", "half")
)
_OF_THE_WHOLE = frozenset(("content", "content_again", "setting", "listing", "largest"))
_Loc = tuple[int | str, ...]
_Wrong = Callable[[_Loc, str], InputError]

Part = tuple[str, Said, tuple[str, ...]]
"""What was said, under which name it stands in the evidence, in which phrasings."""


@dataclass(frozen=True, slots=True)
class _Turn:
    key: str
    """Where its wordings stand: "safety.knife.decline.1"."""
    question: tuple[Phrasing, ...]
    """Empty where programs ask."""
    answer: tuple[Phrasing, ...]
    programs: tuple[Program, ...]
    adds: tuple[Program, ...]


@dataclass(frozen=True, slots=True)
class _Topic:
    name: str
    """ "safety.knife"."""
    shows: frozenset[str] | None
    """Categories, groups and traits; None where it is no matter what is shown."""
    says: tuple[tuple[str, ...], ...]
    """As tokens."""
    says_not: tuple[tuple[str, ...], ...]
    turns: Mapping[str, tuple[_Turn, ...]]
    """By kind."""


@dataclass(frozen=True, slots=True)
class Dialogues:
    """All that is written down for one response type."""

    turns: tuple[int, ...]
    topics: tuple[_Topic, ...]


@dataclass(frozen=True, slots=True)
class _Match:
    """What of an image fulfils a topic's conditions."""

    slots: Mapping[str, str]
    facts: tuple[Fact, ...] = ()
    boxes: tuple[int, ...] = ()
    captions: tuple[int, ...] = ()
    category: str | None = None


# Reading the files


def read_dialogues(files: Mapping[str, str]) -> Mapping[str, Dialogues]:
    """The dialogues among a pack's files, by response type.

    Raises InputError naming the file, the line and what is wrong there.
    """
    knowledge, parts = read_knowledge(files), read_parts(files)
    return {
        path.removesuffix(f"/{FILE}"): _read(path, text, knowledge, parts)
        for path, text in files.items()
        if path.endswith(f"/{FILE}")
    }


def _read(path: str, text: str, knowledge: Knowledge, parts: Parts) -> Dialogues:
    def wrong(loc: _Loc, problem: str) -> InputError:
        return InputError(f"{path}, line {_line_of(loc, text)}: {_spoken(loc)}: {problem}")

    try:
        file = DialoguesToml.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path}: not valid TOML: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        problem = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            problem = "no such key here: check its spelling"
        raise wrong(first["loc"], problem) from None

    for name, wordings in file.parts.items():
        try:
            parts = with_part(name, wordings, parts)
        except ValueError as error:
            raise wrong(("parts", name), str(error)) from None
    kinds = list(dict.fromkeys(turn.kind for topic in file.topic.values() for turn in topic.turn))
    known = _known_names(knowledge)
    topics = []
    for name, topic in file.topic.items():
        loc: _Loc = ("topic", name)
        for kind in kinds:
            if not any(turn.kind == kind for turn in topic.turn):
                problem = (
                    f"has no turn of the kind {kind!r}, as others have" if kind else "has a turn without kind"
                )
                raise wrong(loc, f"{problem}: a sample has as many of one kind as of another")
        for number, shown in enumerate(topic.shows or ()):
            if shown not in known:
                raise wrong(
                    (*loc, "shows", number),
                    f"no category, group or trait {shown!r}: check its spelling; a category of your own is "
                    f'known once knowledge.toml has [things."{shown}"]',
                )
        topics.append(_topic(path.removesuffix(f"/{FILE}"), name, topic, parts, wrong))
    return Dialogues(tuple(file.turns), tuple(topics))


def _topic(response_type: str, name: str, topic: DialogueTopicToml, parts: Parts, wrong: _Wrong) -> _Topic:
    slots = (_OF_A_THING if topic.shows else frozenset()) | (_OF_A_WORD if topic.says else frozenset())
    turns: dict[str, list[_Turn]] = {}
    for number, turn in enumerate(topic.turn):
        loc: _Loc = ("topic", name, "turn", number)
        wordings: dict[str, tuple[Phrasing, ...]] = {}
        for key, texts in (("question", turn.question), ("answer", turn.answer)):
            read = []
            for at, text in enumerate(texts or ()):
                try:
                    phrasing = compiled(text, parts)
                except ValueError as error:
                    raise wrong((*loc, key, at), str(error)) from None
                if unknown := sorted(slots_of(phrasing) - slots):
                    there = ", ".join(f"<{slot}>" for slot in sorted(slots)) or "no slots"
                    raise wrong((*loc, key, at), f"no slot <{unknown[0]}>; there are {there} for this topic")
                read.append(phrasing)
            wordings[key] = tuple(read)
        programs = {}
        for key, names in (("programs", turn.programs), ("adds", turn.adds)):
            for at, program in enumerate(names or ()):
                there_is = all_programs().get(program)
                if there_is is None or there_is.response_type != "conversation":
                    raise wrong(
                        (*loc, key, at),
                        f"no program {program!r} of conversations: `python -m datagen programs` lists all",
                    )
            programs[key] = tuple(all_programs()[program] for program in names or ())
        kind = turn.kind or ""
        own = turns.setdefault(kind, [])
        key = ".".join(filter(None, (response_type, name, kind, str(len(own) + 1))))
        own.append(
            _Turn(key, wordings["question"], wordings["answer"], programs["programs"], programs["adds"])
        )
    return _Topic(
        f"{response_type}.{name}",
        frozenset(topic.shows) if topic.shows else None,
        tuple(tuple(tokens_of(words)) for words in topic.says or ()),
        tuple(tuple(tokens_of(words)) for words in topic.says_not or ()),
        {kind: tuple(own) for kind, own in turns.items()},
    )


def _known_names(knowledge: Knowledge) -> Collection[str]:
    groups = {entry.noun.group for entry in CATEGORIES.values() if entry.noun.group}
    return groups | CATEGORIES.keys() | knowledge.things.keys() | knowledge.traits.keys()


def _spoken(loc: _Loc) -> str:
    """ "topic.knife.turn 2, question 3"."""
    said = ""
    for each in loc:
        said += f" {each + 1}" if isinstance(each, int) else f"{'.' if said else ''}{each}"
    return said or "the file"


def _line_of(loc: _Loc, text: str) -> int:
    """The line where a key stands, or else the last of what leads to it."""
    lines = text.split("\n")
    at = 0

    def find(pattern: str, times: int = 1) -> None:
        nonlocal at
        for number in range(at, len(lines)):
            if re.match(pattern, lines[number]):
                times -= 1
                if not times:
                    at = number
                    return

    match loc:
        case ("topic", str(name), "turn", int(number), *rest):
            find(rf"\s*\[\[\s*topic\.\"?{re.escape(name)}\"?\.turn\s*\]\]", number + 1)
        case ("topic", str(name), *rest):
            find(rf"\s*\[?\[\s*topic\.\"?{re.escape(name)}\"?\s*[].]")
        case ("parts", *rest):
            find(r"\s*\[\s*parts\s*\]")
        case _:
            rest = list(loc)
    if rest:
        find(rf"\s*{re.escape(str(rest[0]))}\s*=")
    if len(rest) > 1 and isinstance(rest[1], int) and not lines[at].rstrip().endswith("]"):
        # Of a list over several lines, one string a line.
        at += 1 + rest[1] if at + 1 + rest[1] < len(lines) else 0
    return at + 1


# Writing


def dialogue(
    dialogues: Dialogues,
    facts: Facts,
    captions: Sequence[str],
    voice: Voice,
    weights: Mapping[Program, float],
) -> list[Part]:
    """The turns of one sample, topic by topic; empty where no topic fits the image."""
    tokens = [tuple(tokens_of(caption)) for caption in captions]
    wanted = voice.pick(dialogues.turns)
    written: list[Part] = []
    # What is about the image in particular goes before what fits any image.
    topics = sorted(voice.shuffled(dialogues.topics), key=lambda topic: not (topic.shows or topic.says))
    for topic in topics:
        if len(written) >= wanted:
            break
        of_topic = voice.of(topic.name)
        for match in _matches(topic, facts, tokens, of_topic):
            if turns := _written(topic, match, facts, of_topic, weights):
                written += turns
                break
    return written


def _written(
    topic: _Topic, match: _Match, facts: Facts, voice: Voice, weights: Mapping[Program, float]
) -> list[Part]:
    """A turn of each kind about what was found; empty where one of them has nothing to say."""
    before = set(voice.known)
    written = []
    for kind in voice.shuffled(topic.turns):
        for turn in voice.shuffled(topic.turns[kind]):
            part = _worded(turn, kind, match, facts, voice, weights)
            if part is not None:
                written.append(part)
                break
        else:
            voice.known.clear()
            voice.known.update(before)
            return []
    return written


def _worded(
    turn: _Turn, kind: str, match: _Match, facts: Facts, voice: Voice, weights: Mapping[Program, float]
) -> Part | None:
    name = turn.key.rpartition(".")[0]
    voice.drop_said()
    if turn.programs:
        said = _by_program(turn.programs, match, facts, voice, weights)
        return None if said is None else (name, _briefly(said, kind), voice.take_said())
    question = voice.fill(f"{turn.key}.question", turn.question, match.slots)
    answer = voice.fill(f"{turn.key}.answer", turn.answer, match.slots)
    phrasings = voice.take_said()
    said = Said(answer, match.facts, question, kind, match.boxes, match.captions)
    added = _by_program(turn.adds, match, facts, voice, weights)
    if added is not None:
        said = Said(
            f"{answer} {capital(added.answer)}",
            tuple(dict.fromkeys((*match.facts, *added.facts))),
            question,
            kind,
            tuple(dict.fromkeys((*match.boxes, *added.boxes))),
            tuple(dict.fromkeys((*match.captions, *added.captions))),
        )
        phrasings += voice.take_said()
    return name, said, phrasings


def _briefly(said: Said, kind: str) -> Said:
    """A program's turn, counted as one of its kind."""
    return Said(said.answer, said.facts, said.question, kind or said.brief, said.boxes, said.captions)


def _by_program(
    programs: Sequence[Program], match: _Match, facts: Facts, voice: Voice, weights: Mapping[Program, float]
) -> Said | None:
    """What one of the programs asks of the topic's thing, if it is in view of one, and was not said yet."""
    for program in voice.shuffled(programs):
        if not weights.get(program):
            continue
        source = program.write(facts, voice.of(f"{match.category or ''}/{program.name}"))
        for _ in range(TRIES):
            voice.take_said()
            said = next(source, None)
            if said is None:
                break
            if said is IDLE or voice.knows(said.asks) or not _is_about(said, match):
                continue
            voice.known.update(said.asks | said.tells)
            return said
    return None


def _is_about(said: Said, match: _Match) -> bool:
    """Whether it asks of the thing that was found, or of nothing in particular."""
    if match.category is None or not _OF_THE_WHOLE.isdisjoint(said.asks):
        return True
    parts = [ask.partition(" ") for ask in said.asks]
    asked = {thing for what, _, thing in parts if what in _OF_ONE_THING}
    return match.category in asked or not asked


def _matches(
    topic: _Topic, facts: Facts, captions: Sequence[tuple[str, ...]], voice: Voice
) -> Iterator[_Match]:
    """Whatever fulfils a topic's conditions, in random order."""
    if any(_find(words, captions) for words in topic.says_not):
        return
    word: dict[str, str] = {}
    said: tuple[Fact, ...] = ()
    numbers: tuple[int, ...] = ()
    if topic.says:
        for words in voice.shuffled(topic.says):
            if (number := _find(words, captions)) is not None:
                text = " ".join(words)
                word, said, numbers = {"word": text}, (("word", number, text),), (number,)
                break
        else:
            return
    if topic.shows is None:
        yield _Match(word, said, (), numbers)
        return
    names = _names(facts)
    for kind in voice.shuffled(facts.kinds):
        if _is_one_of(kind.noun, topic.shows, facts.knowledge) and (number_fact := _number(kind)):
            noun, is_one = names.get(kind.category, kind.noun), number_fact[0] == "count"
            slots = word | _slots(noun, is_one=is_one or noun.form == "mass")
            yield _Match(slots, (number_fact, *said), kind.boxes, numbers, kind.category)
    for noun, spoken in voice.shuffled(facts.spoken_of):
        if _is_one_of(noun, topic.shows, facts.knowledge):
            slots = word | _slots(noun, is_one=spoken == noun.one and noun.form != "plural")
            yield _Match(slots, (("spoken", noun.category), *said), (), numbers, noun.category)


def _names(facts: Facts) -> Mapping[str, Noun]:
    """What captions call the only thing of a category; a person whom they call two things stays a person."""
    names = dict(names_in(facts, facts.captions[0])) if facts.captions else {}
    if person := names.get("person"):
        called = {told.head for told in facts.told if told.head in CATEGORIES["person"].kinds}
        if not called <= {person.singular}:
            del names["person"]
    return names


def _is_one_of(noun: Noun, names: Collection[str], knowledge: Knowledge) -> bool:
    about = knowledge.things.get(noun.category)
    traits = about.traits if about is not None else ()
    return noun.category in names or noun.group in names or any(trait in names for trait in traits)


def _number(kind: Kind) -> Fact | None:
    """That there is one, or that there are several; None where even that is open."""
    if kind.noun.form != "count" or kind.is_group:
        return ("present", kind.category)
    if kind.count == 1:
        return ("count", kind.category, 1)
    return ("several", kind.category) if kind.is_several else None


def _slots(noun: Noun, *, is_one: bool) -> dict[str, str]:
    return {
        "thing": noun.singular,
        "things": noun.plural,
        "a_thing": noun.one,
        "the": f"the {noun.singular if is_one else noun.plural}",
        "be": "is" if is_one else "are",
        "do": "does" if is_one else "do",
    }


def _find(words: tuple[str, ...], captions: Sequence[tuple[str, ...]]) -> int | None:
    """The first caption, counted from 1, with these words in a row."""
    for number, tokens in enumerate(captions, 1):
        if any(tokens[at : at + len(words)] == words for at in range(len(tokens) - len(words) + 1)):
            return number
    return None
