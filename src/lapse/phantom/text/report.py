"""Radiology reports of simulated studies.

    Visit -> statements (phrases) -> sections in the MIMIC-CXR layout -> text

The sentences of the findings section are the phrases of the scene graph. Headers have the variants
of MIMIC-CXR: a newline, one blank, capitals and a colon; some reports have only one section, some
none, some a conclusion instead of an impression. Dates and names are "___" as in de-identified
text.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

from lapse.core.seeding import derive_index, derive_uniform
from lapse.phantom.patients.catalogue import SPEC_BY_NAME
from lapse.phantom.patients.state import Visit
from lapse.phantom.text.comparisons import compare
from lapse.phantom.text.phrases import (
    Key,
    Statement,
    affirm,
    capital,
    deny,
    describe_device,
    noun_phrases,
)

WIDTH = 78  # columns of a report line
_LUNG = ("atelectasis", "consolidation", "pneumonia", "lung opacity", "edema", "granuloma")
_CHRONIC_LUNG = ("emphysema", "vascular congestion", "heart failure", "pleural thickening")
_CONGESTION = ("heart failure", "vascular congestion")
_CENTRAL = ("tortuosity of the thoracic aorta", "hilar congestion", "vascular congestion", "hernia")
_REASONS = (
    "shortness of breath",
    "chest pain",
    "cough and fever",
    "hypoxia",
    "a fall",
    "preoperative evaluation",
    "altered mental status",
    "line placement",
)
_NORMAL = (
    "No acute cardiopulmonary process.",
    "No acute cardiopulmonary abnormality.",
    "No acute intrathoracic process.",
    "No acute findings in the chest.",
)
_STYLES = (
    ("standard", 0.56),
    ("history", 0.12),
    ("impression only", 0.09),
    ("findings only", 0.07),
    ("findings and impression", 0.05),
    ("conclusion", 0.05),
    ("views", 0.03),
    ("last paragraph", 0.03),
)


@dataclass(frozen=True, slots=True)
class Report:
    """A report: its text, its sentences in order, and the reason for the examination."""

    text: str
    statements: tuple[Statement, ...]
    reason: str

    @property
    def denied(self) -> frozenset[str]:
        """Names of the findings that the report denies."""
        return frozenset(name for item in self.statements for name in item.denied)

    @property
    def phrases(self) -> dict[str, tuple[Statement, ...]]:
        """Region -> the statements that describe it, in the order of the report."""
        regions: dict[str, list[Statement]] = {}
        for statement in self.statements:
            for region, _ in statement.regions:
                regions.setdefault(region, []).append(statement)
        return {region: tuple(items) for region, items in regions.items()}


def write_report(
    visit: Visit,
    view: str,
    *,
    seed: int,
    sex: str,
    previous: Visit | None = None,
    is_held_out: bool = False,
) -> Report:
    """Write the report of one frontal image of a visit.

    Every finding of the visit is affirmed at least once, no other finding is affirmed, and mimics
    are never mentioned.

    Args:
        visit: the state that the report describes.
        view: "PA" or "AP".
        seed: root seed of the simulation.
        sex: "F" or "M".
        previous: add up to two sentences that compare with this visit.
        is_held_out: use the wordings of the OOD group "paraphrase".
    """
    key: Key = (seed, "phantom/report", visit.patient, visit.index)
    statements = _statements(visit, key, is_held_out=is_held_out)
    if previous is not None:
        statements += [item.statement for item in compare(previous, visit, key)[:2]]
    reason = _REASONS[derive_index(len(_REASONS), *key, "reason")]
    gender = {"F": "woman", "M": "man"}.get(sex, "patient")
    history = f"___ year old {gender} with {reason}."
    sections = _sections(visit, view, history, statements, key)
    lines = ["                                 FINAL REPORT"]
    for header, body in sections:
        joined = f"{header}:  {body}" if header else body
        lines += textwrap.wrap(
            joined, WIDTH, initial_indent=" ", subsequent_indent=" ", break_on_hyphens=False
        )
        lines.append(" ")
    return Report("\n".join(lines) + "\n", tuple(statements), reason)


def _statements(visit: Visit, key: Key, *, is_held_out: bool = False) -> list[Statement]:
    names = {finding.name for finding in visit.findings}

    def is_mentioned(probability: float, purpose: str) -> bool:
        return derive_uniform(*key, "said", purpose) < probability

    devices = [describe_device(device, key) for device in visit.devices]
    affirmed = [affirm(finding, key, is_held_out=is_held_out) for finding in visit.findings]
    denied: list[tuple[str, ...]] = []
    if not names & {*_LUNG, *_CHRONIC_LUNG}:
        denied.append(("lung opacity",))
    elif not names & {"consolidation", "pneumonia"} and is_mentioned(0.45, "consolidation"):
        denied.append(("consolidation",))
    elif not names & {"edema", *_CONGESTION} and is_mentioned(0.3, "edema"):
        denied.append(("edema",))
    pleura = tuple(name for name in ("pleural effusion", "pneumothorax") if name not in names)
    if "blunting of the costophrenic angle" in names:
        pleura = tuple(name for name in pleura if name != "pleural effusion")
    if pleura and is_mentioned(0.85, "pleura"):
        denied.append(pleura)
    if not names & {"cardiomegaly", "heart failure"} and is_mentioned(0.8, "heart"):
        denied.append(("cardiomegaly",))
    if not names & set(_CENTRAL) and is_mentioned(0.45, "mediastinum"):
        denied.append(("hilar congestion",))
    if not names & {"fracture", "scoliosis"} and is_mentioned(0.08, "bones"):
        denied.append(("fracture",))
    absent = [deny(group, key, is_held_out=is_held_out) for group in denied]
    return [*(item for item in devices if item), *affirmed, *absent]


def _impression(visit: Visit) -> str:
    """One sentence with the two most severe findings, lifelong ones last; "" without findings."""
    ranked = sorted(
        visit.findings, key=lambda item: (SPEC_BY_NAME[item.name].resolve == 0.0, -item.severity)
    )
    phrases = [noun_phrases(finding)[0][0] for finding in ranked[:2]]
    return capital(" and ".join(phrases)) + "." if phrases else ""


def _sections(
    visit: Visit, view: str, history: str, statements: list[Statement], key: Key
) -> list[tuple[str, str]]:
    style = _style(view, derive_uniform(*key, "style"))
    findings = " ".join(statement.text for statement in statements)
    normal = _NORMAL[derive_index(len(_NORMAL), *key, "normal")]
    impression = _impression(visit) or normal
    exam = "CHEST (PA AND LAT)" if view == "PA" else "CHEST (PORTABLE AP)"
    technique = "Chest PA and lateral" if view == "PA" else "Portable AP chest radiograph"
    comparison = "None." if visit.index == 0 else "Chest radiograph from ___."
    intro = [("EXAMINATION", exam), ("INDICATION", history)]
    if derive_uniform(*key, "technique") < 0.6:
        intro.append(("TECHNIQUE", f"{technique}."))
    intro.append(("COMPARISON", comparison))
    if style == "history":
        intro = [("HISTORY", history), ("COMPARISONS", comparison)]
    elif style == "views":
        intro = [("INDICATION", history)]
    bodies = {
        "impression only": [("IMPRESSION", findings)],
        "findings only": [("FINDINGS", findings)],
        "findings and impression": [("FINDINGS AND IMPRESSION", findings)],
        "conclusion": [("FINDINGS", findings), ("CONCLUSION", impression)],
        "views": [("CHEST, TWO VIEWS", findings), ("IMPRESSION", impression)],
        "last paragraph": [("", findings)],
    }
    return intro + bodies.get(style, [("FINDINGS", findings), ("IMPRESSION", impression)])


def _style(view: str, quantile: float) -> str:
    for name, probability in _STYLES:
        quantile -= probability
        if quantile < 0:
            return "standard" if name == "views" and view != "PA" else name
    return "standard"
