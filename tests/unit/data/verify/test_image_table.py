"""The metadata table: first rows, repeated rows, the image that represents a study."""

from datetime import datetime

from lapse.data.verify.image_table import ImageRow, ImageTable


def row(dicom, study=2, is_frontal=True):
    return ImageRow(dicom, 1, study, (10, 20), datetime(2150, 1, 1), is_frontal)


def test_images_and_studies_are_found():
    rows = [row("a", 1, False), row("b", 1), row("c", 1), row("d", 2, False), row("a", 3)]
    table = ImageTable()
    for item in rows:
        table.add(item)
    assert table.rows == rows and table.repeated == [rows[4]]
    assert table.by_dicom == {"a": rows[0], "b": rows[1], "c": rows[2], "d": rows[3]}
    # the first frontal image of a study, else its first
    assert table.by_study == {1: rows[1], 2: rows[3], 3: rows[4]}
