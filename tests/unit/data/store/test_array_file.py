"""Rows of an array file; a file that is cut while it is open is an error and not a signal."""

import os
import subprocess
import sys

import numpy as np
import pytest

from lapse.data.store.array_file import ArrayFile

CUT = """
import os, sys
from pathlib import Path
import numpy as np
from lapse.data.store.array_file import ArrayFile
path, kind = sys.argv[1:]
rows = ArrayFile(Path(path)) if kind == "read" else np.load(path, mmap_mode="r")
os.truncate(path, 4096)
print(rows.read(40, 1) if kind == "read" else rows[40].sum())
"""


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
def test_rows_are_those_of_the_array(dtype, tmp_path):
    array = np.arange(5 * 3 * 4).reshape(5, 3, 4).astype(dtype)
    np.save(tmp_path / "a.npy", array)
    rows = ArrayFile(tmp_path / "a.npy")
    assert rows.shape == array.shape and rows.dtype == dtype
    assert np.array_equal(rows.read(1, 3), array[1:4])
    assert rows.read(2, 0).shape == (0, 3, 4)


@pytest.mark.parametrize("change", [-1, 1])
def test_another_size_than_in_the_header_is_refused(change, tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, np.zeros((4, 2, 2), np.uint8))
    os.truncate(path, path.stat().st_size + change)
    with pytest.raises(ValueError, match="bytes, and its header says 144"):
        ArrayFile(path)


def test_objects_and_other_orders_are_refused(tmp_path):
    for array in (np.array([{}, {}]), np.asfortranarray(np.zeros((3, 2))), np.zeros(())):
        np.save(tmp_path / "a.npy", array, allow_pickle=True)
        with pytest.raises(ValueError, match="expected rows of numbers"):
            ArrayFile(tmp_path / "a.npy")


@pytest.mark.parametrize(("kind", "code"), [("read", 1), ("map", -7)])
def test_a_file_that_is_cut_while_open_is_an_error(kind, code, tmp_path):
    """A memory map of the same file ends the process with SIGBUS."""
    np.save(tmp_path / "a.npy", np.ones((64, 32, 32), np.uint8))
    done = subprocess.run(
        [sys.executable, "-c", CUT, str(tmp_path / "a.npy"), kind],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code
    if kind == "read":
        assert "a.npy ends before byte 41088, which belongs to row 40" in done.stderr
