"""Codes of a structured report: SNOMED CT as in the tables of DICOM, everything else private."""

import pytest
from pydicom.sr._concepts_dict import concepts

from lapse.core.annotation_names import REGIONS
from lapse.core.changes import KINDS
from lapse.core.findings import FINDINGS
from lapse.inference.structured_report import codes
from lapse.inference.structured_report.codes import finding_code, finding_site, private

USED = [
    *codes.FINDINGS.values(),
    *(site for site, _ in codes.SITES.values()),
    codes.RIGHT,
    codes.LEFT,
    codes.CERTAINTY,
]


@pytest.mark.parametrize("code", USED, ids=lambda code: code.meaning)
def test_public_codes_are_those_of_the_dicom_standard(code):
    by_name = concepts[code.scheme_designator].values()
    meanings = {entry[code.value][0] for entry in by_name if code.value in entry}
    assert code.meaning in meanings


def test_every_finding_and_region_has_a_code_of_valid_length():
    values = [finding_code(name) for name in FINDINGS]
    values += [finding_site(name).value for name in REGIONS]
    values += [private("change", name) for name in KINDS]
    private_codes = {code.value for code in values if code.scheme_designator == codes.SCHEME}
    assert all(len(code.CodeValue) <= 16 and len(code.CodeMeaning) <= 64 for code in values)
    names = {*FINDINGS} - {*codes.FINDINGS}, {*REGIONS} - {*codes.SITES}
    assert len(private_codes) == sum(map(len, names)) + len(KINDS)


def test_sides_are_those_of_the_patient():
    for side in ("right", "left"):
        site = finding_site(f"{side} lung")
        assert site.value.meaning == "Lung" and site.laterality.meaning.lower() == side
    assert finding_site("lower left of the film").value.scheme_designator == codes.SCHEME
