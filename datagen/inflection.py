"""The engine of `inflect`: plurals, singulars, articles."""

from functools import cache
from typing import Any
from unittest.mock import patch


@cache
def engine() -> Any:
    """The one engine there is, without the checks of its arguments' types.

    As it is imported, `inflect` has typeguard compile the whole of it again for each function to check: two
    seconds of every command. What it is given here is text already.
    """
    with patch("typeguard.typechecked", lambda function: function):
        import inflect
    return inflect.engine()
