"""Each start gate lets the right thing through and refuses a planted fault, naming it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.train import factory
from train import gates
from train.collate import Collator
from train.config import ModelConfig, StageConfig
from train.conversation import Encoder, get_format
from train.dataset import DataFile, InstructionData, prepare, read_samples
from train.images import ImageStore
from train.model import build_model, features_per_image, image_size, load_processor
from train.records import IGNORE_INDEX, InputError
from train.stages import set_trainable

STAGE = StageConfig(
    format="vicuna_v1",
    learning_rate=1e-3,
    global_batch_size=2,
    micro_batch_size=2,
    max_length=512,
    precision="fp32",
    gradient_checkpointing=False,
)
RECORDS = [
    {
        "id": "a-1",
        "image": "wide.png",
        "conversations": ["<image>\nWhat is this?", "Noise, nothing but noise."],
    },
    {
        "id": "a-2",
        "image": "tall.png",
        "conversations": ["Is it wide?\n<image>", "No.", "Tall, then?", "Yes, it is."],
    },
    {"id": "a-3", "conversations": ["What is one and one?", "Two."]},
    {
        "id": "a-4",
        "image": "torn.png",
        "conversations": ["<image>\nWhat is in the picture, then?", "Half of it. " * 9],
    },
]


@dataclass
class Start:
    """All that a run has at its start gates."""

    model: Any
    processor: Any
    encoder: Encoder
    data: InstructionData
    collator: Collator
    config: ModelConfig
    stage: StageConfig

    def gates(self) -> list[gates.GateResult]:
        return gates.run_gates(
            self.model,
            self.processor,
            encoder=self.encoder,
            data=self.data,
            collator=self.collator,
            config=self.config,
            stage=self.stage,
        )


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., Start]:
    factory.picture(40, 20).save(tmp_path / "wide.png")
    factory.picture(20, 40).save(tmp_path / "tall.png")
    factory.picture(30, 30).save(tmp_path / "torn.png")
    whole = (tmp_path / "torn.png").read_bytes()
    (tmp_path / "torn.png").write_bytes(whole[: len(whole) // 2])
    records = [
        record
        | {
            "conversations": [
                {"from": ("human", "gpt")[place % 2], "value": text}
                for place, text in enumerate(record["conversations"])
            ]
        }
        for record in RECORDS
    ]
    path = tmp_path / "data.json"
    path.write_text(json.dumps(records))

    def make(family: str = "llama", tower: str = "clip", **changes: Any) -> Start:
        stage = STAGE.model_copy(update=changes)
        config = factory.model_config(family, tower)
        template = get_format(stage.format)
        processor = load_processor(config, stage.image_aspect_ratio, template.template)
        encoder = Encoder(
            processor.tokenizer,
            template,
            image_token_id=processor.image_token_id,
            features_per_image=features_per_image(processor),
            max_length=stage.max_length,
        )
        samples, left_out = read_samples([DataFile(path)], "finetune")
        assert left_out == []
        store = ImageStore(tmp_path)
        prepared, left_out = prepare(samples, encoder, store, "finetune", needs_images=False)
        assert left_out == []
        model = build_model(config, processor, precision="fp32", quantization="none", seed=1)
        set_trainable(model, stage, config.projector)
        collator = Collator(processor.tokenizer.pad_token_id, image_size(processor), stage)
        data = InstructionData(prepared, encoder, store, processor.image_processor)
        return Start(model, processor, encoder, data, collator, config, stage)

    return make


def refusal(start: Start) -> str:
    with pytest.raises(InputError) as caught:
        start.gates()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("family", factory.FAMILIES)
@pytest.mark.parametrize("tower", factory.TOWERS)
def test_every_family_passes_every_gate(start: Callable[..., Start], family: str, tower: str) -> None:
    kind = "chatml" if family.startswith("qwen") else "vicuna_v1"
    seen = start(family, tower, format=kind).gates()
    assert [gate.name for gate in seen] == ["labels", "features", "packing", "trainable", "batch"]
    assert seen[0].saw == "only answers and their end tokens are supervised, in the probes and in 4 samples"
    assert seen[1].saw == "4 image tokens for 4 features, sample by sample"
    assert seen[2].saw == "a packed sample's logits do not move when the one before it changes"
    assert seen[3].saw == "trains language_model, projector, and nothing else"


def test_gates_leave_weights_gradients_and_random_numbers_as_they_were(start: Callable[..., Start]) -> None:
    begin = start(language_model="lora")
    before = {name: weight.detach().clone() for name, weight in begin.model.named_parameters()}
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    begin.gates()
    assert torch.equal(torch.rand(3), expected)
    assert begin.model.training
    for name, weight in begin.model.named_parameters():
        assert torch.equal(weight, before[name]), name
        assert weight.grad is None, name


def test_on_a_cpu_beside_a_gpu_gates_compile_nothing(
    start: Callable[..., Start], monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = start()
    compiled: list[Any] = []

    def backend(graph: Any, inputs: Any) -> Any:
        compiled.append(graph)
        return graph

    begin.model.model.multi_modal_projector.compile(backend=backend)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    begin.gates()
    assert compiled == []
    monkeypatch.undo()
    begin.gates()
    assert compiled != []
    torch.compiler.reset()


def test_the_batch_is_the_longest_readable_samples_with_an_image_among_them(
    start: Callable[..., Start],
) -> None:
    # The torn image's sample is the longest; its header reads, its pixels do not.
    begin = start(packing=False)
    data, stage = begin.data, begin.stage
    assert [example.index for example in gates.longest_examples(data, stage)] == [1, 0]
    long_text = replace(data.prepared[2], length=500)
    data.prepared = [*data.prepared[:2], long_text, *data.prepared[3:]]
    assert [example.index for example in gates.longest_examples(data, stage)] == [2, 1]
    alone = stage.model_copy(update={"micro_batch_size": 1})
    assert [example.index for example in gates.longest_examples(data, alone)] == [1]


def test_the_batch_is_a_row_filled_with_the_longest_readable_samples(start: Callable[..., Start]) -> None:
    begin = start()
    lengths = [each.length for each in begin.data.prepared]
    assert lengths[1] > lengths[0] > lengths[2]
    for room, expected in (
        (sum(lengths[:3]), [1, 0, 2]),
        (sum(lengths[:3]) - 1, [1, 0]),
        (lengths[1] + lengths[2], [1, 2]),
        (lengths[1], [1]),
    ):
        stage = begin.stage.model_copy(update={"max_length": room})
        assert [example.index for example in gates.longest_examples(begin.data, stage)] == expected


@pytest.mark.parametrize("packing", [True, False])
def test_the_batch_gate_says_what_went_through(start: Callable[..., Start], packing: bool) -> None:
    begin = start(packing=packing)
    examples = gates.longest_examples(begin.data, begin.stage)
    lengths = [len(example.input_ids) for example in examples]
    supervised = sum(int((example.labels != IGNORE_INDEX).sum()) for example in examples)
    shape = f"1 × {sum(lengths)}" if packing else f"2 × {max(lengths)}"
    assert (
        f"{shape} positions of {len(examples)} samples, {supervised} supervised, loss "
        in begin.gates()[-1].saw
    )


def test_packed_samples_that_see_each_other_are_refused(start: Callable[..., Start]) -> None:
    begin = start()
    # What transformers' own Trainer leaves on: with a cache, position ids no longer isolate.
    begin.model.config.text_config.use_cache = True
    begin.model.model.language_model.config.use_cache = True
    assert refusal(begin).startswith("packed samples see each other: the logits of one move by ")


def test_an_image_token_too_many_in_one_sample_and_too_few_in_another_is_refused(
    start: Callable[..., Start], monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = start()
    chosen = gates.longest_examples(begin.data, begin.stage)
    token = begin.model.config.image_token_id
    text = (chosen[0].input_ids != token).nonzero()[0]
    image = (chosen[1].input_ids == token).nonzero()[0]
    chosen[0].input_ids[text] = token
    chosen[1].input_ids[image] = int(chosen[1].input_ids[-1])
    monkeypatch.setattr(gates, "longest_examples", lambda *_: chosen)
    # Their sum is right, which is all that transformers looks at.
    assert refusal(begin) == (
        f"{begin.data.prepared[1].sample.file}: record 1 (a-2): 5 image tokens for 4 features of its 1 "
        "image(s), 4 an image expected; tower, processor and feature_select do not agree"
    )


def test_a_weight_that_trains_and_should_not_is_refused_by_name(start: Callable[..., Start]) -> None:
    begin = start()
    weights = dict(begin.model.named_parameters())
    name = next(key for key in weights if key.endswith("post_layernorm.weight"))
    weights[name].requires_grad_(True)
    assert name in refusal(begin)


def test_a_weight_that_should_train_and_does_not_is_refused_by_name(start: Callable[..., Start]) -> None:
    begin = start()
    name = "model.multi_modal_projector.linear_1.bias"
    dict(begin.model.named_parameters())[name].requires_grad_(False)
    assert name in refusal(begin)


def test_a_weight_that_gets_no_gradient_is_refused_by_name(
    start: Callable[..., Start], monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = start()
    norm = begin.model.model.language_model.norm
    monkeypatch.setattr(type(norm), "forward", lambda self, hidden: hidden)
    message = refusal(begin)
    assert message.endswith("should train but gets no gradient")


def test_weights_that_are_no_numbers_are_refused(start: Callable[..., Start]) -> None:
    begin = start()
    with torch.no_grad():
        begin.model.model.multi_modal_projector.linear_1.weight[0, 0] = float("nan")
    assert "not finite" in refusal(begin)


def test_a_gradient_that_is_no_number_is_refused_by_name(start: Callable[..., Start]) -> None:
    begin = start()
    weight = begin.model.model.multi_modal_projector.linear_2.bias
    weight.register_hook(lambda gradient: gradient * float("nan"))
    assert refusal(begin) == (
        "the gradient of model.multi_modal_projector.linear_2.bias is not finite in the first batch"
    )


def test_labels_that_are_wrong_are_refused(
    start: Callable[..., Start], monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = start()
    encode = begin.encoder.encode

    def shifted(turns: Any) -> Any:
        encoded = encode(turns)
        encoded.labels.insert(0, encoded.labels.pop())
        return encoded

    monkeypatch.setattr(begin.encoder, "encode", shifted)
    assert "label" in refusal(begin)
