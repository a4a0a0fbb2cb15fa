"""Does an answer say what may not be said of this image?"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from datagen.checks.faults import Fault
from datagen.checks.phrases import PhraseCheck
from datagen.records import InputError, Turn

NEVER = re.compile(r"never\s*:\s*", re.IGNORECASE)
"""Begins a line that no caption allows."""
_NEVER_ALONE = re.compile(r"never\b(?!\s*:)", re.IGNORECASE)
_YES = re.compile(r"\W*(?:yes|yeah|yep|indeed)\b", re.IGNORECASE)
# A question whose verb stands before its subject, and what follows the verb.
_ASKED = re.compile(
    r"(?:^|[.,:;?!]\s*|\b(?:and|but|or|so) )"
    r"(is|are|was|were|has|have|had|can|could|will|would|should|may|might|must)(?:n?['’]t)?\s+(?=([^.?!;]+))",
    re.IGNORECASE,
)


class ForbiddenCheck:
    """Finds an answer with a phrase of forbidden.txt that no caption of the image has words for.

    A line is one of a phrase list, and a caption that matches it allows what matches it; a line that
    begins with `never:` is allowed by nothing. Yes says what its question says.
    Raises InputError for a line that cannot be read.
    """

    def __init__(self, lines: Sequence[str]) -> None:
        never: list[str] = []
        unless_said: list[str] = []
        for line in lines:
            if _NEVER_ALONE.match(line):
                raise InputError(
                    f"{line!r}: 'never' must be followed by a colon; a phrase that begins with the word "
                    "is written as an expression, re:\\bnever ..."
                )
            mark = NEVER.match(line)
            if mark and not line[mark.end() :]:
                raise InputError(f"{line!r} must be followed by a phrase, or by re: and an expression")
            if mark:
                never.append(line[mark.end() :])
            else:
                unless_said.append(line)
        self._never = PhraseCheck("forbidden", never)
        self._unless_said = PhraseCheck("forbidden", unless_said)

    def __call__(self, turn: Turn, captions: Iterable[str] | None) -> list[Fault]:
        """What is forbidden in a turn. Where captions are not known, only what is never allowed."""
        faults = _faults(self._never, turn)
        if captions is not None and (unless_said := _faults(self._unless_said, turn)):
            allowed = {rule for caption in captions for rule in self._unless_said.rules_in(caption)}
            faults += [fault for fault in unless_said if fault.rule not in allowed]
        return faults

    def may_never_say(self, text: str) -> bool:
        """Whether nothing allows a text, were it a caption itself."""
        return bool(self._never.rules_in(text))


def _faults(check: PhraseCheck, turn: Turn) -> list[Fault]:
    """The lines of a list that an answer breaks; after Yes, those of its question and its statement, too.

    Yes to "Is the heart enlarged?" says that the heart is enlarged.
    """
    if not _YES.match(turn.answer):
        return list(check.faults(Turn("", turn.answer)))
    faults = list(check.faults(turn))
    broken = {fault.rule for fault in faults}
    for verb, statement in _statements(turn.question):
        for rule, words in check.matches(statement):
            # Without the verb, the question has the words too, or a statement tore them from what
            # allows them, as in "seen from is above".
            if rule not in broken and verb in words.lower().split():
                broken.add(rule)
                faults.append(Fault("forbidden", rule, "question", f"{words!r} (rule: {rule})"))
    return faults


def _statements(question: str) -> Iterator[tuple[str, str]]:
    """What a question asks as statements, each with its verb.

    Where the subject ends is not known, so the verb is put after each word.
    """
    for asked in _ASKED.finditer(question):
        verb, words = asked[1].lower(), asked[2].split()
        for at in range(1, len(words)):
            yield verb, " ".join([*words[:at], verb, *words[at:]])
