"""Files of other systems: every question has exactly one answer, or the error gives the counts."""

import json
import logging

import pytest

from lapse.core.types import Prediction
from lapse.evaluation.predictions.joining import JoinOptions, read_any
from lapse.evaluation.predictions.questions import Questions, split_of_table

HEADER = "study_id,subject_id,ref_id,question_type,question,answer,split\n"
CHANGED = "what has changed compared to the reference image?"
ROWS = [
    f"51,11,50,difference,{CHANGED},nothing has changed.,train",
    "52,12,51,presence,is there edema?,yes,test",
    f"53,12,52,difference,{CHANGED},nothing has changed.,test",
    f"54,13,53,difference,{CHANGED},the main image is missing the finding of edema. ,test",
]
NONE = Questions()
PARTIAL = JoinOptions(is_partial=True)


@pytest.fixture
def questions(tmp_path):
    path = write(tmp_path, "mimic_pair_questions.csv", HEADER + "\n".join(ROWS) + "\n")
    return split_of_table(path, "test", "diff_vqa")


def write(tmp_path, name, text, encoding="utf-8"):
    path = tmp_path / name
    path.write_text(text, encoding=encoding)
    return path


def read(path, questions=NONE, options=None) -> list[Prediction]:
    return read_any(path, lambda: questions, options)


def texts(predictions) -> list[str]:
    return [item.prediction for item in predictions]


def test_a_csv_in_any_order(tmp_path, questions, caplog):
    caplog.set_level(logging.INFO, logger="lapse")
    path = write(
        tmp_path, "a.csv", "ref_id,study_id,prediction,model\n53,s54,edema,m\n52,53.0,,m\n"
    )
    predictions = read(path, questions)
    assert [item.id for item in predictions] == ["diff_vqa/53/52/3", "diff_vqa/54/53/4"]
    assert texts(predictions) == ["", "edema"]
    assert [item.patient for item in predictions] == ["12", "13"]
    assert caplog.messages == [
        "a.csv: keys that are not used: model (2)",
        "a.csv: keys: study_id and ref_id",
    ]


@pytest.mark.parametrize(
    ("name", "delimiter", "encoding"),
    [
        ("a.csv", ";", "utf-8"),
        ("a.csv", "\t", "utf-8-sig"),
        ("a.tsv", "\t", "utf-16"),
        ("a.txt", ",", "utf-16"),
    ],
)
def test_other_delimiters_and_encodings(tmp_path, questions, name, delimiter, encoding):
    lines = (("study_id", "ref_id", "prediction"), ("54", "53", "é"), ("53", "52", "x"))
    text = "\r\n".join(delimiter.join(line) for line in lines) + "\r\n"
    assert texts(read(write(tmp_path, name, text, encoding), questions)) == ["x", "é"]


@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_json_in_utf_16(tmp_path, questions, name):
    """PowerShell writes redirected output in UTF-16."""
    row = '{"study_id": "54", "ref_id": "53", "prediction": "é"}'
    text = f"[{row}]" if name == "a.json" else f"{row}\n"
    assert texts(read(write(tmp_path, name, text, "utf-16"), questions, PARTIAL)) == ["é"]


def test_files_that_cannot_be_decoded_are_named(tmp_path, questions):
    text = "study_id,ref_id,prediction\n54,53,a\n53,52,é\n"
    for encoding, message in (
        ("latin-1", r"line 3 is not UTF-8 \(byte 0xe9; Latin-1 or Windows-1252\?\): save it as"),
        ("utf-16-le", "is in UTF-16 or UTF-32 without a byte order mark"),
    ):
        with pytest.raises(ValueError, match=message) as error:
            read(write(tmp_path, "a.csv", text, encoding), questions)
        assert "fetch" not in str(error.value) and "download" not in str(error.value)
    for suffix, start in (("csv", "study_id,ref_id,prediction\n54,53,a"), ("jsonl", '{"id": "a"')):
        for encoding, name in (("utf-16-le", "UTF-16 or UTF-32 without"), ("utf-32", "UTF-32")):
            path = write(tmp_path, f"a.{suffix}", start, encoding)
            with pytest.raises(ValueError, match=f"is in {name}.*save it as UTF-8"):
                read(path, questions)
    with pytest.raises(ValueError, match="is a spreadsheet"):
        read(write(tmp_path, "a.xlsx", text), questions)


def test_lines_are_counted_as_an_editor_counts_them(tmp_path, questions):
    start = 'study_id,ref_id,prediction\n54,53,"two\nlines"\n\n'
    for end, message in (
        ("53,52,a,b\n", r"a\.csv line 5 has 4 cells and the header 3: .* a comma"),
        ("53,,a\n", r"a\.csv line 5: ref_id is empty"),
    ):
        with pytest.raises(ValueError, match=message):
            read(write(tmp_path, "a.csv", start + end), questions)
    rows = [{"image_id": 0, "caption": "a"}, {"image_id": 1}]
    with pytest.raises(ValueError, match=r"a\.json entry 2 has no prediction \(or caption\)"):
        read(write(tmp_path, "a.json", json.dumps(rows)), questions)


def test_missing_extra_and_duplicate_keys_are_counted(tmp_path, questions):
    text = "study_id,ref_id,prediction\n54,53,a\n54,53,a\n99,98,b\n"
    message = r"1 missing \(first 53/52\), 1 extra \(first 99/98\), 1 duplicate \(first 54/53\)"
    with pytest.raises(ValueError, match=message):
        read(write(tmp_path, "a.csv", text), questions)
    with pytest.raises(ValueError, match="has no prediction"):
        read(write(tmp_path, "b.csv", "study_id,ref_id,answer\n1,2,x\n"), questions)
    with pytest.raises(ValueError, match="give --data STORE or --questions"):
        read(tmp_path / "a.csv")


def test_a_part_of_a_split_needs_partial(tmp_path, questions, caplog):
    caplog.set_level(logging.INFO, logger="lapse")
    path = write(tmp_path, "half.csv", "study_id,ref_id,prediction\n54,53,a\n")
    with pytest.raises(ValueError, match=r"1 missing \(first 53/52\) of 2 keys; --partial"):
        read(path, questions)
    assert texts(read(path, questions, PARTIAL)) == ["a"]
    assert "half.csv: keys: study_id and ref_id; 1 of 2 questions are answered" in caplog.messages
    path = write(tmp_path, "none.csv", "study_id,ref_id,prediction\n99,98,a\n")
    with pytest.raises(ValueError, match=r"2 missing .*1 extra"):
        read(path, questions, PARTIAL)


def test_answers_to_questions_of_other_tasks_are_left_out(tmp_path, questions, caplog):
    caplog.set_level(logging.INFO, logger="lapse")
    lines = ["study_id,ref_id,question,prediction", "52,51,is there edema?,yes"]
    lines += [f"{q.study},{q.reference},{q.text},{n}" for n, q in enumerate(questions.items)]
    path = write(tmp_path, "all.csv", "\n".join(lines))
    assert texts(read(path, questions)) == ["0", "1"]
    assert caplog.messages[-1].endswith("1 answers to questions of other tasks are left out")
    lines.append("52,51,is there a hernia?,yes")
    with pytest.raises(ValueError, match="1 extra"):
        read(write(tmp_path, "all.csv", "\n".join(lines)), questions)


def test_a_pair_with_two_questions_needs_the_column_question(tmp_path):
    twice = [*ROWS, "54,13,53,difference,what has changed in the left area?,x,test"]
    table = write(tmp_path, "mimic_pair_questions.csv", HEADER + "\n".join(twice) + "\n")
    questions = split_of_table(table, "test", "diff_vqa")
    text = "study_id,ref_id,prediction\n53,52,a\n54,53,b\n"
    with pytest.raises(ValueError, match="2 of 3 questions share their study_id and ref_id"):
        read(write(tmp_path, "a.csv", text), questions)
    lines = [f"{q.study},{q.reference},{q.text.upper()},{n}" for n, q in enumerate(questions.items)]
    text = "study_id,ref_id,question,prediction\n" + "\n".join(lines[::-1])
    assert texts(read(write(tmp_path, "b.csv", text), questions)) == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("image_ids", "meaning"),
    [
        (["53_52", "54_53"], "study_ref"),
        ([2, 3], "row"),
        (["0", "1"], "position"),
        ([0, 2], "doubled"),
    ],
)
def test_coco_ids_of_four_kinds(tmp_path, questions, caplog, image_ids, meaning):
    caplog.set_level(logging.INFO, logger="lapse")
    rows = [{"image_id": key, "caption": f"c{n}"} for n, key in enumerate(image_ids)]
    path = write(tmp_path, "r.json", json.dumps(rows[::-1]))
    assert texts(read(path, questions)) == ["c0", "c1"]
    assert caplog.messages[-1] == f"r.json: image_id: {meaning}"
    with pytest.raises(ValueError, match="1 missing"):
        part = write(tmp_path, "s.json", json.dumps(rows[:1]))
        read(part, questions, JoinOptions(image_ids=meaning))


def test_coco_ids_of_a_part_can_have_two_meanings(tmp_path, questions):
    path = write(tmp_path, "r.json", json.dumps([{"image_id": 2, "caption": "c"}]))
    with pytest.raises(ValueError, match="can mean row or doubled, with different answers"):
        read(path, questions, PARTIAL)
    part = read(path, questions, JoinOptions(image_ids="row", is_partial=True))
    assert [item.id for item in part] == ["diff_vqa/53/52/3"]


def test_coco_files_that_are_refused(tmp_path, questions):
    path = write(tmp_path, "r.json", json.dumps([{"image_id": "x", "caption": "c"}] * 2))
    with pytest.raises(ValueError, match=r"study_ref: 2 missing .*1 extra .*1 duplicate"):
        read(path, questions)
    for text, message in (
        ("{", "not JSON"),
        ("[]", "holds no list"),
        ('[{"image_id": 1}]', "entry 1 has no prediction"),
        ('[{"image_id": true, "caption": ""}]', "entry 1: image_id"),
        ('[{"caption": ""}]', "entry 1 does not name its question"),
    ):
        with pytest.raises(ValueError, match=message):
            read(write(tmp_path, "q.json", text), questions)


OWN = "id;question;answer;patient;split\n"
OWN_ROWS = "x1;what changed?;nothing has changed.;p1;test\nx2;what changed?;edema;p2;test\n"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "id,prediction\nx2,b\nx1,a\n"),
        ("a.jsonl", '{"id": "x2", "prediction": "b"}\n{"id": "x1", "prediction": "a"}\n'),
        ("a.json", '[{"id": "x2", "prediction": "b"}, {"id": "x1", "caption": "a"}]'),
        ("b.json", '[{"image_id": "x2", "caption": "b"}, {"image_id": "x1", "caption": "a"}]'),
        ("c.json", '{"annotations": [{"id": 1, "image_id": "x2", "caption": "b"},'
                   ' {"id": 2, "image_id": "x1", "caption": "a"}]}'),
    ],
)  # fmt: skip
def test_ids_of_the_user_with_a_question_table(tmp_path, name, text):
    table = write(tmp_path, "questions.csv", OWN + OWN_ROWS)
    predictions = read(write(tmp_path, name, text), split_of_table(table, "test", "diff_vqa"))
    assert predictions == [
        Prediction("x1", "diff_vqa", "a", ("nothing has changed.",), "p1", "what changed?"),
        Prediction("x2", "diff_vqa", "b", ("edema",), "p2", "what changed?"),
    ]


def test_names_in_another_case_are_named(tmp_path, questions):
    for text, message in (
        ("ID,prediction\nx,a\n", "does not name its question: .*; write 'id', not 'ID'"),
        ("id,Prediction\nx,a\n", "has no prediction .*; write 'prediction', not 'Prediction'"),
    ):
        with pytest.raises(ValueError, match=message):
            read(write(tmp_path, "a.csv", text), questions)


def test_question_tables_that_are_refused(tmp_path):
    for text, message in (
        (OWN + "x1;q;;p;test\n", "line 2: answer is empty"),
        ("id,reply\nx1,a\n", r"no column 'answer': known: id, reply"),
        ("answer,study_id\na,1\n", "no column 'subject_id': give mimic_pair_questions.csv, or"),
        (OWN + "x1;q;a;p;train\n", "split 'test' of .* has no question of the task diff_vqa"),
    ):
        with pytest.raises(ValueError, match=message):
            split_of_table(write(tmp_path, "q.csv", text), "test", "diff_vqa")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "id,task,prediction,reference,patient\nx,vqa,yes,no,p1\ny,cap,a,b,p2\n"),
        (
            "a.jsonl",
            '{"id": "x", "task": "vqa", "prediction": "yes", "reference": "no", "patient": "p1"}\n'
            '{"id": "y", "task": "cap", "prediction": "a", "references": ["b"], "patient": "p2"}\n',
        ),
    ],
)
def test_files_with_references_need_no_questions(tmp_path, name, text):
    path = write(tmp_path, name, text)
    first = Prediction("x", "vqa", "yes", ("no",), "p1")
    assert read(path) == [first, Prediction("y", "cap", "a", ("b",), "p2")]
    assert read(path, options=JoinOptions(task="vqa")) == [first]
    with pytest.raises(ValueError, match=r"no prediction of the task 'vqq'.* did you mean 'vqa'"):
        read(path, options=JoinOptions(task="vqq"))


def test_a_table_without_tasks_needs_one(tmp_path):
    path = write(tmp_path, "a.csv", "id,prediction,reference\nx,a,b\n")
    with pytest.raises(ValueError, match=r"line 2 has no task.*--task"):
        read(path)
    assert read(path, options=JoinOptions(task="cap")) == [Prediction("x", "cap", "a", ("b",))]


def test_unknown_tasks_are_named_with_the_nearest(tmp_path, caplog):
    line = {"id": "a", "task": "diff-vqa", "prediction": "x", "references": ["x"]}
    path = write(tmp_path, "a.jsonl", json.dumps(line))
    with pytest.raises(ValueError, match=r"unknown task 'diff-vqa'.* did you mean 'diff_vqa'"):
        read(path)
    assert read(path, options=JoinOptions(task="diff-vqa"))[0].task == "diff-vqa"
    read(write(tmp_path, "a.jsonl", json.dumps({**line, "task": "laterality"})))
    assert caplog.messages[-1].startswith("a.jsonl: the task 'laterality' is not registered")


def test_several_references_of_a_difference_question_are_refused(tmp_path):
    line = {"id": "a", "task": "diff_vqa", "prediction": "x", "references": ["x", "y"]}
    path = write(tmp_path, "a.jsonl", json.dumps(line))
    with pytest.raises(ValueError, match="1 of 1 samples have several references, the first is"):
        read(path)
    same = write(tmp_path, "b.jsonl", json.dumps({**line, "references": ["x", "x"]}))
    assert len(read(same)) == 1
    assert len(read(write(tmp_path, "c.jsonl", json.dumps({**line, "task": "cap"})))) == 1


def test_answers_under_probes_in_any_format(tmp_path, questions):
    lines = "study_id,ref_id,prediction,probe\n54,53,a,swap\n53,52,b,identity\n"
    probed = read(write(tmp_path, "p.csv", lines), questions)
    assert [item.id for item in probed] == ["diff_vqa/54/53/4#swap", "diff_vqa/53/52/3#identity"]
    rows = [{"image_id": "54_53", "caption": "a", "probe": "swap"}]
    path = write(tmp_path, "p.json", json.dumps(rows))
    assert [item.id for item in read(path, questions)] == ["diff_vqa/54/53/4#swap"]
    row = {"id": "diff_vqa/54/53/4#swap", "prediction": "a"}
    path = write(tmp_path, "p.jsonl", json.dumps(row))
    assert [item.id for item in read(path, questions)] == ["diff_vqa/54/53/4#swap"]


def test_confidence_in_any_format(tmp_path, questions):
    value = {"answer": 0.5}
    cell = json.dumps(value).replace('"', '""')
    text = f'study_id,ref_id,prediction,confidence\n54,53,a,"{cell}"\n53,52,b,\n'
    predictions = read(write(tmp_path, "a.csv", text), questions)
    assert [item.confidence for item in predictions] == [{}, value]
    text = text.replace(f'"{cell}"', "0.5;")
    with pytest.raises(ValueError, match=r"line 2: confidence is '0\.5;': write it as JSON"):
        read(write(tmp_path, "b.csv", text), questions)


def test_rows_with_and_without_references_are_refused(tmp_path):
    text = '{"id": "a", "task": "cap", "prediction": "x", "references": ["y"]}\n'
    path = write(tmp_path, "a.jsonl", text + '{"id": "b", "task": "cap", "prediction": "x"}\n')
    with pytest.raises(ValueError, match=r"line 2 has no references and 1 other rows have"):
        read(path)
