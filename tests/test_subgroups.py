"""Groups under 50 patients are hidden, and a group's score is that of its samples."""

import pytest

from lapse.metrics.statistics import mean_score
from lapse.subgroups import group_scores, patient_labels, table_labels
from lapse.types import Prediction


def test_small_groups_are_hidden_and_listed():
    patients = [f"p{index // 2}" for index in range(200)]
    values = [float(index < 120) for index in range(200)]
    labels = {"view": ["AP" if index < 102 else "PA" for index in range(200)]}
    scores = {"s": mean_score("s", values, {})}
    found = group_scores(scores, patients, labels, resamples=100)
    assert found.scores["view"]["AP"]["s"].value == 1.0
    assert found.hidden == ("view 'PA': 49 patients, 98 samples",)
    labels["view"][100:102] = ["PA", "PA"]
    found = group_scores(scores, patients, labels, resamples=100)
    assert found.hidden == () and found.scores["view"]["PA"]["s"].value == pytest.approx(0.2)


def test_sex_from_patients_and_groups_from_a_table(tmp_path):
    people = tmp_path / "patients.csv"
    people.write_text(
        "subject_id,gender,anchor_age,anchor_year\n11,F,60,2150\n12,M,30,2150\n", encoding="utf-8"
    )
    rows = [
        Prediction(f"diff_vqa/5{n}/4{n}/1", "diff_vqa", "", ("x",), p)
        for n, p in enumerate(("11", "12", "13"))
    ]
    labels, told = patient_labels(people, rows)
    assert labels["sex"] == ["female", "male", "not known"]
    assert told[0].startswith("sex: 1 of 3") and "needs the date" in told[1]
    tiers = tmp_path / "tiers.csv"
    tiers.write_text("study_id,ref_id,tier\n50,40,fine\n51,41,coarse\n", encoding="utf-8")
    assert table_labels(tiers, rows) == {"tier": ["fine", "coarse", "not known"]}
