"""The store returns what was written; incomplete, other and damaged folders are refused."""

import json
import multiprocessing
import os
import pickle
import shutil
import signal
from dataclasses import replace
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lapse.core.types import Box, Pair, Region, Study
from lapse.data.store.info import FILES, INFO, PAIRS, PIXELS, STUDIES, Origin
from lapse.data.store.parquet import GroupedTable
from lapse.data.store.store import open_store
from lapse.data.store.writer import StoreWriter, write_store

ORIGIN = Origin("patient-safe", "0123456789abcdef", "none", "rules", "a test")
SIZE = 8
SPLITS = ("train", "train", "validate", "test")


def study(number):
    regions = (
        Region("carina", ("No edema.", "Clear."), Box(0.1, 0.2, 0.3, 1 / 3)),
        Region("spine", (), Box(0.0, 0.0, 1.0, 1.0)),
        Region("arm", ("Raised.",), None),
    )
    return Study(
        id=f"image-{number}", study=str(500 + number), patient=str(100 + number // 2),
        image=f"image-{number}", view="PA", split=SPLITS[number // 2 % 4],
        taken_at=datetime(2150, 1, 1, 2, 3, 4, number), report="A nodule of 2.5 cm.\nß",
        regions=regions[: number % 4],
    )  # fmt: skip


def pixels(number):
    return np.full((SIZE, SIZE), number % 256, np.uint8)


def pair(reference, main, name=""):
    return Pair(
        name or f"{main.study}/{reference.study}/1", reference, main, "what has changed?",
        "nothing has changed. ", "difference" if int(main.study) % 4 else "view", main.split,
    )  # fmt: skip


def records(count):
    studies = [study(number) for number in range(count)]
    pairs = [pair(a, b) for a, b in zip(studies[::2], studies[1::2], strict=True)]
    return studies, pairs


def write(folder, count=16):
    studies, pairs = records(count)
    images = [pixels(number) for number in range(count)]
    write_store(folder, zip(studies, images, strict=True), pairs, size=SIZE, origin=ORIGIN)
    return studies, pairs


def test_what_was_written_comes_back(tmp_path):
    studies, pairs = write(tmp_path / "store")
    store = open_store(tmp_path / "store")
    assert list(store.studies) == studies and list(store.pairs) == pairs
    assert store.studies[3] == studies[3] and store.studies[-1] == studies[-1]
    assert list(store.studies[2:9:3]) == studies[2:9:3] and store.pairs[2] == pairs[2]
    for number, item in enumerate(studies):
        np.testing.assert_array_equal(store.pixels(item.image), pixels(number))
    with pytest.raises(IndexError):
        store.studies[16]


def test_splits_and_categories(tmp_path):
    studies, pairs = write(tmp_path / "store")
    store = open_store(tmp_path / "store")
    for split in ("train", "validate", "test"):
        assert list(store.studies_of(split)) == [item for item in studies if item.split == split]
        assert list(store.pairs_of(split)) == [item for item in pairs if item.split == split]
    views = [item for item in pairs if item.split == "train" and item.category == "view"]
    assert views == [] or list(store.pairs_of("train", "view")) == views
    differences = [
        item for item in pairs if item.split == "train" and item.category == "difference"
    ]
    assert differences and list(store.pairs_of("train", "difference")) == differences
    with pytest.raises(ValueError, match="no split 'val'"):
        store.pairs_of("val")


def test_pairs_are_found_by_their_ids(tmp_path):
    _, pairs = write(tmp_path / "store")
    store = open_store(tmp_path / "store")
    assert list(store.pairs_by_id([pairs[5].id, "no such pair", pairs[2].id])) == [
        pairs[2],
        pairs[5],
    ]
    assert len(store.pairs_by_id([])) == 0


def test_info_counts_and_provenance(tmp_path):
    write(tmp_path / "store")
    info = open_store(tmp_path / "store").info
    assert info.size == SIZE and info.resize == "squash"
    assert info.counts == {
        "pairs/test": 2, "pairs/train": 4, "pairs/validate": 2,
        "studies/test": 4, "studies/train": 8, "studies/validate": 4, "patients": 8,
    }  # fmt: skip
    facts = info.provenance()
    assert facts["split protocol"] == "patient-safe 0123456789abcdef"
    assert info.fingerprint.startswith(facts["data fingerprint"])


def test_the_fingerprint_follows_the_content(tmp_path):
    prints = set()
    for name, count in (("a", 16), ("b", 16), ("c", 8)):
        write(tmp_path / name, count)
        prints.add(open_store(tmp_path / name).info.fingerprint)
    assert len(prints) == 2
    studies, pairs = records(16)
    images = [pixels(number) for number in range(16)]
    images[7] = images[7].copy()
    images[7][3, 3] ^= 1
    write_store(tmp_path / "d", zip(studies, images, strict=True), pairs, size=SIZE, origin=ORIGIN)
    assert open_store(tmp_path / "d").info.fingerprint not in prints


def test_many_row_groups_and_a_small_cache(tmp_path, monkeypatch):
    monkeypatch.setattr("lapse.data.store.writer.ROW_GROUP", 5)
    monkeypatch.setattr("lapse.data.store.store.NUM_CACHED", 3)
    monkeypatch.setattr("lapse.data.store.store.BLOCK", 4)
    studies, pairs = write(tmp_path / "store", 46)
    store = open_store(tmp_path / "store")
    assert list(store.studies) == studies and list(store.pairs) == pairs
    assert [store.pairs[i] for i in (9, 0, 22, 9)] == [pairs[i] for i in (9, 0, 22, 9)]
    assert len(store._cache) <= 3


def test_the_pixels_are_a_plain_numpy_file(tmp_path):
    write(tmp_path / "store")
    array = np.load(tmp_path / "store" / PIXELS, allow_pickle=False)
    assert array.shape == (16, SIZE, SIZE) and array[5, 0, 0] == 5
    view = open_store(tmp_path / "store").pixels("image-5")
    assert type(view) is np.ndarray and not view.flags.writeable
    assert np.array_equal(open_store(tmp_path / "store").pixels_at(slice(3, 40)), array[3:])
    with pytest.raises(ValueError, match="no image 'image-99': it holds 16"):
        open_store(tmp_path / "store").pixels("image-99")


def test_a_store_is_pickled_as_its_path(tmp_path):
    studies, _ = write(tmp_path / "store")
    store = open_store(tmp_path / "store")
    list(store.pairs)
    sent = pickle.dumps(store)
    assert len(sent) < 500 and pickle.loads(sent).studies[1] == studies[1]


def test_an_empty_store_can_be_opened(tmp_path):
    write_store(tmp_path / "store", [], [], size=SIZE, origin=ORIGIN)
    store = open_store(tmp_path / "store")
    assert len(store.studies) == len(store.pairs) == len(store.studies_of("train")) == 0


@pytest.mark.parametrize("name", FILES)
def test_a_half_written_folder_is_refused(tmp_path, name):
    write(tmp_path / "store")
    (tmp_path / "store" / name).unlink()
    with pytest.raises(ValueError, match=f"not a complete store, it lacks {name}"):
        open_store(tmp_path / "store")


@pytest.mark.parametrize("name", [STUDIES, PAIRS, PIXELS, INFO])
def test_truncated_files_are_refused(tmp_path, name):
    write(tmp_path / "store")
    path = tmp_path / "store" / name
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ValueError, match="run prepare again"):
        open_store(tmp_path / "store")


def test_other_folders_are_refused(tmp_path):
    with pytest.raises(ValueError, match="no store"):
        open_store(tmp_path / "nowhere")
    write(tmp_path / "store")
    info = tmp_path / "store" / INFO
    values = json.loads(info.read_text())
    for change, message in (
        ({"format": "other"}, "another program"),
        ({"schema": 99}, "schema 99 and this version reads 4"),
        ({"colour": 1}, "lacks or adds colour"),
        ({"counts": {"studies/train": 3}}, "holds 16 studies and its store.json says 3"),
        ({"size": 9}, r"need \(16, 9, 9\) uint8"),
    ):
        info.write_text(json.dumps({**values, **change}))
        with pytest.raises(ValueError, match=message):
            open_store(tmp_path / "store")
    write(tmp_path / "other", 8)
    info.write_text(json.dumps(values))
    shutil.copy(tmp_path / "other" / PAIRS, tmp_path / "store" / PAIRS)
    with pytest.raises(ValueError, match=r"holds 4 pairs and its store\.json says 8"):
        open_store(tmp_path / "store")


def test_the_writer_refuses_what_does_not_fit(tmp_path):
    with StoreWriter(tmp_path / "store", SIZE) as writer:
        writer.add_study(study(0), pixels(0))
        with pytest.raises(ValueError, match="given twice"):
            writer.add_study(study(0), pixels(0))
        for wrong in (np.zeros((4, 4), np.uint8), np.zeros((SIZE, SIZE), np.float32)):
            with pytest.raises(ValueError, match="uint8 is needed"):
                writer.add_study(study(1), wrong)
        with pytest.raises(ValueError, match="needs image image-1: add its study first"):
            writer.add_pair(pair(study(0), study(1)))
        writer.add_study(study(1), pixels(1))
        writer.add_pair(pair(study(0), study(1)))
        with pytest.raises(ValueError, match="ids are unique"):
            writer.add_pair(pair(study(0), study(1)))
    assert not list(tmp_path.iterdir()), "left without finish, nothing stays"


def _killed_writer(folder):
    with StoreWriter(folder, SIZE) as writer:
        writer.add_study(study(0), pixels(0))
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_writer_leaves_no_store(tmp_path):
    child = multiprocessing.get_context("spawn").Process(
        target=_killed_writer, args=(tmp_path / "store",)
    )
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGKILL
    assert [item.name for item in tmp_path.iterdir()] == [".store.partial"]
    with pytest.raises(ValueError, match="no store"):
        open_store(tmp_path / "store")
    with pytest.raises(ValueError, match="not a complete store"):
        open_store(tmp_path / ".store.partial")
    studies, _ = write(tmp_path / "store")
    assert list(open_store(tmp_path / "store").studies) == studies
    assert [item.name for item in tmp_path.iterdir()] == ["store"]


def test_unknown_files_in_the_temporary_folder_are_not_removed(tmp_path):
    (tmp_path / ".store.partial").mkdir()
    (tmp_path / ".store.partial" / "thesis.tex").write_text("x")
    with pytest.raises(ValueError, match=r"holds 'thesis\.tex', which no store contains"):
        StoreWriter(tmp_path / "store", SIZE)
    assert (tmp_path / ".store.partial" / "thesis.tex").is_file()


def test_rows_of_several_row_groups_keep_the_requested_order(tmp_path):
    rows = [{"id": f"r{number}", "view": "PA" if number % 3 else "AP"} for number in range(50)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "t.parquet", row_group_size=7)
    pool = pa.default_memory_pool().backend_name
    table = GroupedTable(tmp_path / "t.parquet", ["view", "not there"])
    assert table.num_rows == 50 and table.column("view") == [row["view"] for row in rows]
    for indices in (range(50), range(5, 30), [49, 0, 8, 8, 7], [6, 7], [13], range(20, 3, -2), []):
        assert table.dicts(list(indices)) == [rows[index] for index in indices]
    assert pa.default_memory_pool().backend_name == pool


def test_a_table_without_rows_and_a_damaged_one(tmp_path):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"id": pa.array([], pa.string())}), path)
    table = GroupedTable(path, ["id"])
    assert table.num_rows == 0 and table.column("id") == [] and table.dicts([]) == []
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValueError, match=r"t\.parquet is damaged"):
        GroupedTable(path, [])


def test_impressions_and_findings_of_regions_are_kept(tmp_path):
    studies, _ = records(4)
    region = Region("carina", (), None, ("edema", "pneumonia"))
    studies[0] = replace(studies[0], report="Clear. No edema.", impression="No edema.",
                         regions=(region,))  # fmt: skip
    images = [pixels(number) for number in range(4)]
    write_store(tmp_path / "s", zip(studies, images, strict=True), [], size=SIZE, origin=ORIGIN)
    stored = open_store(tmp_path / "s").studies[0]
    assert (stored.impression, stored.findings) == ("No edema.", "Clear.")
    assert stored.regions == (region,)


@pytest.mark.parametrize("schema", [2, 3, 5])
def test_a_store_of_another_schema_is_refused(schema, tmp_path):
    studies, _ = records(2)
    images = [pixels(number) for number in range(2)]
    write_store(tmp_path / "s", zip(studies, images, strict=True), [], size=SIZE, origin=ORIGIN)
    info = json.loads((tmp_path / "s/store.json").read_text())
    (tmp_path / "s/store.json").write_text(json.dumps({**info, "schema": schema}))
    with pytest.raises(ValueError, match=f"schema {schema} and this version reads 4: run prepare"):
        open_store(tmp_path / "s")
