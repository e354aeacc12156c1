"""The main process of `prepare` stays below 1 GB for datasets of the size of MIMIC-CXR."""

import json
import shutil
import subprocess
import sys
import tracemalloc
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import wide_tree
from lapse.core.files import sha256_of
from lapse.core.types import Study
from lapse.data.datasets.release_counts import MIMIC_CXR, PUBLISHED
from lapse.data.io.skip_log import SkipLog
from lapse.data.prepare.prepare import PrepareOptions, find_roots, prepare
from lapse.data.prepare.shards import INFO, PIXELS, STUDIES, shard_file
from lapse.data.store import writer as store_writer
from lapse.data.store.store import open_store
from lapse.data.store.writer import STUDY_SCHEMA, StoreWriter, study_row

NUM_STUDIES = PUBLISHED[MIMIC_CXR, "studies"]
LIMIT_MB = 1_000
BYTES_PER_STUDY = 2_000  # with three questions and two images per study
SMALL, LARGE = 256, 1024
STATUS = Path("/proc/self/status")
CHILD = """
import sys
from pathlib import Path
from lapse.data.prepare.prepare import PrepareOptions, find_roots, prepare
if __name__ == "__main__":
    out = Path(sys.argv[2])
    prepare(find_roots([Path(sys.argv[1])]), out, PrepareOptions(16, priors="none", workers=2))
    status = dict(line.split(":", 1) for line in open("/proc/self/status"))
    print(int(status["VmHWM"].split()[0]) // 1024)
"""
SHARD_IMAGES, SHARD_SIZE = 256, 448
READ = """
import sys
from pathlib import Path
from lapse.data.prepare.shards import read_shard, read_shard_info
def peak():
    status = dict(line.split(":", 1) for line in open("/proc/self/status"))
    return int(status["VmHWM"].split()[0]) / 1024
folder, images = Path(sys.argv[1]), 0
info = read_shard_info(folder, 0, "key")
start = next(peak() for _ in read_shard(folder, info))  # the tables are read
for _, image in read_shard(folder, info):
    images += image.shape == (448, 448) and int(image.sum()) > 0
print(images, peak() - start)
"""


@pytest.fixture(scope="module")
def trees(tmp_path_factory):
    """Two trees with their shards, which are made before memory is measured."""
    root = tmp_path_factory.mktemp("wide")
    made = [wide_tree.write_wide_tree(root / str(n), n) for n in (SMALL, LARGE)]
    for tree in made:
        prepare(
            find_roots([tree]), tree / "store", PrepareOptions(16, is_subset=True, shard=(1, 1))
        )
    return made


def python_bytes(tree, folder, monkeypatch):
    """Bytes that Python and numpy hold after the last pair is written."""
    measured = []
    add_file = StoreWriter.add_file

    def measure(writer, *args):
        measured.append(tracemalloc.get_traced_memory()[0])
        add_file(writer, *args)

    monkeypatch.setattr(StoreWriter, "add_file", measure)
    shards = shutil.copytree(tree / "store.shards", folder / "store.shards")
    tracemalloc.start()
    try:
        prepare(find_roots([tree]), folder / "store", PrepareOptions(16, is_subset=True))
    finally:
        tracemalloc.stop()
        monkeypatch.setattr(StoreWriter, "add_file", add_file)
    assert not shards.exists()
    shutil.rmtree(folder / "store")
    return measured[0]


def test_memory_per_study(trees, tmp_path, monkeypatch):
    monkeypatch.setattr(store_writer, "ROW_GROUP", 64)  # rows waiting to be written are bounded
    python_bytes(trees[0], tmp_path, monkeypatch)  # late imports are done before the measurement
    small, large = (python_bytes(tree, tmp_path, monkeypatch) for tree in trees)
    per_study = (large - small) / (LARGE - SMALL)
    print(f"{per_study:.0f} bytes per study, {per_study * NUM_STUDIES / 1e6:.0f} MB for MIMIC-CXR")
    assert per_study <= BYTES_PER_STUDY


def test_opening_a_store_reads_no_table(trees, tmp_path):
    shutil.copytree(trees[0] / "store.shards", tmp_path / "store.shards")
    prepare(find_roots([trees[0]]), tmp_path / "store", PrepareOptions(16, is_subset=True))
    allocated = pa.system_memory_pool().bytes_allocated  # of the tables of a store
    before = allocated()
    store = open_store(tmp_path / "store")
    assert allocated() == before
    assert len(store.studies) == 244  # of 256, those with a frontal image
    assert allocated() > before


@pytest.mark.skipif(not STATUS.is_file(), reason="needs /proc")
def test_a_shard_is_read_image_by_image(tmp_path):
    pixels = np.ones((SHARD_IMAGES, SHARD_SIZE, SHARD_SIZE), np.uint8)
    np.save(shard_file(tmp_path, 0, PIXELS), pixels)
    study = Study(id="1", study="1", patient="1", image="1", view="PA", split="train",
                  taken_at=datetime(2180, 1, 1), report="", regions=())  # fmt: skip
    rows = pa.Table.from_pylist([study_row(study)] * SHARD_IMAGES, schema=STUDY_SCHEMA)
    pq.write_table(rows, shard_file(tmp_path, 0, STUDIES))
    hashes = {kind: sha256_of(shard_file(tmp_path, 0, kind)) for kind in (PIXELS, STUDIES)}
    logs = {"skipped": SkipLog().to_json(), "noted": SkipLog().to_json()}
    info = {"index": 0, "key": "key", "num_studies": SHARD_IMAGES, "hashes": hashes, **logs}
    shard_file(tmp_path, 0, INFO).write_text(json.dumps(info))
    done = subprocess.run(
        [sys.executable, "-c", READ, tmp_path], capture_output=True, text=True, check=True
    )
    images, growth = done.stdout.split()
    assert int(images) == SHARD_IMAGES
    assert float(growth) < 20  # MB; the pixels are 51 MB


@pytest.mark.slow
@pytest.mark.skipif(not STATUS.is_file(), reason="needs /proc")
def test_datasets_of_the_size_of_mimic_cxr(tmp_path):
    tree = wide_tree.write_wide_tree(tmp_path / "raw", NUM_STUDIES)
    command = [sys.executable, "-c", CHILD, str(tree), str(tmp_path / "store")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    peak = int(done.stdout)
    print(f"peak {peak} MB with {NUM_STUDIES} studies")
    assert peak <= LIMIT_MB
