"""predictions.jsonl -> scores.json: files that are wrong are refused, scores say their origin."""

import json
import logging
import math
import random
from pathlib import Path

import pytest

from lapse.core.types import Prediction, Score
from lapse.evaluation.evaluate import EvaluateOptions, evaluate
from lapse.evaluation.predictions.jsonl import read_predictions, write_predictions
from lapse.evaluation.score_tables import (
    format_markdown,
    parts_table,
    scores_table,
    table_note,
)
from lapse.evaluation.scores_file import write_scores
from lapse.metrics.bootstrap import bootstrap_interval, with_intervals
from lapse.metrics.statistics import mean_score

EDEMA = "the main image has an additional finding of edema than the reference image. "
NOTHING = "nothing has changed."
NO_JAVA = EvaluateOptions(use_java=False)
LINE = {"id": "a", "task": "diff_vqa", "prediction": "x", "references": ["y"]}


def diff(index: int, said: str, true: str = EDEMA) -> Prediction:
    return Prediction(f"d{index}", "diff_vqa", said, (true,), patient=f"p{index // 2}")


def caref(index: int, said: str) -> Prediction:
    true = ("No edema. [0, 0, 10, 10]",)
    return Prediction(f"caref/i{index}/spine", "caref", said, true, f"p{index}", "caref: spine:")


def test_predictions_round_trip(tmp_path):
    rows = [diff(0, "né\nwe"), caref(1, "[1, 2, 3, 4]"), Prediction("x", "cap", "", ("a", "b"))]
    path = tmp_path / "new" / "predictions.jsonl"
    write_predictions(path, iter(rows))
    assert read_predictions(path) == rows
    assert len(path.read_text("utf-8").splitlines()) == 3
    assert [item.name for item in path.parent.iterdir()] == ["predictions.jsonl"]


def test_only_four_keys_are_needed(tmp_path):
    path = tmp_path / "p.jsonl"
    path.write_text("\ufeff" + json.dumps(LINE) + "\n\n", encoding="utf-8")
    assert read_predictions(path) == [Prediction("a", "diff_vqa", "x", ("y",))]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{", "line 2 is not JSON in UTF-8"),
        (b'"\xff"', "line 2 is not JSON in UTF-8"),
        (b"[1]", "line 2 is not an object with the keys"),
        ({**LINE, "answer": "x"}, r"line 2: unknown keys \['answer'\]"),
        ({"id": "b", "task": "cap"}, r"missing keys \['prediction', 'references'\]"),
        ({**LINE, "references": "y"}, "line 2: references is a list of texts"),
        ({**LINE, "references": [None]}, "line 2: references is a list of texts"),
        ({**LINE, "patient": 17}, "line 2: references is a list of texts, every other value"),
        ({**LINE, "id": "b", "references": []}, "line 2: prediction b has no reference"),
    ],
)
def test_errors_name_the_line(tmp_path, line, message):
    path = tmp_path / "p.jsonl"
    wrong = line if isinstance(line, bytes) else json.dumps(line).encode()
    path.write_bytes(json.dumps(LINE).encode() + b"\n" + wrong + b"\n")
    with pytest.raises(ValueError, match=message):
        read_predictions(path)


def test_two_answers_for_one_id_are_refused(tmp_path):
    rows = [diff(index, "x") for index in (0, 1, 1, 2, 2, 2)]
    message = "2 ids occur more than once, the first is 'd1'"
    path = tmp_path / "p.jsonl"
    with pytest.raises(ValueError, match=message):
        write_predictions(path, rows)
    assert not path.exists()
    with pytest.raises(ValueError, match=message):
        evaluate(rows)
    path.write_text("".join(json.dumps(LINE) + "\n" for _ in range(2)), encoding="utf-8")
    with pytest.raises(ValueError, match="1 ids occur more than once, the first is 'a'"):
        read_predictions(path)


def test_no_predictions_are_an_error(tmp_path):
    with pytest.raises(ValueError, match="no predictions file"):
        read_predictions(tmp_path / "absent.jsonl")
    (tmp_path / "empty.jsonl").write_text("\n", encoding="utf-8")
    with pytest.raises(ValueError, match="holds no prediction"):
        read_predictions(tmp_path / "empty.jsonl")
    with pytest.raises(ValueError, match="nothing to evaluate"):
        evaluate([])


def test_each_task_gets_its_own_metrics():
    rows = [caref(0, "[0, 0, 10, 10]"), diff(0, EDEMA), caref(1, "?"), diff(2, NOTHING)]
    scores = evaluate(rows, metrics={"diff_vqa": ("changes",)})
    assert list(scores) == ["caref", "diff_vqa"]
    assert scores["caref"]["Acc@0.5"].value == 0.5
    assert scores["diff_vqa"]["exact match"].value == 0.5
    assert "BLEU-4" not in scores["caref"] and "Acc@0.5" not in scores["diff_vqa"]


def test_an_unknown_metric_names_the_known():
    with pytest.raises(ValueError, match="known: changes, answer_accuracy"):
        evaluate([diff(0, EDEMA)], metrics={"diff_vqa": ("chnges",)})


def test_every_score_has_an_interval():
    rows = [diff(index, EDEMA if index % 3 else NOTHING) for index in range(30)]
    found = evaluate(rows, options=NO_JAVA)["diff_vqa"]
    without = [name for name, score in found.items() if score.low is None]
    assert without == []
    exact = found["exact match"]
    assert 0.0 < exact.low < exact.value < exact.high < 1.0
    assert exact.details["interval"] == "95%, 2000 resamples of 15 patients"
    for name in ("change F1", "edema added F1"):
        assert found[name].low < found[name].value < found[name].high, name
    options = [EvaluateOptions(seed=seed, resamples=100, use_java=False) for seed in range(4)]
    lows = {evaluate(rows, options=option)["diff_vqa"]["change F1"].low for option in options}
    assert len(lows) > 1


def test_no_interval_without_two_known_patients():
    score = mean_score("s", [0.0, 1.0], {})

    def one(patients):
        return with_intervals({"s": score}, patients)["s"]

    assert one(["p", "p"]).low is None
    assert one(["p", "p"]).details["interval"] == "none: one patient only"
    assert one(["p", ""]).details["interval"] == "none: the patient of 1 samples is unknown"
    assert one(["p", "q"]).low == 0.0


def test_the_interval_of_independent_values_is_the_textbook_one():
    generator = random.Random(0)
    values = [float(generator.random() < 0.3) for _ in range(800)]
    mean = sum(values) / len(values)
    margin = 1.96 * math.sqrt(mean * (1 - mean) / len(values))
    low, high = bootstrap_interval(values, [str(index) for index in range(800)], resamples=4000)
    assert low == pytest.approx(mean - margin, abs=0.1 * margin)
    assert high == pytest.approx(mean + margin, abs=0.1 * margin)


def test_patients_are_drawn_whole():
    values = [0.0, 1.0] * 50
    together = [str(index // 10) for index in range(100)]  # each patient holds five of both
    assert bootstrap_interval(values, together) == (0.5, 0.5)
    apart = [str(index % 2 * 5 + index // 20) for index in range(100)]
    low, high = bootstrap_interval(values, apart)
    assert high - low > 0.4
    assert bootstrap_interval(values, apart) == (low, high)
    with pytest.raises(ValueError, match="got 2 values and 1 patients"):
        bootstrap_interval([0.0, 1.0], ["p"])


def test_a_patient_counts_by_the_number_of_samples():
    patients = [name for index in range(50) for name in [f"many{index}"] * 9 + [f"one{index}"]]
    values = [float(name.startswith("many")) for name in patients]
    low, high = bootstrap_interval(values, patients)
    assert 0.8 < low < 0.9 < high < 0.95


def test_scores_file_says_where_numbers_come_from(tmp_path):
    scores = evaluate([diff(0, EDEMA), diff(2, NOTHING)], metrics={"diff_vqa": ("changes",)})
    path = tmp_path / "new" / "scores.json"
    write_scores(path, scores, {"n": "2", "release": "1.0.1"})
    found = json.loads(path.read_text("utf-8"))
    assert found["provenance"] == {"n": "2", "release": "1.0.1"}
    exact = found["scores"]["diff_vqa"]["exact match"]
    assert (exact["value"], exact["per_sample"]) == (0.5, [1.0, 0.0])
    assert exact["details"]["n"] == "2"
    assert [item.name for item in path.parent.iterdir()] == ["scores.json"]
    with pytest.raises(ValueError, match="JSON"):
        write_scores(path, {"cap": {"s": Score("s", math.nan)}}, {})
    assert json.loads(path.read_text("utf-8")) == found


def test_table_and_markdown():
    rows = {
        "ours": {"F1": Score("F1", 0.5), "Acc": Score("Acc", 0.25, 0.2, 0.3)},
        "blind": {"F1": Score("F1", 0.125)},
    }
    table = scores_table(rows)
    assert table == [
        ["", "F1", "Acc"],
        ["ours", "0.500", "0.250 [0.200, 0.300]"],
        ["blind", "0.125", "-"],
    ]
    assert format_markdown(table).splitlines() == [
        "| score | ours | blind |",
        "|---|---|---|",
        "| F1 | 0.500 | 0.125 |",
        "| Acc | 0.250 [0.200, 0.300] | - |",
    ]


def test_only_scores_of_one_finding_or_region_have_tables_of_their_own():
    """Rates of probes and of abstention say what they are shares of, and stay in their table."""
    rate = Score("swap law", 0.5, details={"n": "2", "of": "4"})
    part = Score("edema F1", 0.5, details={"n": "2", "of": "edema", "kind": "finding"})
    rows = {"ours": {"swap law": rate, "edema F1": part}}
    assert scores_table(rows)[0] == ["", "swap law"]
    assert parts_table(rows, "finding")[0] == ["", "edema F1 (n 2)"]


def test_n_of_rows_with_other_samples_stands_in_note_and_parts():
    def row(n: int) -> dict[str, Score]:
        details = {"n": str(n), "of": "carina", "kind": "region"}
        return {
            "Acc": Score("Acc", 0.5, details={"n": str(n)}),
            "Acc carina": Score("c", 0.5, details=details),
        }

    same, other = {"ours": row(10), "blind": row(10)}, {"ours": row(10), "gold: ours": row(9)}
    assert table_note(same, {}).startswith("n: 10; data release: not known")
    assert table_note(other, {}).startswith("n: 10 (gold: ours: 9); ")
    assert parts_table(same, "region")[0] == ["", "Acc carina (n 10)"]
    assert parts_table(other, "region")[0] == ["", "Acc carina (n 10 / 9)"]


def test_one_predictions_file_is_enough(tmp_path):
    path = Path(tmp_path / "p.jsonl")
    write_predictions(path, [diff(0, EDEMA), diff(2, NOTHING), caref(0, "[0, 0, 10, 9]")])
    scores = evaluate(read_predictions(path), options=NO_JAVA)
    assert scores["caref"]["mean IoU"].value == pytest.approx(0.9)
    assert scores["diff_vqa"]["change F1"].low is not None


def test_without_java_its_scores_are_left_out_with_one_sentence(caplog):
    caplog.set_level(logging.INFO, logger="lapse")
    rows = [diff(0, EDEMA), Prediction("c", "cap", "x", ("y",))]
    scores = evaluate(rows, options=NO_JAVA)
    assert list(scores) == ["diff_vqa"] and "BLEU-4" not in scores["diff_vqa"]
    names = "BLEU-1, BLEU-2, BLEU-3, BLEU-4, METEOR, ROUGE-L, CIDEr"
    assert caplog.messages == [f"without Java, these scores are left out: {names}"]
    with pytest.raises(ValueError, match="every metric of these tasks needs Java"):
        evaluate(rows[1:], options=NO_JAVA)


SURE = {"beam: added edema": 0.75, "answer": 0.5, "log_probability": -1.0}


def test_confidence_is_read_back_and_checked(tmp_path):
    sure = Prediction("d0", "diff_vqa", EDEMA, (EDEMA,), "p0", confidence=SURE)
    path = tmp_path / "p.jsonl"
    write_predictions(path, [sure, diff(1, EDEMA)])
    assert read_predictions(path) == [sure, diff(1, EDEMA)]
    assert path.read_text("utf-8").count("confidence") == 1
    for wrong, message in (
        (["x"], "confidence maps names to numbers"),
        ({"answer": "high"}, "line 1: prediction a: confidence 'answer' is 'high': a number"),
    ):
        path.write_text(json.dumps({**LINE, "confidence": wrong}), encoding="utf-8")
        with pytest.raises(ValueError, match=message):
            read_predictions(path)
