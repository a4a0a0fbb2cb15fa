"""Formats: each template says what its model family reads, and says the same wherever it is rendered."""

from __future__ import annotations

import json
import pickle
from typing import Any

import jinja2
import pytest
from PIL import Image
from tokenizers import AddedToken
from transformers import CLIPImageProcessorPil, LlavaProcessor
from transformers.utils.chat_template_utils import render_jinja_template

from tests.train.tokenizers_ import FORMATS_OF, byte_level, llama_legacy, tokenizer
from train.conversation import PROBES, Encoder, Format, format_names, get_format, to_messages
from train.records import IGNORE_INDEX, InputError, Unfit

TURNS = ("What is this?\n<image>", "A red bus.", "How many?", "Yes")
VICUNA = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions."
)
LLAMA_2 = (
    "You are a helpful language and vision assistant. You are able to understand the visual content that "
    "the user provides, and assist the user with a variety of tasks using natural language."
)
TEXTS = {
    "vicuna_v1": f"<s>{VICUNA} USER: <image>\nWhat is this? ASSISTANT:[ A red bus.</s>]"
    "USER: How many? ASSISTANT:[ Yes</s>]",
    "llama_2": f"<s>[INST] <<SYS>>\n{LLAMA_2}\n<</SYS>>\n\n<image>\nWhat is this? [/INST][ A red bus. </s>]"
    "<s>[INST] How many? [/INST][ Yes </s>]",
    "mistral": "<s>[INST] <image>\nWhat is this? [/INST][ A red bus.</s>][INST] How many? [/INST][ Yes</s>]",
    "llama_3": "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n<image>\nWhat is this?<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\n[A red bus.<|eot_id|>]"
    "<|start_header_id|>user<|end_header_id|>\n\nHow many?<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\n[Yes<|eot_id|>]",
    "chatml": "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
    "<|im_start|>user\n<image>\nWhat is this?<|im_end|>\n<|im_start|>assistant\n[A red bus.<|im_end|>]\n"
    "<|im_start|>user\nHow many?<|im_end|>\n<|im_start|>assistant\n[Yes<|im_end|>]\n",
    "plain": "<s><image>[A red bus.\n]",
}
"""What TURNS become, with what is supervised in brackets."""
FAMILY = {
    "plain": "llama",
    "vicuna_v1": "llama_legacy",
    "llama_2": "llama_legacy",
    "llama_3": "llama_3",
    "mistral": "mistral",
    "chatml": "qwen",
}
CASES = [(family, name) for family, names in FORMATS_OF.items() for name in names]


def encoder_of(
    family: str, name: str, *, max_length: int = 4096, features: int = 3, made: Any = None
) -> Encoder:
    made = tokenizer(family) if made is None else made
    image = made.convert_tokens_to_ids("<image>")
    return Encoder(
        made, get_format(name), image_token_id=image, features_per_image=features, max_length=max_length
    )


def turns_of(name: str) -> tuple[str, ...]:
    return TURNS[:2] if name == "plain" else TURNS


def as_strings(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same messages, with each content one string."""
    return [
        {
            **message,
            "content": "".join(
                item["text"] if item["type"] == "text" else "<image>\n" for item in message["content"]
            ),
        }
        for message in messages
    ]


def bracketed(text: str, spans: list[tuple[int, int]]) -> str:
    for start, end in reversed(spans):
        text = f"{text[:start]}[{text[start:end]}]{text[end:]}"
    return text


@pytest.mark.parametrize("name", format_names())
def test_text_and_supervised_spans_are_exactly_these(name: str) -> None:
    text, spans = encoder_of(FAMILY[name], name).render(to_messages(turns_of(name)))
    assert bracketed(text, spans) == TEXTS[name]


@pytest.mark.parametrize("name", format_names())
def test_prompt_then_answer_then_end_is_the_text_that_trained(name: str) -> None:
    encoder = encoder_of(FAMILY[name], name)
    boundary = " " if name in ("vicuna_v1", "llama_2", "mistral") else ""
    messages = to_messages(turns_of(name))
    whole, spans = encoder.render(messages)
    for number, (start, end) in enumerate(spans):
        prompt, earlier = encoder.render(messages[: 2 * number + 1], add_generation_prompt=True)
        answer = turns_of(name)[2 * number + 1]
        assert prompt == whole[:start]
        assert prompt + boundary + answer + encoder.ending == whole[:end]
        assert earlier == spans[:number]


@pytest.mark.parametrize(("family", "name"), CASES)
def test_tokenizer_gives_the_same_ids_and_mask_for_list_and_string_content(family: str, name: str) -> None:
    encoder = encoder_of(family, name, features=1)
    for probe in PROBES:
        turns = probe[:2] if name == "plain" else probe
        try:
            encoded = encoder.encode(turns)
        except Unfit as unfit:
            assert unfit.reason == "unknown_token"
            continue
        messages = to_messages(turns)
        for form in (messages, as_strings(messages)):
            given = encoder.tokenizer.apply_chat_template(
                form,
                chat_template=encoder.format.template,
                tokenize=True,
                return_dict=True,
                return_assistant_tokens_mask=True,
            )
            assert given["input_ids"] == encoded.input_ids
            if family != "roberta":  # its offsets leave spaces out, and transformers then masks everything
                assert given["assistant_masks"] == [int(label != IGNORE_INDEX) for label in encoded.labels]


@pytest.mark.parametrize("name", format_names())
def test_rendering_is_that_of_transformers(name: str) -> None:
    encoder = encoder_of(FAMILY[name], name)
    for probe in PROBES:
        messages = to_messages(probe[:2] if name == "plain" else probe)
        theirs, spans = render_jinja_template(
            conversations=[messages],
            chat_template=encoder.format.template,
            return_assistant_tokens_mask=True,
            **encoder.tokenizer.special_tokens_map,
        )
        assert encoder.render(messages) == (theirs[0], spans[0])


@pytest.mark.parametrize("name", ["vicuna_v1", "chatml"])
def test_processor_expands_images_to_the_ids_that_train(name: str) -> None:
    made = tokenizer(FAMILY[name])
    images = CLIPImageProcessorPil(size={"shortest_edge": 8}, crop_size={"height": 8, "width": 8})
    processor = LlavaProcessor(
        images,
        made,
        patch_size=4,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=get_format(name).template,
    )
    encoder = encoder_of(FAMILY[name], name, features=4)
    encoded = encoder.encode(TURNS)
    messages = to_messages(TURNS)
    messages[0]["content"][0]["image"] = Image.new("RGB", (8, 8))
    given = processor.apply_chat_template(
        messages, tokenize=True, return_dict=True, return_assistant_tokens_mask=True
    )
    ids, mask = given["input_ids"], given["assistant_masks"]
    assert [list(row) for row in ids] == [encoded.input_ids]
    assert [list(row) for row in mask] == [[int(label != IGNORE_INDEX) for label in encoded.labels]]


@pytest.mark.parametrize(
    ("name", "opening"),
    [
        ("plain", "<s><image>"),
        ("vicuna_v1", "<s>Be brief. USER: <image>\nWhat is this? ASSISTANT:"),
        ("llama_2", "<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\n<image>\nWhat is this? [/INST]"),
        ("mistral", "<s>[INST] Be brief.\n\n<image>\nWhat is this? [/INST]"),
        (
            "llama_3",
            "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>"
            "<|start_header_id|>user<|end_header_id|>\n\n<image>\nWhat is this?<|eot_id|>"
            "<|start_header_id|>assistant<|end_header_id|>\n\n",
        ),
        (
            "chatml",
            "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n<image>\nWhat is this?<|im_end|>\n"
            "<|im_start|>assistant\n",
        ),
    ],
)
def test_a_system_message_takes_the_place_of_the_default(name: str, opening: str) -> None:
    messages = [{"role": "system", "content": "Be brief."}, *to_messages(TURNS[:1])]
    assert encoder_of(FAMILY[name], name).render(messages, add_generation_prompt=True)[0] == opening


def test_an_empty_system_message_leaves_none() -> None:
    messages = [{"role": "system", "content": ""}, {"role": "user", "content": "Hi"}]
    assert encoder_of("llama_legacy", "vicuna_v1").render(messages)[0] == "<s>USER: Hi"
    assert encoder_of("qwen", "chatml").render(messages)[0] == "<|im_start|>user\nHi<|im_end|>\n"


@pytest.mark.parametrize("name", format_names())
@pytest.mark.parametrize(
    ("roles", "ask"),
    [
        ("assistant", False),
        ("user user", False),
        ("user assistant assistant", False),
        ("system system user", False),
        ("user system", False),
        ("user tool", False),
        ("user assistant", True),
        ("system", True),
    ],
)
def test_roles_out_of_order_are_refused(name: str, roles: str, ask: bool) -> None:
    messages = [{"role": role, "content": "text"} for role in roles.split()]
    with pytest.raises(
        jinja2.TemplateError, match=r"roles must be|plain format takes|only be asked for after"
    ):
        tokenizer(FAMILY[name]).apply_chat_template(
            messages, chat_template=get_format(name).template, tokenize=False, add_generation_prompt=ask
        )


@pytest.mark.parametrize("name", format_names())
def test_content_that_is_neither_text_nor_image_is_refused(name: str) -> None:
    messages = [{"role": "user", "content": [{"type": "video"}]}]
    with pytest.raises(jinja2.TemplateError, match="content holds text and images, not video"):
        encoder_of(FAMILY[name], name).render(messages)


@pytest.mark.parametrize("name", format_names())
def test_vllm_sees_that_content_may_be_a_list(name: str) -> None:
    # vLLM passes image items on where the template loops over the content of a looped-over message.
    tree = jinja2.Environment(extensions=["jinja2.ext.do"]).parse(
        get_format(name).template.replace("{%- generation -%}", "").replace("{%- endgeneration -%}", "")
    )
    (messages,) = (
        loop
        for loop in tree.find_all(jinja2.nodes.For)
        if isinstance(loop.iter, jinja2.nodes.Name) and loop.iter.name == "messages"
    )
    assert isinstance(messages.target, jinja2.nodes.Name)
    content = [
        loop
        for loop in messages.find_all(jinja2.nodes.For)
        if isinstance(loop.iter, jinja2.nodes.Getitem)
        and isinstance(loop.iter.node, jinja2.nodes.Name)
        and loop.iter.node.name == messages.target.name
        and isinstance(loop.iter.arg, jinja2.nodes.Const)
        and loop.iter.arg.value == "content"
    ]
    assert len(content) == 1


@pytest.mark.parametrize("name", format_names())
def test_an_image_url_item_reads_as_an_image(name: str) -> None:
    encoder = encoder_of(FAMILY[name], name)
    text = {"type": "text", "text": "What is this?"}
    with_url = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:"}}, text]}]
    with_image = [{"role": "user", "content": [{"type": "image"}, text]}]
    assert encoder.render(with_url) == encoder.render(with_image)


@pytest.mark.parametrize(
    ("turn", "content"),
    [
        ("<image>\nWhat?", ["<image>", "What?"]),
        ("What?\n<image>", ["<image>", "What?"]),
        ("What is <image> here?", ["<image>", "What is here?"]),
        (" <image> ", ["<image>"]),
        ("  What? ", ["What?"]),
        ("Compare <image> and\n<image>.", ["Compare ", "<image>", "and\n", "<image>", "."]),
        ("<image>\n<image>\nWhich?\n", ["<image>", "<image>", "Which?"]),
        ("", []),
    ],
)
def test_a_question_becomes_items_with_a_single_image_first(turn: str, content: list[str]) -> None:
    items = [{"type": "image"} if item == "<image>" else {"type": "text", "text": item} for item in content]
    assert to_messages([turn, " Yes\n"]) == [
        {"role": "user", "content": items},
        {"role": "assistant", "content": [{"type": "text", "text": "Yes"}]},
    ]


def test_an_unknown_format_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError) as caught:
        get_format("alpaca")
    assert str(caught.value) == (
        "format 'alpaca': no such conversation format; "
        "there are plain, vicuna_v1, llama_2, llama_3, mistral, chatml"
    )


def test_a_format_whose_tokens_are_absent_is_refused_with_those_that_would_do() -> None:
    with pytest.raises(InputError) as caught:
        encoder_of("llama_legacy", "chatml")
    assert str(caught.value).startswith("format 'chatml' needs special tokens that the tokenizer ")
    assert str(caught.value).endswith(
        "does not have: <|im_start|>, <|im_end|>; formats that would do: plain, vicuna_v1, llama_2, mistral"
    )


def test_a_marker_that_is_an_ordinary_token_does_not_count_as_special() -> None:
    made = llama_legacy()
    made.add_special_tokens({"additional_special_tokens": ["<image>", "<|im_start|>"]})
    made.add_tokens([AddedToken("<|im_end|>", special=False)])
    with pytest.raises(InputError, match=r"does not have: <\|im_end\|>;"):
        encoder_of("", "chatml", made=made)


def test_a_tokenizer_without_offsets_is_refused() -> None:
    class Slow:
        is_fast = False
        name_or_path = "some/slow"

    with pytest.raises(InputError, match="the tokenizer some/slow: not a fast tokenizer"):
        Encoder(Slow(), get_format("plain"), image_token_id=1, features_per_image=1, max_length=99)


@pytest.mark.parametrize("special", [True, False])
def test_an_image_token_that_is_no_special_token_of_that_id_is_refused(special: bool) -> None:
    made = llama_legacy()
    made.add_tokens([AddedToken("<image>", special=special)])
    wrong = made.convert_tokens_to_ids("<image>") - special
    with pytest.raises(InputError, match=f"<image> is not one special token with id {wrong}"):
        Encoder(made, get_format("plain"), image_token_id=wrong, features_per_image=1, max_length=99)


def test_a_length_that_holds_no_image_and_text_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        encoder_of("llama", "plain", features=576, max_length=580)
    assert str(caught.value) == (
        "max_length 580 holds no sample: one image alone takes 576 positions; give at least 592"
    )


@pytest.mark.parametrize(
    ("family", "name", "turns", "reason"),
    [
        ("llama", "vicuna_v1", (), "turns_out_of_order"),
        ("llama", "vicuna_v1", ("a", "b", "c"), "turns_out_of_order"),
        ("llama", "plain", ("a", "b", "c", "d"), "several_answers"),
        ("llama", "vicuna_v1", ("a", " \n"), "empty_answer"),
        ("llama", "vicuna_v1", (" \n", "b"), "empty_question"),
        ("llama", "vicuna_v1", ("a", "an <image> here"), "image_mark_in_answer"),
        ("llama", "vicuna_v1", ("a", "b</s>"), "special_token_in_text"),
        ("llama", "vicuna_v1", ("a<s>", "b"), "special_token_in_text"),
        ("llama", "vicuna_v1", ("a<pad>", "b"), "special_token_in_text"),
        ("mistral", "mistral", ("a [/INST] b", "c"), "special_token_in_text"),
        ("qwen", "chatml", ("a", "b<|im_end|>\n"), "special_token_in_text"),
        ("llama_3", "llama_3", ("<|start_header_id|>", "b"), "special_token_in_text"),
        ("unigram_bytes", "vicuna_v1", ("a <0x0A>", "b"), "special_token_in_text"),
        ("llama", "vicuna_v1", ("a", "half \ud83d"), "invalid_unicode"),
        ("qwen", "chatml", ("half \ude00", "b"), "invalid_unicode"),
        ("unigram", "vicuna_v1", ("a", "\u732b"), "unknown_token"),
        ("unigram", "vicuna_v1", ("\u732b", "b"), "unknown_token"),
    ],
)
def test_a_sample_that_cannot_be_used_is_unfit(
    family: str, name: str, turns: tuple[str, ...], reason: str
) -> None:
    with pytest.raises(Unfit) as caught:
        encoder_of(family, name).encode(turns)
    assert caught.value.reason == reason


def test_what_merely_looks_like_a_marker_is_text() -> None:
    turns = ("USER: <s >", "ASSISTANT: <|im_end|> [INST] </ s>")
    encoded = encoder_of("llama_legacy", "vicuna_v1").encode(turns)
    assert encoded.input_ids.count(1) == 1
    assert encoded.input_ids.count(2) == 1


def test_the_plain_format_does_not_read_what_it_drops() -> None:
    encoder = encoder_of("unigram", "plain")
    assert encoder.encode(("\u732b </s> <image>", "Yes")) == encoder.encode(("<image>", "Yes"))


@pytest.mark.parametrize(
    ("family", "name", "end"),
    [
        ("llama", "plain", None),
        ("llama", "vicuna_v1", "</s>"),
        ("llama", "llama_2", "</s>"),
        ("llama_3", "llama_3", "<|eot_id|>"),
        ("qwen", "chatml", "<|im_end|>"),
    ],
)
def test_encoder_says_what_generation_stops_at(family: str, name: str, end: str | None) -> None:
    encoder = encoder_of(family, name)
    assert encoder.end_token_id == (None if end is None else encoder.tokenizer.convert_tokens_to_ids(end))


def test_encoder_travels_to_worker_processes() -> None:
    encoder = encoder_of("llama_legacy", "vicuna_v1")
    assert pickle.loads(pickle.dumps(encoder)).encode(TURNS) == encoder.encode(TURNS)


def test_encoder_ignores_the_tokenizers_own_truncation_and_padding() -> None:
    made = byte_level(special=("<s>", "</s>", "<image>", "<pad>"), bos="<s>", eos="</s>")
    made.pad_token = "<pad>"
    before = encoder_of("", "vicuna_v1", made=made).encode(TURNS)
    made.backend_tokenizer.enable_truncation(8)
    made.backend_tokenizer.enable_padding(length=4096)
    assert encoder_of("", "vicuna_v1", made=made).encode(TURNS) == before


def test_formats_are_values() -> None:
    assert get_format("chatml") == get_format("chatml")
    assert json.dumps(get_format("plain").needs) == "[]"
    assert isinstance(get_format("plain"), Format)
