"""scores.json holds provenance, scores with details, and comparisons; it is written atomically."""

import json
import math

import pytest

from lapse.core.types import Score
from lapse.evaluation.scores_file import write_scores
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
        write_scores(path, {"cap": {"s": Score("s", math.nan)}}, {})
    assert path.read_bytes() == before
