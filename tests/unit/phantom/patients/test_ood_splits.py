"""Out-of-distribution groups: each has a shift that no training patient has."""

from lapse.phantom.dataset.patient_files import study_report
from lapse.phantom.patients.acquisition import MAX_ROTATION
from lapse.phantom.patients.catalogue import HELD_OUT_COMBINATIONS
from lapse.phantom.patients.patient import draw_patient
from phantom_histories import MIXED, histories


def group(kind):
    members = [history for history in histories() if history.role.ood == kind]
    assert len(members) > 10
    return members


def training():
    return [history for history in histories() if history.role.split == "train"]


def test_ood_anatomy_is_outside_the_range_of_training_patients():
    for history in group("anatomy"):
        person, usual = history.person, draw_patient(6, history.patient)
        traits = ("bmi", "scoliosis", "width", "height")
        shifted = [name for name in traits if getattr(person, name) != getattr(usual, name)]
        assert shifted
        for name in shifted:
            values = [getattr(other.person, name) for other in training()]
            assert not min(values) <= getattr(person, name) <= max(values), name


def test_ood_acquisitions_have_larger_rotations():
    rotations = [abs(e.acquisition.rotation) for h in training() for e in h.exposures]
    assert max(rotations) <= MAX_ROTATION
    for history in group("acquisition"):
        assert all(abs(e.acquisition.rotation) > MAX_ROTATION for e in history.exposures)


def test_held_out_combinations_occur_in_their_group_only():
    for history in histories():
        names = [{item.name for item in e.visit.findings} for e in history.exposures]
        num_combined = sum(any(set(pair) <= s for pair in HELD_OUT_COMBINATIONS) for s in names)
        if history.role.ood != "combination":
            assert num_combined == 0
        elif history.role.tier == "coarse":
            assert num_combined >= len(names) - 1


def test_paraphrases_share_no_sentence_with_training_reports():
    seen = {text for history in training() for text in sentences(history)}
    for history in group("paraphrase"):
        texts = sentences(history)
        assert texts and not texts & seen


def sentences(history):
    """The sentences of a patient's reports that affirm or deny findings."""
    reports = [study_report(MIXED, history, e.visit, None) for e in history.exposures]
    statements = [item for report in reports for item in report.statements]
    return {item.text for item in statements if item.finding or item.denied}
