"""Does the text contain a phrase from one of the pack's lists?"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from datagen.checks.faults import Fault
from datagen.records import InputError, Turn

_EXPRESSION = re.compile(r"re\s*:\s*", re.IGNORECASE)
# As a phrase, such a line is found in no text, and its rule would be off without a word.
_SLIP = re.compile(r"re(?![\w-])|never\s*:|never\s+re\b|.*\bre:", re.IGNORECASE)
_SHORTEST_NEEDLE = 3


class PhraseCheck:
    """Finds a turn in which a phrase of a list occurs, and names the phrase.

    A line of the list is a phrase, matched whatever its case and on word boundaries; or `re:` and
    a regular expression, searched whatever its case. White space is single spaces by then.
    Raises InputError for an expression that cannot be compiled, and for a prefix that is none.
    """

    def __init__(self, reason: str, phrases: Sequence[str], *, answers_only: bool = False) -> None:
        self.reason = reason
        self.answers_only = answers_only
        self._rules = [(phrase, _compile(phrase)) for phrase in phrases]
        # A list has many rules and nearly every text breaks none. So a rule is searched for only
        # where the text has the substrings that any match of it must contain.
        self._groups = [needles(pattern) for _, pattern in self._rules]
        self._with_needle: dict[str, list[int]] = {}
        for number, groups in enumerate(self._groups):
            for needle in groups[0] if groups else ():
                self._with_needle.setdefault(needle, []).append(number)
        self._always = [number for number, groups in enumerate(self._groups) if not groups]

    def __call__(self, turn: Turn) -> Fault | None:
        return next(self.faults(turn), None)

    def faults(self, turn: Turn) -> Iterator[Fault]:
        """Every rule that the question breaks, then every rule that the answer breaks."""
        answer = " ".join(turn.answer.split())
        question = "" if self.answers_only else " ".join(turn.question.split())
        rules = self._rules_to_search(f"{question}\n{answer}")
        for where, text in (("question", question), ("answer", answer)):
            for rule, pattern in rules:
                if text and (match := pattern.search(text)):
                    yield Fault(self.reason, rule, where, f"{match[0]!r} (rule: {rule})")  # type: ignore[arg-type]

    def rules_in(self, text: str) -> set[str]:
        """The rules that a text matches."""
        return {rule for rule, _ in self.matches(text)}

    def matches(self, text: str) -> Iterator[tuple[str, str]]:
        """The rules that a text matches, each with the words that do."""
        text = " ".join(text.split())
        for rule, pattern in self._rules_to_search(text):
            if match := pattern.search(text):
                yield rule, match[0]

    def _rules_to_search(self, text: str) -> list[tuple[str, re.Pattern[str]]]:
        """The rules, in order, that may match in the text; all others cannot."""
        folded = text.casefold()
        numbers = set(self._always)
        for needle in [needle for needle in self._with_needle if needle in folded]:
            for number in self._with_needle[needle]:
                others = self._groups[number][1:]
                if all(any(other in folded for other in group) for group in others):
                    numbers.add(number)
        return [self._rules[number] for number in sorted(numbers)]


def _compile(phrase: str) -> re.Pattern[str]:
    if mark := _EXPRESSION.match(phrase):
        expression = phrase[mark.end() :].strip()
        if not expression:
            raise InputError(f"{phrase!r} must be followed by a regular expression")
    elif _SLIP.match(phrase):
        raise InputError(
            f"{phrase!r} would be searched for as it stands: an expression begins with 're:', "
            "and in forbidden.txt a line with 'never:' or 'never: re:'"
        )
    else:
        expression = rf"(?<!\w){re.escape(' '.join(phrase.split()))}(?!\w)"
    try:
        return re.compile(expression, re.IGNORECASE)
    except re.error as error:
        raise InputError(f"{phrase!r} is not a regular expression: {error}") from None


@functools.cache  # each type of a pack has checks of its own, and most of the lists are the same
def needles(pattern: re.Pattern[str]) -> tuple[tuple[str, ...], ...]:
    """Groups of substrings, in lower case: any match must contain one of each group, the rarest first.

    Empty if none is certain. Read from the parsed expression. That parser is Python's own but not a
    public module: without it every rule is searched for, which is slower and finds the same.
    """
    try:
        from re import _parser  # type: ignore[attr-defined]

        return tuple(_certain(_parser.parse(pattern.pattern, pattern.flags)))
    except (ImportError, AttributeError):
        return ()


def _certain(parsed: Iterable[tuple[Any, Any]]) -> list[tuple[str, ...]]:
    """The groups of alternatives that a sequence of parsed operations requires."""
    groups: list[tuple[str, ...]] = []
    run = ""
    for operation, argument in parsed:
        name = str(operation)
        if name == "LITERAL" and argument < 128:
            run += chr(argument).lower()
            continue
        if name in ("AT", "ASSERT", "ASSERT_NOT"):  # \b, ^ and look-arounds take no room
            continue
        groups.append((run,))
        run = ""
        if name == "SUBPATTERN":
            groups += _certain(argument[3])
        elif name in ("MAX_REPEAT", "MIN_REPEAT") and argument[0] >= 1:
            groups += _certain(argument[2])
        elif name == "BRANCH":
            branches = [_certain(branch) for branch in argument[1]]
            if all(branches):
                groups.append(tuple(sorted({needle for branch in branches for needle in branch[0]})))
    groups.append((run,))
    telling = {group for group in groups if all(map(_is_telling, group))}
    # The longer the shortest alternative, the rarer the text that has one.
    return sorted(telling, key=lambda group: (-min(map(len, group)), len(group), group))


def _is_telling(needle: str) -> bool:
    """Whether few texts contain it: several letters, or a mark such as a bracket."""
    return len(needle.strip()) >= _SHORTEST_NEEDLE or any(not c.isalnum() and not c.isspace() for c in needle)
