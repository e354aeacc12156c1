"""CSV and COCO files: every question has exactly one answer, or the error gives the counts."""

import json

import pytest

from lapse.evaluation.predictions.external_formats import read_any, read_external
from lapse.evaluation.predictions.questions import questions_of_table

HEADER = "study_id,subject_id,ref_id,question_type,question,answer,split\n"
CHANGED = "what has changed compared to the reference image?"
ROWS = [
    f"51,11,50,difference,{CHANGED},nothing has changed.,train",
    "52,12,51,presence,is there edema?,yes,test",
    f"53,12,52,difference,{CHANGED},nothing has changed.,test",
    f"54,13,53,difference,{CHANGED},the main image is missing the finding of edema. ,test",
]


@pytest.fixture
def questions(tmp_path):
    path = tmp_path / "mimic_pair_questions.csv"
    path.write_text(HEADER + "\n".join(ROWS) + "\n", encoding="utf-8")
    return questions_of_table(path, "test", "diff_vqa")


def write(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_csv_in_any_order(tmp_path, questions):
    path = write(tmp_path, "a.csv", "ref_id,study_id,prediction\n53,s54,edema\n52,53.0,\n")
    predictions, note = read_any(path, questions)
    assert [item.id for item in predictions] == ["diff_vqa/53/52/3", "diff_vqa/54/53/4"]
    assert [item.prediction for item in predictions] == ["", "edema"]
    assert [item.patient for item in predictions] == ["12", "13"]
    assert note == "keys: study_id and ref_id"


def test_missing_extra_and_duplicate_keys_are_counted(tmp_path, questions):
    text = "study_id,ref_id,prediction\n54,53,a\n54,53,a\n99,98,b\n"
    message = r"1 missing \(first 53/52\), 1 extra \(first 99/98\), 1 duplicate \(first 54/53\)"
    with pytest.raises(ValueError, match=message):
        read_external(write(tmp_path, "a.csv", text), questions)
    with pytest.raises(ValueError, match="no column 'prediction'"):
        read_external(write(tmp_path, "b.csv", "study_id,ref_id,answer\n"), questions)
    with pytest.raises(ValueError, match="give --data STORE or --questions"):
        read_any(tmp_path / "a.csv", [])


def test_a_pair_with_two_questions_needs_the_column_question(tmp_path):
    twice = [*ROWS, "54,13,53,difference,what has changed in the left area?,x,test"]
    table = write(tmp_path, "mimic_pair_questions.csv", HEADER + "\n".join(twice) + "\n")
    questions = questions_of_table(table, "test", "diff_vqa")
    text = "study_id,ref_id,prediction\n53,52,a\n54,53,b\n"
    with pytest.raises(ValueError, match="2 of 3 questions share their study_id and ref_id"):
        read_external(write(tmp_path, "a.csv", text), questions)
    lines = [f"{q.study},{q.reference},{q.text.upper()},{n}" for n, q in enumerate(questions)]
    text = "study_id,ref_id,question,prediction\n" + "\n".join(lines[::-1])
    predictions, _ = read_external(write(tmp_path, "b.csv", text), questions)
    assert [item.prediction for item in predictions] == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("image_ids", "meaning"),
    [
        (["53_52", "54_53"], "study_ref"),
        ([2, 3], "row"),
        (["0", "1"], "position"),
        ([0, 2], "doubled"),
    ],
)
def test_coco_ids_of_four_kinds(tmp_path, questions, image_ids, meaning):
    rows = [{"image_id": key, "caption": f"c{n}"} for n, key in enumerate(image_ids)]
    path = write(tmp_path, "r.json", json.dumps(rows[::-1]))
    predictions, note = read_external(path, questions)
    assert [item.prediction for item in predictions] == ["c0", "c1"]
    assert note == f"image_id: {meaning}"
    with pytest.raises(ValueError, match="1 missing"):
        read_external(write(tmp_path, "s.json", json.dumps(rows[:1])), questions, image_ids=meaning)


def test_coco_files_that_are_refused(tmp_path, questions):
    path = write(tmp_path, "r.json", json.dumps([{"image_id": "x", "caption": "c"}] * 2))
    with pytest.raises(ValueError, match=r"study_ref: 2 missing .*1 extra .*1 duplicate"):
        read_external(path, questions)
    for text, message in (
        ("{", "not JSON"),
        ("[]", "holds no list"),
        ('[{"image_id": 1}]', "entry 0 lacks"),
        ('[{"image_id": true, "caption": ""}]', "entry 0: image_id"),
    ):
        with pytest.raises(ValueError, match=message):
            read_external(write(tmp_path, "q.json", text), questions)
