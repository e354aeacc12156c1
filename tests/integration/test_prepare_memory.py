"""What one more study costs `prepare`: bytes, not kilobytes, however many there are."""

import shutil
import subprocess
import sys
import tracemalloc
import weakref
from importlib import import_module
from pathlib import Path

import pyarrow as pa
import pytest

import wide_tree
from lapse.data.io.compact_maps import (
    CompactEnumMap,
    CompactIntMap,
    CompactStrMap,
    Names,
    OrderedEnumMap,
    Texts,
)
from lapse.data.prepare import stored_studies as stored
from lapse.data.prepare.prepare import PrepareOptions, find_roots, prepare
from lapse.data.store import writer as store_writer
from lapse.data.store.store import open_store
from lapse.data.store.writer import StoreWriter

SMALL, LARGE = 256, 1024  # powers of two, so that every table of keys is as full
BYTES_A_STUDY = 500  # at three questions and two images a study
MORE_MB = 50  # of 100,000 studies over 1,000
RUN = import_module("lapse.data.prepare.prepare")
STATUS = Path("/proc/self/status")
CHILD = """
import sys
from pathlib import Path
from lapse.data.prepare.prepare import PrepareOptions, find_roots, prepare
if __name__ == "__main__":
    out = Path(sys.argv[2])
    prepare(find_roots([Path(sys.argv[1])]), out, PrepareOptions(16, workers=2))
    status = dict(line.split(":", 1) for line in open("/proc/self/status"))
    print(int(status["VmHWM"].split()[0]) // 1024)
"""


class DictMap:
    """Sabotage twin of CompactIntMap: a dict of strings."""

    def __init__(self, kind="i"):
        self.numbers = {}

    def __len__(self):
        return len(self.numbers)

    def get(self, text):
        return self.numbers.get(text)

    def add(self, text, value=0):
        known = self.numbers.get(text)
        if known is None:
            self.numbers["".join(text)] = value
        return known


@pytest.fixture(scope="module")
def trees(tmp_path_factory):
    """Two trees with their shards, which are made before anything is measured."""
    root = tmp_path_factory.mktemp("wide")
    made = [wide_tree.write_wide_tree(root / str(n), n) for n in (SMALL, LARGE)]
    for tree in made:
        prepare(find_roots([tree]), tree / "store", PrepareOptions(16, part=(1, 1)))
    return made


def held(tree, folder, monkeypatch):
    """Bytes that Python and numpy hold when the last pair is written."""
    found = []
    add_file = StoreWriter.add_file

    def measured(writer, *args):
        found.append(tracemalloc.get_traced_memory()[0])  # the first file follows the last pair
        add_file(writer, *args)

    monkeypatch.setattr(StoreWriter, "add_file", measured)
    parts = shutil.copytree(tree / "store.parts", folder / "store.parts")
    tracemalloc.start()
    try:
        prepare(find_roots([tree]), folder / "store", PrepareOptions(16))
    finally:
        tracemalloc.stop()
        monkeypatch.setattr(StoreWriter, "add_file", add_file)
    assert not parts.exists() and open_store(folder / "store").info.counts["patients"]
    shutil.rmtree(folder / "store")
    return found[0]


def bytes_a_study(trees, folder, monkeypatch):
    small, large = (held(tree, folder, monkeypatch) for tree in trees)
    return (large - small) / (LARGE - SMALL)


def test_a_study_costs_bytes(trees, tmp_path, monkeypatch):
    monkeypatch.setattr(stored, "NUM_RECENT", 16)
    held(trees[0], tmp_path, monkeypatch)  # what is imported late is imported now
    cost = bytes_a_study(trees, tmp_path, monkeypatch)
    print(f"{cost:.0f} bytes a study")
    assert cost <= BYTES_A_STUDY
    monkeypatch.setattr(store_writer, "CompactIntMap", DictMap)
    with_dicts = bytes_a_study(trees, tmp_path, monkeypatch)
    print(f"{with_dicts:.0f} bytes with dicts in the writer alone")
    assert with_dicts > BYTES_A_STUDY


def test_the_plan_is_gone_at_the_last_check(trees, tmp_path, monkeypatch):
    plans, alive = [], []

    class Watched(RUN.Plan):
        def __init__(self, *args):
            super().__init__(*args)
            plans.append(weakref.ref(self))

    monkeypatch.setattr(RUN, "Plan", Watched)
    monkeypatch.setattr(RUN, "_refuse_leak", lambda _: alive.append(plans[-1]() is not None))
    for name in ("freed", "kept"):
        if name == "kept":  # the guard is removed
            monkeypatch.setattr(RUN._Run, "__delattr__", lambda *_: None, raising=False)
        shutil.copytree(trees[0] / "store.parts", tmp_path / f"{name}.parts")
        prepare(find_roots([trees[0]]), tmp_path / name, PrepareOptions(16))
    assert alive == [False, True]


def test_opening_a_store_reads_no_table(trees, tmp_path):
    shutil.copytree(trees[0] / "store.parts", tmp_path / "store.parts")
    prepare(find_roots([trees[0]]), tmp_path / "store", PrepareOptions(16))
    held = pa.system_memory_pool().bytes_allocated  # where tables of a store lie
    before = held()
    store = open_store(tmp_path / "store")
    assert held() == before
    assert store._studies.num_rows == SMALL  # what the measure would have seen
    assert held() > before


@pytest.mark.slow
@pytest.mark.skipif(not STATUS.is_file(), reason="needs /proc")
def test_a_hundred_thousand_studies(tmp_path):
    found = []
    for count in (1_000, 100_000):
        tree = wide_tree.write_wide_tree(tmp_path / str(count), count)
        command = [sys.executable, "-c", CHILD, str(tree), str(tmp_path / f"store {count}")]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found.append(int(done.stdout))
    print(f"peak {found[0]} MB with 1,000 studies, {found[1]} MB with 100,000")
    assert found[1] - found[0] <= MORE_MB


def test_flat_dictionaries_are_dictionaries():
    truth = {f"text {number} ß": number for number in range(2000)}
    keys, words, others, named = (
        CompactIntMap(),
        CompactEnumMap(),
        CompactStrMap(),
        OrderedEnumMap(),
    )
    for text, number in truth.items():
        assert keys.add(text, number) is None and keys.add(text, 0) == number
        words[text] = named[text] = str(number % 5)
        others[text] = f"<{number}>"
    assert len(keys) == len(words) == len(others) == len(named) == len(truth)
    for text, number in truth.items():
        assert (keys.get(text), words[text], others.get(text)) == (
            number, str(number % 5), f"<{number}>")  # fmt: skip
    assert dict(named) == {text: str(number % 5) for text, number in truth.items()}
    assert list(named.in_order()) == sorted(named.items())
    assert keys.get("no") is words.get("no") is others.get("no") is named.get("no") is None
    for mapping in (words, named):
        with pytest.raises(KeyError):
            mapping["no"]
    keys["text 1 ß"] = 7
    assert keys.get("text 1 ß") == 7 and len(keys) == len(truth)


def test_names_and_texts_keep_their_order():
    names = Names()
    assert [names.number(text) for text in ("b", "", "a", "b")] == [0, 1, 2, 0]
    assert (len(names), names[1], names.find("a"), names.find("c")) == (3, "", 2, None)
    texts = Texts()
    said = ["ü", "b", "", "bb", "a", "z"]
    for text in said:
        texts.append(text)
    assert [said[number] for number in texts.order()] == sorted(said)
