"""data-designer as a contender of bench_asking.py: BODIES CONCURRENCY, in a venv of its own.

It knows a system prompt and one prompt, so the worked examples go into the prompt.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pandas  # type: ignore[import-untyped]
from data_designer import config  # type: ignore[import-not-found]
from data_designer.interface import DataDesigner  # type: ignore[import-not-found]


def main() -> None:
    bodies, concurrency = sys.argv[1:]
    requests = [json.loads(line) for line in Path(bodies).read_bytes().splitlines()]
    first = requests[0]
    rows = [
        {
            "system": request["messages"][0]["content"],
            "prompt": "\n\n".join(message["content"] for message in request["messages"][1:]),
        }
        for request in requests
    ]
    model = config.ModelConfig(
        alias="teacher",
        model=first["model"],
        provider="bench",
        inference_parameters=config.ChatCompletionInferenceParams(
            temperature=first["temperature"],
            max_tokens=first["max_tokens"],
            max_parallel_requests=int(concurrency),
        ),
    )
    provider = config.ModelProvider(
        name="bench", endpoint=os.environ["OPENAI_BASE_URL"], api_key="OPENAI_API_KEY"
    )
    designer = DataDesigner("artifacts", model_providers=[provider])
    designer.set_run_config(
        config.RunConfig(otel_metrics_port=None, jinja_rendering_engine=config.JinjaRenderingEngine.NATIVE)
    )
    builder = config.DataDesignerConfigBuilder(model_configs=[model])
    builder.with_seed_dataset(config.DataFrameSeedSource(df=pandas.DataFrame(rows)))
    builder.add_column(
        config.LLMTextColumnConfig(
            name="text", model_alias="teacher", system_prompt="{{ system }}", prompt="{{ prompt }}"
        )
    )
    made = designer.create(builder, num_records=len(rows)).load_dataset()
    print(int(made["text"].astype(bool).sum()))


if __name__ == "__main__":
    main()
