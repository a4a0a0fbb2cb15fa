"""Write the JSON Schema of every file format: `python -m schemas docs/schemas`."""

import json
import sys
from pathlib import Path

from pydantic import BaseModel

from schemas import (
    AuditReport,
    LlavaRecord,
    PackToml,
    RecordedReply,
    Rejection,
    RunManifest,
    SampleEvidence,
    SampleVerdict,
)

EXPORTED: dict[str, type[BaseModel]] = {
    "audit": AuditReport,
    "evidence": SampleEvidence,
    "llava_record": LlavaRecord,
    "manifest": RunManifest,
    "pack": PackToml,
    "recorded_reply": RecordedReply,
    "rejection": Rejection,
    "verdict": SampleVerdict,
}


def schema_files() -> dict[str, str]:
    """File name to JSON text, one per format."""
    return {
        f"{name}.schema.json": json.dumps(model.model_json_schema(by_alias=True), indent=2) + "\n"
        for name, model in EXPORTED.items()
    }


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit("usage: python -m schemas DIR")
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in schema_files().items():
        (folder / name).write_text(text, encoding="utf-8")
        print(folder / name)


if __name__ == "__main__":
    main()
