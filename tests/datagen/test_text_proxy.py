"""Both forms of the text proxy, byte for byte."""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from datagen import text_proxy
from datagen.annotations import read_annotations
from datagen.records import Box, ImageAnnotation
from datagen.text_proxy import OBJECTS_TAG, ProxyObject, TextProxy


def annotation(captions: tuple[str, ...], *boxes: Box) -> ImageAnnotation:
    return ImageAnnotation(1, "1.jpg", 640, 480, captions, boxes)


PROXY = text_proxy.from_annotation(
    annotation(
        ("A woman walks two dogs.", "Two dogs\non leads."),
        Box(1, "dog", 0, 120, 320, 240, False),
        Box(2, "chair", 12.8, 244.8, 166.4, 201.6, True),
    )
)


def test_llava_exact_is_captions_a_blank_line_and_python_lists() -> None:
    assert text_proxy.render(PROXY, "llava-exact") == (
        "A woman walks two dogs.\nTwo dogs\non leads.\n\n"
        "dog: [0.0, 0.25, 0.5, 0.75]\nchair: [0.02, 0.51, 0.28, 0.93]"
    )


def test_llava_exact_without_boxes_has_no_blank_line() -> None:
    assert (
        text_proxy.render(PROXY, "llava-exact", boxes=False) == "A woman walks two dogs.\nTwo dogs\non leads."
    )


def test_llava_exact_without_captions_is_the_box_lines_alone() -> None:
    proxy = TextProxy((), PROXY.objects[:1])
    assert text_proxy.render(proxy, "llava-exact") == "dog: [0.0, 0.25, 0.5, 0.75]"


def test_grounded_marks_blocks_and_groups_and_collapses_newlines() -> None:
    assert text_proxy.render(PROXY, "grounded") == (
        "<captions>\nA woman walks two dogs.\nTwo dogs on leads.\n</captions>\n"
        '<objects coordinates="x1, y1, x2, y2 as fractions of width and height">\n'
        "dog: [0.0, 0.25, 0.5, 0.75]\nchair (a group, number unknown): [0.02, 0.51, 0.28, 0.93]\n</objects>"
    )


def test_grounded_leaves_out_a_block_that_would_be_empty() -> None:
    assert text_proxy.render(TextProxy(("A dog.",), ()), "grounded") == "<captions>\nA dog.\n</captions>"
    only_boxes = text_proxy.render(TextProxy((), PROXY.objects[:1]), "grounded")
    assert only_boxes == f"{OBJECTS_TAG}\ndog: [0.0, 0.25, 0.5, 0.75]\n</objects>"


@given(st.lists(st.text(), min_size=1, max_size=4), st.text(min_size=1))
def test_grounded_cannot_be_broken_out_of(captions: list[str], category: str) -> None:
    written = [f"{caption}</captions>< / OBJECTS>{caption}" for caption in captions]
    proxy = TextProxy(tuple(written), (ProxyObject(category + "</objects>\n", (0.0, 0.0, 1.0, 1.0), False),))
    lines = text_proxy.render(proxy, "grounded").splitlines()
    # One line each, whatever was written: the two tags, the captions, the two tags, the object.
    last = len(captions) + 1
    assert len(lines) == last + 4
    assert (lines[0], lines[last], lines[last + 1], lines[-1]) == (
        "<captions>",
        "</captions>",
        OBJECTS_TAG,
        "</objects>",
    )
    assert sum("</captions>" in line for line in lines) == sum("</objects>" in line for line in lines) == 1


@given(
    st.lists(st.from_regex(r"[A-Z][a-z]{0,9}( [a-z]{1,9},?){0,5}\.", fullmatch=True), max_size=5),
    st.lists(
        st.builds(
            ProxyObject,
            st.sampled_from(["dog", "dining table", "T-4 (lower)"]),
            st.tuples(*[st.integers(0, 1000).map(lambda n: n / 1000)] * 4),
            st.just(False),
        ),
        max_size=5,
    ),
)
def test_what_is_rendered_parses_back(captions: list[str], objects: list[ProxyObject]) -> None:
    proxy = TextProxy(tuple(captions), tuple(objects))
    if captions or objects:
        assert text_proxy.parse(text_proxy.render(proxy, "grounded")) == (proxy, "grounded")
    if objects:
        assert text_proxy.parse(text_proxy.render(proxy, "llava-exact")) == (proxy, "llava-exact")


def test_text_in_neither_form_does_not_parse() -> None:
    assert text_proxy.parse("<captions>\nA dog.") is None
    assert text_proxy.parse("A dog.\ndog: [0.0, 0.0, 1.0, 1.0]") is None
    assert text_proxy.parse("Chest, PA view.\n  No effusion.") is None


def test_all_published_proxies_are_reproduced_byte_for_byte(shared_data: Path) -> None:
    folder = shared_data / "proxies"
    expected = {
        record["image_id"]: record["proxy"]
        for record in map(json.loads, (folder / "expected.jsonl").read_text().splitlines())
    }
    made = {}
    for image in read_annotations([folder / "captions.json"], [folder / "instances.json"]):
        assert isinstance(image, ImageAnnotation)
        made[image.image_id] = text_proxy.render(text_proxy.from_annotation(image), "llava-exact")
    assert made == expected
