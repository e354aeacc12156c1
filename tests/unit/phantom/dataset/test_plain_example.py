"""The example of `lapse init-data` is a table that `lapse prepare` reads without a remark."""

import pytest

from file_hashes import file_hashes
from lapse.data.datasets import plain_boxes, plain_changes, plain_rows
from lapse.data.datasets.discovery import find_table_roots
from lapse.data.prepare.prepare import PrepareOptions, prepare
from lapse.data.store.store import open_store
from lapse.phantom.dataset import plain_example
from lapse.phantom.dataset.plain_example import write_example


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("example") / "own"
    write_example(folder, size=96)
    return folder


def test_the_columns_are_those_of_the_loader(folder):
    known = {*plain_rows.REQUIRED, *plain_rows.TIMES, *plain_rows.OPTIONAL}
    assert set(plain_example.FILM_HEADER.split(",")) <= known
    assert set(plain_example.BOX_HEADER.split(",")) == {*plain_boxes.REQUIRED, "phrase"}
    header = (folder / "template.csv").read_text("utf-8")
    assert header == f"{plain_example.FILM_HEADER}\n"
    assert (folder / "template-boxes.csv").is_file()
    columns = {*plain_changes.REQUIRED, *plain_changes.LEVEL_COLUMNS}
    assert set(plain_example.CHANGE_HEADER.split(",")) == columns


def test_prepare_reads_every_row(folder, tmp_path):
    example = folder / "example"
    report = prepare(
        find_table_roots(example / "films.csv", example / "images"),
        tmp_path / "store",
        PrepareOptions(32, priors="none"),
    )
    store = open_store(tmp_path / "store")
    splits = ("train", "validate", "test")
    studies = [report.kept[f"studies/{split}"] for split in splits]
    pairs = [report.kept[f"pairs/{split}"] for split in splits]
    assert report.read["images"] == sum(studies) and all(pairs)
    assert sum(pairs) == sum(studies) - report.kept["patients"]
    assert "simulated: " in store.info.source
    assert store.info.release.startswith(plain_example.DATASET["name"])
    assert all(study.taken_at and study.report and study.regions for study in store.studies)
    assert not [line for line in report.skipped.lines() if "phrase repeated" not in line]


def test_the_same_seed_gives_the_same_files(folder, tmp_path):
    write_example(tmp_path / "again", size=96)
    write_example(tmp_path / "other", size=96, seed=1)
    assert file_hashes(tmp_path / "again") == file_hashes(folder)
    assert file_hashes(tmp_path / "other") != file_hashes(folder)


def test_a_folder_with_files_and_too_few_patients_are_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="is not empty"):
        write_example(tmp_path)
    with pytest.raises(ValueError, match="at least 4"):
        write_example(tmp_path / "new", patients=2)
