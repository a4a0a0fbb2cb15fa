"""The embedded teacher: programs that write instruction data from annotations by rule.

`captions.py` and `scene.py` read captions, `facts.py` settles what may be said; `programs/` say it, a
question or a sentence each; `conversation.py`, `detail.py` and `reasoning.py` put them together;
`voice.py` words them with the pack's phrasings. docs/programs.md describes the whole.
"""

from datagen.teacher.programmatic.teacher import PROGRAMS_VERSION, ProgrammaticTeacher, weights_of
from datagen.teacher.programmatic.voice import check_phrasings

__all__ = ["PROGRAMS_VERSION", "ProgrammaticTeacher", "check_phrasings", "weights_of"]
