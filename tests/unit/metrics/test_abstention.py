"""Promise 18: the false-change rate stays below alpha, and why patients are the units."""

import numpy as np
import pytest

from lapse.core.grammar import FINDINGS, Change, render
from lapse.core.types import Prediction
from lapse.metrics.abstention import (
    Threshold,
    abstention_scores,
    choose_threshold,
    read_threshold,
    resplit_rates,
    write_threshold,
)
from lapse.metrics.confidence import BEAM, change_key

ALPHA, SPLITS = 0.1, 200


def cohort(num_patients: int = 400, seed: int = 0) -> list[Prediction]:
    """Answers of an over-sure system; the fewer answers a patient has, the harder the patient."""
    generator = np.random.default_rng(seed)
    rows = []
    for patient in range(num_patients):
        num_answers = int(generator.integers(1, 9))
        skill = 0.15 + 0.1 * num_answers + 0.1 * generator.standard_normal()
        for answer in range(num_answers):
            said, true, sure = set(), set(), {}
            for finding in generator.choice(FINDINGS, int(generator.integers(0, 4)), replace=False):
                change = Change(str(finding), "added")
                said.add(change)
                hint = generator.uniform(0, 1)
                if generator.random() < np.clip(0.5 * skill + 0.5 * hint, 0, 1):
                    true.add(change)
                sure[BEAM + change_key(change)] = float(hint**0.5)  # far too sure
            name = f"diff_vqa/{patient}-{answer}"
            rows.append(
                Prediction(
                    name, "diff_vqa", render(said), (render(true),), f"p{patient}", confidence=sure
                )
            )
    return rows


ROWS = cohort()


def test_promise_18_on_200_resplits_by_patient():
    rates = resplit_rates(ROWS, ALPHA, "beam", splits=SPLITS, seed=0)
    kept = sum(rate <= ALPHA + 0.03 for rate in rates)
    print(f"seed 0: mean {np.mean(rates):.4f}, {kept}/{SPLITS} at most {ALPHA + 0.03:.2f}")
    assert len(rates) == SPLITS
    assert np.mean(rates) <= ALPHA
    assert kept >= 0.95 * SPLITS
    assert np.mean(rates) > ALPHA - 0.03  # the threshold is no wider than it must be


def test_promise_18_twins_without_its_guards_fail():
    """No threshold, and a threshold whose units are answers: both break what is promised."""
    open_scores = abstention_scores(ROWS, Threshold("beam", ALPHA, 0.0, 1, 1, 0.0))
    assert open_scores["false-change rate"].value > ALPHA + 0.1
    by_answer = [
        Prediction(p.id, p.task, p.prediction, p.references, p.id, confidence=p.confidence)
        for p in ROWS
    ]
    wrong = choose_threshold(by_answer, ALPHA, "beam")  # as if every answer were a patient
    assert abstention_scores(ROWS, wrong)["false-change rate"].value > ALPHA + 0.01


def brute_force(rows, alpha: float) -> float:
    """The smallest threshold of a fine grid that the rule accepts."""
    patients = sorted({item.patient for item in rows})
    for step in range(1001):
        threshold = step / 1000
        losses = []
        for patient in patients:
            own = [item for item in rows if item.patient == patient]
            wrong = 0
            for item in own:
                true = item.references[0]
                wrong += any(
                    sure > threshold and name.removeprefix("beam: added ") not in true
                    for name, sure in item.confidence.items()
                )
            losses.append(wrong / len(own))
        n = len(patients)
        if n / (n + 1) * np.mean(losses) + 1 / (n + 1) <= alpha:
            return threshold
    raise AssertionError("no threshold of the grid is accepted")


def test_it_is_the_smallest_threshold_that_the_rule_accepts():
    rows = [item for item in ROWS if int(item.patient[1:]) < 60]
    chosen = choose_threshold(rows, ALPHA, "beam")
    slow = brute_force(rows, ALPHA)
    assert slow - 0.001 <= chosen.threshold <= slow
    assert (chosen.patients, chosen.answers) == (60, len(rows))
    n = chosen.patients
    assert n / (n + 1) * chosen.rate + 1 / (n + 1) <= ALPHA


def test_scores_say_what_is_left():
    chosen = choose_threshold(ROWS, ALPHA, "beam")
    found = abstention_scores(ROWS, chosen)
    assert found["false-change rate"].value == pytest.approx(chosen.rate)
    plain = abstention_scores(ROWS, Threshold("beam", ALPHA, 0.0, 1, 1, 0.0))
    assert found["precision, kept"].value > plain["precision, kept"].value + 0.05
    assert 0.0 < found["changes kept"].value < found["true changes kept"].value < 1.0
    assert found["recall, kept"].value == found["true changes kept"].value  # nothing was omitted
    before = found["false-change rate without abstention"]
    assert before.low is not None and before.low > chosen.rate


def test_a_higher_alpha_never_states_less():
    thresholds = [
        choose_threshold(ROWS, alpha, "beam").threshold for alpha in (0.02, 0.1, 0.3, 0.9)
    ]
    assert thresholds == sorted(thresholds, reverse=True)
    assert thresholds[-1] == 0.0


def test_too_few_patients_are_refused():
    rows = [item for item in ROWS if int(item.patient[1:]) < 8]
    with pytest.raises(ValueError, match=r"8 patients cannot promise .* of 0.1: at least 9"):
        choose_threshold(rows, ALPHA, "beam")
    with pytest.raises(ValueError, match="between 0 and 1"):
        choose_threshold(ROWS, 0.0, "beam")
    nameless = [Prediction("a", "diff_vqa", "nothing has changed.", ("x",))]
    with pytest.raises(ValueError, match="1 of 1 predictions name no patient"):
        choose_threshold(nameless, 0.9, "beam")


def test_threshold_files(tmp_path):
    chosen = choose_threshold(ROWS, ALPHA, "beam")
    write_threshold(tmp_path / "new" / "t.json", chosen)
    assert read_threshold(tmp_path / "new" / "t.json") == chosen
    with pytest.raises(ValueError, match="no threshold file"):
        read_threshold(tmp_path / "absent.json")
    for text, message in (
        ("{", "not JSON"),
        ("[]", "is no threshold file"),
        ('{"format": "lapse-threshold", "alpha": 0.1}', "lacks or adds answers, method"),
    ):
        (tmp_path / "bad.json").write_text(text, "utf-8")
        with pytest.raises(ValueError, match=message):
            read_threshold(tmp_path / "bad.json")
