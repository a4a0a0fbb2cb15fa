"""Packs: ours, and any in the published layout; every fault in one line that names the file."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from datagen import text_proxy
from datagen.judging import check_pack
from datagen.prompting import PACKS, Prompter, find_pack, load_pack
from datagen.records import Box, ImageAnnotation, InputError, Message

IMAGE = ImageAnnotation(7, "7.jpg", 100, 100, ("A dog.",), (Box(1, "dog", 10, 20, 30, 40, False),))
EXACT = "A cat.\n\ncat: [0.1, 0.2, 0.3, 0.4]"
GROUNDED = (
    "<captions>\nA cat.\n</captions>\n"
    '<objects coordinates="x1, y1, x2, y2 as fractions of width and height">\n'
    "cat: [0.1, 0.2, 0.3, 0.4]\n</objects>"
)
PAIRS = "Question:\nWhat is it?\n===\nAnswer:\nA cat."


def published(folder: Path, caps: str = EXACT) -> Path:
    """A pack as LLaVA's authors laid theirs out: no pack.toml, no questions, their folder names."""
    for name, conv in (
        ("conversation", PAIRS),
        ("detail_description", "A cat sits there."),
        ("complex_reasoning", PAIRS),
    ):
        (folder / name).mkdir(parents=True)
        (folder / name / "system_message.txt").write_text(f"You are {name}.")
        (folder / name / "000_caps.txt").write_text(caps + "\n")
        (folder / name / "000_conv.txt").write_text(conv + "\n")
    return folder


def test_a_folder_in_the_published_layout_loads_as_it_stands(tmp_path: Path) -> None:
    pack = load_pack(published(tmp_path / "theirs"))
    assert (pack.name, pack.proxy, list(pack.types)) == (
        "theirs",
        "llava-exact",
        ["conversation", "detail", "complex_reasoning"],
    )
    assert [t.reply_form for t in pack.types.values()] == ["pairs", "answer", "pairs"]
    assert pack.types["detail"].questions == load_pack(PACKS / "coco").types["detail"].questions
    assert pack.word_lists["leaks"] == load_pack(PACKS / "coco").word_lists["leaks"]
    check_pack(pack, "theirs")
    assert Prompter(pack.types["detail"], "llava-exact").messages(IMAGE) == (
        Message("system", "You are detail_description."),
        Message("user", EXACT),
        Message("assistant", "A cat sits there."),
        Message("user", "A dog.\n\ndog: [0.1, 0.2, 0.4, 0.6]"),
    )


def test_exact_conversation_proxies_carry_captions_only_seeds_too(tmp_path: Path) -> None:
    pack = load_pack(published(tmp_path / "theirs"))
    messages = Prompter(pack.types["conversation"], "llava-exact").messages(IMAGE)
    assert [message.content for message in messages] == ["You are conversation.", "A cat.", PAIRS, "A dog."]


def test_a_folder_that_cannot_be_a_type_is_named(tmp_path: Path) -> None:
    folder = published(tmp_path / "theirs")
    (folder / "conversation").rename(folder / "Small-Talk")
    with pytest.raises(InputError, match="theirs/Small-Talk: cannot be a response type"):
        load_pack(folder)


@pytest.mark.parametrize(
    ("written", "form", "shown"), [(EXACT, "grounded", GROUNDED), (GROUNDED, "llava-exact", EXACT)]
)
def test_seeds_are_shown_in_the_form_in_use(tmp_path: Path, written: str, form: str, shown: str) -> None:
    pack = load_pack(published(tmp_path / "theirs", caps=written))
    messages = Prompter(pack.types["detail"], form).messages(IMAGE)  # type: ignore[arg-type]
    assert messages[1].content == shown


def test_a_seed_in_free_text_is_shown_as_it_stands(tmp_path: Path) -> None:
    free = "Chest, PA view.\n  No effusion.\n<objects> none"
    pack = load_pack(published(tmp_path / "theirs", caps=free))
    assert Prompter(pack.types["detail"], "grounded").messages(IMAGE)[1].content == free


def test_braces_and_percent_signs_in_a_template_are_just_text(tmp_path: Path) -> None:
    folder = published(tmp_path / "theirs")
    wild = 'Reply as {"turns": [{0}]} at 100 % ${HOME} {{x}}'
    (folder / "detail_description" / "system_message.txt").write_text(wild)
    assert Prompter(load_pack(folder).types["detail"], "grounded").messages(IMAGE)[0].content == wild


def mine(tmp_path: Path) -> Path:
    return Path(shutil.copytree(PACKS / "coco", tmp_path / "mine"))


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        ("pack.toml", 'name = "a"\nproxies = 1\n[types.detail]\nreply = "answer"', "unknown key proxies"),
        (
            "pack.toml",
            'name = "a"\n[types.detail]\nreply = "answer"\nmax = 1',
            "unknown key types.detail.max",
        ),
        ("pack.toml", 'name = "a"\n[types.detail]\nreply = "poem"', "types.detail.reply"),
        (
            "pack.toml",
            'name = "a"\n[types.detail]\nreply = "answer"\nchecks = ["spelling"]',
            "types.detail.checks.0",
        ),
        ("pack.toml", 'name = "a"', "types"),
        ("pack.toml", "name = ", "not valid TOML"),
        ("pack.toml", 'name = "a"\n[types.poem]\nreply = "answer"', "mine/poem/system_message.txt: missing"),
        ("detail/system_message.txt", " \n", "mine/detail/system_message.txt: empty"),
        ("detail/001_conv.txt", None, "mine/detail/001_conv.txt: missing"),
        ("detail/001_caps.txt", None, "mine/detail/001_caps.txt: missing"),
        ("detail/questions.txt", "# none\n", "mine/detail/questions.txt: nothing in it"),
        ("conversation/000_conv.txt", "Hello.", "mine/conversation/000_conv.txt: the seed is not a reply"),
        ("detail/000_conv.txt", "The caption says so.", "would be kept: leak: answer 1: 'caption'"),
        ("detail/questions.txt", "<image> What?", "take <image> out"),
        ("alignment.txt", "# none\n", "mine/alignment.txt: nothing in it"),
        ("alignment.txt", "Describe <image>.", "take <image> out"),
        ("leaks.txt", "re:(", "mine/leaks.txt: 're:(' is not a regular expression"),
    ],
)
def test_each_fault_of_a_pack_is_one_line(tmp_path: Path, file: str, text: str | None, says: str) -> None:
    folder = mine(tmp_path)
    (folder / file).unlink() if text is None else (folder / file).write_text(text)
    with pytest.raises(InputError) as caught:
        check_pack(load_pack(folder), str(folder))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_text_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    folder = mine(tmp_path)
    (folder / "detail" / "system_message.txt").write_bytes("é".encode("latin-1"))
    with pytest.raises(InputError, match=r"system_message\.txt: not UTF-8 text"):
        load_pack(folder)


def test_an_unknown_pack_is_told_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"--pack no-such-pack: no such pack.*: coco"):
        find_pack("no-such-pack")


def test_a_folder_without_prompts_is_no_pack(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"neither pack\.toml nor a folder with system_message\.txt"):
        load_pack(tmp_path)


def test_the_hash_changes_with_any_byte_of_any_file(tmp_path: Path) -> None:
    folder = mine(tmp_path)
    before = load_pack(folder).hash
    assert load_pack(folder).hash == before
    with (folder / "detail" / "002_caps.txt").open("a") as file:
        file.write(" ")
    assert load_pack(folder).hash != before


@pytest.mark.parametrize("name", sorted(path.parent.name for path in PACKS.glob("*/pack.toml")))
def test_every_shipped_seed_parses_and_passes_its_checks(name: str) -> None:
    pack = load_pack(PACKS / name)
    check_pack(pack, name)
    for response_type in pack.types.values():
        assert len(response_type.seeds) >= 3
        for seed in response_type.seeds:
            parsed = text_proxy.parse(seed.caps)
            assert parsed is not None, seed.name
            assert text_proxy.render(parsed[0], "grounded") == seed.caps, seed.name
