"""prepare on a table of own films: the store, its reports, and what is refused."""

import csv
import logging

import numpy as np
import pytest
from PIL import Image

from lapse.data.prepare.prepare import PrepareOptions, prepare
from lapse.data.store.store import open_store
from lapse.images import equalise
from own_films import BOXES, SIX_ROWS, write_films, write_table


@pytest.fixture(scope="module")
def roots(tmp_path_factory):
    return write_films(tmp_path_factory.mktemp("films"))


def test_six_rows_become_a_store(roots, tmp_path):
    report = prepare(roots, tmp_path / "store", PrepareOptions(32))
    store = open_store(tmp_path / "store")
    assert report.kept == {
        "pairs/test": 1,
        "pairs/train": 2,
        "studies/test": 3,
        "studies/train": 3,
        "patients": 2,
    }
    assert report.read == {"images": 6, "boxes": 6} and report.leaked_patients == 0
    assert report.release.startswith("own table ")
    assert report.skipped.counts == {"plain_table: no pair: the main study is not labelled": 1}
    assert report.noted.counts["plain_table: report without findings, impression or last paragraph"]
    info = store.info
    assert (info.boxes, info.regions, info.source) == ("table", 3, "films.csv")
    studies = {study.id: study for study in store.studies}
    assert studies["S1"].report == "A small effusion. Large heart."
    assert studies["S1"].taken_at is None and studies["S1"].view == "AP"
    assert [region.name for region in studies["S4"].regions] == ["right lung", "right lung 2"]
    with Image.open(roots.images / "b" / "1.png") as opened:
        expected = np.asarray(equalise(opened).resize((32, 32), Image.Resampling.BICUBIC))
    assert np.abs(store.pixels("S4").astype(int) - expected).mean() < 8
    with (store.path / "splits.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert rows[3] == {
        "subject_id": "H002",
        "study_id": "S4",
        "dicom_id": "S4",
        "split": "test",
        "image": "b/1.png",
    }


def test_the_same_files_give_the_same_store_from_worker_processes(roots, tmp_path):
    prepare(roots, tmp_path / "first", PrepareOptions(32, shard_size=2))
    prepare(roots, tmp_path / "second", PrepareOptions(32, shard_size=2, workers=2))
    first, second = (open_store(tmp_path / name) for name in ("first", "second"))
    assert first.info == second.info


def test_letterbox_moves_the_boxes(roots, tmp_path):
    prepare(roots, tmp_path / "squash", PrepareOptions(32))
    prepare(roots, tmp_path / "letterbox", PrepareOptions(32, resize="letterbox"))
    boxes = [
        next(study for study in open_store(tmp_path / name).studies if study.id == "S1")
        .regions[0]
        .box
        for name in ("squash", "letterbox")
    ]
    assert boxes[0] != boxes[1]  # the film is higher than wide
    assert boxes[0].y_max == pytest.approx(boxes[1].y_max)


def test_a_changed_cell_makes_new_shards(roots, tmp_path):
    changed = write_films(tmp_path / "films")
    prepare(changed, tmp_path / "store", PrepareOptions(32, shard=(1, 1)))
    text = SIX_ROWS.replace("A moderate effusion", "A massive! effusion")  # the same length
    assert len(text) == len(SIX_ROWS)
    changed.table.write_text(text, "utf-8")
    with pytest.raises(ValueError, match="other raw files"):
        prepare(changed, tmp_path / "store", PrepareOptions(32))


def test_missing_images_are_counted_and_may_be_skipped(tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="lapse")
    roots = write_films(tmp_path / "films")
    (roots.images / "a" / "2.png").unlink()
    with pytest.raises(ValueError, match=r"1 of 6 images are missing.*a/2\.png"):
        prepare(roots, tmp_path / "store", PrepareOptions(32))
    report = prepare(roots, tmp_path / "store", PrepareOptions(32, is_subset=True))
    assert report.skipped.counts["plain_table: image file missing (subset)"] == 1
    assert report.skipped.counts["plain_table: no pair: the main study has no stored image"] == 1
    assert report.kept["pairs/train"] == 1  # S3, whose prior is S1


def test_unreadable_images_are_counted(tmp_path):
    roots = write_films(tmp_path / "films")
    (roots.images / "b" / "1.png").write_bytes(b"no image")
    report = prepare(roots, tmp_path / "store", PrepareOptions(32))
    assert report.skipped.counts["plain_table: unreadable image"] == 1
    assert "pairs/test" not in report.kept


def test_boxes_beyond_the_image_are_refused_before_decoding(tmp_path):
    roots = write_films(tmp_path / "films", boxes=BOXES.replace("70,80", "700,800"))
    with pytest.raises(ValueError, match=r"boxes\.csv row 2, column 'x_max': '700' is beyond"):
        prepare(roots, tmp_path / "store", PrepareOptions(32))


def test_options_of_the_public_datasets_are_refused(roots, tmp_path):
    with pytest.raises(ValueError, match=r"boxes of own films are in boxes\.csv"):
        prepare(roots, tmp_path / "store", PrepareOptions(32, boxes="gold"))


def test_a_table_of_lateral_films_is_refused(tmp_path):
    text = "image,patient,study,order,view\n1.png,A,S1,1,LL\n"
    with pytest.raises(ValueError, match="neither PA nor AP"):
        prepare(write_table(tmp_path, text), tmp_path / "store", PrepareOptions(32))
