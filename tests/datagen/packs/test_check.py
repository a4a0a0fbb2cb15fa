"""`pack check`: every fault in one go, with its line and the mend; what ships is clean."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from datagen.packs.check import MOST_PREFIX_TOKENS, PackReport, check, summary
from datagen.prompting import PACKS
from tests.datagen.scenes import write_coco
from tests.datagen.test_run import datagen


def mine(tmp_path: Path, source: str = "coco") -> Path:
    return Path(shutil.copytree(PACKS / source, tmp_path / "mine"))


def change(file: Path, old: str, new: str) -> int:
    """Replace a text that stands there once; the line on which it stood."""
    text = file.read_text()
    assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {file}"
    file.write_text(text.replace(old, new))
    return text[: text.index(old)].count("\n") + 1


def append(file: Path, line: str) -> int:
    """Add a line at the end; its number."""
    text = file.read_text().rstrip("\n") + f"\n{line}\n"
    file.write_text(text)
    return text.count("\n")


def at(file: Path, line: int) -> str:
    """The beginning of what is told of that line."""
    return f"mine/{file.relative_to(file.parents[1]) if file.parent.name != 'mine' else file.name}:{line}: "


def told(report: PackReport, *, of: str = "") -> list[str]:
    return [each.told("mine") for each in report.findings if each.file.startswith(of)]


@pytest.mark.parametrize("name", sorted(path.parent.name for path in PACKS.glob("*/pack.toml")))
def test_every_pack_that_ships_is_clean(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert datagen("pack", "check", name) == 0, capsys.readouterr().out
    out = capsys.readouterr().out
    assert "warning" not in out
    assert out.strip().split("\n")[-1].startswith(f"prompts/{name}: clean; held against ")


def test_all_faults_are_told_at_once_each_with_its_line(tmp_path: Path) -> None:
    folder = mine(tmp_path)
    settings, talk = folder / "pack.toml", folder / "conversation/000_conv.txt"
    words, system = folder / "vocabulary.txt", folder / "detail/system_message.txt"
    complaints, sides = folder / "complaints.txt", folder / "phrasings/side.toml"
    expected = {
        at(settings, change(settings, "grounding_what = 0", "grounding_waht = 0")): (
            "[programs.weights] grounding_waht: no such program: did you mean grounding_what?"
        ),
        at(
            settings, change(settings, "apart = 0.12", 'apart = "far"')
        ): "programs.margins.apart: Input should",
        at(settings, change(settings, "sample =", "sampel =")): "unknown key sampel (did you mean sample?)",
        at(talk, change(talk, "Three pigeons", "Eight pigeons")): (
            "contradicted: answer 2: 'Eight pigeons' (count): 3 boxes: change the reply or the proxy"
        ),
        at(
            talk, change(talk, "riding the bicycle?", "riding the bicycle")
        ): "question 4 has no question mark",
        at(complaints, change(complaints, "contradicted:", "contradcted:")): (
            "no reply is rejected as contradcted: did you mean contradicted?"
        ),
        at(
            complaints, change(complaints, 'blocks ("{detail}")', 'blocks ("{detial}")')
        ): "nothing fills {detial}",
        at(
            words, change(words, "umbrella: umberella", "umbrella umberella")
        ): "'umbrella umberella, brolly |",
        at(words, change(words, "toilet: commode", "toilet commode")): "'toilet commode, loo",
        at(
            folder / "refusals.txt", append(folder / "refusals.txt", "re:(")
        ): "'re:(' is not a regular expression",
        at(system, append(system, "Look at {caption}.")): "{caption} is sent as it stands",
        at(sides, append(sides, 'quesstion = ["Where?"]')): "quesstion: nothing uses it",
    }
    (folder / "detail/001_conv.txt").unlink()
    (folder / "leaks.txt").rename(folder / "leeks.txt")
    (folder / "attributes.txt").write_bytes("color: schön".encode("latin-1"))
    expected["mine/detail/001_conv.txt: "] = "missing: the seed 001_caps.txt has no reply"
    expected["mine/leeks.txt:1: "] = "nothing reads this file: rename it to leaks.txt"
    expected["mine/attributes.txt:1: "] = "not UTF-8 text (byte 10): save the file as UTF-8"
    found = told(check(str(folder)))
    for place, what in expected.items():
        assert any(line.startswith(place + what) for line in found), (place + what, found)
    assert len(found) == len(expected), found


def test_a_seed_that_counts_otherwise_than_its_proxy_is_told_whatever_the_type_checks(tmp_path: Path) -> None:
    """As a published one does: three ships in the reply, eight in the proxy."""
    folder = tmp_path / "theirs"
    (folder / "detail_description").mkdir(parents=True)
    for name, text in (
        ("system_message", "Describe the image."),
        ("000_caps", "Ships at a pier.\n\n" + "ship: [0.1, 0.2, 0.3, 0.4]\n" * 8),
        ("000_conv", "At a long pier, in calm water, three ships are moored one behind the other.\n"),
    ):
        (folder / "detail_description" / f"{name}.txt").write_text(text)
    (finding,) = check(str(folder)).findings
    assert finding.told("theirs") == (
        "theirs/detail_description/000_conv.txt:1: contradicted: answer 1: 'three ships' (count): 8 boxes: "
        "change the reply or the proxy, so that they agree"
    )


def test_a_seed_is_held_to_its_types_own_rules(tmp_path: Path) -> None:
    folder = mine(tmp_path)
    (folder / "conversation/000_conv.txt").write_text(
        "Question:\nWhat are the two men doing?\n===\nAnswer:\nThey play chess.\n===\n"
        "Question:\nHow is the weather?\n===\n"
        "Answer:\nI'm sorry, but I can't tell, for the captions do not mention any of it here.\n"
    )
    places = [line.split(": ")[:2] for line in told(check(str(folder)), of="conversation/000_conv")]
    assert places == [
        ["mine/conversation/000_conv.txt:5", "answer 1 has 3 words, and pack.toml wants 7 to 39 "
         "([types.conversation] answer_words)"],
        ["mine/conversation/000_conv.txt:8", "blind_spot"],
        ["mine/conversation/000_conv.txt:11", "leak"],
        ["mine/conversation/000_conv.txt:11", "refusal"],
    ]  # fmt: skip


def test_a_box_of_a_seed_that_is_none_is_told(tmp_path: Path) -> None:
    folder = mine(tmp_path)
    text = (folder / "detail/000_caps.txt").read_text().rstrip("\n").split("\n")
    text[-2] = "dog: [0.9, 0.1, 0.2, 1.4]"
    (folder / "detail/000_caps.txt").write_text("\n".join(text) + "\n")
    assert told(check(str(folder)), of="detail/000_caps") == [
        f"mine/detail/000_caps.txt:{len(text) - 1}: dog: [0.9, 0.1, 0.2, 1.4] is no box: "
        "x1 < x2 and y1 < y2, all from 0 to 1"
    ]


def test_a_prefix_that_is_too_long_is_told_with_its_longest_seed(tmp_path: Path) -> None:
    folder = mine(tmp_path)
    caps = folder / "detail/001_caps.txt"
    caps.write_text(
        caps.read_text().replace(
            "<captions>\n", "<captions>\n" + "A long sentence of eight words here.\n" * 900
        )
    )
    (finding,) = [each for each in check(str(folder)).findings if "tokens" in each.what]
    assert finding.file == "detail/system_message.txt"
    assert f"more than {MOST_PREFIX_TOKENS:,}: shorten the text" in finding.what
    assert "(detail/001 is the longest, with about " in finding.what


def test_a_vocabulary_that_misses_a_category_is_told_with_the_nearest_word(tmp_path: Path) -> None:
    folder = mine(tmp_path)
    _, instances = write_coco(tmp_path / "coco")
    text = instances.read_text().replace('"dog"', '"umbrela"').replace('"cat"', '"cargo ship"')
    instances.write_text(text.replace('"horse"', '"guide horse"'))
    line = (folder / "vocabulary.txt").read_text().split("\n").index("[names]") + 1
    report = check(str(folder), (), (instances,))
    told_of = "is not in [names], so that only this very word means it"
    assert told(report) == [
        f"mine/vocabulary.txt:{line}: warning: the category 'cargo ship' {told_of}; it is known as a kind of "
        "boat: add a line `cargo ship: other names | kinds`",
        f"mine/vocabulary.txt:{line}: the category 'guide horse' {told_of}; the nearest there is 'horse': "
        "add a line `guide horse: other names | kinds`",
        f"mine/vocabulary.txt:{line}: the category 'umbrela' {told_of}; the nearest there is 'umbrella': "
        "add a line `umbrela: other names | kinds`",
    ]
    assert summary(report)[-1].endswith("mine: 2 to mend, 1 warning; held against 8 categories")


def test_a_category_that_stands_as_another_name_of_another_is_told(tmp_path: Path) -> None:
    folder = mine(tmp_path)
    _, instances = write_coco(tmp_path / "coco")
    line = change(folder / "vocabulary.txt", "\ncat: feline, kitty, ", "\ncat: dog, feline, kitty, ") + 1
    assert told(check(str(folder), (), (instances,))) == [
        f"mine/vocabulary.txt:{line}: warning: the category 'dog' is another name of 'cat' here, so that a "
        "count of one is taken for a count of the other: take it out of the line"
    ]


def test_a_category_that_the_embedded_teacher_cannot_speak_of_is_told(tmp_path: Path) -> None:
    folder = mine(tmp_path)
    _, instances = write_coco(tmp_path / "coco")
    text = instances.read_text().replace('"dog"', '"IC"').replace('"cat"', '"Missing_part"')
    instances.write_text(text)
    words, knowledge = folder / "vocabulary.txt", folder / "knowledge.toml"
    change(words, "\n[names]\n", "\n[names]\nic: |\nmissing part: |\n")
    line = append(knowledge, '[things."missing part"]\nuses = ["nothing"]') - 1
    report = check(str(folder), (), (instances,))
    assert told(report) == [
        f"mine/knowledge.toml:{line}: warning: the annotations write 'Missing_part', so that 'missing part' "
        "is not read: rename the table",
        "mine/nouns.toml: warning: the embedded teacher has no word for 'IC' and passes over its boxes: "
        'add a table ["IC"] with say = "…"',
    ]
    (folder / "nouns.toml").write_text('[ic]\nsay = "IC"\n')
    assert told(check(str(folder), (), (instances,)), of="nouns") == [
        "mine/nouns.toml:1: warning: the annotations write 'IC', so that 'ic' is not read: rename the table",
        "mine/nouns.toml:1: warning: the embedded teacher has no word for 'IC' and passes over its boxes: "
        'add a table ["IC"] with say = "…"',
    ]
    (folder / "nouns.toml").write_text('[IC]\nsay = "IC"\n')
    assert told(check(str(folder), (), (instances,)), of="nouns") == []


def test_a_pack_without_types_is_still_read_as_far_as_it_goes(tmp_path: Path) -> None:
    folder = mine(tmp_path)
    (folder / "pack.toml").write_text('name = "mine"\n[types.detail\n')
    (folder / "alignment.txt").open("a").write("TODO: more of them\n")
    lines = (folder / "alignment.txt").read_text().count("\n")
    assert told(check(str(folder))) == [
        f"mine/alignment.txt:{lines}: to be written: TODO: more of them",
        "mine/pack.toml:2: not valid TOML: Expected ']' at the end of a table declaration: "
        "mend what stands there",
    ]


def test_a_slip_in_a_prefix_of_a_word_list_is_told_with_its_own_line_and_hides_nothing(
    tmp_path: Path,
) -> None:
    folder = mine(tmp_path)
    forbidden, leaks = folder / "forbidden.txt", folder / "leaks.txt"
    expected = [
        at(forbidden, append(forbidden, "never re:cure"))
        + "'never re:cure': 'never' must be followed by a colon",
        at(forbidden, append(forbidden, "never: re:[")) + "'re:[' is not a regular expression",
        at(leaks, append(leaks, "re:")) + "'re:' must be followed by a regular expression",
    ]
    talk = folder / "conversation/000_conv.txt"
    expected.insert(0, at(talk, change(talk, "Three pigeons", "Eight pigeons")) + "contradicted")
    found = told(check(str(folder)))
    assert len(found) == len(expected), found
    assert all(line.startswith(start) for line, start in zip(found, expected, strict=True)), found


@pytest.mark.parametrize(
    ("path", "called", "meant"),
    [
        ("forbidden.txt", "forbidden.TXT", "file: rename it to forbidden.txt"),
        ("forbidden.txt", "forbiden", "file: rename it to forbidden.txt"),
        ("knowledge.toml", "Knowlege.toml", "file: rename it to knowledge.toml"),
        ("safety/dialogues.toml", "safety/dialogue.toml", "file: rename it to dialogues.toml"),
        ("detail/questions.txt", "detail/question.txt", "file: rename it to questions.txt"),
        ("detail/alike.txt", "detail/003_caps.Txt", "file: rename it to 003_caps.txt"),
        ("phrasings", "phrasing", "folder: rename it to phrasings"),
    ],
)
def test_a_file_or_folder_that_is_called_otherwise_is_told_with_what_was_meant(
    path: str, called: str, meant: str, tmp_path: Path
) -> None:
    folder = mine(tmp_path)
    (folder / "detail/alike.txt").write_text("A file that is there only to be called otherwise.")
    (folder / path).rename(folder / called)
    (folder / "detail/alike.txt").unlink(missing_ok=True)
    line = ":1" if meant.startswith("file") else ""
    assert told(check(str(folder))) == [
        f"mine/{called}{line}: nothing reads this {meant}, if that is what it is"
    ]


def test_files_for_people_and_copies_of_what_is_there_are_no_mistakes(tmp_path: Path) -> None:
    folder = mine(tmp_path)
    for name in (
        "README.md",
        "vocabulary.md",
        "LICENSE",
        ".forbidden.txt.swp",
        "leaks.txt~",
        "images/leaks.jpg",
    ):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("?")
    assert told(check(str(folder))) == []
    (folder / "leaks2.txt").write_text("?")
    assert told(check(str(folder))) == [
        "mine/leaks2.txt:1: warning: nothing reads this file: take it away, or check its name"
    ]


def test_mistakes_in_nouns_are_told_each_with_its_line(tmp_path: Path) -> None:
    folder = mine(tmp_path, "medical-xray")
    nouns = folder / "nouns.toml"
    form = change(nouns, '[nodule]\nform = "count"', '[nodule]\nform = "cuont"') + 1
    key = change(nouns, 'words = "opacity"', 'wrods = "opacity"')
    assert told(check(str(folder))) == [
        f"mine/nouns.toml:{key}: lung opacity.wrods: no such key; there are say, plural, form, words, the",
        f"mine/nouns.toml:{form}: nodule.form: must be one of count, mass, plural, unique, bare, got 'cuont'",
    ]
    line = append(nouns, "[broken")
    (finding,) = told(check(str(folder)))
    assert finding.startswith(f"mine/nouns.toml:{line}: not valid TOML: ")


@pytest.mark.parametrize(
    ("source", "old", "new", "expected"),
    [
        (
            "coco",
            '[types.detail]\nreply = "answer"',
            '[types.detail]\nreply = "answers"',
            "types.detail.reply: Input should be 'pairs', 'answer' or 'json' (got 'answers'): "
            "until it is mended, no seed is judged that rests on it",
        ),
        (
            "coco",
            '[types.detail]\nreply = "answer"',
            "[types.detail]",
            "types.detail.reply: Field required: ",
        ),
        ("coco", 'name = "coco"', 'name = ""', "name: String should have at least 1 character (got '')"),
        ("coco", 'name = "coco"', "", "name: Field required"),
        (
            "medical-xray",
            'frame = "radiograph"',
            'frame = "xray"',
            "frame: Input should be 'camera', 'overhead' or 'radiograph' (got 'xray'): ",
        ),
        ("medical-xray", '"declines"]', '"decline"]', "types.safety.checks.4: Input should be 'format', "),
    ],
)
def test_one_mistake_in_the_settings_is_one_finding_and_hides_no_other(
    source: str, old: str, new: str, expected: str, tmp_path: Path
) -> None:
    folder = mine(tmp_path, source)
    change(folder / "pack.toml", old, new)
    line = append(folder / "alignment.txt", "What does the caption say?")
    other, settings = told(check(str(folder)))
    assert other.startswith(f"mine/alignment.txt:{line}: leak: ")
    assert expected in settings and settings.startswith("mine/pack.toml:")


def test_a_list_with_a_mistake_is_no_ground_to_find_others(tmp_path: Path) -> None:
    folder = mine(tmp_path)
    line = append(folder / "declines.txt", "re:[")
    words = folder / "vocabulary.txt"
    words.write_bytes(words.read_bytes() + "# schön\n".encode("latin-1"))
    leaks = folder / "leaks.txt"
    leaks.write_text(leaks.read_text(), encoding="utf-16")
    found = told(check(str(folder)))
    assert [each.split(" ")[0] for each in found] == [
        f"mine/declines.txt:{line}:", "mine/leaks.txt:1:", "mine/vocabulary.txt:1:"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("sample", "problem"),
    [
        ("examples/nowhere", "no such folder"),
        ("examples", "has no captions.json and no instances.json"),
        (".", "has no captions.json"),
    ],
)
def test_a_sample_without_annotations_is_one_finding_among_others(
    sample: str, problem: str, tmp_path: Path
) -> None:
    folder = mine(tmp_path)
    line = change(folder / "pack.toml", 'sample = "examples/scenes"', f'sample = "{sample}"')
    (folder / "instances.json").write_text("{}")
    leak = append(folder / "alignment.txt", "What does the caption say?")
    other, found = told(check(str(folder)))
    assert other.startswith(f"mine/alignment.txt:{leak}: leak: ")
    assert found.startswith(f"mine/pack.toml:{line}: sample = '{sample}': {problem}: give a folder with ")


def test_a_prompt_that_asks_for_above_and_below_where_nothing_is_above_is_a_warning(tmp_path: Path) -> None:
    folder = mine(tmp_path, "satellite")
    line = append(folder / "detail/system_message.txt", "Say left or right, above or below.")
    assert told(check(str(folder))) == [
        f"mine/detail/system_message.txt:{line}: warning: 'above or below': with frame = 'overhead' nothing "
        "is above anything: take it out, or speak of the top and bottom of the image"
    ]
    change(folder / "pack.toml", 'frame = "overhead"', 'frame = "camera"')
    assert told(check(str(folder)), of="detail/system_message.txt") == []


def test_toml_that_ends_too_early_is_told_in_plain_words(tmp_path: Path) -> None:
    folder = mine(tmp_path)
    line = append(folder / "pack.toml", "sample =")
    (finding,) = told(check(str(folder)), of="pack.toml")
    assert finding.startswith(f"mine/pack.toml:{line}: not valid TOML: Invalid value: ")
