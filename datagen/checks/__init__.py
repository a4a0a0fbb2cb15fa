"""Checks of a parsed sample: each returns why the sample is rejected, or None to keep it.

Adding one: a function from turns to `Rejected | None` in a file here, a line in `make_checks`, its
name in `schemas.pack.CheckName`, a test in tests/datagen/checks/.
"""

from collections.abc import Callable, Mapping, Sequence

from datagen.checks.format import check_format
from datagen.checks.phrases import PhraseCheck
from datagen.records import InputError, Rejected, Turn

Check = Callable[[Sequence[Turn]], Rejected | None]


def make_checks(names: Sequence[str], word_lists: Mapping[str, Sequence[str]]) -> list[Check]:
    """The named checks, in order.

    Raises InputError, naming the list, for a pattern in it that is not a regular expression.
    """
    makers: dict[str, Callable[[], Check]] = {
        "format": lambda: check_format,
        "refusals": lambda: PhraseCheck("refusal", word_lists["refusals"], answers_only=True),
        "leaks": lambda: PhraseCheck("leak", word_lists["leaks"]),
    }
    checks = []
    for name in names:
        try:
            checks.append(makers[name]())
        except InputError as error:
            raise InputError(f"{name}.txt: {error}") from None
    return checks


__all__ = ["Check", "PhraseCheck", "check_format", "make_checks"]
