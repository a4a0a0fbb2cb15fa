"""What the engine of inflect does not cost."""

import subprocess
import sys

SCRIPT = """
import typeguard
checks = typeguard.typechecked
from datagen.inflection import engine
print(engine().plural_noun("dog"), engine() is engine(), typeguard.typechecked is checks)
print("typeguard" in type(engine()).plural_noun.__code__.co_names)
"""


def test_the_engine_is_loaded_without_typeguard_compiling_it_again() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert done.stdout == "dogs True True\nFalse\n"
