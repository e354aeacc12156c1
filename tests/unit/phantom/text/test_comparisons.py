"""Comparisons with the previous visit: direction by severity, and many wordings."""

import pytest

from lapse.phantom.patients.catalogue import FINDING_SPECS
from lapse.phantom.patients.findings import draw_visits, level_of
from lapse.phantom.text.comparisons import WORDINGS, compare
from report_findings import extract_findings


def test_the_direction_follows_the_severity():
    histories = (draw_visits(1, patient, 2) for patient in range(200))
    visits = next(pair for pair in histories if len(pair[0].findings) > 2 < len(pair[1].findings))
    old = {item.name: item.severity for item in visits[0].findings}
    new = {item.name: item.severity for item in visits[1].findings}
    comparisons = compare(*visits, (1,))
    assert {item.finding.name for item in comparisons} == {*old, *new}
    for item in comparisons:
        name = item.finding.name
        if name not in new:
            assert item.direction == "improved"
        elif name not in old:
            assert item.direction == "worsened"
        elif level_of(name, old[name]) == level_of(name, new[name]):
            assert item.direction == "no change"
        else:
            assert item.direction == ("worsened" if new[name] > old[name] else "improved")


@pytest.mark.parametrize("kind", sorted(WORDINGS))
def test_every_kind_of_comparison_has_many_wordings(kind):
    texts = WORDINGS[kind]
    assert len(set(texts)) == len(texts) >= 8
    assert any("," in text for text in texts) and all("{0}" in t or "{1}" in t for t in texts)


@pytest.mark.parametrize("name", [spec.name for spec in FINDING_SPECS])
def test_a_comparison_affirms_no_other_finding(name):
    for kind, texts in WORDINGS.items():
        for text in texts:
            findings = extract_findings(text.format(name.capitalize(), name))
            assert findings <= (set() if kind == "gone" else {name}), text
