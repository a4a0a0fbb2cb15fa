"""Pascal VOC, LabelMe, CVAT and Label Studio."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from tests.datagen.convert.exports import convert, draw, write
from tests.datagen.test_bad_input import refused

VOC = """\
<annotation>
	<folder>photos</folder>
	<filename>{name}</filename>
	<path>C:\\Users\\me\\photos\\{name}</path>
	<source><database>Unknown</database></source>
	<size><width>{width}</width><height>100</height><depth>3</depth></size>
	<segmented>0</segmented>
{objects}</annotation>
"""
VOC_OBJECT = """\
	<object>
		<name>{}</name><pose>Unspecified</pose><truncated>0</truncated><difficult>0</difficult>
		<bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox>
	</object>
"""


def voc(name: str, *objects: tuple[object, ...], width: int = 200) -> str:
    return VOC.format(name=name, width=width, objects="".join(VOC_OBJECT.format(*each) for each in objects))


def test_voc(tmp_path: Path) -> None:
    images = draw(tmp_path / "photos", "a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg")
    labels = tmp_path / "xml"
    write(
        labels / "a.xml",
        voc(
            "a.jpg",
            ("dog", 10, 20, 60, 80),
            ("person", "100.5", 0, 200, 100),
            ("dog", 190, 20, 240, 80),
            ("cat", 300, 20, 340, 80),
            ("dog", 60, 20, 10, 80),
            ("dog", "nan", 20, 10, 80),
        ),
    )
    write(labels / "e.xml", voc("e.jpg", ("dog", 10, 20, 60, 80), ("", 70, 20, 90, 80)))
    write(labels / "b.xml", voc("b.jpg", ("dog", 10, 20, 60, 80), width=100))
    write(labels / "c.xml", voc("c.jpg", ("dog", 10, 20, 60, 80))[:-20])
    write(labels / "d.xml", voc("d.jpg", width=0))  # a tool that could not read the image
    write(labels / "gone.xml", voc("gone.jpg", ("dog", 10, 20, 60, 80)))
    write(labels / "other.xml", "<annotations/>")
    found = convert("voc", labels, images=images, out=tmp_path / "out")
    nowhere = [0.0, 0.0, 0.0, 0.0]
    assert found.boxes == {
        "a.jpg": [
            ("dog", [10.0, 20.0, 50.0, 60.0]),
            ("person", [100.5, 0.0, 99.5, 100.0]),
            ("dog", [190.0, 20.0, 10.0, 60.0]),
            ("cat", nowhere),
            ("dog", nowhere),
        ],
        "d.jpg": [],
        "e.jpg": [("dog", nowhere), ("person", nowhere), ("cat", nowhere)],
    }
    assert found.left_out == [
        ("+box_clipped", "a.xml", "object 3"),
        ("box_outside_image", "a.xml", "object 4"),
        ("bad_box", "a.xml", "object 5"),
        ("bad_box", "a.xml", "object 6"),
        ("other_size", "b.xml", ""),
        ("unreadable_file", "c.xml", ""),
        ("no_label", "e.xml", "object 2"),
        ("image_not_found", "gone.xml", ""),
        ("unreadable_file", "other.xml", ""),
        ("unknown_object", "e.xml", "object 2"),
    ]


def test_a_turned_voc_box_becomes_the_upright_one_around_it(tmp_path: Path) -> None:
    images = draw(tmp_path / "photos", "a.jpg")
    turned = (
        "<annotation><filename>a</filename><size><width>200</width><height>100</height></size>"
        "<object><type>robndbox</type><name>ship</name><robndbox><cx>100</cx><cy>50</cy><w>40</w><h>20</h>"
        f"<angle>{math.pi / 2}</angle></robndbox></object></annotation>"
    )
    found = convert("voc", write(tmp_path / "a.xml", turned), images=images, out=tmp_path / "out")
    assert found.boxes == {"a.jpg": [("ship", [90.0, 30.0, 20.0, 40.0])]}
    assert found.left_out == [("+turned_box", "a.xml", "object 1")]


def test_an_xml_file_whose_entities_grow_without_end_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = draw(tmp_path / "photos", "a.jpg")
    entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10 if n else "ha" * 50}">' for n in range(10))
    bomb = write(tmp_path / "a.xml", f"<!DOCTYPE annotation [{entities}]><annotation>&e9;</annotation>")
    said = refused(capsys, tmp_path / "out", "convert", "voc", bomb, "--images", images)
    assert "nothing can be used: unreadable_file 1" in said
    assert "amplification" in said


def labelme(name: str, shapes: list[dict[str, Any]], **changes: Any) -> dict[str, Any]:
    return {
        "version": "5.5.0",
        "flags": {},
        "shapes": [{"group_id": None, "description": "", "flags": {}} | shape for shape in shapes],
        "imagePath": name,
        "imageData": None,
        "imageHeight": 100,
        "imageWidth": 200,
    } | changes


def shape(label: str, kind: str, *points: list[float], **more: Any) -> dict[str, Any]:
    return {"label": label, "points": list(points), "shape_type": kind} | more


def test_labelme(tmp_path: Path) -> None:
    images = draw(tmp_path / "images", "a.jpg", "b.jpg", "c.jpg", "d.jpg")
    shapes = [
        shape("dog", "rectangle", [60, 80], [10, 20]),
        shape("person", "polygon", [100, 10], [120, 10], [110, 60]),
        shape("ball", "circle", [50, 50], [53, 54]),
        shape("cat", "polygon", [0, 0], [10, 0], [10, 10], group_id=1),
        shape("cat", "polygon", [30, 20], [40, 20], [40, 30], group_id=1),
        shape("mast", "line", [0, 0], [10, 10]),
        shape("dog", "polygon", [10, 10], [20]),
        shape("boat", "mask", [5, 5], [25, 35], mask="iVBORw0KGgo="),
    ]
    write(tmp_path / "json/a.json", labelme("..\\images\\a.jpg", shapes))
    write(tmp_path / "json/b.json", labelme("../images/b.jpg", [], imageHeight=50))
    unlabelled = [shape("dog", "rectangle", [60, 80], [10, 20]), shape(" ", "rectangle", [0, 0], [10, 10])]
    write(tmp_path / "json/c.json", labelme("../images/c.jpg", unlabelled))
    damaged = labelme("../images/d.jpg", unlabelled[:1])
    damaged["shapes"].append("what")
    write(tmp_path / "json/d.json", damaged)
    write(tmp_path / "json/coco.json", {"images": [], "annotations": []})
    found = convert("labelme", tmp_path / "json", images=images, out=tmp_path / "out")
    nowhere = [0.0, 0.0, 0.0, 0.0]
    assert found.boxes == {
        "a.jpg": [
            ("dog", [10.0, 20.0, 50.0, 60.0]),
            ("person", [100.0, 10.0, 20.0, 50.0]),
            ("ball", [45.0, 45.0, 10.0, 10.0]),
            ("boat", [5.0, 5.0, 20.0, 30.0]),
            ("cat", [0.0, 0.0, 40.0, 30.0]),  # its two parts are one object
            ("mast", nowhere),
            ("dog", nowhere),
        ],
        # Of whichever category the object without a label is.
        "c.jpg": [(name, nowhere) for name in ("dog", "person", "ball", "mast", "boat", "cat")],
        "d.jpg": [(name, nowhere) for name in ("dog", "person", "ball", "mast", "boat", "cat")],
    }
    assert found.left_out == [
        ("unsupported_shape", "a.json", "shape 6"),
        ("bad_box", "a.json", "shape 7"),
        ("other_size", "b.json", ""),
        ("no_label", "c.json", "shape 2"),
        ("unreadable_file", "coco.json", ""),
        ("bad_shape", "d.json", "shape 2"),
        ("unknown_object", "c.json", "shape 2"),
        ("unknown_object", "d.json", "shape 2"),
    ]


CVAT = """\
<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta>
    <task>
      <id>4</id><name>beach</name><size>3</size><mode>annotation</mode>
      <labels>
        <label><name>dog</name><color>#c06060</color><type>any</type><attributes></attributes></label>
        <label><name>person</name><color>#2080c0</color><type>any</type><attributes></attributes></label>
        <label><name>kite</name><color>#34d1b7</color><type>rectangle</type><attributes></attributes></label>
        <label><name>sunny</name><color>#ffcc33</color><type>tag</type><attributes></attributes></label>
      </labels>
    </task>
  </meta>
  <image id="0" name="day1/a.jpg" width="200" height="100">
    <tag label="sunny" source="manual"></tag>
    <box label="dog" source="manual" occluded="0" xtl="10.00" ytl="20.00" xbr="60.00" ybr="80.00" z_order="0">
      <attribute name="breed">husky</attribute>
    </box>
    <box label="person" source="manual" occluded="0" xtl="80.00" ytl="40.00" xbr="120.00" ybr="60.00" rotation="90.00" z_order="0"></box>
    <polygon label="person" source="manual" occluded="0" points="100.0,10.0;120.0,10.0;110.0,60.0" z_order="0"></polygon>
    <polygon label="dog" source="manual" occluded="0" points="0.0,0.0;10.0,0.0;10.0,10.0" z_order="0" group_id="3"></polygon>
    <polygon label="dog" source="manual" occluded="0" points="30.0,20.0;40.0,20.0;40.0,30.0" z_order="0" group_id="3"></polygon>
    <ellipse label="dog" source="manual" occluded="0" cx="150.0" cy="50.0" rx="20.0" ry="10.0" rotation="90.0" z_order="0"></ellipse>
    <mask label="dog" source="manual" occluded="0" rle="3, 5" left="5" top="6" width="20" height="30" z_order="0"></mask>
    <polyline label="person" source="manual" occluded="0" points="0.0,0.0;9.0,9.0" z_order="0"></polyline>
    <cuboid label="dog" source="manual" occluded="0" xtl1="20.0" ytl1="20.0" xbl1="20.0" ybl1="40.0" xtr1="40.0" ytr1="20.0" xbr1="40.0" ybr1="40.0" xtl2="30.0" ytl2="10.0" xbl2="30.0" ybl2="30.0" xtr2="50.0" ytr2="10.0" xbr2="50.0" ybr2="30.0" z_order="0"></cuboid>
    <polygon label="dog" source="manual" occluded="0" points="" z_order="0"></polygon>
  </image>
  <image id="1" name="day2/a.jpg" width="200" height="100"></image>
  <image id="2" name="day3/a.jpg" width="200" height="100">
    <box label="dog" source="manual" occluded="0" xtl="10.00" ytl="20.00" xbr="60.00" ybr="80.00" z_order="0"></box>
  </image>
</annotations>
"""  # noqa: E501


def test_cvat(tmp_path: Path) -> None:
    images = draw(tmp_path / "images", "day1/a.jpg", "day2/a.jpg")
    found = convert("cvat", write(tmp_path / "annotations.xml", CVAT), images=images, out=tmp_path / "out")
    nowhere = [0.0, 0.0, 0.0, 0.0]
    assert found.boxes == {
        "day1/a.jpg": [
            ("dog", [10.0, 20.0, 50.0, 60.0]),
            ("person", [90.0, 30.0, 20.0, 40.0]),
            ("person", [100.0, 10.0, 20.0, 50.0]),
            ("dog", [140.0, 30.0, 20.0, 40.0]),
            ("dog", [5.0, 6.0, 20.0, 30.0]),
            ("dog", [20.0, 10.0, 30.0, 30.0]),
            ("dog", [0.0, 0.0, 40.0, 30.0]),
            ("person", nowhere),
            ("dog", nowhere),
        ],
        "day2/a.jpg": [],
    }
    assert found.left_out == [
        ("not_drawn", "annotations.xml", "image 0 (day1/a.jpg): tag 1"),
        ("+turned_box", "annotations.xml", "image 0 (day1/a.jpg): box 3"),
        ("unsupported_shape", "annotations.xml", "image 0 (day1/a.jpg): polyline 9"),
        ("bad_box", "annotations.xml", "image 0 (day1/a.jpg): polygon 11"),
        # There is an a.jpg, in other folders: that is no reason to take one of them.
        ("image_not_found", "annotations.xml", "image 2 (day3/a.jpg)"),
    ]
    # A category that was looked for and never found says something too; a tag was not looked for.
    content = (tmp_path / "out/instances.json").read_text()
    assert '{"id": 3, "name": "kite"}' in content
    assert "sunny" not in content


def test_a_cvat_shape_without_a_label_may_be_of_any_category(tmp_path: Path) -> None:
    images = draw(tmp_path / "images", "day1/a.jpg", "day3/a.jpg")
    xml = CVAT.replace('<polyline label="person"', '<polyline label=""')
    found = convert("cvat", write(tmp_path / "annotations.xml", xml), images=images, out=tmp_path / "out")
    nowhere = [0.0, 0.0, 0.0, 0.0]
    assert found.boxes["day1/a.jpg"] == [(name, nowhere) for name in ("dog", "person", "kite")]
    assert ("unknown_object", "annotations.xml", "image 0 (day1/a.jpg): polyline 9") in found.left_out


@pytest.mark.parametrize(
    ("xml", "says"),
    [
        ("<annotation/>", "is not CVAT's XML: its root is <annotation>"),
        ("<annotations><track id='0'/></annotations>", "is CVAT for video: export as CVAT for images 1.1"),
        ("<annotations/>", "has no images"),
        ("<annotations>", "is not XML"),
        ("PK\x03\x04", "is compressed; unpack it first"),
    ],
)
def test_xml_that_is_no_cvat_for_images_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], xml: str, says: str
) -> None:
    images = draw(tmp_path / "images", "a.jpg")
    file = write(tmp_path / "annotations.xml", xml)
    assert says in refused(capsys, tmp_path / "out", "convert", "cvat", file, "--images", images)


def region(kind: str, value: dict[str, Any], **more: Any) -> dict[str, Any]:
    common: dict[str, Any] = {"original_width": 200, "original_height": 100, "image_rotation": 0}
    common |= {"from_name": "label", "to_name": "image", "origin": "manual", "type": kind}
    return common | {"id": "r1", "value": value} | more


def rectangle(
    x: float, y: float, width: float, height: float, rotation: float, *labels: str
) -> dict[str, Any]:
    place = {"x": x, "y": y, "width": width, "height": height, "rotation": rotation}
    return place | {"rectanglelabels": list(labels)}


def text(value: object, id_: str = "t", **more: Any) -> dict[str, Any]:
    result = {"from_name": "caption", "to_name": "image", "type": "textarea", "origin": "manual", "id": id_}
    return result | {"value": {"text": value}} | more


def task(number: int, image: str, results: list[dict[str, Any]], **changes: Any) -> dict[str, Any]:
    annotation = {"id": 100 + number, "completed_by": 1, "result": results, "was_cancelled": False}
    annotation |= {"ground_truth": False, "updated_at": "2026-01-02T03:04:05.000000Z"}
    return {"id": number, "annotations": [annotation], "data": {"image": image}, "predictions": []} | changes


def test_label_studio(tmp_path: Path) -> None:
    images = draw(tmp_path / "images", "a.jpg", "sub/b.jpg", "c d.jpg", "e.jpg", "f.jpg", "g.jpg", "h.jpg")
    first = task(
        1,
        "/data/upload/3/0a1b2c3d-a.jpg",
        [
            region("rectanglelabels", rectangle(5, 20, 25, 60, 0, "dog"), id="r1"),
            region("rectanglelabels", rectangle(50, 20, 20, 20, 90, "person"), id="r2"),
            region("polygonlabels", {"points": [[50, 10], [60, 10], [55, 60]], "polygonlabels": ["dog"]},
                   id="r3"),
            region("ellipselabels", {"x": 50, "y": 50, "radiusX": 5, "radiusY": 10, "rotation": 0,
                                     "ellipselabels": ["ball"]}, id="r4"),
            region("rectangle", {"x": 0, "y": 0, "width": 10, "height": 10, "rotation": 0}, id="r5"),
            region("labels", {"x": 0, "y": 0, "width": 10, "height": 10, "rotation": 0, "labels": ["cat"]},
                   id="r5"),
            region("keypointlabels", {"x": 5, "y": 5, "width": 0.3, "keypointlabels": ["eye"]}, id="r6"),
            region("textarea", {"x": 5, "y": 20, "width": 25, "height": 60, "text": ["REX"]}, id="r1"),
            text(["A dog and a person.", "Two of them play."], "t1"),
            {"from_name": "q", "to_name": "image", "type": "choices", "id": "c1",
             "value": {"choices": ["good"]}},
            {"type": "relation", "from_id": "r1", "to_id": "r2", "direction": "right"},
        ],
    )  # fmt: skip
    two = task(2, "/data/local-files/?d=photos/sub/b.jpg", [text("Old.")])
    two["annotations"].append(
        two["annotations"][0] | {"id": 7, "ground_truth": True, "result": [text("True.")]}
    )
    skipped = task(3, "s3://bucket/c d.jpg", [])
    skipped["annotations"][0]["was_cancelled"] = True
    web = task(4, "https://example.com/x/c%20d.jpg?size=big", [text("A quiet sea.")])
    other = task(
        5, "e.jpg", [region("rectanglelabels", rectangle(5, 20, 25, 60, 0, "dog"), original_width=640)]
    )
    gone = task(6, "gone.jpg", [text("Nothing.")])
    stereo = task(7, "", [], data={"left": "a.jpg", "right": "e.jpg"})
    turned = task(8, "f.jpg", [region("rectanglelabels", rectangle(5, 5, 9, 9, 0, "dog"), image_rotation=90)])
    blank = task(9, "g.jpg", [text("  ", "t9"), text(5, "t10")])
    odd = task(11, "g.jpg", [text("Fine.")])
    odd["annotations"][0]["result"].append("what")
    unlabelled = task(12, "h.jpg", [region("rectanglelabels", rectangle(5, 20, 25, 60, 0)), text("A sea.")])
    tasks = [first, two, skipped, web, other, gone, stereo, turned, blank, "what", odd, unlabelled]
    file = write(tmp_path / "project.json", tasks)
    found = convert("label-studio", file, images=images, out=tmp_path / "out")
    nowhere = [0.0, 0.0, 0.0, 0.0]
    assert {name: boxes for name, boxes in found.boxes.items() if boxes} == {
        "a.jpg": [
            ("dog", [10.0, 20.0, 50.0, 60.0]),
            # A quarter turn clockwise about the top left corner, which is (100, 20).
            ("person", [80.0, 20.0, 20.0, 40.0]),
            ("dog", [100.0, 10.0, 20.0, 50.0]),
            ("ball", [90.0, 40.0, 20.0, 20.0]),
            ("cat", [0.0, 0.0, 20.0, 10.0]),
            ("eye", nowhere),
        ],
        "f.jpg": [("dog", nowhere)],
        "h.jpg": [(name, nowhere) for name in ("dog", "person", "ball", "cat", "eye")],
    }
    assert found.captions == {
        "a.jpg": ["A dog and a person.", "Two of them play."],
        "c d.jpg": ["A quiet sea."],
        "h.jpg": ["A sea."],
        "sub/b.jpg": ["True."],
    }
    assert found.left_out == [
        ("text_of_a_region", "project.json", "task 1 (region r1)"),
        ("+turned_box", "project.json", "task 1 (region r2)"),
        ("unsupported_shape", "project.json", "task 1 (region r6)"),
        ("not_drawn", "project.json", "task 1 (region c1)"),
        ("another_annotation", "project.json", "task 2 (annotation 102)"),
        ("not_annotated", "project.json", "task 3"),
        ("other_size", "project.json", "task 5"),
        ("image_not_found", "project.json", "task 6"),
        ("several_images", "project.json", "task 7"),
        ("image_turned", "project.json", "task 8 (region r1)"),
        ("empty_caption", "project.json", "task 9 (region t9)"),
        ("empty_caption", "project.json", "task 9 (region t10)"),
        ("bad_task", "project.json", "task 10"),
        ("bad_task", "project.json", "task 11"),
        ("no_label", "project.json", "task 12 (region r1)"),
        ("unknown_object", "project.json", "task 12 (region r1)"),
    ]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"images": []}, "is not Label Studio's JSON, a list of tasks"),
        ([{"image": "a.jpg", "id": 1, "label": []}], "export as JSON, not as JSON-MIN"),
        ("[{", "is not JSON"),
    ],
)
def test_json_that_is_no_label_studio_export_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: object, says: str
) -> None:
    images = draw(tmp_path / "images", "a.jpg")
    file = write(tmp_path / "project.json", content)
    assert says in refused(capsys, tmp_path / "out", "convert", "label-studio", file, "--images", images)
