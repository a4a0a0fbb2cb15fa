"""From a raw reply to the turns that may be kept, and why the others may not."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from datagen.checks import (
    Checked,
    Evidence,
    Fault,
    TypeChecks,
    dropped_with,
    evidence_of,
    forbidden_check,
    make_vocabulary,
    phrase_check,
)
from datagen.parsing import parse_reply, reply_text
from datagen.prompting import Pack
from datagen.records import ImageAnnotation, InputError, Rejected, Turn
from schemas.llava import IMAGE_TOKEN

Checking = Literal["off", "flag", "enforce"]

_FAULTS_TOLD = 3
# Images whose evidence is kept: some 50 MB, and enough for a set of that many images to be read once.
_IMAGES_KEPT = 8192


class Dropped(NamedTuple):
    """A turn of a sample that is kept without it."""

    at: int
    """Which of the reply's turns, from 0; the one after the last for one that was cut off."""
    turn: Turn
    why: Rejected


@dataclass(frozen=True, slots=True)
class Judged:
    """A reply that could be read: its turns, what was found, and what is left of it."""

    turns: tuple[Turn, ...]
    """As the teacher wrote them."""
    checked: tuple[Checked, ...]
    """What each turn was found to be; empty where nothing is checked."""
    kept: tuple[int, ...]
    """Which turns are kept, from 0."""
    dropped: tuple[Dropped, ...]
    rejected: Rejected | None
    """Why nothing is kept."""

    @property
    def kept_turns(self) -> tuple[Turn, ...]:
        return tuple(self.turns[at] for at in self.kept)


class Judge:
    """Parses a reply and puts it through its type's checks, as the pack says.

    `categories` are those of the annotations. With `checking` at `flag` nothing that can be trained
    on is rejected, and at `off` nothing is looked at. Raises InputError for a pack whose lists
    cannot be read, naming the file in it.
    """

    def __init__(self, pack: Pack, categories: Collection[str], checking: Checking = "enforce") -> None:
        self.pack = pack
        self.checking = checking
        self.vocabulary = make_vocabulary(pack.files, categories)
        self._checks = {
            response_type.name: TypeChecks(
                response_type.checks,
                pack.word_lists,
                self.vocabulary,
                pack.frame,
                response_type.reject,
                may_speculate=response_type.may_speculate,
            )
            for response_type in pack.types.values()
        }
        self._known: dict[int, tuple[ImageAnnotation, Evidence]] = {}
        self._refusal = phrase_check("refusals", pack.word_lists)

    def reply(
        self,
        response_type: str,
        body: str,
        is_chat_completion: bool,
        question: str | None,
        annotation: ImageAnnotation | None,
    ) -> Judged | Rejected:
        """Judge a raw reply about an image; Rejected where it cannot be read.

        Without the annotation, by form alone.
        """

        def known() -> Evidence | None:
            return self.evidence(annotation) if annotation is not None else None

        text = reply_text(body, is_chat_completion)
        if isinstance(text, Rejected):
            return text
        settings = self.pack.types[response_type]
        parsed = parse_reply(*text, settings.reply_form, question)
        if isinstance(parsed, Rejected):
            # A refusal is in no form; it is to be counted as what it is.
            if "refusals" in settings.checks and (refusal := self._refusal(Turn("", text[0]))):
                return Rejected("checks", refusal.reason, refusal.told(1))
            return parsed
        judged = self.turns(response_type, parsed.turns, known, question_is_drawn=question is not None)
        if parsed.cut_off and not judged.rejected:
            detail = f"turn {len(parsed.turns) + 1}: the reply hit its token limit"
            cut_off = Dropped(len(parsed.turns), parsed.cut_off, Rejected("parsing", "cut_off", detail))
            return dataclasses.replace(judged, dropped=(*judged.dropped, cut_off))
        return judged

    def evidence(self, annotation: ImageAnnotation) -> Evidence:
        """What is known of an image. Its samples come one type after another, so it is kept for a while."""
        known = self._known.pop(annotation.image_id, None)
        if known is None or known[0] != annotation:
            known = (annotation, evidence_of(annotation, self.vocabulary))
        self._known[annotation.image_id] = known
        if len(self._known) > _IMAGES_KEPT:
            del self._known[next(iter(self._known))]
        return known[1]

    def turns(
        self,
        response_type: str,
        turns: tuple[Turn, ...],
        evidence: Callable[[], Evidence | None],
        *,
        question_is_drawn: bool,
    ) -> Judged:
        """Judge turns by what is known of their image."""
        # Whatever a pack checks: no trainer could read such a sample.
        for number, turn in enumerate(turns, 1):
            for where, text in zip(("question", "answer"), turn, strict=True):
                if IMAGE_TOKEN in text:
                    why = Rejected("checks", "image_token_in_text", f"{where} {number}")
                    return Judged(turns, (), (), (), why)
        everything = tuple(range(len(turns)))
        if self.checking == "off":
            return Judged(turns, (), everything, (), None)
        checks = self._checks[response_type]
        known = evidence() if checks.needs_evidence else None
        checked = tuple(checks(turns, known, question_is_drawn=question_is_drawn))
        unfit = {at: _why(each.faults, at + 1) for at, each in enumerate(checked) if each.faults}
        policy = self.pack.types[response_type].on_reject
        if not unfit or self.checking == "flag" or policy == "flag":
            return Judged(turns, checked, everything, (), None)
        if policy != "drop_turn" or len(unfit) == len(turns):
            return Judged(turns, checked, (), (), _together(unfit))
        for at in dropped_with(turns, unfit, self.vocabulary):
            unfit[at] = Rejected(
                "checks", "refers_to_dropped_turn", f"turn {at + 1} refers back to turn {at}"
            )
        if len(unfit) == len(turns):
            return Judged(turns, checked, (), (), _together(unfit))
        kept = tuple(at for at in everything if at not in unfit)
        dropped = tuple(Dropped(at, turns[at], unfit[at]) for at in sorted(unfit))
        return Judged(turns, checked, kept, dropped, None)


def _why(faults: Sequence[Fault], number: int) -> Rejected:
    """The first fault's reason, and the particulars of the first few that have it."""
    reason = faults[0].reason
    told = dict.fromkeys(fault.told(number) for fault in faults if fault.reason == reason)
    return Rejected("checks", reason, "; ".join(list(told)[:_FAULTS_TOLD]))


def _together(unfit: dict[int, Rejected]) -> Rejected:
    """The first unfit turn's reason, and the particulars of the first few that have it."""
    faults = [unfit[at] for at in sorted(unfit)]
    told = [fault.detail for fault in faults if fault.reason == faults[0].reason]
    return Rejected("checks", faults[0].reason, "; ".join(told[:_FAULTS_TOLD]))


def check_pack(pack: Pack, where: str) -> None:
    """Every seed has to parse and pass the checks of its type that need no image, as a reply would.

    Raises InputError naming the seed and what is wrong with it.
    """
    try:
        judge = Judge(pack, ())
        # Alignment captions are put through these whatever a type checks.
        phrase_check("leaks", pack.word_lists)
        forbidden_check(pack.word_lists)
    except InputError as error:
        raise InputError(f"{where}/{error}") from None
    for response_type in pack.types.values():
        question = response_type.questions[0] if response_type.questions else None
        for seed in response_type.seeds:
            judged = judge.reply(response_type.name, seed.conv, False, question, None)
            wrong = judged if isinstance(judged, Rejected) else judged.rejected
            if wrong is None and isinstance(judged, Judged) and judged.dropped:
                wrong = judged.dropped[0].why
            if wrong is not None:
                raise InputError(
                    f"{where}/{seed.name}_conv.txt: the seed is not a reply that would be kept: "
                    f"{wrong.reason}{': ' if wrong.detail else ''}{wrong.detail} "
                    f"(the type's reply is {response_type.reply_form!r}): change the seed, or the rule"
                )
