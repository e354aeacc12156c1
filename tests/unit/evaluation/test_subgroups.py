"""Groups under 50 patients are hidden, and a group's score is that of its samples."""

import numpy as np
import pytest

import tiny_store
from lapse.core.types import Prediction
from lapse.data.store.store import open_store
from lapse.evaluation.subgroups import group_scores, patient_labels, table_labels
from lapse.metrics.statistics import mean_score, pooled_scores


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


def test_a_group_tells_its_own_counts_or_none():
    rows = np.array([[1.0, 1.0, 1.0]] * 100 + [[0.0, 1.0, 1.0]] * 100)
    patients = [f"p{index}" for index in range(200)]
    labels = {"view": ["AP"] * 100 + ["PA"] * 100}
    scores = pooled_scores("change", rows, 0, {"tokenizer": "t"})
    assert scores["change F1"].details["right"] == "100"
    found = group_scores(scores, patients, labels, resamples=100).scores["view"]
    assert [found[view]["change F1"].value for view in ("AP", "PA")] == [1.0, 0.0]
    details = found["PA"]["change F1"].details
    assert details.pop("interval").endswith("of 100 patients")
    assert details == {"n": "100", "tokenizer": "t"}  # not the 100 right ones of the other group


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
    labels = {"tier": ["fine", "coarse", "not known"]}
    assert table_labels(tiers, rows) == (labels, ["1 of 3 samples are not in tiers.csv"])


def test_only_columns_of_words_make_groups(tmp_path):
    rows = [Prediction(f"diff_vqa/5{n}/4{n}/1", "diff_vqa", "", ("x",), "p") for n in range(3)]
    lines = ["study_id,ref_id,subject_id,tier,quad,tail,num_changes"]
    lines += ["50,40,p19,fine,,,0", "51,41,p20,coarse,both,,1.5", "52,42,21,coarse,,,2"]
    table = tmp_path / "pairs.csv"
    table.write_text("\n".join(lines), encoding="utf-8")
    labels, told = table_labels(table, rows)
    assert labels == {"tier": ["fine", "coarse", "coarse"], "quad": ["empty", "both", "empty"]}
    assert [line.split(" of ")[0] for line in told] == [
        "no groups by subject_id",
        "no groups by tail",
        "no groups by num_changes",
    ]
    assert "every cell is empty" in told[1] and "numbers or ids" in told[2]
    names = [f"{50 + n},{40 + n},{name}" for n, name in enumerate("abcdefghijklmnopqrstu")]
    table.write_text("\n".join(["study_id,ref_id,name", *names]), encoding="utf-8")
    assert table_labels(table, rows) == (
        {},
        ["no groups by name of pairs.csv: 21 different words, at most 20 make groups"],
    )
    table.write_text("study_id,tier\n90,fine\n", encoding="utf-8")
    assert table_labels(table, rows) == (
        {},
        ["no groups from pairs.csv: it names none of these samples"],
    )


def test_samples_about_one_image_are_found_by_its_study(tmp_path):
    store = open_store(tiny_store.write(tmp_path / "store"))
    study = store.studies[0]
    (tmp_path / "sites.csv").write_text(f"study_id,site\ns{study.study},north\n", "utf-8")
    row = Prediction(f"caref/{study.id}/carina", "caref", "", ("x",), study.patient)
    assert table_labels(tmp_path / "sites.csv", [row], store) == ({"site": ["north"]}, [])
    assert table_labels(tmp_path / "sites.csv", [row])[0] == {}
