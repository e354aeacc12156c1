"""Coded concepts of a structured report: SNOMED CT where DICOM itself lists the code, else 99LAPSE.

A code of SNOMED CT is used only if the context groups of DICOM PS3.16 contain it with the same
meaning (a test compares them with the tables of pydicom). Everything else has a code of the private
scheme 99LAPSE, whose values are the words of the data set, such as "level.mild". The
report declares the scheme (Coding Scheme Identification Sequence). Designators that begin with 99
are reserved for private schemes (PS3.16, section 8).
"""

from __future__ import annotations

import hashlib

from highdicom.sr import CodedConcept, FindingSite
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

SCHEME = "99LAPSE"
SCHEME_NAME = "Concepts of lapse, software that compares two chest radiographs"
SCHEME_OWNER = "The lapse maintainers"
SCHEME_VERSION = "1"
MAX_VALUE, MAX_MEANING = 16, 64  # characters
HASH_LENGTH = 6  # of the hash of a longer value

FINDINGS = {
    "pneumothorax": Code("36118008", "SCT", "Pneumothorax"),
    "pleural effusion": Code("60046008", "SCT", "Pleural effusion"),
    "edema": Code("19242006", "SCT", "Pulmonary edema"),
    "pneumomediastinum": Code("16838000", "SCT", "Pneumomediastinum"),
    "heart failure": Code("84114007", "SCT", "Heart failure"),
}
RIGHT, LEFT = Code("24028007", "SCT", "Right"), Code("7771000", "SCT", "Left")
_LUNG, _CLAVICLE = Code("39607008", "SCT", "Lung"), Code("51299004", "SCT", "Clavicle")
SITES: dict[str, tuple[Code, Code | None]] = {
    "right lung": (_LUNG, RIGHT),
    "left lung": (_LUNG, LEFT),
    "right clavicle": (_CLAVICLE, RIGHT),
    "left clavicle": (_CLAVICLE, LEFT),
    "trachea": (Code("44567001", "SCT", "Trachea"), None),
    "carina": (Code("28700002", "SCT", "Carina"), None),
    "mediastinum": (Code("72410000", "SCT", "Mediastinum"), None),
    "svc": (Code("48345005", "SCT", "Superior vena cava"), None),
    "right atrium": (Code("73829009", "SCT", "Right atrium"), None),
    "aortic arch": (Code("57034009", "SCT", "Aortic arch"), None),
    "abdomen": (Code("818981001", "SCT", "Abdomen"), None),
    "spine": (Code("421060004", "SCT", "Spine"), None),
}
CERTAINTY = Code("111012", "DCM", "Certainty of Finding")
# named by TID 1500 itself
EVALUATIONS = Code("C0034375", "UMLS", "Qualitative Evaluations")
PERCENT = Code("%", "UCUM", "Percent")


def private(kind: str, name: str, meaning: str = "") -> CodedConcept:
    """A concept of 99LAPSE.

    Args:
        kind: "finding", "region", "change", "level", "item", "status" or "agreement".
        meaning: shown by viewers; default: the name.

    A value of more than 16 characters does not fit into Code Value: a hash of it is used.

    >>> private("level", "mild").value
    'level.mild'
    >>> private("finding", "pleural thickening").value
    'finding-bd56b5'
    """
    value = f"{kind}.{name.lower().replace(' ', '-')}"
    if len(value) > MAX_VALUE:
        value = f"{kind}-{hashlib.sha256(value.encode()).hexdigest()[:HASH_LENGTH]}"
    return CodedConcept(value, SCHEME, (meaning or name)[:MAX_MEANING], SCHEME_VERSION)


def finding_code(finding: str) -> CodedConcept:
    """The code of a finding of the grammar."""
    code = FINDINGS.get(finding)
    return private("finding", finding) if code is None else CodedConcept.from_code(code)


def finding_site(region: str) -> FindingSite:
    """The site of a finding: an anatomical region, or a part of the film."""
    if region not in SITES:
        return FindingSite(private("region", region))
    site, laterality = SITES[region]
    return FindingSite(site, laterality)


def scheme_identification() -> Dataset:
    """The item of the Coding Scheme Identification Sequence that declares 99LAPSE."""
    item = Dataset()
    item.CodingSchemeDesignator = SCHEME
    item.CodingSchemeName = SCHEME_NAME
    item.CodingSchemeVersion = SCHEME_VERSION
    item.CodingSchemeResponsibleOrganization = SCHEME_OWNER
    return item
