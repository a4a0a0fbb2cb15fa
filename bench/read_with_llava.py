"""Is what we emit read whole by LLaVA's own trainer?

    python bench/read_with_llava.py --llava CHECKOUT --data llava_instruct.json --images DIR
    python bench/read_with_llava.py --llava CHECKOUT --data alignment.json --images DIR --version plain

Every sample goes through the `LazySupervisedDataset` of LLaVA's train.py, unchanged, and all of them
through its collator. Counted are what was read, its "tokenization mismatch" warnings, samples of
which nothing is supervised, and answers whose supervised tokens are the answer and its end mark.

Runs in an environment of its own, since LLaVA needs an old transformers (seen with transformers
4.37.2, tokenizers 0.15.2, sentencepiece 0.2.3, protobuf, accelerate 0.21.0, numpy 1.26.4, torch
2.13.0). The tokenizer is a LLaMA-like one trained here; LLaMA's own is not needed.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

IMAGE_SIZE = 224
# In LLaMA's vocabulary "USER" takes as many pieces after `</s>` as at the start; LLaVA counts on it.
USER_LINES = ["1USER 2US"] * 4000


def tokenizer_for(texts: list[str], folder: str) -> Any:
    """A LLaMA-like sentencepiece tokenizer: BPE, byte fallback, a dummy prefix, no normalisation."""
    import sentencepiece
    from transformers import LlamaTokenizer

    corpus, model = Path(folder, "corpus.txt"), Path(folder, "model")
    lines = [line for text in texts for line in text.split("\n") if line]
    corpus.write_text("\n".join([*lines, *USER_LINES]), encoding="utf-8")
    sentencepiece.SentencePieceTrainer.train(
        input=str(corpus), model_prefix=str(model), model_type="bpe", vocab_size=2000, unk_id=0, bos_id=1,
        eos_id=2, pad_id=-1, byte_fallback=True, split_digits=True, normalization_rule_name="identity",
        remove_extra_whitespaces=False, minloglevel=2, max_sentence_length=20000, hard_vocab_limit=False,
    )  # fmt: skip
    tokenizer = LlamaTokenizer(f"{model}.model", legacy=True, model_max_length=2048, padding_side="right")
    tokenizer.pad_token = tokenizer.unk_token
    return tokenizer


def supervised_spans(ids: list[int], labels: list[int], ignored: int) -> list[list[int]]:
    spans: list[list[int]] = [[]]
    for token, label in zip(ids, labels, strict=True):
        if label == ignored:
            spans.append([])
        else:
            assert token == label, "a label that is not its token"
            spans[-1].append(token)
    return [span for span in spans if span]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--llava", type=Path, required=True, help="a checkout of haotian-liu/LLaVA")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument(
        "--version", default="v1", choices=["v1", "plain"], help="LLaVA's conversation format"
    )
    options = parser.parse_args()
    sys.path.insert(0, str(options.llava))
    from llava import conversation
    from llava.constants import IGNORE_INDEX
    from llava.train import train
    from transformers import CLIPImageProcessor

    records = json.loads(options.data.read_text(encoding="utf-8"))
    conversation.default_conversation = conversation.conv_templates[options.version]
    end = "\n" if options.version == "plain" else "</s>"
    with tempfile.TemporaryDirectory() as folder:
        texts = [turn["value"] for record in records for turn in record["conversations"]]
        tokenizer = tokenizer_for(texts, folder)
        arguments = train.DataArguments(
            data_path=str(options.data), lazy_preprocess=True, is_multimodal=True,
            image_folder=str(options.images), image_aspect_ratio="pad",
        )  # fmt: skip
        arguments.mm_use_im_start_end = False
        arguments.image_processor = CLIPImageProcessor(
            size={"shortest_edge": IMAGE_SIZE}, crop_size={"height": IMAGE_SIZE, "width": IMAGE_SIZE}
        )
        module = train.make_supervised_data_module(tokenizer, arguments)
        counts: Counter[str] = Counter()
        samples = []
        for number, record in enumerate(records):
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                sample = module["train_dataset"][number]
            samples.append(sample)
            counts["read"] += 1
            counts["mismatch warnings"] += printed.getvalue().count("tokenization mismatch")
            counts["with an image"] += tuple(sample["image"].shape) == (3, IMAGE_SIZE, IMAGE_SIZE)
            spans = supervised_spans(sample["input_ids"].tolist(), sample["labels"].tolist(), IGNORE_INDEX)
            counts["with nothing supervised"] += not spans
            answers = [turn["value"] for turn in record["conversations"] if turn["from"] == "gpt"]
            counts["answers"] += len(answers)
            decoded = [tokenizer.decode(span).strip() for span in spans]
            counts["answers supervised exactly"] += sum(
                got == f"{answer}{end}".strip() for got, answer in zip(decoded, answers, strict=False)
            )
        for first in range(0, len(samples), 16):
            module["data_collator"](samples[first : first + 16])
            counts["batches"] += 1
    for what, count in counts.items():
        print(f"{count:>8,} {what}")
    whole = counts["read"] == counts["with an image"] == len(records)
    exact = counts["answers"] == counts["answers supervised exactly"]
    if not (whole and exact) or counts["mismatch warnings"] or counts["with nothing supervised"]:
        sys.exit("not read whole")


if __name__ == "__main__":
    main()
