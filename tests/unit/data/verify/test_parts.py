"""The doctor's tools: raw tables, the image index, patients by part, long JSON lists, answers."""

import gzip
import json
from array import array

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lapse.core.grammar import UNCHANGED
from lapse.data.verify import json_stream as verify_json
from lapse.data.verify.answers import answer_defects
from lapse.data.verify.context import PatientParts, ProgressCounter
from lapse.data.verify.image_index import NO_TIME, UNKNOWN, ImageIndex, ImageRow, repeated
from lapse.data.verify.json_stream import json_items
from lapse.data.verify.results import Findings
from lapse.data.verify.tables import RawTable, id_number

DIFFERENCE = "what has changed compared to the reference image?"
LIST = "what abnormalities are seen in this image?"


def read(path, findings, columns=("a", "b")):
    return list(RawTable(path, findings, ("a", "b")).rows(columns))


def codes(findings):
    return {item.kind.code: item.ids for item in findings.defects()}


def test_a_good_table_has_no_defect(tmp_path):
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress('b,a\n1,"x, é\ny"\n\n2,z\n'.encode()))
    findings = Findings()
    table = RawTable(path, findings, ("a", "b"))
    assert list(table.rows(("a",))) == [(3, ("x, é\ny",)), (5, ("z",))]
    assert table.is_whole and table.num_rows == 2 and not findings.defects()


def test_broken_rows_are_listed_and_passed_over(tmp_path):
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


def test_a_second_reading_reports_nothing_again(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,b\n1,2\n3\n")
    findings = Findings()
    table = RawTable(path, findings, ("a", "b"))
    first, second = list(table.rows(("a",))), list(table.again(("a",)))
    assert first == second and len(codes(findings)["field-count"]) == 1


@pytest.mark.parametrize("text", ["", "unknown", "-3", "٣", "9" * 17, "p"])
def test_what_is_no_number(text):
    assert id_number(text) is None


def row(dicom, patient=1, study=2, time=0, is_frontal=True):
    return ImageRow(dicom, patient, study, 10, 20, time, is_frontal)


def index(*rows):
    images = ImageIndex()
    for item in rows:
        images.add(item)
    return images


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abcdefg"), st.integers(1, 4), st.booleans())))
def test_the_index_equals_a_dictionary(items):
    rows = [row(name, study=study, is_frontal=front) for name, study, front in items]
    images = index(*rows)
    first = {}
    shown = {}
    for place, item in enumerate(rows):
        first.setdefault(item.dicom, place)
        best = shown.get(item.study)
        if best is None or (item.is_frontal and not rows[best].is_frontal):
            shown[item.study] = place
    for name in "abcdefgh":
        assert images.find(name) == first.get(name, UNKNOWN)
    asked = np.arange(6)
    wanted = [shown.get(study, UNKNOWN) for study in range(6)]
    assert images.rows_of_studies(asked).tolist() == wanted
    assert images.repeated_rows == [p for p, item in enumerate(rows) if first[item.dicom] != p]
    assert [images.name(place) for place in range(len(rows))] == [item.dicom for item in rows]


def test_names_of_any_length_and_unreadable_sizes():
    images = index(row("a" * 300), row("\udce9", time=NO_TIME), ImageRow("c", 1, 2, 0, 5, 0, True))
    assert images.find("\udce9") == 1 and images.name(0) == "a" * 300
    assert images.size(0) == (10, 20) and images.size(2) is None


def test_keys_that_stand_twice():
    assert repeated(array("Q", [5, 1, 5, 2**63, 5, 2**63])).tolist() == [5, 2**63]
    assert repeated(array("Q")).tolist() == []


def test_patients_by_part(monkeypatch):
    monkeypatch.setattr("lapse.data.verify.context._BUFFER", 3)
    parts = PatientParts()
    for patient, part in [(7, "train"), (3, "test"), (7, "train"), (7, "validate"), (9, "train")]:
        parts.add(patient, part)
    assert parts.patients("train").tolist() == [7, 9]
    assert parts.patients("validate", "test").tolist() == [3, 7]
    assert parts.in_several().tolist() == [7]


def test_the_meter_never_runs_past_its_total():
    calls = []
    meter = ProgressCounter(lambda done, total: calls.append((done, total)), every=1)
    meter.expect(2)
    for _ in range(4):
        meter.step()
    assert calls == [(0, 2), (1, 2), (2, 2), (3, 3), (4, 4)]


@pytest.mark.parametrize("block", [1, 7, 1 << 20])
@pytest.mark.parametrize("items", [[], [1], [12345, {"é": [1, 2]}, "x", None, [[]]]])
def test_a_list_is_read_item_by_item(tmp_path, monkeypatch, block, items):
    monkeypatch.setattr(verify_json, "_BLOCK", block)
    path = tmp_path / "list.json"
    for indent in (None, 2):
        path.write_text(json.dumps(items, indent=indent, ensure_ascii=False) + "\n", "utf-8")
        assert list(json_items(path)) == items


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[1", "[1,", "[1 2]", "[1]]", "[,]", "[1,]", "[1] 2", '["\udce9"]', "[" * 9999],
)
def test_what_is_not_one_list(tmp_path, text):
    path = tmp_path / "list.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ValueError):
        list(json_items(path))


def test_an_item_beyond_the_limit_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(verify_json, "_BLOCK", 64)
    monkeypatch.setattr(verify_json, "MAX_ITEM", 100)
    path = tmp_path / "list.json"
    path.write_text('["' + "x" * 5_000)
    with pytest.raises(ValueError, match="damaged or cut short"):
        list(json_items(path))


@pytest.mark.parametrize(
    ("category", "question", "answer", "wanted"),
    [
        ("difference", DIFFERENCE, UNCHANGED, ()),
        ("difference", DIFFERENCE, "the heart is new.", ("unparsed-answer",)),
        (
            "difference",
            DIFFERENCE,
            "the main image has additional findings of edema, and pneumonia atelectasis than "
            "the reference image. ",
            ("glitch-answer",),
        ),
        ("abnormality", LIST, "edema, lung opacity, and pleural effusion", ()),
        ("abnormality", LIST, "edema, gout and flu", ("unknown-finding", "unknown-finding")),
        ("abnormality", "is there evidence of any abnormalities in this image?", "yes", ()),
        ("presence", "is there gout?", "no", ()),
    ],
)
def test_what_is_wrong_with_an_answer(category, question, answer, wanted):
    assert tuple(code for code, _ in answer_defects(category, question, answer)) == wanted
