"""The embedded teacher: programs that write instruction data from annotations by rule.

`facts.py` settles what may be said; `conversation.py`, `detail.py` and `reasoning.py` hold the
programs of each response type; `voice.py` words them. The text they draw on is in the `.toml` files.
"""

from datagen.teacher.programmatic.teacher import PROGRAMS_VERSION, ProgrammaticTeacher, weights_of
from datagen.teacher.programmatic.voice import check_phrasings

__all__ = ["PROGRAMS_VERSION", "ProgrammaticTeacher", "check_phrasings", "weights_of"]
