"""predictions.jsonl: written and read without change; invalid files are refused."""

import json
from dataclasses import replace

import pytest

from lapse.core.types import Prediction
from lapse.evaluation.predictions.jsonl import in_order_of, read_predictions, write_predictions

LINE = {"id": "a", "task": "diff_vqa", "prediction": "x", "references": ["y"]}


def prediction(name: str, text: str) -> Prediction:
    return Prediction(name, "diff_vqa", text, ("y",), patient="p0")


def test_predictions_round_trip(tmp_path):
    items = [
        prediction("d0", "né\nwe"),
        Prediction("i1", "caref", "[1, 2, 3, 4]", ("[0, 0, 9, 9]",), "p1", "caref: spine:"),
        Prediction("x", "cap", "", ("a", "b")),
    ]
    path = tmp_path / "new" / "predictions.jsonl"
    write_predictions(path, iter(items))
    assert read_predictions(path) == items
    assert len(path.read_text("utf-8").splitlines()) == 3
    assert [item.name for item in path.parent.iterdir()] == ["predictions.jsonl"]


def test_only_four_keys_are_needed(tmp_path):
    path = tmp_path / "p.jsonl"
    line = {**LINE, "model": "m", "score": 1}  # other keys are allowed
    path.write_text("\ufeff" + json.dumps(line) + "\n\n", encoding="utf-8")
    assert read_predictions(path) == [Prediction("a", "diff_vqa", "x", ("y",))]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{", "line 2 is not JSON in UTF-8"),
        (b'"\xff"', "line 2 is not JSON in UTF-8"),
        (b"[1]", "line 2 is not an object with the keys"),
        ({"id": "b", "task": "cap"}, r"line 2 has no prediction \(or caption\): found id, task"),
        ({"id": "b", "prediction": "x"}, "line 2 has no task and no references"),
        ({"task": "cap", "prediction": "x"}, "line 2 does not name its question: give id, or"),
        ({**LINE, "references": "y"}, "line 2: references is a list of texts"),
        ({**LINE, "references": [None]}, "line 2: references is a list of texts"),
        ({**LINE, "patient": 1.5}, "line 2: patient is 1.5: a text or an integer is needed"),
        ({**LINE, "prompt": 17}, "line 2: prompt is 17: a text is needed"),
        ({**LINE, "id": "b", "references": []}, "line 2: prediction b has no reference"),
    ],
)
def test_errors_name_the_line(tmp_path, line, message):
    path = tmp_path / "p.jsonl"
    second = line if isinstance(line, bytes) else json.dumps(line).encode()
    path.write_bytes(json.dumps(LINE).encode() + b"\n" + second + b"\n")
    with pytest.raises(ValueError, match=message):
        read_predictions(path)


def test_two_predictions_for_one_id_are_refused(tmp_path):
    items = [prediction(f"d{index}", "x") for index in (0, 1, 1, 2, 2, 2)]
    message = "2 ids occur more than once, the first is 'd1'"
    path = tmp_path / "p.jsonl"
    with pytest.raises(ValueError, match=message):
        write_predictions(path, items)
    assert not path.exists()
    path.write_text("".join(json.dumps(LINE) + "\n" for _ in range(2)), encoding="utf-8")
    with pytest.raises(ValueError, match="1 ids occur more than once, the first is 'a'"):
        read_predictions(path)


def test_missing_and_empty_files_are_refused(tmp_path):
    with pytest.raises(ValueError, match="no predictions file"):
        read_predictions(tmp_path / "absent.jsonl")
    (tmp_path / "empty.jsonl").write_text("\n", encoding="utf-8")
    with pytest.raises(ValueError, match="holds no prediction"):
        read_predictions(tmp_path / "empty.jsonl")


def test_confidence_is_read_back_and_checked(tmp_path):
    confidence = {"beam: added edema": 0.75, "answer": 0.5, "log_probability": -1.0}
    with_confidence = replace(prediction("d0", "x"), confidence=confidence)
    items = [with_confidence, prediction("d1", "x")]
    path = tmp_path / "p.jsonl"
    write_predictions(path, items)
    assert read_predictions(path) == items
    assert path.read_text("utf-8").count("confidence") == 1
    for invalid, message in (
        (["x"], "confidence maps names to numbers"),
        ({"answer": "high"}, "line 1: prediction a: confidence 'answer' is 'high': a number"),
    ):
        path.write_text(json.dumps({**LINE, "confidence": invalid}), encoding="utf-8")
        with pytest.raises(ValueError, match=message):
            read_predictions(path)


def test_another_system_is_put_in_the_same_order():
    items = [prediction("a", "x"), prediction("b", "x")]
    others = [prediction("b", "1"), prediction("a", "2")]
    assert [item.prediction for item in in_order_of(items, others, "other")] == ["2", "1"]
    with pytest.raises(ValueError, match="other answers other samples: 1 of them, 1 shared with"):
        in_order_of(items, others[:1], "other")
    with pytest.raises(ValueError, match="other has other references for 1 samples"):
        in_order_of(items, [others[0], replace(others[1], references=("z",))], "other")
