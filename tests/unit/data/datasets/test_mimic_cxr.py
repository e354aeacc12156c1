"""MIMIC-CXR-JPG: columns by name, the frontal image of a study, times, reports."""

from collections import Counter
from datetime import datetime

import pytest

import tiny_tree
from lapse.data.datasets.mimic_cxr import MimicCxr, parse_time

JPG = "mimic-cxr-jpg"


@pytest.fixture
def root(tmp_path):
    return tiny_tree.write_tree(tmp_path)


def metadata(root, rows, header=tiny_tree.METADATA, name="mimic-cxr-2.0.0-metadata.csv"):
    (root / JPG / "mimic-cxr-2.0.0-metadata.csv.gz").unlink(missing_ok=True)
    tiny_tree.write_csv(root / JPG / name, list(header), rows)


def splits(root, rows, split="train"):
    header = ["dicom_id", "study_id", "subject_id", "split"]
    (root / JPG / "mimic-cxr-2.0.0-split.csv.gz").unlink(missing_ok=True)
    listed = [{**{key: row[key] for key in header[:3]}, "split": split} for row in rows]
    tiny_tree.write_csv(root / JPG / "mimic-cxr-2.0.0-split.csv", header, listed)


def test_one_study_per_frontal_image(root):
    data = MimicCxr(root / JPG, root / "mimic-cxr")
    studies = list(data.read())
    train = [study for study in studies if study.split == "train"]
    assert data.images.num_rows == 24 and len(data.images.studies) == 12
    assert Counter(study.split for study in studies) == {"train": 8, "validate": 2, "test": 2}
    assert train[0].report.startswith("There is a nodule of 2.5 cm. No edema. 1. Stable")
    assert train[0].regions == () and data.image_path(train[0]).is_file()
    assert data.images.sizes[train[0].id] == (120, 90) and data.release == "2.0.0"
    assert data.skipped.counts == {"image that is neither PA nor AP": 12}


def test_views_come_from_position_then_from_the_code(root):
    row = tiny_tree.metadata_row
    rows = [
        row(1, 1, ViewPosition="", ViewCodeSequence_CodeMeaning="antero-posterior"),
        row(1, 2, ViewPosition="ap", ViewCodeSequence_CodeMeaning="postero-anterior"),
        row(2, 1, ViewPosition="AP", ViewCodeSequence_CodeMeaning=""),
        row(2, 2, ViewPosition="", ViewCodeSequence_CodeMeaning=""),
        row(3, 1, ViewPosition="LL", ViewCodeSequence_CodeMeaning="postero-anterior"),
        row(3, 1, dicom_id="second", ViewPosition="AP"),
        row(3, 1, dicom_id="third", ViewPosition="PA"),
    ]
    metadata(root, rows)
    splits(root, rows)
    data = MimicCxr(root / JPG, root / "mimic-cxr")
    views = [(study.id, study.view) for study in data.read()]
    assert views == [
        (tiny_tree.dicom(1, 1), "AP"),
        (tiny_tree.dicom(1, 2), "AP"),
        (tiny_tree.dicom(2, 1), "AP"),
        ("second", "AP"),
    ]
    assert data.skipped.counts == {
        "image that is neither PA nor AP": 2,
        "further frontal image of a study": 1,
    }
    assert data.noted.counts["study without a frontal image"] == 1
    assert data.noted.counts["view tables disagree (ViewPosition is used)"] == 2


@pytest.mark.parametrize(
    ("date", "time", "expected"),
    [
        ("21800506", "213014.531", datetime(2180, 5, 6, 21, 30, 14, 531000)),
        ("21800506", "5014.5", datetime(2180, 5, 6, 0, 50, 14, 500000)),
        ("21800506.0", "0.0", datetime(2180, 5, 6)),
        ("21800506", "7", datetime(2180, 5, 6, 0, 0, 7)),
        ("21801306", "0.0", None),
        ("21800506", "256000.0", None),
        ("21800506", "", None),
        ("", "120000.0", None),
        ("21800506", "12:00", None),
    ],
)
def test_times_have_lost_their_zeros(date, time, expected):
    assert parse_time(date, time) == expected


def test_an_unreadable_time_is_skipped_and_counted(root):
    rows = [tiny_tree.metadata_row(1, 1, StudyTime="noon"), tiny_tree.metadata_row(1, 2)]
    metadata(root, rows)
    splits(root, rows)
    data = MimicCxr(root / JPG)
    assert [study.id for study in data.read()] == [tiny_tree.dicom(1, 2)]
    assert data.skipped.counts == {"image with an unreadable StudyDate or StudyTime": 1}
    assert "noon" in data.skipped.lines()[0]


def test_a_renamed_column_is_named_with_what_was_found(root):
    header = ["View" if name == "ViewPosition" else name for name in tiny_tree.METADATA]
    row = tiny_tree.metadata_row(1, 1)
    row["View"] = row.pop("ViewPosition")
    metadata(root, [row], header)
    with pytest.raises(ValueError, match=r"no column 'ViewPosition': found dicom_id, .*View,"):
        list(MimicCxr(root / JPG).read())


def test_columns_are_found_in_any_order(root):
    rows = [tiny_tree.metadata_row(1, 1)]
    metadata(root, rows, sorted(tiny_tree.METADATA), "mimic-cxr-2.1.0-metadata.csv")
    data = MimicCxr(root / JPG, root / "mimic-cxr")
    assert [study.view for study in data.read()] == ["PA"] and data.release == "2.1.0"


def test_reports_may_be_missing_or_come_sectioned(root):
    reports = root / "mimic-cxr"
    next(reports.rglob("*.txt")).write_text("FINAL REPORT", encoding="utf-8")
    next(path for path in reports.rglob("*.txt") if path.stat().st_size > 100).unlink()
    data = MimicCxr(root / JPG, reports)
    assert [study.report for study in data.read()].count("") == 2
    assert data.noted.counts == {
        "report missing (study kept without text)": 1,
        "report without findings, impression or last paragraph": 1,
    }
    header = ["study", "impression", "findings", "last_paragraph", "comparison"]
    row = {"study": f"s{tiny_tree.study(1, 1)}", "findings": "Clear.\n", "impression": "Normal."}
    tiny_tree.write_csv(reports / "mimic_cxr_sectioned.csv", header, [row])
    assert next(MimicCxr(root / JPG, reports).read()).report == "Clear. Normal."
    assert next(MimicCxr(root / JPG).read()).report == ""


def test_damaged_and_missing_tables(root):
    table = root / JPG / "mimic-cxr-2.0.0-metadata.csv.gz"
    table.write_bytes(table.read_bytes()[:-40])
    with pytest.raises(ValueError, match="is damaged"):
        list(MimicCxr(root / JPG).read())
    table.unlink()
    with pytest.raises(ValueError, match=r"holds no mimic-cxr-2\.0\.0-metadata"):
        MimicCxr(root / JPG)


def test_unknown_splits_and_missing_rows(root):
    rows = [tiny_tree.metadata_row(1, 1), tiny_tree.metadata_row(1, 2)]
    metadata(root, rows)
    splits(root, rows[:1])
    data = MimicCxr(root / JPG)
    assert len(list(data.read())) == 1
    assert data.skipped.counts == {"image without a row in the split table": 1}
    splits(root, rows, "training")
    with pytest.raises(ValueError, match=r"split 'training'.*did you mean 'train'"):
        list(MimicCxr(root / JPG).read())
