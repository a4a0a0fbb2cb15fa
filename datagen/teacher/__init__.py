"""Teachers: whatever answers a request. One protocol, one file per teacher, chosen by name.

Adding one: a class with the protocol's members in a file here, a line in `make_teacher`, a test
in tests/datagen/teacher/ that runs it through the pipeline.
"""

from datagen.teacher.protocol import (
    TEACHERS,
    Teacher,
    TeacherFailure,
    TeacherStopped,
    make_teacher,
)

__all__ = ["TEACHERS", "Teacher", "TeacherFailure", "TeacherStopped", "make_teacher"]
