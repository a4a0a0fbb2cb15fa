"""`pack check`: every fault in one go, with its line and the mend; what ships is clean."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from datagen.packs.check import MOST_PREFIX_TOKENS, PackReport, check, summary
from datagen.prompting import PACKS
from tests.datagen.scenes import write_coco
from tests.datagen.test_run import datagen


def mine(tmp_path: Path) -> Path:
    return Path(shutil.copytree(PACKS / "coco", tmp_path / "mine"))


def change(file: Path, old: str, new: str) -> int:
    """Replace a text that stands there once; the line on which it stood."""
    text = file.read_text()
    assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {file}"
    file.write_text(text.replace(old, new))
    return text[: text.index(old)].count("\n") + 1


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
    settings = folder / "pack.toml"
    at = {
        "table": change(settings, 'near"\n', "") if 'near"\n' in settings.read_text() else 0,
        "weight": change(settings, "grounding_what = 0", "grounding_waht = 0"),
        "margin": change(settings, "apart = 0.12", 'apart = "far"'),
        "key": change(settings, 'sample = "examples/scenes"', 'sampel = "examples/scenes"'),
        "count": change(folder / "conversation/000_conv.txt", "Three pigeons", "Eight pigeons"),
        "mark": change(folder / "conversation/000_conv.txt", "riding the bicycle?", "riding the bicycle"),
        "leak": change(folder / "conversation/001_conv.txt", "Answer:\n", "Answer:\nThe caption says: ")
        if (folder / "conversation/001_conv.txt").read_text().count("Answer:\n") == 1
        else 0,
        "slot": change(folder / "phrasings/side.toml", "\n", "\n") if False else 0,
        "reason": change(folder / "complaints.txt", "\ncontradicted:", "\ncontradcted:") + 1,
        "detail": change(folder / "complaints.txt", "what is known of the image ({detail})", "it ({detial})"),
    }
    change(folder / "vocabulary.txt", "\nstop sign: ", "\nstop sign ")
    change(folder / "vocabulary.txt", "\nbench: ", "\nbench ")
    (folder / "refusals.txt").open("a").write("re:(\n")
    (folder / "detail/system_message.txt").open("a").write("\nLook at {caption}.\n")
    (folder / "detail/001_conv.txt").unlink()
    (folder / "leaks.txt").rename(folder / "leeks.txt")
    (folder / "blind_spots.txt").write_bytes("weather asks: schön".encode("latin-1"))
    (folder / "phrasings/side.toml").open("a").write('\nquesstion = ["Where is the <thing>?"]\n')
    vocabulary = (PACKS / "coco/vocabulary.txt").read_text().split("\n")
    stop = next(n for n, line in enumerate(vocabulary, 1) if line.startswith("stop sign: "))
    bench = next(n for n, line in enumerate(vocabulary, 1) if line.startswith("bench: "))
    refusals = (PACKS / "coco/refusals.txt").read_text().count("\n") + 1
    system = (PACKS / "coco/detail/system_message.txt").read_text().count("\n") + 2
    found = told(check(str(folder)))

    def has(beginning: str, ending: str = "") -> bool:
        return any(line.startswith(beginning) and line.endswith(ending) for line in found)

    assert has(f"mine/pack.toml:{at['weight']}: [programs.weights] grounding_waht", "mean grounding_what?")
    assert has(f"mine/pack.toml:{at['margin']}: programs.margins.apart: Input should be a valid number")
    assert has(f"mine/pack.toml:{at['key']}: unknown key sampel (did you mean sample?): known here are name")
    assert has(
        "mine/conversation/000_conv.txt:11: contradicted: answer 2: 'Eight pigeons' (count): 3 boxes",
        "change the reply or the proxy, so that they agree",
    )
    assert has("mine/conversation/000_conv.txt:20: question 4 has no question mark: add it")
    assert has(f"mine/complaints.txt:{at['reason']}: no reply is rejected as contradcted: did you mean")
    assert has(f"mine/complaints.txt:{at['detail']}: nothing fills {{detial}} in")
    assert has(f"mine/vocabulary.txt:{stop}: 'stop sign stopsign, stop sighn |': must be words, a colon")
    assert has(f"mine/vocabulary.txt:{bench}: 'bench | park bench")
    assert has(f"mine/refusals.txt:{refusals}: 're:(' is not a regular expression")
    assert has(f"mine/detail/system_message.txt:{system}: {{caption}} is sent as it stands")
    assert has("mine/detail/001_conv.txt: missing: the seed 001_caps.txt has no reply")
    assert has("mine/leeks.txt:1: nothing reads this file: rename it to leaks.txt, if that is what it is")
    assert has("mine/blind_spots.txt:1: not UTF-8 text (byte 16): save the file as UTF-8")
    assert any("phrasings/side.toml" in line and "quesstion: nothing uses it" in line for line in found)


def test_a_seed_that_counts_otherwise_than_its_proxy_is_told_whatever_the_type_checks(tmp_path: Path) -> None:
    """As a published one does: three ships in the reply, eight in the proxy."""
    folder = tmp_path / "theirs"
    (folder / "detail_description").mkdir(parents=True)
    for name, text in (
        ("system_message", "Describe the image."),
        ("000_caps", "Ships at a pier.\n\n" + "boat: [0.1, 0.2, 0.3, 0.4]\n" * 8),
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
        "Question:\nHow does the weather feel?\n===\n"
        "Answer:\nI'm sorry, but I can't tell, for the captions do not mention any of the weather here.\n"
    )
    assert told(check(str(folder)), of="conversation/000_conv") == [
        "mine/conversation/000_conv.txt:5: answer 1 has 3 words, and pack.toml wants 7 to 39 "
        "([types.conversation] answer_words): change one or the other",
        "mine/conversation/000_conv.txt:8: blind_spot: question 2: 'weather' (blind_spot): "
        "no caption speaks of it: ask something else, or let a caption of the proxy tell",
        *[
            line
            for line in told(check(str(folder)), of="conversation/000_conv")
            if line.startswith(("mine/conversation/000_conv.txt:11: leak", "mine/conversation/000_conv.txt:11: ref"))
        ],
    ]
    assert any("11: leak: " in line for line in told(check(str(folder))))
    assert any("11: refusal: " in line for line in told(check(str(folder))))


def test_a_box_of_a_seed_that_is_none_is_told(tmp_path: Path) -> None:
    folder = mine(tmp_path)
    change(folder / "detail/000_caps.txt", "[0.", "[0.") if False else None
    text = (folder / "detail/000_caps.txt").read_text().rstrip("\n").split("\n")
    text[-2] = "dog: [0.9, 0.1, 0.2, 1.4]"
    (folder / "detail/000_caps.txt").write_text("\n".join(text) + "\n")
    assert told(check(str(folder)), of="detail/000_caps") == [
        f"mine/detail/000_caps.txt:{len(text) - 1}: dog: [0.9, 0.1, 0.2, 1.4] is no box: x1 < x2 and y1 < y2, "
        "all from 0 to 1"
    ]


def test_a_prefix_that_is_too_long_is_told_with_its_longest_seed(tmp_path: Path) -> None:
    folder = mine(tmp_path)
    caps = folder / "detail/001_caps.txt"
    caps.write_text(
        caps.read_text().replace("<captions>\n", "<captions>\n" + "A long sentence of eight words here.\n" * 900)
    )
    (finding,) = [each for each in check(str(folder)).findings if "tokens" in each.what]
    assert finding.file == "detail/system_message.txt"
    assert f"more than {MOST_PREFIX_TOKENS:,}: shorten the text" in finding.what
    assert "(detail/001 is the longest, with about " in finding.what


def test_a_vocabulary_that_misses_a_category_is_told_with_the_nearest_word(tmp_path: Path) -> None:
    folder = mine(tmp_path)
    _, instances = write_coco(tmp_path / "coco")
    text = instances.read_text().replace('"dog"', '"gasket"').replace('"cat"', '"cargo ship"')
    instances.write_text(text.replace('"horse"', '"guide horse"'))
    line = (folder / "vocabulary.txt").read_text().split("\n").index("[names]") + 1
    report = check(str(folder), (), (instances,))
    assert told(report) == [
        f"mine/vocabulary.txt:{line}: the category 'gasket' is not in [names], so that only this very word "
        "means it; the nearest there is 'basket': add a line `gasket: other names | kinds`",
        f"mine/vocabulary.txt:{line}: the category 'guide horse' is not in [names], so that only this very word "
        "means it; the nearest there is 'horse': add a line `guide horse: other names | kinds`",
        f"mine/vocabulary.txt:{line}: warning: the category 'cargo ship' is not in [names], so that only this "
        "very word means it; it is known as a kind of boat: add a line `cargo ship: other names | kinds`",
    ]
    assert summary(report)[-1].endswith("mine: 2 to mend, 1 warning; held against 8 categories")


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
