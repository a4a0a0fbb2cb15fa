"""What is on disk: the files that users, trainers and other tools read. Imports nothing of ours.

- `llava`: the instruction and alignment sets
- `evidence`: what the embedded teacher's turns rest on
- `run`: the other files of a run's folder, and recorded replies
- `usefulness`: what the manifest says of each set as a whole
- `audit`: the report on LLaVA JSON made elsewhere
- `pack`: pack.toml

`python -m schemas DIR` writes the JSON Schema of each.
"""

from schemas.audit import AuditReport
from schemas.evidence import ProgramReport, SampleEvidence, TurnEvidence
from schemas.llava import LlavaMessage, LlavaRecord
from schemas.pack import PackToml, ProgramsToml, ResponseTypeToml
from schemas.run import (
    Accounting,
    Found,
    InputFile,
    OutputFile,
    RecordedReply,
    Rejection,
    RunManifest,
    SampleVerdict,
    TurnVerdict,
)
from schemas.usefulness import SetReport

__all__ = [
    "Accounting",
    "AuditReport",
    "Found",
    "InputFile",
    "LlavaMessage",
    "LlavaRecord",
    "OutputFile",
    "PackToml",
    "ProgramReport",
    "ProgramsToml",
    "RecordedReply",
    "Rejection",
    "ResponseTypeToml",
    "RunManifest",
    "SampleEvidence",
    "SampleVerdict",
    "SetReport",
    "TurnEvidence",
    "TurnVerdict",
]
