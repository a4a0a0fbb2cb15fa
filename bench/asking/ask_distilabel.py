"""distilabel as a contender of bench_asking.py: BODIES CONCURRENCY, in a venv of its own."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from distilabel.models import OpenAILLM  # type: ignore[import-not-found]
from distilabel.pipeline import Pipeline  # type: ignore[import-not-found]
from distilabel.steps import LoadDataFromDicts  # type: ignore[import-not-found]
from distilabel.steps.tasks import ChatGeneration  # type: ignore[import-not-found]


def main() -> None:
    bodies, concurrency = sys.argv[1:]
    requests = [json.loads(line) for line in Path(bodies).read_bytes().splitlines()]
    first = requests[0]
    llm = OpenAILLM(
        model=first["model"],
        generation_kwargs={"temperature": first["temperature"], "max_new_tokens": first["max_tokens"]},
    )
    with Pipeline(name="bench") as pipeline:
        rows = [{"messages": request["messages"]} for request in requests]
        # It asks one batch at a time, all of it at once: a batch is its concurrency.
        load = LoadDataFromDicts(data=rows, batch_size=int(concurrency))
        load >> ChatGeneration(llm=llm, input_batch_size=int(concurrency))
    made = pipeline.run(use_cache=False)["default"]["train"]
    print(len([text for text in made["generation"] if text]))


if __name__ == "__main__":
    main()
