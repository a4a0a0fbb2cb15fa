"""bespokelabs-curator as a contender of bench_asking.py: BODIES CONCURRENCY, in a venv of its own."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import litellm  # type: ignore[import-not-found]

# It counts tokens with a file that it would download; litellm ships that file.
TOKENIZERS = Path(litellm.__file__).parent / "litellm_core_utils" / "tokenizers"
os.environ["TIKTOKEN_CACHE_DIR"] = str(TOKENIZERS)

from bespokelabs import curator  # type: ignore[import-not-found]  # noqa: E402

NO_LIMIT = 1_000_000_000


class Asker(curator.LLM):  # type: ignore[misc]
    def prompt(self, row: dict[str, Any]) -> Any:
        return row["messages"]

    def parse(self, row: dict[str, Any], response: str) -> dict[str, str]:
        return {"text": response}


def main() -> None:
    bodies, concurrency = sys.argv[1:]
    requests = [json.loads(line) for line in Path(bodies).read_bytes().splitlines()]
    asker = Asker(
        model_name=requests[0]["model"],
        backend="openai",
        generation_params={name: requests[0][name] for name in ("temperature", "max_tokens")},
        backend_params={
            "base_url": os.environ["OPENAI_BASE_URL"],
            "max_concurrent_requests": int(concurrency),
            "max_requests_per_minute": NO_LIMIT,
            "max_tokens_per_minute": NO_LIMIT,
        },
    )
    answered = asker([{"messages": request["messages"]} for request in requests])
    print(len([text for text in answered.dataset["text"] if text]))


if __name__ == "__main__":
    main()
