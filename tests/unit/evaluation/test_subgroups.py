"""Groups of fewer than 50 patients are hidden, and a group's score is that of its samples."""

import logging

import numpy as np
import pytest

import tiny_store
from lapse.core.types import Prediction
from lapse.data.store.store import open_store
from lapse.evaluation.sample_labels import (
    answer_labels,
    patient_labels,
    store_labels,
    table_labels,
)
from lapse.evaluation.subgroups import subgroup_scores
from lapse.metrics.statistics import mean_score, pooled_scores


@pytest.fixture(autouse=True)
def log_level(caplog):
    caplog.set_level(logging.INFO, logger="lapse")


def test_small_groups_are_hidden_and_listed():
    patients = [f"p{index // 2}" for index in range(200)]
    values = [float(index < 120) for index in range(200)]
    labels = {"view": ["AP" if index < 102 else "PA" for index in range(200)]}
    scores = {"s": mean_score("s", values, {})}
    subgroups = subgroup_scores(scores, patients, labels, resamples=100)
    assert subgroups.scores["view"]["AP"]["s"].value == 1.0
    assert subgroups.hidden == ("view 'PA': 49 patients, 98 samples",)
    labels["view"][100:102] = ["PA", "PA"]
    subgroups = subgroup_scores(scores, patients, labels, resamples=100)
    assert subgroups.hidden == ()
    assert subgroups.scores["view"]["PA"]["s"].value == pytest.approx(0.2)


def test_a_group_with_an_unknown_patient_is_hidden():
    patients = [f"p{index}" for index in range(99)] + [""]
    scores = {"s": mean_score("s", [1.0] * 100, {})}
    subgroups = subgroup_scores(scores, patients, {"view": ["AP"] * 100}, resamples=100)
    assert subgroups.scores == {}
    assert subgroups.hidden == ("view 'AP': unknown patients, 100 samples",)


def test_a_group_does_not_repeat_the_counts_of_all_samples():
    rows = np.array([[1.0, 1.0, 1.0]] * 100 + [[0.0, 1.0, 1.0]] * 100)
    patients = [f"p{index}" for index in range(200)]
    labels = {"view": ["AP"] * 100 + ["PA"] * 100}
    scores = pooled_scores("change", rows, 0, {"tokenizer": "t"})
    assert scores["change F1"].details["correct"] == "100"
    groups = subgroup_scores(scores, patients, labels, resamples=100).scores["view"]
    assert [groups[view]["change F1"].value for view in ("AP", "PA")] == [1.0, 0.0]
    details = groups["PA"]["change F1"].details
    assert details.pop("interval").endswith("of 100 patients")
    # Only the events are counted again, those of the group.
    assert details == {"n": "100", "tokenizer": "t", "events": "200", "patients": "100"}


def test_labels_of_answers_and_of_a_store(tmp_path):
    store = open_store(tiny_store.write(tmp_path / "store"))
    pair = store.pairs[0]
    edema = "the main image has an additional finding of edema than the reference image."
    predictions = [
        Prediction(f"diff_vqa/{pair.id}", "diff_vqa", "", (edema,), pair.main.patient),
        Prediction("diff_vqa/1-2", "diff_vqa", "", ("nothing has changed.",), "p"),
    ]
    assert answer_labels(predictions) == {
        "number of changes": ["1 change", "0 changes"],
        "finding prevalence": ["rarest finding over 5%", "no change"],
    }
    assert store_labels(store, predictions) == {
        "view": ["PA", "not known"],
        "views of the pair": ["PA then PA", "not known"],
        "interval": ["1 to 7 days", "not known"],
    }


def test_sex_from_patients_and_groups_from_a_table(tmp_path, caplog):
    patients = tmp_path / "patients.csv"
    patients.write_text(
        "subject_id,gender,anchor_age,anchor_year\n11,F,60,2150\n12,M,30,2150\n", encoding="utf-8"
    )
    predictions = [
        Prediction(f"diff_vqa/5{n}/4{n}/1", "diff_vqa", "", ("x",), patient)
        for n, patient in enumerate(("11", "12", "13"))
    ]
    assert patient_labels(patients, predictions) == {"sex": ["female", "male", "not known"]}
    unknown, age = caplog.messages
    assert unknown.startswith("sex: 1 of 3 samples") and "needs the date" in age
    tiers = tmp_path / "tiers.csv"
    tiers.write_text("study_id,ref_id,tier\n50,40,fine\n51,41,coarse\n", encoding="utf-8")
    assert table_labels(tiers, predictions) == {"tier": ["fine", "coarse", "not known"]}
    assert caplog.messages[-1] == "1 of 3 samples are not in tiers.csv"


def test_age_bands_need_the_date_of_the_study(tmp_path):
    store = open_store(tiny_store.write(tmp_path / "store"))
    pair = store.pairs[0]
    year = pair.main.taken_at.year
    path = tmp_path / "patients.csv"
    prediction = Prediction(f"diff_vqa/{pair.id}", "diff_vqa", "", ("x",), pair.main.patient)
    for age, band in ((39, "under 40"), (40, "40 to 59"), (80, "80 and over")):
        row = f"{pair.main.patient},F,{age - 10},{year - 10}"
        path.write_text(f"subject_id,gender,anchor_age,anchor_year\n{row}\n", encoding="utf-8")
        assert patient_labels(path, [prediction], store)["age band"] == [band]
    path.write_text(f"subject_id,gender,anchor_age,anchor_year\n{pair.main.patient},F,x,2150\n")
    with pytest.raises(ValueError, match="anchor_age 'x'"):
        patient_labels(path, [prediction], store)


def test_only_columns_of_words_make_groups(tmp_path, caplog):
    predictions = [
        Prediction(f"diff_vqa/5{n}/4{n}/1", "diff_vqa", "", ("x",), "p") for n in range(3)
    ]
    lines = ["study_id,ref_id,subject_id,tier,quad,tail,num_changes"]
    lines += ["50,40,p19,fine,,,0", "51,41,p20,coarse,both,,1.5", "52,42,21,coarse,,,2"]
    table = tmp_path / "pairs.csv"
    table.write_text("\n".join(lines), encoding="utf-8")
    assert table_labels(table, predictions) == {
        "tier": ["fine", "coarse", "coarse"],
        "quad": ["empty", "both", "empty"],
    }
    subject, tail, num_changes = caplog.messages
    assert subject.startswith("no groups by subject_id") and "numbers or ids" in subject
    assert tail.startswith("no groups by tail") and "every cell is empty" in tail
    assert num_changes.startswith("no groups by num_changes") and "numbers or ids" in num_changes
    names = [f"{50 + n},{40 + n},{name}" for n, name in enumerate("abcdefghijklmnopqrstu")]
    table.write_text("\n".join(["study_id,ref_id,name", *names]), encoding="utf-8")
    assert table_labels(table, predictions) == {}
    message = "no groups by name of pairs.csv: 21 different words, at most 20 make groups"
    assert caplog.messages[-1] == message
    table.write_text("study_id,tier\n90,fine\n", encoding="utf-8")
    assert table_labels(table, predictions) == {}
    assert caplog.messages[-1] == "no groups from pairs.csv: it has none of these samples"


def test_samples_about_one_image_are_found_by_their_study(tmp_path):
    store = open_store(tiny_store.write(tmp_path / "store"))
    study = store.studies[0]
    (tmp_path / "sites.csv").write_text(f"study_id,site\ns{study.study},north\n", "utf-8")
    prediction = Prediction(f"caref/{study.id}/carina", "caref", "", ("x",), study.patient)
    assert table_labels(tmp_path / "sites.csv", [prediction], store) == {"site": ["north"]}
    assert table_labels(tmp_path / "sites.csv", [prediction]) == {}
