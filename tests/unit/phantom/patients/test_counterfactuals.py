"""Counterfactual quadruplets: two states x two acquisitions, which predict no answer."""

from collections import Counter

from lapse.core.changes import QUESTION_CHANGED, UNCHANGED, invert
from lapse.core.grammar import parse
from lapse.phantom.patients.counterfactuals import PAIR_KINDS, pair_kind
from lapse.phantom.patients.findings import difference
from lapse.phantom.patients.mimics import FINE_FINDINGS, mimic_of
from lapse.phantom.text.questions import pair_questions
from phantom_histories import histories


def test_a_quadruplet_is_two_states_by_two_acquisitions():
    quadruplets = [history for history in histories() if history.exposures[0].cell]
    assert len(quadruplets) > 50
    for history in quadruplets:
        cells = [item.cell for item in history.exposures]
        assert [cell[1] for cell in cells] == ["1", "1", "2", "2"]
        assert {cell[0] for cell in cells[:2]} == {cell[0] for cell in cells[2:]} == {*"AB"}
        by_cell = {item.cell: item for item in history.exposures}
        for half in "12":
            first, second = by_cell[f"A{half}"], by_cell[f"B{half}"]
            assert first.acquisition == second.acquisition
            assert first.visit.devices == second.visit.devices
        assert by_cell["A1"].acquisition != by_cell["A2"].acquisition
        for state in "AB":
            assert by_cell[f"{state}1"].visit.findings == by_cell[f"{state}2"].visit.findings
        change = difference(by_cell["A1"].visit, by_cell["B2"].visit)
        assert change and difference(by_cell["B1"].visit, by_cell["A2"].visit) == invert(change)


def test_the_state_of_the_main_image_does_not_predict_a_change():
    answers = Counter()
    for history in histories():
        if not history.exposures[0].cell:
            continue
        kinds = Counter()
        for reference, main in history.pairs:
            questions = pair_questions(reference.visit, main.visit, "PA", seed=6)
            (answer,) = [item.answer for item in questions if item.question == QUESTION_CHANGED]
            kind = pair_kind(reference.cell, main.cell)
            kinds[kind] += 1
            assert (answer == UNCHANGED) is (kind == "nuisance")
            if kind != "state":
                answers[main.cell[0], bool(parse(answer).changes)] += 1
        assert kinds == {"nuisance": 2, "state": 2, "both": 2} and set(kinds) < set(PAIR_KINDS)
    assert len(set(answers.values())) == 1, answers


def test_a_fine_quadruplet_differs_in_a_finding_and_its_mimic():
    num_fine = 0
    for history in histories():
        if history.role.tier == "fine" and history.role.is_counterfactual:
            by_cell = {item.cell: item.visit for item in history.exposures}
            first, second = by_cell["A1"], by_cell["B1"]
            (change,) = difference(first, second)
            assert change.kind == "missing" and change.finding in FINE_FINDINGS
            (finding,) = set(first.findings) - set(second.findings)
            (mimic,) = set(second.mimics) - set(first.mimics)
            assert mimic == mimic_of(finding)
            assert not set(first.mimics) - set(second.mimics)
            num_fine += 1
    assert num_fine > 20
