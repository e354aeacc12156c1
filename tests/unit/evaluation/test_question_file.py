"""Question files of benchmarks: columns by option, answers as text, letter or name."""

import json

import pytest

from lapse.evaluation.question_file import AuditQuestion, QuestionColumns, read_questions

EXPECTED = AuditQuestion("what changed?", "new edema", ("nothing", "new edema"), "7")


def write(path, text):
    path.write_text(text, "utf-8")
    return path


@pytest.mark.parametrize("answer", ["New edema", "B", "b.", "(B)", "second"])
def test_one_column_per_option(tmp_path, answer):
    path = write(
        tmp_path / "q.csv", f"ask,first,second,key,subject_id\nWhat  changed?,Nothing,New edema,"
        f"{answer},7\n"
    )  # fmt: skip
    columns = QuestionColumns("ask", "key", ("first", "second"))
    assert read_questions(path, columns) == [EXPECTED]


@pytest.mark.parametrize(
    "options",
    ["Nothing|New edema", ["Nothing", "New edema"], {"A": "Nothing", "B": "New edema"},
     '["Nothing", "New edema"]'],
)  # fmt: skip
def test_all_options_in_one_column(tmp_path, options):
    row = {"question": "What changed?", "options": options, "answer": "B", "patient": 7}
    path = write(tmp_path / "q.jsonl", json.dumps(row) + "\n")
    assert read_questions(path, QuestionColumns(options=("options",))) == [EXPECTED]


def test_rows_with_a_value(tmp_path):
    path = write(tmp_path / "q.csv", "question,answer,type\na?,yes,presence\nb?,no,view\n")
    (question,) = read_questions(path, QuestionColumns(only={"type": "view"}))
    assert question == AuditQuestion("b?", "no", (), "")
    with pytest.raises(ValueError, match="no question with these values"):
        read_questions(path, QuestionColumns(only={"type": "level"}))


@pytest.mark.parametrize("pattern", ["p[0-9]{8}", "files/p../(p[0-9]+)/"])
def test_the_patient_is_a_part_of_a_path(tmp_path, pattern):
    path = write(tmp_path / "q.csv", "question,answer,image\na?,yes,files/p12/p12000001/s5/7.jpg\n")
    columns = QuestionColumns(patient="image", patient_pattern=pattern)
    (question,) = read_questions(path, columns)
    assert question.patient == "p12000001"


@pytest.mark.parametrize(
    ("pattern", "message"),
    [("p[0-9]{9}", "line 2: .* does not match image 'p12000001/7.jpg'"), ("p(", "not a regular")],
)
def test_a_pattern_that_does_not_fit_is_refused(tmp_path, pattern, message):
    path = write(tmp_path / "q.csv", "question,answer,image\na?,yes,p12000001/7.jpg\n")
    with pytest.raises(ValueError, match=message):
        read_questions(path, QuestionColumns(patient="image", patient_pattern=pattern))
    with pytest.raises(ValueError, match="name its column"):
        read_questions(path, QuestionColumns(patient_pattern="p[0-9]{8}"))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"question": "a?", "answer": "C", "options": "x|y"}, "the text, the letter or the name"),
        ({"question": "a?", "answer": "x", "options": "x|x"}, "two or more different texts"),
        ({"question": "a?", "answer": "", "options": "x|y"}, "an empty answer"),
        ({"question": "a?", "answer": "x", "options": 3}, "a list, an object, or texts"),
        ({"question": "a?", "answer": "x", "options": "[x"}, "options is not JSON"),
        ({"questions": "a?", "answer": "x", "options": "x|y"}, "no column 'question'.*questions"),
    ],
)
def test_damaged_rows_are_refused(tmp_path, row, message):
    path = write(tmp_path / "q.jsonl", json.dumps(row) + "\n")
    with pytest.raises(ValueError, match=message):
        read_questions(path, QuestionColumns(options=("options",)))
