"""Labels: exactly the answers and their end tokens are supervised, whatever the tokenizer; or nothing trains.

`python -m tests.train.test_labels` writes `golden/` anew; read the difference before keeping it.
"""

from __future__ import annotations

import dataclasses
import json
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from tests.train.test_conversation import CASES, encoder_of
from tests.train.tokenizers_ import FAMILIES, FORMATS_OF, fast, llama_legacy, tokenizer
from train.conversation import PROBES, Encoder, audit_labels, check_labels
from train.records import IGNORE_INDEX, Encoded, InputError, Unfit

GOLDEN = Path(__file__).parent / "golden"
TURNS = ("<image>\nWhat is this?", "A red  bus.", "How many:\n in <image> this <image>?", " Yes \n")
"""Two questions, several images, a double space, text after a newline, an answer to strip."""
CHAT = ("<image>\nWhat is this?", "A red bus.", "How many?", "Yes", "Yes", "Yes")
"""Its last question is its answer, so that only what stands before tells them apart."""


def rows(encoder: Encoder, turns: Sequence[str]) -> list[list[str | None]]:
    """Each position as [token, label], a label being its token, or null where it is ignored."""
    encoded = encoder.encode(turns)
    names = encoder.tokenizer.convert_ids_to_tokens
    return [
        [names(token), None if label == IGNORE_INDEX else names(label)]
        for token, label in zip(encoded.input_ids, encoded.labels, strict=True)
    ]


def golden(family: str) -> dict[str, list[list[str | None]]]:
    """What the file of the family must hold: a sequence for each of its formats."""
    return {
        name: rows(encoder_of(family, name, features=2), TURNS[:2] if name == "plain" else TURNS)
        for name in FORMATS_OF[family]
    }


def written(sequences: dict[str, list[list[str | None]]]) -> str:
    """JSON with one position a line."""
    lines = []
    for name, sequence in sequences.items():
        positions = ",\n".join("  " + json.dumps(row, ensure_ascii=False) for row in sequence)
        lines.append(f' "{name}": [\n{positions}\n ]')
    return "{\n" + ",\n".join(lines) + "\n}\n"


@pytest.mark.parametrize("family", FAMILIES)
def test_every_token_and_label_is_as_written_down(family: str) -> None:
    sequences = golden(family)
    text = (GOLDEN / f"{family}.json").read_text(encoding="utf-8")
    assert sequences == json.loads(text)
    assert written(sequences) == text


@pytest.mark.parametrize(("family", "name"), CASES)
def test_audit_passes_every_family_in_its_formats(family: str, name: str) -> None:
    audit_labels(encoder_of(family, name))


@pytest.mark.parametrize("family", [family for family in FAMILIES if family != "unigram"])
def test_every_probe_can_be_encoded(family: str) -> None:
    encoder = encoder_of(family, "vicuna_v1")
    assert [encoder.encode(turns).dropped_turns for turns in PROBES] == [0] * len(PROBES)


def test_probes_trip_up_tokenizers_in_every_way_we_know() -> None:
    answers = [turn for turns in PROBES for turn in turns[1::2]]
    assert max(len(turns) for turns in PROBES) >= 10
    for way in ("\n\n", "  ", "\t", "USER:", "\U0001f600", "\u732b", "\u05dc", "e\u0301", "...", "3", "B"):
        assert any(way in answer for answer in answers), way
    assert any(answer != answer.strip() for answer in answers)
    assert any(turns[0].count("<image>") == 2 for turns in PROBES)


# What the gate refuses


def refusal(encoder: Encoder) -> str:
    with pytest.raises(InputError) as caught:
        audit_labels(encoder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_tokenizer_that_loses_newlines_is_refused() -> None:
    message = refusal(encoder_of("unigram_lossy", "vicuna_v1"))
    assert "do not read as the text they were made of" in message
    assert message.startswith("format 'vicuna_v1' with the tokenizer ")


def test_a_tokenizer_that_joins_marker_and_answer_is_refused() -> None:
    made = llama_legacy(extra=(":▁",))
    made.add_special_tokens({"additional_special_tokens": ["<image>"]})
    assert "straddling_token: one token, ': '" in refusal(encoder_of("", "vicuna_v1", made=made))


def test_an_end_token_that_swallows_the_newline_after_it_is_refused() -> None:
    made = llama_legacy()
    made.add_special_tokens(
        {"additional_special_tokens": ["<image>", AddedToken("<|im_start|>", special=True)]}
    )
    made.add_tokens([AddedToken("<|im_end|>", special=True, rstrip=True)], special_tokens=True)
    assert "straddling_token" in refusal(encoder_of("", "chatml", made=made))


def test_a_tokenizer_that_drops_bytes_in_silence_is_refused() -> None:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    some = {
        letter: index
        for index, letter in enumerate(["</s>", *(a for a in alphabet if a < "\u0100" or a in "ĠĊĉ")])
    }
    backend = Tokenizer(models.BPE(some, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    made = fast(backend, eos_token="</s>")
    made.add_special_tokens({"additional_special_tokens": ["<image>"]})
    assert "do not read as the text they were made of" in refusal(encoder_of("", "vicuna_v1", made=made))


def test_a_length_that_holds_no_probe_is_refused() -> None:
    assert "not one of the conversations" in refusal(encoder_of("llama_3", "vicuna_v1", max_length=20))


# Planted bugs: `check_labels` knows nothing of how labels are made, so it finds them


def supervised_runs(encoded: Encoded) -> list[tuple[int, int]]:
    runs: list[tuple[int, int]] = []
    for at, label in enumerate(encoded.labels):
        if label == IGNORE_INDEX:
            continue
        if runs and runs[-1][1] == at:
            runs[-1] = (runs[-1][0], at + 1)
        else:
            runs.append((at, at + 1))
    return runs


def relabelled(encoded: Encoded, changed: Callable[[int, bool], bool]) -> Encoded:
    """The sample with position `at` supervised where `changed(at, was)`."""
    labels = [
        token if changed(at, label != IGNORE_INDEX) else IGNORE_INDEX
        for at, (token, label) in enumerate(zip(encoded.input_ids, encoded.labels, strict=True))
    ]
    return dataclasses.replace(encoded, labels=labels)


def role_marker_unmasked(encoder: Encoder, encoded: Encoded) -> Encoded:
    starts = {start - 1 for start, _ in supervised_runs(encoded)}
    return relabelled(encoded, lambda at, was: was or at in starts)


def newline_of_user_turn_unmasked(encoder: Encoder, encoded: Encoded) -> Encoded:
    ends = {end for _, end in supervised_runs(encoded)[:-1]}
    return relabelled(encoded, lambda at, was: was or at in ends)


def end_token_masked(encoder: Encoder, encoded: Encoded) -> Encoded:
    ends = {end - 1 for _, end in supervised_runs(encoded)}
    return relabelled(encoded, lambda at, was: was and at not in ends)


def last_end_token_masked(encoder: Encoder, encoded: Encoded) -> Encoded:
    last = supervised_runs(encoded)[-1][1] - 1
    return relabelled(encoded, lambda at, was: was and at != last)


def pad_token_masked_where_it_is_the_end_token(encoder: Encoder, encoded: Encoded) -> Encoded:
    return relabelled(encoded, lambda at, was: was and encoded.input_ids[at] != encoder.end_token_id)


def shifted_later(encoder: Encoder, encoded: Encoded) -> Encoded:
    return relabelled(encoded, lambda at, was: at > 0 and encoded.labels[at - 1] != IGNORE_INDEX)


def shifted_earlier(encoder: Encoder, encoded: Encoded) -> Encoded:
    labels = [*encoded.labels[1:], IGNORE_INDEX]
    return relabelled(encoded, lambda at, was: labels[at] != IGNORE_INDEX)


def labels_shifted_against_their_tokens(encoder: Encoder, encoded: Encoded) -> Encoded:
    return dataclasses.replace(encoded, labels=[*encoded.labels[1:], IGNORE_INDEX])


def image_token_supervised(encoder: Encoder, encoded: Encoded) -> Encoded:
    first = encoded.input_ids.index(encoder.image_token_id)
    return relabelled(encoded, lambda at, was: was or at == first)


def answer_truncated(encoder: Encoder, encoded: Encoded) -> Encoded:
    starts = {start for start, _ in supervised_runs(encoded)}
    return relabelled(encoded, lambda at, was: was and at not in starts)


def one_answer_masked(encoder: Encoder, encoded: Encoded) -> Encoded:
    _, (start, end), _ = supervised_runs(encoded)
    return relabelled(encoded, lambda at, was: was and not start <= at < end)


def whole_sample_zeroed(encoder: Encoder, encoded: Encoded) -> Encoded:
    return relabelled(encoded, lambda at, was: False)


def everything_supervised(encoder: Encoder, encoded: Encoded) -> Encoded:
    return relabelled(encoded, lambda at, was: encoded.input_ids[at] != encoder.image_token_id)


def questions_supervised(encoder: Encoder, encoded: Encoded) -> Encoded:
    return relabelled(encoded, lambda at, was: not was and encoded.input_ids[at] != encoder.image_token_id)


def one_image_feature_short(encoder: Encoder, encoded: Encoded) -> Encoded:
    at = encoded.input_ids.index(encoder.image_token_id)
    ids, labels = list(encoded.input_ids), list(encoded.labels)
    del ids[at], labels[at]
    return dataclasses.replace(encoded, input_ids=ids, labels=labels)


def one_image_feature_astray(encoder: Encoder, encoded: Encoded) -> Encoded:
    ids = list(encoded.input_ids)
    at = ids.index(encoder.image_token_id)
    ids.insert(at - 1, ids.pop(at))
    return dataclasses.replace(encoded, input_ids=ids)


def an_image_too_many(encoder: Encoder, encoded: Encoded) -> Encoded:
    return dataclasses.replace(encoded, n_images=encoded.n_images + 1)


def labels_cut_short(encoder: Encoder, encoded: Encoded) -> Encoded:
    return dataclasses.replace(encoded, labels=encoded.labels[:-1])


def both_cut_at_the_length(encoder: Encoder, encoded: Encoded) -> Encoded:
    cut = supervised_runs(encoded)[-1][1] - 1
    return dataclasses.replace(encoded, input_ids=encoded.input_ids[:cut], labels=encoded.labels[:cut])


def end_token_left_out(encoder: Encoder, encoded: Encoded) -> Encoded:
    ids, labels = list(encoded.input_ids), list(encoded.labels)
    for _, end in reversed(supervised_runs(encoded)):
        del ids[end - 1], labels[end - 1]
    return dataclasses.replace(encoded, input_ids=ids, labels=labels)


def second_bos(encoder: Encoder, encoded: Encoded) -> Encoded:
    bos = encoder.tokenizer.bos_token_id or encoded.input_ids[0]
    return dataclasses.replace(
        encoded, input_ids=[bos, *encoded.input_ids], labels=[IGNORE_INDEX, *encoded.labels]
    )


def turns_miscounted(encoder: Encoder, encoded: Encoded) -> Encoded:
    return dataclasses.replace(encoded, dropped_turns=2)


BUGS = (
    role_marker_unmasked,
    newline_of_user_turn_unmasked,
    end_token_masked,
    last_end_token_masked,
    pad_token_masked_where_it_is_the_end_token,
    shifted_later,
    shifted_earlier,
    labels_shifted_against_their_tokens,
    image_token_supervised,
    answer_truncated,
    one_answer_masked,
    whole_sample_zeroed,
    everything_supervised,
    questions_supervised,
    one_image_feature_short,
    one_image_feature_astray,
    an_image_too_many,
    labels_cut_short,
    both_cut_at_the_length,
    end_token_left_out,
    second_bos,
    turns_miscounted,
)


@pytest.mark.parametrize("bug", BUGS)
@pytest.mark.parametrize(("family", "name"), [case for case in CASES if case[1] != "plain"])
def test_a_planted_bug_is_found(
    family: str, name: str, bug: Callable[[Encoder, Encoded], Encoded], monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = encoder_of(family, name)
    encoded = encoder.encode(CHAT)
    assert check_labels(encoder, CHAT, encoded) is None
    wrong = bug(encoder, encoded)
    assert check_labels(encoder, CHAT, wrong) is not None
    monkeypatch.setattr(encoder, "encode", lambda turns: wrong)
    with pytest.raises(InputError, match="labels would be wrong"):
        audit_labels(encoder, [CHAT])


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("bug", [end_token_masked, answer_truncated, shifted_later, image_token_supervised])
def test_a_planted_bug_is_found_in_captions(family: str, bug: Callable[[Encoder, Encoded], Encoded]) -> None:
    encoder = encoder_of(family, "plain")
    assert check_labels(encoder, CHAT[:2], bug(encoder, encoder.encode(CHAT[:2]))) is not None


@pytest.mark.parametrize("name", ["chatml"])
def test_a_question_supervised_in_place_of_the_same_answer_is_found(name: str) -> None:
    encoder = encoder_of("qwen", name)
    encoded = encoder.encode(CHAT)
    start, end = supervised_runs(encoded)[-1]
    said = encoded.input_ids[start:end]
    asked = max(at for at in range(start) if encoded.input_ids[at : at + len(said)] == said)
    wrong = relabelled(encoded, lambda at, was: asked <= at < asked + len(said) or (was and at < start))
    assert "comes before, not" in str(check_labels(encoder, CHAT, wrong))


@pytest.mark.parametrize(
    ("written", "instead", "problem"),
    [
        (" + text -}}", " -}}", "question 0 does not stand before its answer"),
        (" + text + eos_token", " + text", "answer 0 is ' Yes</s>', but ' Yes' is supervised"),
        ("' ' + text + eos_token", "text + eos_token", "answer 0 is ' Yes</s>', but 'Yes</s>' is supervised"),
        ("{%- generation -%}", "", "0 stretches are supervised, for 1 answers"),
    ],
)
def test_a_template_that_says_something_else_is_found(written: str, instead: str, problem: str) -> None:
    # The published template of llava-hf drops questions given as strings, and never ends an answer.
    right = encoder_of("llama_legacy", "vicuna_v1")
    template = right.format.template.replace(written, instead)
    assert template != right.format.template
    if not instead:
        template = template.replace("{%- endgeneration -%}", "")
    wrong = dataclasses.replace(right.format, template=template)
    encoder = Encoder(
        right.tokenizer,
        wrong,
        image_token_id=right.image_token_id,
        features_per_image=3,
        max_length=4096,
    )
    assert problem in str(check_labels(encoder, CHAT[2:4], encoder.encode(CHAT[2:4])))


def test_a_prompt_that_would_be_tokenized_otherwise_in_use_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    # Piece by piece, "ASSISTANT:" and " Yes" give the text that they give together, but other tokens.
    encoder = encoder_of("llama_legacy", "plain")
    encode = encoder.encode

    def first_space_masked(turns: Sequence[str]) -> Encoded:
        encoded = encode(turns)
        start = supervised_runs(encoded)[0][0]
        return relabelled(encoded, lambda at, was: was and at != start)

    turns = ("<image>", "?!")
    assert rows(encoder, turns)[4] == ["▁", "▁"]
    monkeypatch.setattr(encoder, "encode", first_space_masked)
    with pytest.raises(InputError, match="the prompt for answer 0 has other tokens"):
        audit_labels(encoder, [turns])


# What public trainers get wrong without a word


@pytest.mark.parametrize("family", ["llama", "qwen", "gpt2"])
def test_the_end_token_is_learnt_even_where_it_is_also_the_pad_token(family: str) -> None:
    made = tokenizer(family)
    pad = made.pad_token
    try:
        made.pad_token = made.eos_token
        encoder = encoder_of(family, "vicuna_v1")
        encoded = encoder.encode(CHAT)
    finally:
        made.pad_token = pad
    assert encoded.labels.count(made.eos_token_id) == 3
    assert check_labels(encoder, CHAT, encoded) is None


@pytest.mark.parametrize(("family", "name"), [case for case in CASES if case[1] != "plain"])
def test_every_answer_learns_to_stop_and_no_question_does(family: str, name: str) -> None:
    encoder = encoder_of(family, name)
    encoded = encoder.encode(CHAT)
    runs = supervised_runs(encoded)
    assert [encoded.input_ids[end - 1] for _, end in runs] == [encoder.end_token_id] * 3
    assert sum(label == encoder.end_token_id for label in encoded.labels) == 3


def test_no_length_of_conversation_mismatches_and_is_zeroed() -> None:
    # LLaVA's trainer adds up the lengths of pieces; where the sum is off it masks the whole sample.
    for family in ("llama_legacy", "llama", "qwen", "llama_3"):
        encoder = encoder_of(family, "vicuna_v1")
        for pairs in range(1, 12):
            turns = ("How many?", "Yes") * pairs
            assert len(supervised_runs(encoder.encode(turns))) == pairs


def test_text_only_conversations_have_labels_and_no_image() -> None:
    encoded = encoder_of("llama", "vicuna_v1").encode(("How many?", "Yes"))
    assert encoded.n_images == 0
    assert len(supervised_runs(encoded)) == 1


def test_truncation_never_cuts_an_image_or_an_answer() -> None:
    turns = ("<image>\nWhat is this?", "A red bus.", "<image> this?", "Yes", "How many in <image>?", "No")
    for family, name in [case for case in CASES if case[1] != "plain"]:
        whole = len(encoder_of(family, name, features=7).encode(turns).input_ids)
        seen = set()
        for max_length in range(23, whole + 1):
            encoder = encoder_of(family, name, features=7, max_length=max_length)
            try:
                encoded = encoder.encode(turns)
            except Unfit as unfit:
                assert unfit.reason == "too_long"
                seen.add(0)
                continue
            kept = len(turns) - encoded.dropped_turns
            shorter = encoder.encode(turns[:kept])
            assert encoded == dataclasses.replace(shorter, dropped_turns=len(turns) - kept)
            assert encoded.n_images == kept // 2
            assert encoded.input_ids.count(encoder.image_token_id) == 7 * kept // 2
            assert len(encoded.input_ids) <= max_length
            seen.add(kept)
        assert seen - {0} == {2, 4, 6}


# Whatever people say

ORDINARY = (
    "Yes",
    "A red bus.",
    " ",
    "  ",
    "\n",
    "\n\n",
    "\t",
    "'s",
    "user's",
    "12,345",
    "?!",
    "...",
    ")",
    "B",
)
MARKERS = (
    "USER:",
    " ASSISTANT:",
    "[INST]",
    "[/INST]",
    "<s",
    "</s",
    ">",
    "<|im_end",
    "<image",
    "\u2581",
    "<0x0A>",
)
FOREIGN = (
    "e\u0301",
    "\u0301",
    "\u0338",
    "\u200d",
    "\u732b",
    "\U0001f600",
    "\u0634",
    "\ufb01",
    "\u1100\u1161",
)
SPACES = ("\u00a0", "\u2028", "\r\n", "\x00", "\x1c", "\u3000")
PIECES = st.sampled_from((*ORDINARY, *MARKERS, *FOREIGN, *SPACES))
TEXT = st.lists(PIECES | st.text(max_size=4), max_size=6).map("".join)
QUESTION = st.builds(
    lambda before, images, after: before + "<image>" * images + after, TEXT, st.integers(0, 2), TEXT
)
CONVERSATION = st.lists(st.tuples(QUESTION, TEXT), min_size=1, max_size=4).map(
    lambda pairs: [turn for pair in pairs for turn in pair]
)
REASONS = {"empty_question", "empty_answer", "special_token_in_text", "unknown_token", "too_long"}


@settings(max_examples=150, deadline=None)
@given(turns=CONVERSATION, case=st.sampled_from(CASES))
def test_any_conversation_is_labelled_rightly_or_unfit(turns: list[str], case: tuple[str, str]) -> None:
    if case[1] == "plain":
        turns = turns[:2]
    encoder = encoder_of(*case)
    try:
        encoded = encoder.encode(turns)
    except Unfit as unfit:
        assert unfit.reason in REASONS
        return
    assert check_labels(encoder, turns, encoded) is None
    audit_labels(encoder, [turns])
    said = [
        same(encoder.decode(encoded.input_ids[start : end - (encoder.end_token_id is not None)]).strip())
        for start, end in supervised_runs(encoded)
    ]
    assert said == [same(answer.strip()) for answer in turns[1::2]]


@settings(max_examples=80, deadline=None)
@given(turns=CONVERSATION, case=st.sampled_from(CASES), share=st.floats(0.1, 1))
def test_a_conversation_that_was_cut_is_the_shorter_one(
    turns: list[str], case: tuple[str, str], share: float
) -> None:
    assume(case[1] != "plain")
    try:
        whole = encoder_of(*case).encode(turns)
    except Unfit:
        return
    encoder = encoder_of(*case, max_length=max(19, int(share * len(whole.input_ids))))
    fits = [
        pairs
        for pairs in range(1, len(turns) // 2 + 1)
        if len(encoder_of(*case).encode(turns[: 2 * pairs]).input_ids) <= encoder.max_length
    ]
    try:
        encoded = encoder.encode(turns)
    except Unfit as unfit:
        assert unfit.reason == "too_long"
        assert not fits
        return
    kept = len(turns) - encoded.dropped_turns
    assert kept == 2 * max(fits)
    assert encoded == dataclasses.replace(encoder.encode(turns[:kept]), dropped_turns=len(turns) - kept)
    assert whole.input_ids[: len(encoded.input_ids)] == encoded.input_ids
    assert whole.labels[: len(encoded.labels)] == encoded.labels
    assert check_labels(encoder, turns, encoded) is None


def same(text: str) -> str:
    """What the audit takes for the same text."""
    return unicodedata.normalize("NFC", text).replace("▁", " ").strip()


def main() -> None:
    GOLDEN.mkdir(exist_ok=True)
    for family in FAMILIES:
        (GOLDEN / f"{family}.json").write_text(written(golden(family)), encoding="utf-8")


if __name__ == "__main__":
    main()
