"""scores.json holds provenance, scores with details, and comparisons; it is written atomically."""

import json
import logging
import math

import pytest

from evaluation_pages import SCORES
from lapse.core.types import Score
from lapse.evaluation.scores_file import predictions_facts, read_scores, write_scores
from lapse.metrics.statistics import mean_score


def test_a_scores_file_has_provenance_scores_and_comparisons(tmp_path):
    scores = {"diff_vqa": {"exact match": mean_score("exact match", [1.0, 0.0], {})}}
    path = tmp_path / "new" / "scores.json"
    write_scores(
        path, scores, {"n": "2", "release": "1.0.1"}, comparisons={"other": scores}, extra={"a": 1}
    )
    values = json.loads(path.read_text("utf-8"))
    assert list(values) == ["provenance", "scores", "comparisons", "a"]
    assert values["provenance"] == {"n": "2", "release": "1.0.1"}
    exact = values["scores"]["diff_vqa"]["exact match"]
    assert (exact["value"], exact["per_sample"]) == (0.5, [1.0, 0.0])
    assert exact["details"]["n"] == "2"
    assert values["comparisons"]["other"] == values["scores"]
    assert [item.name for item in path.parent.iterdir()] == ["scores.json"]


def test_a_score_that_is_not_a_number_leaves_the_old_file(tmp_path):
    path = tmp_path / "scores.json"
    write_scores(path, {}, {"n": "2"})
    before = path.read_bytes()
    with pytest.raises(ValueError, match="JSON"):
        write_scores(path, {"cap": {"s": Score("s", math.inf)}}, {})
    assert path.read_bytes() == before


def test_scores_file_is_checked(tmp_path):
    with pytest.raises(ValueError, match="no scores file"):
        read_scores(tmp_path / "s.json")
    for text, message in (("{", "is not JSON"), ("[1]", "is not a scores file: it holds list")):
        (tmp_path / "s.json").write_text(text, "utf-8")
        with pytest.raises(ValueError, match=message):
            read_scores(tmp_path / "s.json")
    (tmp_path / "s.json").write_text(json.dumps(SCORES), "utf-8")
    assert read_scores(tmp_path / "s.json") == SCORES


def test_scores_of_other_predictions_are_refused(tmp_path, caplog):
    good, bad = tmp_path / "good.jsonl", tmp_path / "bad.jsonl"
    good.write_text("good", "utf-8")
    bad.write_text("bad", "utf-8")
    path = tmp_path / "scores.json"
    write_scores(path, {}, predictions_facts(bad))
    assert read_scores(path, bad)["provenance"]["predictions"] == "bad.jsonl"
    with pytest.raises(ValueError, match=r"holds the scores of bad\.jsonl .*not of .*good\.jsonl"):
        read_scores(path, good)
    bad.write_text("changed", "utf-8")
    with pytest.raises(ValueError, match="holds the scores of"):
        read_scores(path, bad)
    write_scores(path, {}, {})
    caplog.set_level(logging.WARNING, logger="lapse")
    read_scores(path, good)
    assert "does not state which predictions it scores" in caplog.messages[0]


def test_each_score_states_its_direction_and_range(tmp_path):
    lower = Score("error rate", 0.5, higher_is_better=False, value_range=(0.0, 1.0))
    write_scores(tmp_path / "s.json", {"t": {"a": lower, "b": Score("b", 2.0)}}, {})
    scores = read_scores(tmp_path / "s.json")["scores"]["t"]
    assert (scores["a"]["higher_is_better"], scores["a"]["range"]) == (False, [0.0, 1.0])
    assert (scores["b"]["higher_is_better"], scores["b"]["range"]) == (True, None)
