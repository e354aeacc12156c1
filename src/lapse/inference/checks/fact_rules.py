"""Contradictions between the facts of two films and what a comparison needs.

    refused    another patient, reversed order, a view that is not frontal, another part of the
               body, another modality
    warning    different birth date or sex, ids of different issuers, raw detector data, an unknown
               modality, two films of one study, the same picture twice

A fact that is missing is not a contradiction.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from lapse.images.film_facts import DATES, FilmFacts
from lapse.inference.checks.issues import InputIssue, Level

FRONTAL = frozenset(("PA", "AP", "AP AXIAL", "PA AXIAL", "FRONTAL"))
RADIOGRAPHS = frozenset(("CR", "DX", "DR", "RG"))
UNKNOWN_MODALITIES = frozenset(("OT", "SC", "XC"))
CHEST_WORDS = ("CHEST", "THORAX", "LUNG", "RIB", "HEART", "TRUNK")
SHORT_DATE, LONG_DATE = 8, 14  # digits of a day, and of a second


def film_issues(role: str, facts: FilmFacts) -> Iterator[InputIssue]:
    """What contradicts that a film is a frontal radiograph of the chest.

    Args:
        role: names the film in messages, such as "main image".
    """
    view, body_part = facts.view.upper(), facts.body_part.upper()
    if view and view not in FRONTAL:
        yield InputIssue("view", "refused", f"the {role} is not a frontal view (ViewPosition)")
    elif facts.orientation[:1].upper() in {"A", "P"}:
        # the direction of a row is to the front or the back of the patient
        yield InputIssue("view", "refused", f"the {role} is a lateral view (PatientOrientation)")
    if body_part and not any(word in body_part for word in CHEST_WORDS):
        yield InputIssue(
            "body-part",
            "refused",
            f"the {role} shows another part of the body than the chest (BodyPartExamined)",
        )
    modality = facts.modality.upper()
    if modality and modality not in RADIOGRAPHS:
        level: Level = "warning" if modality in UNKNOWN_MODALITIES else "refused"
        what = "may not be a radiograph" if level == "warning" else "is not a radiograph"
        yield InputIssue("modality", level, f"the {role} {what} (Modality)")
    if facts.intent.upper() == "FOR PROCESSING":
        yield InputIssue(
            "intent",
            "warning",
            f"the {role} is raw detector data (PresentationIntentType): use the processed film",
        )


def pair_issues(reference: FilmFacts, main: FilmFacts) -> Iterator[InputIssue]:
    """What contradicts that two films show one patient, the reference first."""
    yield from _patient_issues(reference, main)
    date_tag, times = common_times([reference.dates, main.dates])
    if times != sorted(times):
        yield InputIssue(
            "order",
            "refused",
            f"the reference image is later than the main image ({date_tag}): exchange them",
        )
    if reference.study and reference.study == main.study:
        yield InputIssue(
            "same-study",
            "warning",
            "both images are of one study (StudyInstanceUID): two exposures of one visit differ "
            "in acquisition, not in time",
        )


def common_times(dates: Sequence[Mapping[str, str]]) -> tuple[str, list[str]]:
    """The most exact date that all films have: its tag, and its digits, which can be compared.

    Args:
        dates: of each film, as `FilmFacts.dates`.

    Returns:
        "YYYYMMDDHHMMSS" of each film, or "YYYYMMDD" where one of them has no time; ("", []) where
        the films have no common date.
    """
    for tag, _ in DATES:
        times = [film.get(tag, "") for film in dates]
        shortest = min(map(len, times), default=0)
        if shortest >= SHORT_DATE:
            digits = LONG_DATE if shortest >= LONG_DATE else SHORT_DATE
            return tag, [time[:digits] for time in times]
    return "", []


def _patient_issues(reference: FilmFacts, main: FilmFacts) -> Iterator[InputIssue]:
    def differ(first: str, second: str) -> bool:
        return bool(first and second) and first.strip().upper() != second.strip().upper()

    if differ(reference.issuer, main.issuer):
        yield InputIssue(
            "patient",
            "warning",
            "the patient ids are of different issuers (IssuerOfPatientID): they cannot show that "
            "both images are of one patient",
        )
    elif differ(reference.patient, main.patient):
        yield InputIssue(
            "patient", "refused", "the images are of different patients (PatientID differs)"
        )
        return
    for tag, first, second in (
        ("PatientBirthDate", reference.birth_date, main.birth_date),
        ("PatientSex", reference.sex, main.sex),
    ):
        if differ(first, second):
            yield InputIssue(
                "patient", "warning", f"the images may be of different patients ({tag} differs)"
            )


def all_fact_issues(facts: Mapping[str, FilmFacts]) -> list[InputIssue]:
    """The issues of one film or of two, reference first.

    Args:
        facts: name of the film in messages -> its facts.
    """
    issues = [issue for role, item in facts.items() for issue in film_issues(role, item)]
    if len(facts) == 2:
        issues += pair_issues(*facts.values())
    return issues
