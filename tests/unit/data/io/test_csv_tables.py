"""CSV tables: columns by name, malformed rows counted, damage refused with little memory."""

import csv
import gzip
import io

import pytest

from lapse.data.io import csv_tables as tables
from lapse.data.io.csv_tables import read_rows
from lapse.data.io.skip_log import SkipLog
from small_files import simple_rows, table

COLUMNS = ("study_id", "dicom_id")


def written(path, data):
    path.write_bytes(data)
    return path


def test_columns_are_found_by_name_in_plain_and_packed_tables(tmp_path):
    expected = [(row[2], row[0]) for row in simple_rows()[1:]]
    plain = written(tmp_path / "a.csv", b"\xef\xbb\xbf" + table())
    packed = written(tmp_path / "a.csv.gz", table(is_packed=True))
    assert list(read_rows(plain, COLUMNS)) == list(read_rows(packed, COLUMNS)) == expected


def test_a_ragged_row_is_an_error_or_counted(tmp_path):
    path = written(tmp_path / "a.csv", table([*simple_rows(), ["only one"]]))
    with pytest.raises(ValueError, match="line 8 has 1 fields and the header 3"):
        list(read_rows(path, COLUMNS))
    skipped = SkipLog()
    assert len(list(read_rows(path, COLUMNS, skipped))) == 6 and skipped.total == 1


def test_a_repeated_column_is_refused(tmp_path):
    path = written(tmp_path / "a.csv", b"study_id,dicom_id,study_id\n1,a,2\n")
    with pytest.raises(ValueError, match="2 columns 'study_id'"):
        list(read_rows(path, COLUMNS))
    assert list(read_rows(path, ("dicom_id",))) == [("a",)]


def test_an_open_quote_does_not_hide_the_following_rows(tmp_path):
    data = b'dicom_id,study_id\na,1\nb,"2\nc,3\nd,4\n'
    # the csv module without its strict mode
    assert len(list(csv.reader(io.StringIO(data.decode())))) == 3
    with pytest.raises(ValueError, match="damaged"):
        list(read_rows(written(tmp_path / "a.csv", data), COLUMNS))


def test_zeros_at_the_end_of_a_broken_download_are_refused(tmp_path):
    path = written(tmp_path / "a.csv", table() + bytes(100))
    with pytest.raises(ValueError, match="zero bytes"):
        list(read_rows(path, COLUMNS, SkipLog()))


@pytest.mark.parametrize("line", [b"x", b"\n", b"a,1,2\n"])
def test_decompression_is_limited(tmp_path, monkeypatch, line):
    data = gzip.compress(table() + line * (4_000_000 // len(line)))
    path = written(tmp_path / "a.csv.gz", data)
    with pytest.raises(ValueError, match=r"unpacks to|damaged \(field larger"):
        list(read_rows(path, COLUMNS, SkipLog()))
    if line != b"x":  # without the limit it is read to its end
        monkeypatch.setattr(tables, "MAX_RATIO", 10_000)
        assert len(list(read_rows(path, COLUMNS, SkipLog()))) >= 6


def test_an_ordinary_table_is_far_from_the_limits(tmp_path):
    rows = [["dicom_id", "study_id"], *(["a" * 40, str(index)] for index in range(60_000))]
    path = written(tmp_path / "a.csv.gz", table(rows, is_packed=True))
    assert len(list(read_rows(path, COLUMNS))) == 60_000
    ratio = len(table(rows)) / path.stat().st_size
    assert 5 < ratio < tables.MAX_RATIO
