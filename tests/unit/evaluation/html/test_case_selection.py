"""Selection of cases and of the boxes that they show."""

from lapse.evaluation.html.case_selection import choose_cases, finding_boxes, states


def test_cases_are_the_worst_the_best_and_one_of_every_kind(report):
    cases = choose_cases(
        report.predictions, count=12, confidence=lambda item: item.confidence["answer"]
    )
    assert len({case.item.id for case in cases}) == len(cases) == 12
    worst = [case for case in cases if case.shown_as == "worst"]
    best = [case for case in cases if case.shown_as == "best"]
    assert len(worst) == 6 and all(case.errors for case in worst)
    assert len(best) == 3 and not any(case.errors for case in best)
    patients = [case.item.patient for case in worst]
    assert max(patients.count(name) for name in patients) <= 2
    assert "unparsed" in {kind for case in cases for kind in case.errors}


def test_boxes_are_those_of_regions_whose_report_states_the_finding(report):
    boxes = finding_boxes(report.store.studies[0], ("edema", "hernia"))
    assert [(item.finding, item.region) for item in boxes] == [
        ("edema", "carina"),
        ("edema", "right lung"),
    ]
    assert states("Mild edema.", "edema") and not states("Edema has resolved.", "edema")
