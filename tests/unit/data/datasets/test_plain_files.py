"""Own films: columns of findings, Parquet, COCO boxes, stated changes, dataset.json."""

import csv
import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from lapse.core.changes import UNCHANGED, Change
from lapse.core.grammar import parse
from lapse.data.datasets.discovery import find_table_roots
from lapse.data.datasets.plain_boxes import read_boxes
from lapse.data.datasets.plain_findings import known_finding
from lapse.data.datasets.plain_info import DatasetInfo, read_dataset_info
from lapse.data.datasets.plain_table import PlainTable
from own_films import BOXES, SIX_ROWS, write_table

WIDE = (
    "image,patient,study,order,split,finding:edema,finding:Pleural Fluid,finding:mass\n"
    "1.png,A,S1,1,test,1,mild,0\n"
    "2.png,A,S2,2,test,0,moderate,0\n"
    "3.png,A,S3,3,test,-1,moderate,0\n"
    "4.png,A,S4,4,test,0,,0\n"
    "5.png,A,S5,5,test,0,0,0\n"
    "6.png,A,S6,6,test,0,0,1\n"
    "7.png,A,S7,7,test,,,\n"
    "8.png,B,T1,1,train,0,0.0,1\n"
    "9.png,B,T2,2,train,1.0,0,1\n"
)
INFO = {
    "name": "Ward 7",
    "licence": "internal",
    "description": "Bedside films.",
    "outside": ["Mass"],
}
CHANGES = (
    "reference,main,finding,change,before,after\n"
    "S1,S2,edema,added,,\n"
    "S1,S2,pleural effusion,level,small,severe\n"
    "S1,S3,,none,,\n"
    "S4,S6,pneumothorax,improved,,\n"
    "S4,S6,edema,stable,,\n"
    "S2,S3,edema,worsened,,\n"
)


def with_files(folder, text=SIX_ROWS, **files):
    """A table and the files next to it, by stem: text of `changes`, content of `dataset`."""
    write_table(folder, text)
    for name, content in files.items():
        is_text = isinstance(content, str)
        path = folder / f"{name}.{'csv' if is_text else 'json'}"
        path.write_text(content if is_text else json.dumps(content), "utf-8")
    return PlainTable(find_table_roots(folder / "films.csv", folder / "images"))


def pairs_of(table):
    return {pair.id: pair for pair in table.pairs({study.id: study for study in table.images})}


def test_one_column_per_finding(tmp_path):
    table = with_files(tmp_path, WIDE, dataset=INFO)
    answers = {name: parse(pair.answer).changes for name, pair in pairs_of(table).items()}
    assert answers == {
        "S2/S1/difference": {
            Change("edema", "missing"),
            Change("pleural effusion", "level", "mild", "moderate"),
        },
        "T2/T1/difference": {Change("edema", "added")},
    }
    assert table.skipped.counts == {
        "no pair: a finding is uncertain (-1)": 2,
        "no pair: a finding is labelled in one of the two studies only": 1,
        "no pair: a finding outside the 30 differs": 1,
        "no pair: the main study is not labelled": 1,
    }


def test_findings_outside_the_30_in_one_cell(tmp_path):
    text = SIX_ROWS.replace("atelectasis,", "atelectasis|mass,")
    with pytest.raises(ValueError, match=r"'mass' is not a known finding.*'outside' in"):
        with_files(tmp_path / "a", text)
    table = with_files(tmp_path / "b", text, dataset={"outside": ["mass"]})
    assert "S2/S1/difference" not in pairs_of(table)
    assert table.skipped.counts["no pair: a finding outside the 30 differs"] == 1


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ("finding:edema", "finding:edma", ["column 'finding:edma'", "did you mean 'edema'"]),
        ("finding:mass", "finding:edema", ["two columns 'finding:edema'"]),
        ("finding:mass", "finding:pleural effusion", ["are one finding"]),
        ("finding:mass", "findings", ["keep one form"]),
        ("1,mild,0", "2,mild,0", ["row 2, column 'finding:edema'", "'2'", "-1 (uncertain)"]),
        ("1,mild,0", "1,mid,0", ["column 'finding:Pleural Fluid'", "did you mean 'mild'"]),
        ("2.png,A,S2,2", "2.png,A,S1,1", ["row 3, column 'finding:edema'", "differs from row 2"]),
    ],
)
def test_an_error_in_a_column_of_a_finding(old, new, parts, tmp_path):
    with pytest.raises(ValueError) as raised:
        with_files(tmp_path, WIDE.replace(old, new), dataset=INFO)
    assert all(part in str(raised.value) for part in ("films.csv", *parts)), raised.value


def test_no_finding_is_found_inside_another_name():
    assert known_finding("pericardial effusion") is None
    assert known_finding("subcutaneous emphysema") is None
    assert known_finding("no pneumothorax") is None


def test_a_parquet_table_equals_the_csv(tmp_path):
    rows = list(csv.DictReader(io.StringIO(SIX_ROWS)))
    write_table(tmp_path)
    for row in rows:
        row["order"] = int(row["order"])  # numbers and missing values, as pandas writes them
        row["prior"] = row["prior"] or None
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "films.parquet")
    tables = [
        PlainTable(find_table_roots(tmp_path / name, tmp_path / "images"))
        for name in ("films.csv", "films.parquet")
    ]
    assert tables[0].images == tables[1].images
    assert pairs_of(tables[0]) == pairs_of(tables[1])
    rows[1]["findings"] = "edma"
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "films.parquet")
    with pytest.raises(ValueError, match=r"films.parquet row 3, column 'findings': 'edma'"):
        PlainTable(find_table_roots(tmp_path / "films.parquet", tmp_path / "images"))
    (tmp_path / "films.parquet").write_bytes(b"PAR1")
    with pytest.raises(ValueError, match="not a valid Parquet file"):
        PlainTable(find_table_roots(tmp_path / "films.parquet", tmp_path / "images"))


def coco(**changes):
    content = {
        "images": [{"id": 7, "file_name": "a/1.png", "width": 96, "height": 90}],
        "categories": [{"id": 1, "name": "left lung"}],
        "annotations": [
            {"image_id": 7, "category_id": 1, "bbox": [44, 16, 26, 64],
             "attributes": {"phrase": "There is a small effusion."}},
        ],
    }  # fmt: skip
    return content | changes


def test_coco_boxes_equal_those_of_a_table(tmp_path):
    (tmp_path / "boxes.json").write_text(json.dumps(coco()), "utf-8")
    (tmp_path / "boxes.csv").write_text("\n".join(BOXES.splitlines()[:2]), "utf-8")
    first, second = (read_boxes(tmp_path / name)[0] for name in ("boxes.json", "boxes.csv"))
    assert first.corners == second.corners == (44, 16, 70, 80)
    assert (first.image, first.region, first.phrase) == (second.image, second.region, second.phrase)
    assert first.size == (90, 96)
    with pytest.raises(ValueError, match=r"boxes.csv and boxes.json are both boxes"):
        with_files(tmp_path)


def annotation(**changes):
    return {"annotations": [coco()["annotations"][0] | changes]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (annotation(image_id=8), "annotation 1: image_id 8 is not listed"),
        (annotation(category_id=None), "annotation 1: category_id None is not listed"),
        (annotation(bbox=[1, 2, 3]), "is not a list of four numbers"),
        (annotation(bbox=[10, 10, -4, 5]), "annotation 1, column 'x_max': '6' is not above 10"),
        (annotation(bbox=[0.1, 0.1, 0.2, 0.2]), "is a fraction"),
        ({"annotations": None}, "no list 'annotations' of objects"),
        ({"images": [{"id": 7}, {"id": 7}]}, "an id in 'images' is missing or occurs twice"),
        ({"images": [{"id": 7, "file_name": "../a.png"}]}, "is outside the folder of images"),
    ],
)
def test_an_error_in_coco_boxes(changes, message, tmp_path):
    path = tmp_path / "boxes.json"
    path.write_text(json.dumps(coco(**changes)), "utf-8")
    with pytest.raises(ValueError, match=r"boxes\.json") as raised:
        read_boxes(path)
    assert message in str(raised.value)


def test_boxes_drawn_on_an_image_of_another_size_are_refused(tmp_path):
    table = with_files(tmp_path, boxes=coco())
    path = tmp_path / "images" / "a" / "1.png"
    path.parent.mkdir()
    Image.fromarray(np.zeros((45, 48), np.uint8)).save(path)
    assert "has 48 x 45 pixels and the boxes were drawn on 96 x 90" in str(next(table.box_errors()))


def test_stated_changes_replace_those_of_the_findings(tmp_path):
    rows = SIX_ROWS.replace("b/", "a/b").replace("H002", "H001").replace("train", "test")
    rows = rows.replace("S4,1", "S4,4").replace("S5,2", "S5,5").replace("S6,3", "S6,6")
    table = with_files(tmp_path, rows, changes=CHANGES)
    pairs = pairs_of(table)
    assert parse(pairs["S2/S1/difference"].answer).changes == {
        Change("edema", "added"),
        Change("pleural effusion", "level", "small", "severe"),
    }
    assert pairs["S3/S1/difference"].answer == UNCHANGED
    assert pairs["S6/S4/difference"].answer == UNCHANGED  # from the findings
    progression = pairs["S6/S4/progression"]
    assert progression.answer == "pneumothorax: improving; edema: stable"
    assert progression.category == "progression" and progression.split == "test"
    assert "S3/S2/progression" in pairs


def test_a_progression_of_a_training_patient_is_not_used(tmp_path):
    table = with_files(tmp_path, changes="reference,main,finding,change\nS1,S2,edema,improved\n")
    assert "S2/S1/progression" not in pairs_of(table)
    assert table.skipped.counts["progression of a training patient (evaluated only)"] == 1


@pytest.mark.parametrize(
    ("row", "parts"),
    [
        ("S9,S2,edema,added,,", ["'reference'", "'S9'", "is not a study"]),
        ("S4,S2,edema,added,,", ["'reference'", "two studies of one patient"]),
        ("S2,S1,edema,added,,", ["'reference'", "not earlier", "swap"]),
        ("S1,S2,edma,added,,", ["'finding'", "'edma'"]),
        ("S1,S2,edema,new,,", ["'change'", "'new'", "known: added"]),
        ("S1,S2,edema,level,mild,", ["'after'", "''", "known level"]),
        ("S1,S2,edema,added,mild,", ["'before'", "'mild'", "leave it empty"]),
        ("S1,S2,edema,none,,", ["'change'", "'none'"]),
        ("S1,S2,edema,added,,\nS1,S2,edema,missing,,", ["row 3", "earlier row"]),
        ("S1,S2,,none,,\nS1,S2,edema,missing,,", ["row 3", "follows 'none'"]),
    ],
)
def test_an_error_in_stated_changes(row, parts, tmp_path):
    with pytest.raises(ValueError) as raised:
        with_files(tmp_path, changes=f"{CHANGES.splitlines()[0]}\n{row}\n")
    assert all(part in str(raised.value) for part in ("changes.csv row", *parts)), raised.value


def test_the_data_set_is_described(tmp_path):
    table = with_files(tmp_path, dataset=INFO)
    assert (
        table.info.release("own table abc")
        == "Ward 7, licence internal, Bedside films., own table abc"
    )
    assert read_dataset_info(None) == DatasetInfo()
    assert DatasetInfo().release("own table abc") == "own table abc"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not valid JSON"),
        ("[]", "not a JSON object"),
        ('{"license": "x"}', "unknown key 'license'; .*did you mean 'licence'"),
        ('{"name": 3}', "name '3' is not a text"),
        ('{"outside": "mass"}', "outside 'mass' is not a list"),
    ],
)
def test_an_error_in_the_description(text, message, tmp_path):
    path = tmp_path / "dataset.json"
    path.write_text(text, "utf-8")
    with pytest.raises(ValueError, match=message):
        read_dataset_info(path)
