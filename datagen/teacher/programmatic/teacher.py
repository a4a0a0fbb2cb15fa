"""The teacher that writes samples from the annotations by rule, without network or model."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from importlib import resources

import msgspec

from datagen.records import CategoryStatistics, InputError, ReplyForm, TeacherReply, TeacherRequest, Turn
from datagen.teacher.programmatic.conversation import converse
from datagen.teacher.programmatic.detail import describe
from datagen.teacher.programmatic.dialogues import Part, dialogue, read_dialogues
from datagen.teacher.programmatic.facts import Facts, facts_of
from datagen.teacher.programmatic.knowledge import Knowledge, read_knowledge
from datagen.teacher.programmatic.reasoning import reason
from datagen.teacher.programmatic.registry import Program, all_programs
from datagen.teacher.programmatic.voice import Voice, read_phrasings
from datagen.teacher.programmatic.words import capital, read_nouns
from datagen.teacher.protocol import TeacherFailure
from schemas.pack import ProgramsToml

CODE_VERSION = 4
"""Raised with every change to the code that changes a reply."""


def _digest_of_text_files() -> str:
    files = sorted(resources.files(__package__).iterdir(), key=lambda file: file.name)
    texts = [file.read_bytes() for file in files if file.name.endswith(".toml")]
    return sha256(b"\0".join(texts)).hexdigest()[:16]


PROGRAMS_VERSION = f"{CODE_VERSION}-{_digest_of_text_files()}"
"""Part of every key. The text files are there to be edited, so their content counts by itself."""

SHORTEST_DESCRIPTION = 15
"""Words. "The image contains two toilets." is true and no detailed description."""

ZONE_FAMILY = "zone"
"""Of the programs that only packs can use whose knowledge has a [[zone]]."""
OF_NOUNS = frozenset(("finding_check", "ruled_out"))
"""The programs that only packs with a nouns.toml can use."""
RESPONSE_TYPES = ("conversation", "detail", "complex_reasoning")
"""Those with programs of their own; others are written from their dialogues.toml, if they have one."""


def weights_of(settings: ProgramsToml, files: Mapping[str, str] | None = None) -> dict[Program, float]:
    """Every program that a pack of these files can use, with its weight in it.

    Raises InputError where the pack names a program that there is not, or for knowledge that cannot be read.
    """
    return _weights_of(settings, read_knowledge(files or {}))


def _weights_of(settings: ProgramsToml, knowledge: Knowledge) -> dict[Program, float]:
    programs = all_programs()
    for name in settings.weights:
        if name not in programs:
            raise InputError(
                f"pack.toml: [programs.weights] {name}: no such program: "
                "`python -m datagen programs` lists all"
            )
    return {
        program: settings.weights.get(name, program.weight)
        for name, program in programs.items()
        # Left out whole, and not with a weight of 0, for which a number would be drawn: packs without zones
        # are to say what they would say if there were no such programs.
        if program.family != ZONE_FAMILY or knowledge.zones
    }


class ProgrammaticTeacher:
    """Answers from the annotation alone; the same request gets the same reply, in any order.

    `files` are the pack's, by path: its phrasings and its knowledge are read from them. Raises
    InputError for one that cannot be used.
    """

    def __init__(self, settings: ProgramsToml, files: Mapping[str, str]) -> None:
        self.name = "programmatic"
        self.paid = False
        self.reads_messages = False
        self.endpoint: str | None = None
        self._margins = settings.margins
        self._knowledge = read_knowledge(files)
        weights = _weights_of(settings, self._knowledge)
        self._nouns = read_nouns(files)
        if not self._nouns:
            # Left out whole, and not with a weight of 0, for which a number would be drawn: packs without
            # nouns of their own are to say what they would say if there were no such programs.
            weights = {program: weight for program, weight in weights.items() if program.name not in OF_NOUNS}
        self.programs = tuple(weights)
        self._weights = {
            response_type: {
                program: weight
                for program, weight in weights.items()
                if program.response_type == response_type
            }
            for response_type in RESPONSE_TYPES
        }
        self._phrasings = read_phrasings(files)
        self._dialogues = read_dialogues(files)
        self._all_weights = weights
        # The types of an image are asked one after another: its facts are worth keeping that long.
        self._last: tuple[TeacherRequest, Facts] | None = None
        self._statistics: tuple[CategoryStatistics, str] | None = None

    def cannot_answer(self, request: TeacherRequest) -> str | None:
        """Why there is nothing to ask, or None. Where it is None, `ask` has an answer."""
        response_type = request.unit.response_type
        if response_type not in RESPONSE_TYPES and response_type not in self._dialogues:
            return "type_not_written"
        return _shortcoming(response_type, self._written(request)[0])

    def key(self, request: TeacherRequest) -> str:
        """32 hex digits that change with anything that may change the reply."""
        unit = request.unit
        decides = (
            request.annotation,
            request.pack_hash,
            PROGRAMS_VERSION,
            request.seed,
            unit.response_type,
            unit.sample_index,
            request.reply_form,
            request.question,
            request.frame,
            request.vocabulary,
            self._digest(request.statistics),
        )
        return sha256(msgspec.json.encode(decides)).hexdigest()[:32]

    def answer(self, request: TeacherRequest) -> TeacherReply:
        """Writes the sample. Raises TeacherFailure where `cannot_answer` gives a reason."""
        written, unsaid = self._written(request)
        unit = request.unit
        if reason := _shortcoming(unit.response_type, written):
            raise TeacherFailure(reason, f"image {unit.image_id}, type {unit.response_type}")
        turns = [as_turn(parts) for parts in written]
        evidence = msgspec.json.encode({"turns": list(map(_evidence_of, written)), "unsaid": unsaid}).decode()
        return TeacherReply(as_text(turns, request.reply_form), is_chat_completion=False, evidence=evidence)

    def _digest(self, statistics: CategoryStatistics) -> str:
        # The same object for a whole run, and long.
        if self._statistics is None or self._statistics[0] is not statistics:
            self._statistics = (statistics, sha256(msgspec.json.encode(statistics)).hexdigest())
        return self._statistics[1]

    def _written(self, request: TeacherRequest) -> tuple[list[list[Part]], dict[str, int]]:
        """The turns of one sample, each in its parts, and what was left unsaid.

        A part is a whole turn or, of a paragraph, a sentence. Empty where there is nothing to say.
        """
        unit = request.unit
        facts = self._facts(request)
        origin = f"{request.seed}/{unit.image_id}/{unit.response_type}/{unit.sample_index}"
        voice = Voice(self._phrasings, origin, asked=request.question or "")
        voice.unsaid.update(facts.unsaid)
        dialogues = self._dialogues.get(unit.response_type)
        if dialogues is not None:
            captions = request.annotation.captions
            parts = dialogue(dialogues, facts, captions, voice, self._all_weights)
            turns = [[part] for part in parts]
        else:
            turns = self._programmed(unit.response_type, facts, voice)
        return turns, {reason: number for reason, number in sorted(voice.unsaid.items()) if number}

    def _programmed(self, response_type: str, facts: Facts, voice: Voice) -> list[list[Part]]:
        weights = self._weights[response_type]
        if response_type == "conversation":
            turns = [[written] for written in converse(facts, voice, weights)]
        elif response_type == "detail":
            written = describe(facts, voice, weights)
            turns = [written] if written else []
        else:
            reasoned = reason(facts, voice, weights)
            turns = [[reasoned]] if reasoned is not None else []
        return [[(program.name, said, phrasings) for program, said, phrasings in parts] for parts in turns]

    def _facts(self, request: TeacherRequest) -> Facts:
        last = self._last[0] if self._last is not None else None
        if (
            last is None
            or last.annotation is not request.annotation
            or last.statistics is not request.statistics
            or (last.frame, last.vocabulary) != (request.frame, request.vocabulary)
        ):
            facts = facts_of(
                request.annotation,
                request.frame,
                request.vocabulary,
                self._margins,
                request.statistics,
                self._knowledge,
                self._nouns,
            )
            self._last = (request, facts)
        assert self._last is not None
        return self._last[1]


def as_turn(parts: list[Part]) -> Turn:
    """The question of the first part and the answers of all."""
    answer = " ".join(capital(said.answer) for _, said, _ in parts)
    return Turn(capital(parts[0][1].question), answer)


def _evidence_of(parts: list[Part]) -> dict[str, object]:
    return {
        "parts": [
            {
                "program": name,
                "phrasings": phrasings,
                "boxes": said.boxes,
                "captions": said.captions,
                "facts": said.facts,
                "answer": said.brief,
            }
            for name, said, phrasings in parts
        ]
    }


def _shortcoming(response_type: str, turns: list[list[Part]]) -> str | None:
    """Why these turns are no sample, if they are none."""
    if not turns:
        return "nothing_to_say"
    if response_type == "detail" and len(as_turn(turns[0]).answer.split()) < SHORTEST_DESCRIPTION:
        return "too_little_to_say"
    return None


def as_text(turns: list[Turn], form: ReplyForm) -> str:
    """The turns as a reply. An answer alone stands under a question that others choose."""
    if form == "answer":
        # A fixed question asks for no more than an account of the image, so one paragraph is enough.
        return " ".join(turn.answer for turn in turns)
    if form == "json":
        return msgspec.json.encode({"turns": [turn._asdict() for turn in turns]}).decode()
    return "\n===\n".join(f"Question:\n{turn.question}\n===\nAnswer:\n{turn.answer}" for turn in turns)
