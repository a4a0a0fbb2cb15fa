"""The engine of `inflect`: plurals, singulars, articles."""

from functools import cache
from typing import Any

import typeguard


@cache
def engine() -> Any:
    """The one engine there is, without the checks of its arguments' types.

    As it is imported, `inflect` has typeguard compile the whole of it again for each function to check: two
    seconds of every command. What it is given here is text already.
    """
    typechecked = typeguard.typechecked
    typeguard.typechecked = lambda function: function  # type: ignore[assignment]
    try:
        import inflect
    finally:
        typeguard.typechecked = typechecked
    return inflect.engine()
