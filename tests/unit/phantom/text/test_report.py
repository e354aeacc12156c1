"""Reports: the state can be extracted from the text; layout, phrases and comparisons."""

import re

import pytest

from lapse.phantom.patients.findings import draw_visits
from lapse.phantom.text.report import write_report
from report_findings import extract_findings


def reports(count, *, priors=False):
    """(visit, report) of `count` visits of simulated patients."""
    written = []
    patient = 0
    while len(written) < count:
        visits = draw_visits(11, patient, 3, age=40 + patient % 40)
        for visit in visits:
            previous = visits[visit.index - 1] if priors and visit.index else None
            view = ("PA", "AP")[(patient + visit.index) % 2]
            report = write_report(visit, view, seed=11, sex="F", previous=previous)
            written.append((visit, report))
        patient += 1
    return written[:count]


@pytest.fixture(scope="module")
def written():
    return reports(600)


def test_the_findings_of_the_state_can_be_extracted(written):
    for visit, report in (*written, *reports(300, priors=True)):
        names = {item.name for item in visit.findings}
        assert extract_findings(report.text) == names, report.text


@pytest.mark.parametrize(
    ("text", "findings"),
    [
        ("No pleural effusion or pneumothorax.", set()),
        ("The heart is mildly enlarged. No edema.", {"cardiomegaly"}),
        ("Small effusion without pneumothorax.", {"pleural effusion"}),
        ("The pneumothorax has resolved since the prior study.", set()),
        (" INDICATION:  Evaluate for pneumonia.\n \n FINDINGS:  Mild edema.\n", {"edema"}),
        (" INDICATION:  Pneumonia?\n \n Mild edema.\n", {"edema"}),
    ],
)
def test_negations_and_other_sections_affirm_nothing(text, findings):
    assert extract_findings(text) == findings


def test_the_layout_and_the_headers_are_those_of_mimic_cxr(written):
    headers = set()
    for _, report in written:
        lines = report.text.split("\n")
        assert lines[0].strip() == "FINAL REPORT"
        assert all(line.startswith(" ") and len(line) <= 78 for line in lines[:-1])
        matches = re.findall(r"\n ([A-Z ()/,-]+):\s", report.text)
        assert matches
        headers |= set(matches)
    assert {
        "EXAMINATION",
        "INDICATION",
        "TECHNIQUE",
        "COMPARISON",
        "FINDINGS",
        "IMPRESSION",
        "HISTORY",
        "CONCLUSION",
        "FINDINGS AND IMPRESSION",
        "CHEST, TWO VIEWS",
    } <= headers
    assert any(" FINDINGS" not in r.text and "IMPRESSION" not in r.text for _, r in written)


def test_statements_are_in_the_text_and_as_frequent_as_in_the_data_set(written):
    num_described = num_abnormal = num_words = 0
    for visit, report in written:
        text = " ".join(report.text.split())
        for statements in report.phrases.values():
            for statement in statements:
                assert statement.text in text
        assert not report.denied & {item.name for item in visit.findings}
        boxed = {name: items for name, items in report.phrases.items() if "ribs" not in name}
        num_described += len(boxed)
        num_abnormal += sum(any(item.finding for item in items) for items in boxed.values())
        num_words += sum(len(item.text.split()) for item in report.statements)
    assert 8 < num_described / len(written) < 10  # 9 described regions per image
    assert 0.11 < num_abnormal / len(written) / 29 < 0.17  # 14% of the boxes are abnormal
    assert num_words / len(written) < 40


def test_comparisons_are_written_only_with_a_previous_visit(written):
    words = re.compile(
        r"\b(prior|previous|interval|again|before|unchanged|stable|resolved|persists|new|newly|now|"
        r"since|from ___|no longer|(increas|worsen|improv)ing|redemonstration|improve)\b",
        re.I,
    )
    assert not any(words.search(item.text) for _, r in written for item in r.statements)
    pairs = [(visit, report) for visit, report in reports(60, priors=True) if visit.index]
    for _, report in [pair for pair in pairs if pair[0].findings]:
        assert any(item.comparison for item in report.statements)
        for item in report.statements:
            assert bool(words.search(item.text)) is bool(item.comparison), item.text
