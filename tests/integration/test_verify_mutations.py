"""`verify` returns a report for every mutated file, without a traceback."""

import gzip
import json
import zipfile

import pytest

from lapse.core.seeding import derive_index, derive_seed
from lapse.data.datasets.discovery import find_roots
from lapse.data.verify.verify import verify
from lapse.phantom.dataset.writer import SimulateConfig, simulate

PIECES = (b",", b'"', b"\n", b"\r", b"\0", b"[", b"{", b"null", b"-1", b"1e999", b"NaN", b"9" * 30)
VALUES = (None, [], {}, "x", 1e999, float("nan"), -5, True, [[1]], 10**400)


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    out = tmp_path_factory.mktemp("mutated") / "raw"
    simulate(out, SimulateConfig(patients=4, seed=9, size=64, visits=(2, 2)))
    return out


def mutate(data, number):
    """Change, remove, repeat or insert bytes at up to 20 positions."""
    changed = bytearray(data)
    for step in range(1 + derive_index(20, "steps", number)):
        if not changed:
            break
        key = (number, step)
        position = derive_index(len(changed), "place", *key)
        what = derive_index(4, "what", *key)
        if what == 0:
            changed[position] = derive_index(256, "byte", *key)
        elif what == 1:
            del changed[position : position + derive_index(60, "length", *key)]
        elif what == 2:
            changed[position:position] = changed[max(0, position - 50) : position]
        else:
            changed[position:position] = PIECES[derive_index(len(PIECES), "piece", *key)]
    return bytes(changed)


def check_files(raw, numbers):
    roots = find_roots([raw])
    files = [path for path in sorted(raw.rglob("*")) if path.is_file()]
    files = [path for path in files if path.name != "SIMULATED.txt"]
    tables = [path for path in files if path.suffix not in (".jpg", ".txt")]
    num_defects = 0
    for number in numbers:
        chosen = tables if number % 3 else files
        path = chosen[derive_index(len(chosen), "file", number)]
        data = path.read_bytes()
        is_inside = path.suffix == ".gz" and number % 2
        new = gzip.compress(mutate(gzip.decompress(data), number)) if is_inside else None
        path.write_bytes(new or mutate(data, number))
        num_defects += bool(verify(roots, pixels=True).defects)
        path.write_bytes(data)
    return num_defects


def check_graphs(raw, numbers):
    roots = find_roots([raw])
    path = raw / "chest-imagenome" / "silver_dataset" / "scene_graph.zip"
    data = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        graphs = {name: json.loads(archive.read(name)) for name in archive.namelist()}
    name = sorted(graphs)[0]
    num_defects = 0
    for number in numbers:
        graph = json.loads(json.dumps(graphs[name]))
        value = VALUES[derive_seed("value", number) % len(VALUES)]
        key = ("objects", "attributes")[number % 2]
        item = graph[key][derive_index(len(graph[key]), "item", number)]
        target = graph if number % 7 == 0 else item
        target[sorted(target)[derive_index(len(target), "key", number)]] = value
        with zipfile.ZipFile(path, "w") as archive:
            for other, content in graphs.items():
                archive.writestr(other, json.dumps(graph if other == name else content))
        num_defects += bool(verify(roots).defects)
        path.write_bytes(data)
    return num_defects


def test_mutated_files(raw):
    numbers = range(60)
    num_defects = check_files(raw, numbers)
    print(
        f"{len(numbers)}/{len(numbers)} mutated files end in a report, {num_defects} with a defect"
    )
    assert num_defects > len(numbers) / 2


def test_mutated_scene_graphs(raw):
    numbers = range(40)
    num_defects = check_graphs(raw, numbers)
    print(
        f"{len(numbers)}/{len(numbers)} mutated graphs end in a report, {num_defects} with a defect"
    )
    assert num_defects > len(numbers) / 3


@pytest.mark.slow
def test_thousands_of_mutations(raw):
    assert check_files(raw, range(60, 2_060)) > 1_000
    assert check_graphs(raw, range(40, 1_040)) > 300
