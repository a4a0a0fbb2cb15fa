"""Teachers: whatever answers a request. One protocol, one file per teacher, chosen by name.

Adding one: a class with the members of LocalTeacher or RemoteTeacher in a file here, a line in
`make_teacher`, a test in tests/datagen/teacher/ that runs it through the pipeline.
"""

from datagen.teacher.protocol import (
    TEACHERS,
    Answered,
    LocalTeacher,
    RemoteTeacher,
    Teacher,
    TeacherFailure,
    TeacherRetry,
    TeacherStopped,
    make_teacher,
)
from datagen.teacher.retries import retrying

__all__ = [
    "TEACHERS",
    "Answered",
    "LocalTeacher",
    "RemoteTeacher",
    "Teacher",
    "TeacherFailure",
    "TeacherRetry",
    "TeacherStopped",
    "make_teacher",
    "retrying",
]
