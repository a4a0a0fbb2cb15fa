"""Tables with a header: a box a row, or a caption or report a row."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from datagen.convert.collection import Collection, Where
from datagen.convert.files import Row, Table, files_in, read_table, read_text
from datagen.convert.shapes import number, numbers, what_is_no_number
from datagen.records import InputError

IMAGE = (
    "filename", "imagefilename", "imagename", "imagepath", "filepath", "image", "file", "path", "imagefile",
    "imageindex", "imageid", "img", "id",
)  # fmt: skip
_LABEL = (
    "label",
    "classname",
    "class",
    "category",
    "categoryname",
    "labelname",
    "finding",
    "findinglabel",
    "name",
)
_CORNERS = ("left", "top", "right", "bottom")
_PLACE_AND_SIZE = ("left", "top", "width", "height")
_BOX_COLUMNS = {
    "image": IMAGE,
    "label": _LABEL,
    "left": ("xmin", "x1", "left", "x", "bboxx"),
    "top": ("ymin", "y1", "top", "y", "bboxy"),
    "right": ("xmax", "x2", "right"),
    "bottom": ("ymax", "y2", "bottom"),
    "width": ("width", "w", "bboxwidth"),
    "height": ("height", "h", "bboxheight"),
}
_CAPTION_COLUMNS = {
    "image": IMAGE,
    "caption": ("caption", "description", "text", "sentence", "comment", "captions", "alttext"),
}
_REPORT_COLUMNS = {
    "image": IMAGE,
    "report": ("report", "reporttext", "text"),
    "findings": ("findings", "finding"),
    "impression": ("impression", "conclusion"),
}
_REPORT_PARTS = ("report", "findings", "impression")


def read_boxes(paths: Sequence[Path], into: Collection) -> None:
    """A box a row, in pixels; or in fractions of width and height, where no number in a file is above 1.

    Columns: image, label, and xmin, ymin, xmax, ymax (x1, left, …) or x, y, width, height. Beside
    corners, width and height are the image's. A row without a place says that the image has nothing.
    """
    for path in paths:
        needs = [("image", "label", *_CORNERS), ("image", "label", *_PLACE_AND_SIZE)]
        table = read_table(path, _BOX_COLUMNS, needs)
        has_corners = table.columns.keys() >= set(_CORNERS)
        rows = list(table.rows)
        columns = _CORNERS if has_corners else _PLACE_AND_SIZE
        found = [
            value for row in rows for value in (number((row.values or {}).get(c)) for c in columns) if value
        ]
        are_fractions = bool(found) and max(found) <= 1
        if are_fractions:
            into.notes.append(f"{path}: read as fractions of width and height, none being above 1")
        for row in rows:
            where = Where(path, f"line {row.line}")
            if row.values is None:
                _leave_out_row(where, row, table, into)
            else:
                _read_box(where, row.values, columns, are_fractions, into)


def _leave_out_row(where: Where, row: Row, table: Table, into: Collection) -> None:
    """A row with more or fewer values than the header. Nobody knows which object its image then lacks."""
    into.leave_out(where, "bad_row", "it has more or fewer values than the header")
    at = table.columns["image"]
    # Where a value is missing or too many, the image's still has its place from one of the two ends.
    for position in (at, len(row.fields) - table.width + at):
        if 0 <= position < len(row.fields):
            name = into.images.find(row.fields[position])
            if isinstance(name, str) and into.image(where, name) is not None:
                into.unknown.setdefault(name, where)
                return


def _read_box(
    where: Where, values: dict[str, str], columns: tuple[str, ...], are_fractions: bool, into: Collection
) -> None:
    size = (None, None) if columns == _PLACE_AND_SIZE else (values.get("width"), values.get("height"))
    if (picture := into.image(where, values["image"], number(size[0]), number(size[1]))) is None:
        return
    if not any(values[column].strip() for column in columns):
        return  # looked at, and nothing found
    place = [values[column] for column in columns]
    if (read := numbers(place)) is None:
        if (category := into.category(where, picture, values["label"])) is not None:
            into.lost(where, picture, category, "bad_box", what_is_no_number(place))
        return
    left, top, right, bottom = read
    if columns == _PLACE_AND_SIZE:
        right, bottom = left + right, top + bottom
    across, down = (picture.width, picture.height) if are_fractions else (1, 1)
    corners = (left * across, top * down, right * across, bottom * down)
    into.box(where, picture, values["label"], corners)


def read_captions(paths: Sequence[Path], into: Collection) -> None:
    """A caption a row: columns image, and caption (or text, description, …)."""
    for path in paths:
        for row in read_table(path, _CAPTION_COLUMNS, [("image", "caption")]).rows:
            where = Where(path, f"line {row.line}")
            if row.values is None:
                into.leave_out(where, "bad_row", "it has more or fewer values than the header")
            elif (picture := into.image(where, row.values["image"], has_boxes=False)) is not None:
                into.caption(where, picture, row.values["caption"])


def read_reports(paths: Sequence[Path], into: Collection) -> None:
    """A report an image: text files below a folder, or tables.

    A text file is of the image with its path but for the ending, or of all images in the folder of
    that name, as where a study has several views. Columns: image, and report, or findings and impression.
    """
    for path in paths:
        if path.is_dir() or path.suffix.lower() == ".txt":
            _read_report_files(path, into)
            continue
        needs = [("image", part) for part in _REPORT_PARTS]
        for row in read_table(path, _REPORT_COLUMNS, needs).rows:
            where = Where(path, f"line {row.line}")
            if row.values is None:
                into.leave_out(where, "bad_row", "it has more or fewer values than the header")
                continue
            parts = [row.values.get(part, "").strip() for part in _REPORT_PARTS]
            if (picture := into.image(where, row.values["image"], has_boxes=False)) is not None:
                into.caption(where, picture, "\n\n".join(part for part in parts if part))


def _read_report_files(path: Path, into: Collection) -> None:
    base = path if path.is_dir() else path.parent
    views: dict[str, list[str]] = {}
    for name in into.images.names:
        views.setdefault(name.rpartition("/")[0], []).append(name)
    for file in files_in([path], ".txt"):
        where = Where(file, "")
        study = file.relative_to(base).with_suffix("").as_posix()
        try:
            text = read_text(file)
        except InputError as error:
            into.leave_out(where, "unreadable_file", str(error))
            continue
        for name in views.get(study, [study]):
            if (picture := into.image(where, name, has_boxes=False)) is not None:
                into.caption(where, picture, text)
