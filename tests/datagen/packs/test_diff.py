"""`pack diff`: two packs over the same images through ordinary runs, in figures and side by side."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from datagen.ledger import Ledger
from datagen.prompting import PACKS
from tests.datagen.chat_server import ChatServer
from tests.datagen.scenes import good_teacher
from tests.datagen.test_run import datagen, inputs, manifest_of, openai

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary-0123456789")


def stricter(tmp_path: Path) -> Path:
    """coco, but no answer may say "visible" or "located"."""
    folder = Path(shutil.copytree(PACKS / "coco", tmp_path / "stricter"))
    (folder / "leaks.txt").open("a").write("visible\nlocated\n")
    return folder


def images_of(out: Path) -> list[int]:
    with Ledger.open_read_only(out) as ledger:
        return [each.image_id for each in ledger.images()]


def row(text: str, name: str) -> list[str]:
    """The columns of the first row of that name."""
    line = next(line for line in text.split("\n") if line.startswith(f"  {name}  "))
    return [part for part in line.removeprefix(f"  {name}").split("  ") if part.strip()]


def test_both_see_the_same_images_and_the_table_says_how_they_differ(tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "out"
    files = inputs(tmp_path, images=30)
    pack = stricter(tmp_path)
    assert datagen("pack", "diff", "coco", pack, *files, "--sample", "8", "--out", out) == 0
    text = capsys.readouterr().out
    chosen = images_of(out / "a")
    assert len(chosen) == 8 and chosen == images_of(out / "b")
    assert chosen != list(range(1, 9))  # not simply the first
    a, b = manifest_of(out / "a"), manifest_of(out / "b")
    assert row(text, "kept of planned")[0].strip() == "8 of 8 (100%)"
    leaks = [each.reasons.get("turn_dropped", {}).get("leak", 0) for each in (a, b)]
    assert leaks[0] == 0 < leaks[1]
    assert row(text, "leak")[-1].strip() in (str(leaks[1]), str(b.reasons.get("rejected", {}).get("leak")))
    assert text.rstrip().endswith(f"Side by side: {out / 'diff.html'}")

    # More images begin with the same ones, so that nothing that was paid for is lost.
    assert datagen("pack", "diff", "coco", pack, *files, "--sample", "12", "--out", out) == 0
    assert set(chosen) < set(images_of(out / "a"))


def test_the_page_shows_what_was_kept_and_dropped_and_trusts_no_text(tmp_path: Path) -> None:
    captions, instances = inputs(tmp_path, images=4)[1::2]
    text = Path(captions).read_text()
    Path(captions).write_text(text.replace("number 1 stands", "number <b>1</b> stands"))
    files = ["--captions", captions, "--instances", instances]
    pack, out = stricter(tmp_path), tmp_path / "out"
    assert datagen("pack", "diff", "coco", pack, *files, "--sample", "4", "--out", out) == 0
    page = (out / "diff.html").read_text()
    assert "number &lt;b&gt;1&lt;/b&gt; stands" in page
    assert "<b>" not in page and "<script" not in page
    assert "turn dropped: leak: answer" in page
    assert page.count("<section") == 4


def test_the_same_command_asks_nothing_again_and_half_the_cap_is_each_sides(
    tmp_path: Path, capsys: Capture
) -> None:
    prices = tmp_path / "prices.toml"
    prices.write_text('["tiny"]\ndate = 2026-10-21\ninput = 2.0\ncached_input = 0.5\noutput = 8.0\n')
    files, pack, out = inputs(tmp_path, images=6), stricter(tmp_path), tmp_path / "out"
    with ChatServer(good_teacher) as server:
        options = [*files, *openai(server), "--prices", prices]
        command = ["pack", "diff", "coco", pack, *options]
        assert datagen(*command, "--sample", "3", "--max-cost", "10", "--out", out) == 0
        asked = len(server.requests)
        assert asked >= 18
        assert datagen(*command, "--sample", "3", "--max-cost", "10", "--out", out) == 0
        assert len(server.requests) == asked
        spent = [manifest_of(out / side).cost.spent for side in "ab"]
        # Room on each side for the dearest request that can be, and for no more than a few of them.
        assert max(spent) < 0.03
        capsys.readouterr()
        poor = tmp_path / "poor"
        assert datagen(*command, "--sample", "3", "--max-cost", "0.06", "--out", poor) == 1
    text = capsys.readouterr()
    assert "stopped: a: " in text.err and "stopped: b: " in text.err
    for side in "ab":
        assert 0 < manifest_of(poor / side).cost.spent <= 0.03


def test_a_folder_of_something_else_is_refused(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").touch()
    assert datagen("pack", "diff", "coco", "coco", "--out", tmp_path / "out") == 2
    assert capsys.readouterr().err == (
        f"error: --out {tmp_path / 'out'}: neither empty nor a comparison of ours (it holds thesis.txt): "
        "choose another\n"
    )
