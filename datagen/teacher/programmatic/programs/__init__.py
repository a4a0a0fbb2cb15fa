"""The programs, by what they ask about. Importing this package registers them all."""

from datagen.teacher.programmatic.programs import (
    choice,
    content,
    counting,
    description,
    existence,
    inference,
    places,
    referring,
    relations,
    reports,
    zones,
)

__all__ = [
    "choice",
    "content",
    "counting",
    "description",
    "existence",
    "inference",
    "places",
    "referring",
    "relations",
    "reports",
    "zones",
]
