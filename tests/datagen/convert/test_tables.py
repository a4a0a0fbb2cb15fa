"""Tables of boxes, captions and reports; reports as text files; captions out of image files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image, PngImagePlugin

from tests.datagen.convert.exports import convert, draw, write
from tests.datagen.test_bad_input import refused

NOWHERE = [0.0, 0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    "table",
    [
        # TensorFlow's and Roboflow's
        "filename,width,height,class,xmin,ymin,xmax,ymax\na.jpg,200,100,dog,10,20,60,80\nb.jpg,200,100,,,,,\n",
        # VinDr-CXR's: no ending, a row for nothing found
        "image_id,class_name,class_id,rad_id,x_min,y_min,x_max,y_max\na,dog,3,R9,10,20,60,80\nb,none,14,R9,,,,\n",
        # Excel's where the decimal comma is used
        "Image;Label;X;Y;Width;Height\r\na.jpg;dog;10;20;50;60\r\nb.jpg;dog;;;;\r\n",
        # Open Images' fractions
        "ImageID\tLabelName\tXMin\tXMax\tYMin\tYMax\na\tdog\t0.05\t0.3\t0.2\t0.8\nb\tdog\t\t\t\t\n",
        # somebody's own, with a byte order mark and another machine's paths
        "\ufeffpath,x1,y1,x2,y2,label\n/home/me/photos/a.jpg,10,20,60,80,dog\nC:\\photos\\b.jpg,,,,,\n",
    ],
)
def test_a_table_of_boxes_is_read_by_its_header(tmp_path: Path, table: str) -> None:
    images = draw(tmp_path / "photos", "a.jpg", "b.jpg")
    found = convert("csv", write(tmp_path / "boxes.csv", table), images=images, out=tmp_path / "out")
    assert found.boxes == {"a.jpg": [("dog", [10.0, 20.0, 50.0, 60.0])], "b.jpg": []}
    assert found.left_out == []


def test_rows_that_cannot_be_used_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = draw(tmp_path / "photos", "a.jpg", "b.jpg", "c.jpg")
    table = """\
file,label,xmin,ymin,xmax,ymax
a.jpg,"big
dog",10,20,60,80
b.jpg,cat,10,20,60
a.jpg,cat,10,20,,80
gone.jpg,cat,10,20,60,80
a.jpg,cat,210,20,260,80
,cat,10,20,60,80
b.jpg,cat,10,20,60,80
c.jpg,,10,20,60,80
"""
    found = convert("csv", write(tmp_path / "boxes.csv", table), images=images, out=tmp_path / "out")
    assert found.boxes == {
        "a.jpg": [("big dog", [10.0, 20.0, 50.0, 60.0]), ("cat", NOWHERE)],
        # With a row that cannot be read, or an object without a label, nothing is known to be absent.
        "b.jpg": [("big dog", NOWHERE), ("cat", NOWHERE)],
        "c.jpg": [("big dog", NOWHERE), ("cat", NOWHERE)],
    }
    assert found.left_out == [
        ("bad_row", "boxes.csv", "line 4"),
        ("bad_box", "boxes.csv", "line 5"),
        ("image_not_found", "boxes.csv", "line 6"),
        ("box_outside_image", "boxes.csv", "line 7"),
        ("image_not_found", "boxes.csv", "line 8"),
        ("no_label", "boxes.csv", "line 10"),
        ("unknown_object", "boxes.csv", "line 4"),
        ("unknown_object", "boxes.csv", "line 10"),
    ]
    fractions = "file,label,xmin,ymin,xmax,ymax\na.jpg,cat,0.5,0,1,1\n"
    file = write(tmp_path / "fractions.csv", fractions)
    convert("csv", file, images=images, out=tmp_path / "fractions")
    assert "read as fractions of width and height, none being above 1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("format_", "table", "says"),
    [
        (
            "csv",
            "a.jpg,10,20,60,80,dog\n",
            "its first line must name the columns; it is 'a.jpg,10,20,60,80,dog'",
        ),
        (
            "csv",
            "file,x_center,y_center,w,h,label\n",
            "and needs filename, label, xmin, ymin, xmax, ymax or ",
        ),
        ("captions", "file,label\na.jpg,dog\n", "and needs filename, caption"),
        ("reports", "file,label\na.jpg,dog\n", "and needs filename, report or filename, findings or "),
        (
            "captions",
            'file,caption\na.jpg,"dog\n',
            "line 2: its quotes do not close, or text stands after them: put ",
        ),
        ("captions", "file,caption\nb.jpg,dog\n", "nothing can be used: image_not_found 1 (the first, "),
        ("captions", "file,caption\n", "nothing can be used: the export has no objects and no text"),
        ("captions", "", "is empty; export it again"),
        (
            "captions",
            "file,caption\ra.jpg,a dog\r",
            "line 1: has a carriage return within; save it with other line ends",
        ),
        (
            "captions",
            "file,caption,Caption\na.jpg,a dog,a cat\n",
            "line 1: has two columns 'caption': rename or take out all but one",
        ),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], format_: str, table: str, says: str
) -> None:
    images = draw(tmp_path / "photos", "a.jpg")
    file = write(tmp_path / "table.csv", table)
    assert says in refused(capsys, tmp_path / "out", "convert", format_, file, "--images", images)


def test_the_image_of_a_bad_row_is_found_from_either_end(tmp_path: Path) -> None:
    images = draw(tmp_path / "photos", "a.jpg", "b.jpg", "c.jpg")
    table = "label,xmin,ymin,xmax,ymax,file\ndog,10,20,60,80,a.jpg\ndog,10,20,60,b.jpg\ndog,1,2,3,4,c.jpg,x\n"
    found = convert("csv", write(tmp_path / "boxes.csv", table), images=images, out=tmp_path / "out")
    assert found.boxes == {
        "a.jpg": [("dog", [10.0, 20.0, 50.0, 60.0])],
        "b.jpg": [("dog", NOWHERE)],
        "c.jpg": [("dog", NOWHERE)],
    }


def test_quotes_that_do_not_parse_are_text_where_tabs_separate(tmp_path: Path) -> None:
    images = draw(tmp_path / "photos", "x1.png", "x2.png", "x3.png")
    table = 'image\tcaption\nx1.png\t"Happy" dog on grass\nx2.png\tA 12" ruler\nx3.png\t"Open end\n'
    found = convert("captions", write(tmp_path / "t.tsv", table), images=images, out=tmp_path / "a")
    assert found.captions == {
        "x1.png": ['"Happy" dog on grass'],
        "x2.png": ['A 12" ruler'],
        "x3.png": ['"Open end'],
    }
    # Where they parse they are quotes.
    table = 'image\tcaption\nx1.png\t"A ""happy"" dog\non grass"\n'
    found = convert("captions", write(tmp_path / "q.tsv", table), images=images, out=tmp_path / "b")
    assert found.captions == {"x1.png": ['A "happy" dog\non grass']}


def test_a_comma_for_a_decimal_point_is_said(tmp_path: Path) -> None:
    images = draw(tmp_path / "photos", "a.jpg")
    table = "file;label;xmin;ymin;xmax;ymax\na.jpg;dog;10;20;60;80\na.jpg;dog;10,5;20;60;80\n"
    convert("csv", write(tmp_path / "boxes.csv", table), images=images, out=tmp_path / "out")
    (line,) = map(json.loads, (tmp_path / "out/left_out.jsonl").read_text().splitlines())
    assert (line["reason"], line["detail"]) == (
        "bad_box",
        "'10,5' is not a number: decimals need a point",
    )


def test_a_table_in_another_encoding_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = draw(tmp_path / "photos", "a.jpg")
    file = tmp_path / "table.csv"
    file.write_bytes("file,caption\na.jpg,Ein Hund läuft\n".encode("cp1252"))
    said = refused(capsys, tmp_path / "out", "convert", "captions", file, "--images", images)
    assert said == f"{file}: is not UTF-8 text (byte 29); save it as UTF-8"


def test_captions_of_a_table(tmp_path: Path) -> None:
    images = draw(tmp_path / "photos", "x/a.jpg", "y/a.jpg", "b.jpg")
    flickr30k = """\
image_name| comment_number| comment
x/a.jpg| 0| A dog, "running" .
x/a.jpg| 1| Two
x/a.jpg| 2| Two
a.jpg| 0| Which one?
b.jpg| 0| Lost \ufffd letters
b.jpg| 1|
b.jpg| 2| 犬が走る
"""
    found = convert(
        "captions", write(tmp_path / "results.csv", flickr30k), images=images, out=tmp_path / "out"
    )
    assert found.captions == {"b.jpg": ["犬が走る"], "x/a.jpg": ['A dog, "running" .', "Two"]}
    assert found.boxes == {}
    assert not (tmp_path / "out/instances.json").exists()
    assert found.left_out == [
        ("duplicate_caption", "results.csv", "line 4"),
        ("ambiguous_image", "results.csv", "line 5"),
        ("bad_caption", "results.csv", "line 6"),
        ("empty_caption", "results.csv", "line 7"),
    ]


def test_a_report_is_of_its_image_or_of_all_views_of_its_study(tmp_path: Path) -> None:
    images = draw(tmp_path / "files", "p10/s1/frontal.png", "p10/s1/lateral.png", "p11/s2.png", "p12/s3.png")
    write(tmp_path / "reports/p10/s1.txt", "FINDINGS: No effusion.\n\nIMPRESSION: Normal chest.\n")
    write(tmp_path / "reports/p11/s2.txt", "  \n")
    write(tmp_path / "reports/p12/s3.txt", "IMPRESSION: Left apical pneumothorax.")
    write(tmp_path / "reports/p13/s4.txt", "IMPRESSION: Nobody's.")
    found = convert("reports", tmp_path / "reports", images=images, out=tmp_path / "out")
    normal = "FINDINGS: No effusion.\n\nIMPRESSION: Normal chest."
    assert found.captions == {
        "p10/s1/frontal.png": [normal],
        "p10/s1/lateral.png": [normal],
        "p12/s3.png": ["IMPRESSION: Left apical pneumothorax."],
    }
    assert found.left_out == [("unreadable_file", "s2.txt", ""), ("image_not_found", "s4.txt", "")]


def test_a_table_of_reports_joins_findings_and_impression(tmp_path: Path) -> None:
    images = draw(tmp_path / "images", "1.png", "2.png", "3.png")
    table = """\
uid,filename,Problems,findings,impression
1,1.png,normal,"Heart size is normal.
Lungs are clear.",No acute disease.
2,2.png,,,Left effusion.
3,3.png,,,
"""
    found = convert("reports", write(tmp_path / "reports.csv", table), images=images, out=tmp_path / "out")
    assert found.captions == {
        "1.png": ["Heart size is normal.\nLungs are clear.\n\nNo acute disease."],
        "2.png": ["Left effusion."],
    }
    assert found.left_out == [("empty_caption", "reports.csv", "line 5")]


XMP = """\
<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:description><rdf:Alt>
<rdf:li xml:lang="x-default">Ein Hund.</rdf:li><rdf:li xml:lang="en-GB">A dog by the sea.</rdf:li>
</rdf:Alt></dc:description></rdf:Description></rdf:RDF></x:xmpmeta>
<?xpacket end="w"?>"""


def exif(text: str | bytes) -> Image.Exif:
    tags = Image.Exif()
    tags[0x010E] = text
    return tags


def iptc(text: bytes) -> bytes:
    """A JPEG's APP13 segment, as Photoshop writes it."""
    data = b"\x1c\x02\x78" + len(text).to_bytes(2, "big") + text
    block = b"8BIM\x04\x04\x00\x00" + len(data).to_bytes(4, "big") + data + b"\0" * (len(data) % 2)
    segment = b"Photoshop 3.0\x00" + block
    return b"\xff\xed" + (len(segment) + 2).to_bytes(2, "big") + segment


def test_captions_out_of_image_files(tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    picture = Image.new("RGB", (64, 48))
    picture.save(images / "exif.jpg", exif=exif("A red  door.\n"))
    picture.save(images / "utf8.jpg", exif=exif("Ein Café in Köln".encode()))
    picture.save(images / "xmp.jpg", xmp=XMP.encode(), exif=exif("Second choice."))
    picture.save(
        images / "both.jpg", xmp=XMP.replace("A dog by the sea.", " ").encode(), exif=exif("IMG_1234")
    )
    text = PngImagePlugin.PngInfo()
    text.add_itxt("Description", "Ein Vogel über dem Meer")
    text.add_text("Software", "gimp")
    picture.save(images / "text.png", pnginfo=text)
    picture.save(images / "camera.jpg", exif=exif("OLYMPUS DIGITAL CAMERA         "))
    picture.save(images / "none.webp")
    picture.save(images / "plain.jpg")
    jpeg = (images / "plain.jpg").read_bytes()
    (images / "iptc.jpg").write_bytes(jpeg[:2] + iptc(b"Zwei Ponys auf der Wiese") + jpeg[2:])
    (images / "damaged.jpg").write_bytes(b"\xff\xd8 what")
    turned = exif("A tower.")
    turned[0x0112] = 6  # of no matter to a caption
    picture.save(images / "turned.jpg", exif=turned)
    found = convert("metadata", images=images, out=tmp_path / "out")
    assert found.captions == {
        "both.jpg": ["Ein Hund."],
        "exif.jpg": ["A red door."],
        "iptc.jpg": ["Zwei Ponys auf der Wiese"],
        "text.png": ["Ein Vogel über dem Meer"],
        "turned.jpg": ["A tower."],
        "utf8.jpg": ["Ein Café in Köln"],
        "xmp.jpg": ["A dog by the sea."],
    }
    assert found.left_out == [
        ("written_by_a_program", "camera.jpg", ""),
        ("unreadable_image", "damaged.jpg", ""),
        ("no_description", "none.webp", ""),
        ("no_description", "plain.jpg", ""),
    ]
