"""Medical-Diff-VQA: rows, the join with studies, the release identified by the dates."""

from collections import Counter
from dataclasses import replace

import pytest

import tiny_tree
from lapse.data.datasets.mimic_cxr import MimicCxr
from lapse.data.datasets.mimic_diff_vqa import MimicDiffVqa


@pytest.fixture
def root(tmp_path):
    return tiny_tree.write_tree(tmp_path)


@pytest.fixture
def studies(root):
    return {study.study: study for study in MimicCxr(root / "mimic-cxr-jpg").read()}


def load(root, rows=None):
    if rows is not None:
        tiny_tree.write_questions(root, rows)
    return MimicDiffVqa(root / "medical-diff-vqa")


def test_rows_and_splits(root):
    data = load(root)
    rows = list(data.read())
    assert [row.number for row in rows] == list(range(1, 13))
    assert rows[0].id == f"{tiny_tree.study(1, 2)}/{tiny_tree.study(1, 1)}/1"
    assert Counter(row.split for row in rows) == {"train": 6, "validate": 2, "test": 4}
    assert rows[0].answer.endswith("image. "), "the blank at the end belongs to the file"


def test_pairs_join_both_studies(root, studies):
    data = load(root)
    pairs = list(data.pairs(studies))
    assert len({pair.id for pair in pairs}) == len(pairs) == data.num_rows == 12
    for pair in pairs:
        assert pair.main.study.endswith("2") and pair.reference.study.endswith("1")
    assert {pair.category for pair in pairs} == {"difference", "presence"}
    assert data.release == "1.0.1" and data.skipped.total == data.noted.total == 0


def test_release_1_0_0_has_reversed_pairs(root, studies):
    rows = tiny_tree.question_rows()
    for row in rows[:6]:
        row["study_id"], row["ref_id"] = row["ref_id"], row["study_id"]
    data = load(root, rows)
    assert data.release.startswith("unknown (no difference")
    list(data.pairs(studies))
    assert data.release == "1.0.0"
    assert data.noted.counts == {"difference question in reversed time order": 3}


def test_a_few_reversed_pairs_match_no_release(root, studies):
    rows = tiny_tree.question_rows()[:1] * 9
    swapped = {**rows[0], "study_id": rows[0]["ref_id"], "ref_id": rows[0]["study_id"]}
    data = load(root, [*rows, swapped])
    list(data.pairs(studies))
    assert data.release == "unknown (1 of 10 pairs are in reversed time order)"


def test_what_cannot_be_joined_is_counted(root, studies):
    first = tiny_tree.question_rows()[0]
    other = {"study_id": tiny_tree.study(2, 2)}
    rows = [
        {**first, "study_id": 1},
        {**first, "ref_id": 1},
        {**first, **other},
        {**first, "answer": " "},
        {**first, "question_type": "opinion"},
        first,
    ]
    data = load(root, rows)
    table = root / "medical-diff-vqa/mimic_pair_questions.csv"
    table.write_text(table.read_text() + "51000001,19000001\n")
    assert [pair.id.rpartition("/")[2] for pair in data.pairs(studies)] == ["6"]
    assert data.skipped.counts == {
        "question whose main study has no usable image": 1,
        "question whose reference study has no usable image": 1,
        "question that joins studies of different patients": 1,
        "question or answer is empty": 1,
        "question of an unknown category": 1,
        "row with a wrong number of fields": 1,
    }


def test_another_image_in_the_overview_is_noted(root, studies):
    number = str(tiny_tree.study(1, 2))
    changed = {**studies, number: replace(studies[number], image="another")}
    data = load(root)
    list(data.pairs(changed))
    assert data.noted.counts == {"mimic_all names another image of the study": 2}
    (root / "medical-diff-vqa/mimic_all.csv").unlink()
    data = load(root)
    assert len(list(data.pairs(changed))) == 12
    assert data.noted.counts == {"table mimic_all missing (images taken from the metadata)": 1}


def test_a_missing_table_and_column(root, tmp_path):
    with pytest.raises(ValueError, match=r"has no mimic_pair_questions\.csv"):
        MimicDiffVqa(tmp_path)
    table = root / "medical-diff-vqa/mimic_pair_questions.csv"
    table.write_text(table.read_text().replace("ref_id", "reference_id"))
    with pytest.raises(ValueError, match=r"no column 'ref_id': found study_id, .*reference_id"):
        list(load(root).read())
