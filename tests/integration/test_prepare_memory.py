"""The main process of `prepare` stays below 1 GB for datasets of the size of MIMIC-CXR."""

import shutil
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pyarrow as pa
import pytest

import wide_tree
from lapse.data.datasets.release_counts import MIMIC_CXR, PUBLISHED
from lapse.data.prepare.prepare import PrepareOptions, find_roots, prepare
from lapse.data.store import writer as store_writer
from lapse.data.store.store import open_store
from lapse.data.store.writer import StoreWriter

STUDIES = PUBLISHED[MIMIC_CXR, "studies"]
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
    prepare(find_roots([Path(sys.argv[1])]), out, PrepareOptions(16, is_subset=True, workers=2))
    status = dict(line.split(":", 1) for line in open("/proc/self/status"))
    print(int(status["VmHWM"].split()[0]) // 1024)
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
    print(f"{per_study:.0f} bytes per study, {per_study * STUDIES / 1e6:.0f} MB for MIMIC-CXR")
    assert per_study <= BYTES_PER_STUDY


def test_opening_a_store_reads_no_table(trees, tmp_path):
    shutil.copytree(trees[0] / "store.shards", tmp_path / "store.shards")
    prepare(find_roots([trees[0]]), tmp_path / "store", PrepareOptions(16, is_subset=True))
    allocated = pa.system_memory_pool().bytes_allocated  # of the tables of a store
    before = allocated()
    store = open_store(tmp_path / "store")
    assert allocated() == before
    assert len(store.studies) == SMALL
    assert allocated() > before


@pytest.mark.slow
@pytest.mark.skipif(not STATUS.is_file(), reason="needs /proc")
def test_datasets_of_the_size_of_mimic_cxr(tmp_path):
    tree = wide_tree.write_wide_tree(tmp_path / "raw", STUDIES)
    command = [sys.executable, "-c", CHILD, str(tree), str(tmp_path / "store")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    peak = int(done.stdout)
    print(f"peak {peak} MB with {STUDIES} studies")
    assert peak <= LIMIT_MB
