"""What is on disk: the files that users, trainers and other tools read. Imports nothing of ours.

- `llava`: the instruction and alignment sets
- `run`: the other files of a run's folder, and recorded replies
- `pack`: pack.toml

`python -m schemas DIR` writes the JSON Schema of each.
"""

from schemas.llava import LlavaMessage, LlavaRecord
from schemas.pack import PackToml, ResponseTypeToml
from schemas.run import Accounting, InputFile, OutputFile, RecordedReply, Rejection, RunManifest

__all__ = [
    "Accounting",
    "InputFile",
    "LlavaMessage",
    "LlavaRecord",
    "OutputFile",
    "PackToml",
    "RecordedReply",
    "Rejection",
    "ResponseTypeToml",
    "RunManifest",
]
