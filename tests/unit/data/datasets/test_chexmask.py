"""CheXmask: the landmarks of simulated films give the boxes of the phantom's regions."""

import csv
import gzip
import io
from dataclasses import replace

import pytest

from lapse.data.datasets.chexmask import MIN_QUALITY, REGIONS, mask_boxes
from lapse.data.datasets.discovery import find_table_roots
from lapse.data.datasets.plain_cells import Cells
from lapse.data.datasets.plain_regions import PlainRegions
from lapse.data.datasets.plain_rows import FilmRow
from lapse.data.datasets.release import read_records
from lapse.data.io.skip_log import SkipLog
from lapse.phantom.dataset.mask_table import MASK_HEADER, mask_row
from own_films import SIX_ROWS, write_table

SIDE = 1000
BOXES = {
    "right lung": (0.1, 0.2, 0.45, 0.8),
    "left lung": (0.55, 0.2, 0.9, 0.8),
    "cardiac silhouette": (0.4, 0.5, 0.7, 0.85),
}
FIRST = {"ChestX-Ray8": "Image Index", "CheXpert": "Path", "MIMIC-CXR-JPG": "dicom_id",
         "Padchest": "ImageID", "VinDr-CXR": "image_id"}  # fmt: skip


def film(image, name=""):
    return FilmRow(Cells("t", 2, {}), "p", "s", image, None, 1, "PA", "", "", None, None, id=name)


def write_masks(path, rows, first="Image Index"):
    text = io.StringIO()
    text.write(f"{MASK_HEADER.replace('Image Index', first)}\n")
    csv.writer(text, lineterminator="\n").writerows(rows)
    data = text.getvalue().encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


def rows_of(*names):
    return [[name, *mask_row(BOXES, SIDE, (name,))] for name in names]


def boxes_of(path, films):
    skipped, noted = SkipLog(), SkipLog()
    return list(mask_boxes(path, films, skipped, noted)), skipped.counts, noted.counts


@pytest.mark.parametrize(("name", "column"), FIRST.items())
def test_the_files_of_all_five_sets_are_read(name, column, tmp_path):
    """Both printed forms of the landmarks, plain and packed."""
    ids = [f"film{number}" for number in range(30)]
    rows = rows_of(*ids)
    assert {"[" in row[3] for row in rows} == {True, False}
    for suffix in (".csv", ".csv.gz"):
        path = tmp_path / f"{name}{suffix}"
        write_masks(path, rows, column)
        films = [film(f"a/{item}.png") for item in ids]
        boxes, skipped, _ = boxes_of(path, films)
        num_low = sum(row[1] < MIN_QUALITY for row in rows)
        assert num_low and skipped == {f"CheXmask: quality below {MIN_QUALITY}": num_low}
        assert len(boxes) == len(REGIONS) * (len(ids) - num_low)
        for box in boxes:
            expected = [value * SIDE for value in BOXES[box.region]]
            assert box.corners == pytest.approx(expected, abs=0.051) and box.size == (SIDE, SIDE)


@pytest.mark.parametrize(
    ("cell", "text", "reason"),
    [
        (3, "1,2,3", "240 landmark coordinates"),
        (3, "", "240 landmark coordinates"),
        (1, "good", "240 landmark coordinates"),
        (-1, "0", "240 landmark coordinates"),
        (-1, "450", "outside the image"),
    ],
)
def test_a_row_that_cannot_be_used_is_counted(cell, text, reason, tmp_path):
    rows = rows_of("film0", "film1")
    rows[0][1] = rows[1][1] = 0.9
    rows[0][cell] = text
    write_masks(tmp_path / "m.csv", rows)
    boxes, skipped, _ = boxes_of(tmp_path / "m.csv", [film("film0.png"), film("film1.png")])
    assert len(boxes) < 6 and any(reason in name for name in skipped)


def test_mirrored_sides_are_left_out(tmp_path):
    mirrored = {"right lung": BOXES["left lung"], "left lung": BOXES["right lung"]}
    row = ["film0", *mask_row({**BOXES, **mirrored}, SIDE, ("film0",))]
    write_masks(tmp_path / "m.csv", [row])
    boxes, skipped, _ = boxes_of(tmp_path / "m.csv", [film("film0.png")])
    assert not boxes and skipped["CheXmask: row whose right lung is right of the left one"] == 1


def test_names_of_several_images_are_not_guessed(tmp_path):
    """CheXpert calls every first film of a study view1_frontal.jpg."""
    films = [film(f"train/p{number}/view1_frontal.jpg") for number in (1, 2)]
    films.append(film("x/3.png", "id3"))
    write_masks(tmp_path / "m.csv", rows_of("view1_frontal.jpg", films[1].image, "id3", "other"))
    boxes, _, noted = boxes_of(tmp_path / "m.csv", films)
    assert {box.image for box in boxes} <= {films[1].image, "x/3.png"} and boxes
    assert noted == {"CheXmask: image without a row": 1}


def test_another_file_is_refused(tmp_path):
    (tmp_path / "m.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match=r"no column 'Dice RCA .*OriginalResolution"):
        boxes_of(tmp_path / "m.csv", [])


def test_own_films_have_masks_too(tmp_path):
    roots = write_table(tmp_path, SIX_ROWS)
    write_masks(tmp_path / "m.csv", rows_of("a/1.png", "a/2.png", "b/1.png"))
    records = read_records(replace(find_table_roots(roots.table, roots.images),
                                   masks=tmp_path / "m.csv"))  # fmt: skip
    assert {box.region for box in records.boxes} == set(REGIONS)
    assert records.noted.counts["CheXmask: image without a row"] == 3


def test_masks_of_another_size_give_no_region(tmp_path):
    """The folder `Preprocessed` is padded to 1024 x 1024: its boxes would be at other places."""
    rows = rows_of("film0")
    rows[0][1] = 0.9
    write_masks(tmp_path / "m.csv", rows)
    boxes, _, _ = boxes_of(tmp_path / "m.csv", [film("film0.png")])
    reader = PlainRegions()
    assert len(reader.regions("film0", boxes, (SIDE, SIDE))) == len(REGIONS)
    assert reader.regions("film0", boxes, (SIDE, 800)) == ()
    skipped, _ = reader.take_logs()
    assert skipped.counts == {"box drawn on an image of another size": len(REGIONS)}
