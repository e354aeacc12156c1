"""lapse audit: the table of a multiple-choice file and of the phantom's own questions."""

import csv

import pytest
from typer.testing import CliRunner

from experiments.phantom_blind_audit import write_questions
from lapse.cli.main import app
from lapse.core.changes import QUESTION_CHANGED
from lapse.evaluation.blind_audit import CLASSIFIER, audit_questions
from lapse.evaluation.question_file import QuestionColumns, read_questions
from lapse.phantom.dataset.options import SimulateConfig


def lapse(*arguments: object) -> str:
    done = CliRunner().invoke(app, [str(part) for part in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_the_table_of_a_multiple_choice_file(tmp_path):
    path = tmp_path / "mc.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("ask", "first", "second", "key", "person"))
        for number in range(60):
            texts = ("edema", "a much longer text")
            first, second = texts if number % 2 else texts[::-1]
            writer.writerow((f"image {number}?", first, second, texts[1], number % 20))
    columns = ("--question", "ask", "--answer", "key", "--option", "first", "--option", "second")
    output = lapse("audit", path, *columns, "--patient", "person", "--resamples", 100)
    assert output.startswith("60 multiple choice questions of 20 patients, read without images")
    assert "intervals of 20 patients: with fewer than 50" in output
    assert "accuracy (higher, 0 to 1)" in output
    assert "| chance | 0.500 [0.500, 0.500] | - |" in output
    assert "| longest option | 1.000 [1.000, 1.000] | 0.500 [0.500, 0.500] |" in output
    with pytest.raises(ValueError, match="is not COLUMN=VALUE"):
        lapse("audit", path, *columns, "--only", "person")


def test_the_phantom_gives_no_more_than_the_documented_blind_scores(tmp_path):
    path = tmp_path / "phantom.csv"
    assert write_questions(path, SimulateConfig(600, 11, size=64)) > 1000
    only = {"question": QUESTION_CHANGED}
    audit = audit_questions(read_questions(path, QuestionColumns(only=only)), resamples=100)
    documented = 0.303  # upper end of "nothing has changed", docs/explanation/phantom.md
    for name, score in audit.accuracy.items():
        assert score.low is not None and score.low <= documented, name
    assert audit.accuracy[CLASSIFIER].value == audit.accuracy["most frequent answer"].value
