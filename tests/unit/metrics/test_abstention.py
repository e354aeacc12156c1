"""The false-change rate stays below alpha on new patients, and patients must be the units."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest

from lapse.core.changes import Change, render
from lapse.core.findings import FINDINGS
from lapse.core.types import Prediction
from lapse.metrics.abstention import (
    Threshold,
    abstention_scores,
    check_other_patients,
    choose_threshold,
    read_threshold,
    resplit_rates,
    write_threshold,
)
from lapse.metrics.confidence import BEAM, change_key

ALPHA, SPLITS = 0.1, 200
BARE = Threshold("beam", ALPHA, 0.0, 1, 1, 0.0)


def cohort(num_patients: int = 400, seed: int = 0) -> list[Prediction]:
    """Answers of an overconfident system; patients with fewer answers are harder."""
    generator = np.random.default_rng(seed)
    rows = []
    for patient in range(num_patients):
        num_answers = int(generator.integers(1, 9))
        skill = 0.15 + 0.1 * num_answers + 0.1 * generator.standard_normal()
        for answer in range(num_answers):
            stated, true, confidence = set(), set(), {}
            for finding in generator.choice(FINDINGS, int(generator.integers(0, 4)), replace=False):
                change = Change(str(finding), "added")
                stated.add(change)
                hint = generator.uniform(0, 1)
                if generator.random() < np.clip(0.5 * skill + 0.5 * hint, 0, 1):
                    true.add(change)
                confidence[BEAM + change_key(change)] = float(hint**0.5)  # overconfident
            name = f"diff_vqa/{patient}-{answer}"
            rows.append(
                Prediction(
                    name, "diff_vqa", render(stated), (render(true),), f"p{patient}",
                    confidence=confidence,
                )
            )  # fmt: skip
    return rows


ROWS = cohort()


def test_the_rate_stays_below_alpha_on_200_resplits_by_patient():
    rates = resplit_rates(ROWS, ALPHA, "beam", splits=SPLITS, seed=0)
    assert len(rates) == SPLITS
    assert np.mean(rates) <= ALPHA
    assert sum(rate <= ALPHA + 0.03 for rate in rates) >= 0.95 * SPLITS
    assert np.mean(rates) > ALPHA - 0.03  # the threshold is not too strict


def test_no_threshold_or_answers_as_units_exceed_alpha():
    no_threshold = abstention_scores(ROWS, BARE)
    assert no_threshold["false-change rate"].value > ALPHA + 0.1
    by_answer = [
        Prediction(p.id, p.task, p.prediction, p.references, p.id, confidence=p.confidence)
        for p in ROWS
    ]
    threshold = choose_threshold(by_answer, ALPHA, "beam")  # every answer is its own patient
    assert abstention_scores(ROWS, threshold)["false-change rate"].value > ALPHA + 0.01


def brute_force(rows, alpha: float) -> float:
    """The smallest threshold of a fine grid that the rule accepts."""
    patients = sorted({item.patient for item in rows})
    for step in range(1001):
        threshold = step / 1000
        losses = []
        for patient in patients:
            answers = [item for item in rows if item.patient == patient]
            wrong = 0
            for item in answers:
                true = item.references[0]
                wrong += any(
                    probability > threshold and name.removeprefix("beam: added ") not in true
                    for name, probability in item.confidence.items()
                )
            losses.append(wrong / len(answers))
        n = len(patients)
        if n / (n + 1) * np.mean(losses) + 1 / (n + 1) <= alpha:
            return threshold
    raise AssertionError("no threshold of the grid is accepted")


def test_the_threshold_is_the_smallest_that_the_rule_accepts():
    rows = [item for item in ROWS if int(item.patient[1:]) < 60]
    threshold = choose_threshold(rows, ALPHA, "beam")
    expected = brute_force(rows, ALPHA)
    assert expected - 0.001 <= threshold.threshold <= expected
    assert (threshold.patients, threshold.answers) == (60, len(rows))
    n = threshold.patients
    assert n / (n + 1) * threshold.rate + 1 / (n + 1) <= ALPHA


def test_scores_of_the_changes_that_are_still_stated():
    threshold = replace(choose_threshold(ROWS, ALPHA, "beam"), patient_hashes=())
    scores = abstention_scores(ROWS, threshold)
    assert scores["false-change rate"].value == pytest.approx(threshold.rate)
    plain = abstention_scores(ROWS, BARE)
    assert scores["precision, kept"].value > plain["precision, kept"].value + 0.05
    assert 0.0 < scores["changes kept"].value < scores["true changes kept"].value < 1.0
    assert (
        scores["recall, kept"].value == scores["true changes kept"].value
    )  # the reference has no other change
    before = scores["false-change rate without abstention"]
    assert before.low is not None and before.low > threshold.rate


def test_a_higher_alpha_never_states_less():
    thresholds = [
        choose_threshold(ROWS, alpha, "beam").threshold for alpha in (0.02, 0.1, 0.3, 0.9)
    ]
    assert thresholds == sorted(thresholds, reverse=True)
    assert thresholds[-1] == 0.0


def test_too_few_patients_are_refused():
    rows = [item for item in ROWS if int(item.patient[1:]) < 8]
    with pytest.raises(ValueError, match=r"8 patients cannot guarantee .* of 0.1: at least 9"):
        choose_threshold(rows, ALPHA, "beam")
    with pytest.raises(ValueError, match="between 0 and 1"):
        choose_threshold(ROWS, 0.0, "beam")
    nameless = [Prediction("a", "diff_vqa", "nothing has changed.", ("x",))]
    with pytest.raises(ValueError, match="1 of 1 predictions name no patient"):
        choose_threshold(nameless, 0.9, "beam")


def test_patients_that_the_threshold_was_chosen_on_are_refused():
    rows = [item for item in ROWS if int(item.patient[1:]) < 60]
    threshold = choose_threshold(rows, ALPHA, "beam")
    assert len(threshold.patient_hashes) == 60 and rows[0].patient not in str(threshold)
    others = [item for item in ROWS if int(item.patient[1:]) >= 60]
    assert abstention_scores(others, threshold)
    renamed = [replace(item, patient=f" {item.patient[1:].zfill(8)}") for item in rows]
    for shared, count in ((rows[:1], 1), (renamed, 60)):
        with pytest.raises(ValueError, match=f"{count} of the .* patients of these answers are"):
            abstention_scores([*others, *shared], threshold)


def test_answers_without_a_patient_are_refused():
    threshold = choose_threshold(ROWS[:500], ALPHA, "beam")
    with pytest.raises(ValueError, match="do not name their patient"):
        check_other_patients(threshold, ["", "other"])


def test_threshold_files(tmp_path):
    threshold = choose_threshold(ROWS[:500], ALPHA, "beam")
    write_threshold(tmp_path / "new" / "t.json", threshold)
    assert read_threshold(tmp_path / "new" / "t.json") == threshold
    with pytest.raises(ValueError, match="no threshold file"):
        read_threshold(tmp_path / "absent.json")
    for text, message in (
        ("{", "not JSON"),
        ("[]", "is not a threshold file"),
        ('{"format": "lapse-threshold", "alpha": 0.1}', "lacks or adds answers, method"),
        (json.dumps({"format": "lapse-threshold", **asdict(BARE)}), "names no validation patient"),
    ):
        (tmp_path / "bad.json").write_text(text, "utf-8")
        with pytest.raises(ValueError, match=message):
            read_threshold(tmp_path / "bad.json")
