"""Raw tables: malformed rows are reported and skipped, damage ends the table."""

import gzip

import pytest

from lapse.data.verify.results import Findings
from lapse.data.verify.tables import RawTable, id_number


def read(path, findings):
    return list(RawTable(path, findings, ("a", "b")).rows(("a", "b")))


def codes(findings):
    return {defect.type.code: defect.ids for defect in findings.defects()}


def test_a_good_table_has_no_defect(tmp_path):
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress('b,a\n1,"x, é\ny"\n\n2,z\n'.encode()))
    findings = Findings()
    table = RawTable(path, findings, ("a", "b"))
    assert list(table.rows(("a",))) == [
        ("t.csv.gz line 3", ("x, é\ny",)),
        ("t.csv.gz line 5", ("z",)),
    ]
    assert table.is_complete and table.num_rows == 2 and not findings.defects()


def test_malformed_rows_are_reported_and_skipped(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(b"\xef\xbb\xbfa,b,c\n1,2,3\n1,2\n\xe9,5,6\n")
    findings = Findings()
    assert [fields for _, fields in read(path, findings)] == [("1", "2"), ("\udce9", "5")]
    assert codes(findings) == {
        "extra-column": ("t.csv: c",),
        "field-count": ("t.csv line 3",),
        "not-utf8": ("t.csv line 4",),
        "byte-order-mark": ("t.csv",),
    }


@pytest.mark.parametrize("data", [b"", gzip.compress(b"")])
def test_an_empty_table(tmp_path, data):
    path = tmp_path / "t.csv.gz"
    path.write_bytes(data)
    findings = Findings()
    assert read(path, findings) == []
    assert codes(findings) == {"empty-file": ("t.csv.gz",)}


def test_a_quote_that_never_ends_is_damage(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text('a,b\n1,"' + "x" * 200_000)
    findings = Findings()
    assert read(path, findings) == []
    assert codes(findings) == {"damaged-table": ("t.csv",)}


@pytest.mark.parametrize("text", ["", "unknown", "-3", "٣", "9" * 17, "p"])
def test_ids_that_are_not_numbers(text):
    assert id_number(text) is None
