"""Which response type a sample is of: by its id, or guessed by its shape."""

from __future__ import annotations

import re
from functools import lru_cache

from datagen.audit.records import Record
from datagen.dedup import normalised
from datagen.prompting import Pack

LONG_ANSWER = 40
"""Words from which the answer to a lone question is taken for a description or for reasoning."""
_NEARLY = 0.6
"""Words that a question shares with one of the pack's, of all words of both, to be nearly the same."""
_ASKED = 400
"""Characters of a question that are looked at."""
# "Write a detailed description of the given image", "Could you explain what's going on in the picture?"
_TO_DESCRIBE = re.compile(
    r"(?:please )?(?:(?:can|could|would|will) you (?:please )?)?(?:describe|explain|write|provide|give|share|"
    r"offer|clarify|characteri[sz]e|break down|walk (?:me )?through|portray|narrate|analy[sz]e|illustrate|"
    r"examine|elaborate|depict|summari[sz]e|tell me)\b.* "
    r"(?:image|picture|photo|photograph|scene|snapshot|visual)s?\b"
    r"|what (?:do you (?:see|think is (?:going on|happening))|(?:is|s) (?:happening|going on|occurring|"
    r"taking place|this (?:image|picture|photo) about)|are the (?:key|main) elements)\b"
)
_TO_REASON = re.compile(r"\b(?:why|reasons?|purpose|might|may|likely|possible|would)\b")


class ResponseTypes:
    """Tells a sample's response type by its id, or guesses it by its shape."""

    def __init__(self, pack: Pack, given: str | None) -> None:
        self.names = list(pack.types)
        self.given = given
        self.describing = next((each.name for each in pack.types.values() if each.questions), None)
        others = [name for name in self.names if name != self.describing] or self.names
        self.conversing = "conversation" if "conversation" in others else others[0]
        # An optional type is seldom what somebody else's samples are of.
        usual = [each for each in pack.types.values() if not each.optional]
        speculating = (each.name for each in usual if each.may_speculate)
        self.reasoning = next(speculating, self.conversing)
        self._questions = [
            frozenset(normalised(question).split())
            for question in (pack.types[self.describing].questions if self.describing else ())
        ]
        self._asks_to_describe = lru_cache(maxsize=4096)(self._is_instruction)

    def of(self, record: Record) -> tuple[str, bool]:
        """The type, and whether it is a guess."""
        if self.given is not None:
            return self.given, False
        prefix = (record.id or "").partition("-")[0]
        if prefix in self.names:
            return prefix, False
        if len(record.turns) > 1:
            return self.conversing, True
        question, answer = record.turns[0]
        if len(answer.split()) < LONG_ANSWER:
            return self.conversing, True
        if self.describing is not None and self._asks_to_describe(question[:_ASKED]):
            return self.describing, True
        return self.reasoning, True

    def _is_instruction(self, question: str) -> bool:
        asked = normalised(question)
        words = frozenset(asked.split())
        if any(len(words & known) >= _NEARLY * len(words | known) for known in self._questions):
            return True
        return _TO_DESCRIBE.match(asked) is not None and _TO_REASON.search(asked) is None
