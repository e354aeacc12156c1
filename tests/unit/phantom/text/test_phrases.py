"""Sentences about findings: every wording states level, side and zone and can be extracted."""

import pytest

from lapse.phantom.patients.catalogue import FINDING_SPECS
from lapse.phantom.patients.state import Finding
from lapse.phantom.text.phrases import affirm, noun_phrases
from report_findings import extract_findings


@pytest.mark.parametrize("spec", FINDING_SPECS, ids=lambda spec: spec.name)
def test_every_wording_of_a_finding_can_be_extracted(spec):
    wordings = set()
    for seed in range(120):
        side = spec.sides[seed % len(spec.sides)][0]
        zone = spec.zones[seed % len(spec.zones)][0]
        finding = Finding(spec.name, side, zone, 0.3, spec.types[0][0], seed)
        statement = affirm(finding, (0, seed))
        wordings.add(statement.text)
        assert extract_findings(statement.text) == {spec.name}
        assert statement.regions
    assert len(wordings) >= 4


def test_noun_phrases_state_level_type_side_and_zone():
    finding = Finding("atelectasis", "left", "basilar", 0.3, "linear", 1)
    for phrase, _ in noun_phrases(finding):
        assert phrase.startswith("mild linear") and "left" in phrase and "bas" in phrase
