"""Choose two studies of a patient and the frontal film of each, from metadata alone.

    QIDO-RS studies --newest two, or by accession--> QIDO-RS series --CR, DX--> WADO-RS metadata
        --checks of the header--> frontal films --PA before AP, for presentation--> one per study

No pixel is fetched. A server may ignore a filter and return everything, so every answer is compared
with the question.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset

from lapse.images.film_facts import FACT_TAGS, FilmFacts, facts_of_header
from lapse.inference.checks.fact_rules import RADIOGRAPHS, film_issues
from lapse.inference.pacs.connection import PacsConnection, PacsError

MAX_STUDIES = 200  # of one patient
MAX_SERIES = 20  # with radiographs, of one study
MAX_INSTANCES = 100  # of one study
VIEWS = ("PA", "AP")  # in the order of preference; other frontal views follow, then unnamed ones
WILDCARDS = "*?\\"
STUDY_FIELDS = ("StudyInstanceUID", "PatientID", "AccessionNumber", "StudyDate", "StudyTime")

Json = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class RemoteStudy:
    """A study of a PACS: its UID, and date and time as digits."""

    uid: str = field(repr=False)
    taken_at: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class RemoteFilm:
    """A frontal film of a PACS; its UIDs and the facts of its header."""

    study: str = field(repr=False)
    series: str = field(repr=False)
    instance: str = field(repr=False)
    number: int
    facts: FilmFacts


@dataclass(frozen=True, slots=True)
class ChosenFilms:
    """The earlier and the later film, and how many studies were considered."""

    reference: RemoteFilm
    main: RemoteFilm
    num_studies: int
    num_without_film: int


def films_of_patient(pacs: PacsConnection, patient: str) -> ChosenFilms:
    """The frontal films of the newest two studies of a patient that have one.

    Raises:
        PacsError: an id with wildcards, no such patient, fewer than two studies with a frontal
            film, too many studies, or the PACS cannot be used.
    """
    studies = _search(pacs, "PatientID", patient)
    newest = sorted(studies, key=lambda study: study.taken_at, reverse=True)
    chosen: list[RemoteFilm] = []
    num_without = 0
    for study in newest:
        film = _frontal_film(pacs, study)
        if film is None:
            num_without += 1
            continue
        chosen.append(film)
        if len(chosen) == 2:
            return ChosenFilms(chosen[1], chosen[0], len(studies), num_without)
    raise PacsError(
        f"{len(chosen)} of {len(studies)} studies of this patient have a frontal radiograph of "
        "the chest: a comparison needs two"
    )


def films_of_accessions(pacs: PacsConnection, accessions: Sequence[str]) -> ChosenFilms:
    """The frontal films of two studies by their accession numbers, in the order of their dates.

    Raises:
        PacsError: not two accession numbers, one that names no study or several, a study without
            a frontal film, or the PACS cannot be used.
    """
    if len(accessions) != 2 or accessions[0] == accessions[1]:
        raise PacsError("give two different accession numbers: of the earlier and the later study")
    studies = []
    for number, accession in enumerate(accessions, 1):
        matches = _search(pacs, "AccessionNumber", accession)
        if len(matches) != 1:
            raise PacsError(
                f"accession number {number} names {len(matches)} studies and must name one"
            )
        studies += matches
    films = []
    for study in sorted(studies, key=lambda study: study.taken_at):
        film = _frontal_film(pacs, study)
        if film is None:
            raise PacsError("one of the two studies has no frontal radiograph of the chest")
        films.append(film)
    return ChosenFilms(films[0], films[1], 2, 0)


def preferred(films: Sequence[RemoteFilm]) -> RemoteFilm | None:
    """The film of a study that is compared; None if none is a frontal film of the chest.

    Films that a check of the header refuses, and raw detector data, are left out. PA is preferred
    to AP, other frontal views follow, then films without a view; then films that are marked for
    presentation; then the earliest.
    """

    def rank(film: RemoteFilm) -> tuple[int, int, str, int, str]:
        facts = film.facts
        view = facts.view.upper()
        place = VIEWS.index(view) if view in VIEWS else len(VIEWS) + (not view)
        is_unmarked = facts.intent.upper() != "FOR PRESENTATION"
        taken_at = next(iter(facts.dates.values()), "")
        return place, int(is_unmarked), taken_at, film.number, film.instance

    usable = [
        film
        for film in films
        if film.facts.intent.upper() != "FOR PROCESSING"
        and not any(issue.level == "refused" for issue in film_issues("film", film.facts))
    ]
    return min(usable, key=rank, default=None)


def _search(pacs: PacsConnection, key: str, value: str) -> list[RemoteStudy]:
    """The studies whose attribute has exactly this value; all of them have a date."""
    value = value.strip()
    if not value or len(value) > 64 or any(character in WILDCARDS for character in value):
        raise PacsError(
            f"a value of {key} is empty, longer than 64 characters, or has one of {WILDCARDS}, "
            "which match several patients"
        )
    with pacs.requesting("the search for studies"):
        answers = pacs.client.search_for_studies(
            limit=MAX_STUDIES + 1, fields=list(STUDY_FIELDS), search_filters={key: value}
        )
        rows = [_texts(answer, STUDY_FIELDS) for answer in answers]
    if not rows:
        raise PacsError(f"the PACS has no study with this {key}")
    if len(rows) > MAX_STUDIES:
        raise PacsError(f"the PACS has more than {MAX_STUDIES} studies with this {key}")
    if any(row[key] != value for row in rows):
        raise PacsError(
            f"the PACS returns studies of another {key} than the one searched for: it does not "
            "support this search"
        )
    if any(not (row["StudyDate"].isdecimal() and row["StudyInstanceUID"]) for row in rows):
        raise PacsError("a study has no StudyDate or no UID: the order of the studies is unknown")
    return [
        RemoteStudy(row["StudyInstanceUID"], row["StudyDate"] + row["StudyTime"]) for row in rows
    ]


def _frontal_film(pacs: PacsConnection, study: RemoteStudy) -> RemoteFilm | None:
    with pacs.requesting("the search for series"):
        answers = pacs.client.search_for_series(study.uid)
        rows = [_texts(answer, ("SeriesInstanceUID", "Modality")) for answer in answers]
    series = [row["SeriesInstanceUID"] for row in rows if row["Modality"] in RADIOGRAPHS]
    if len(series) > MAX_SERIES:
        raise PacsError(f"a study has more than {MAX_SERIES} series of radiographs")
    films: list[RemoteFilm] = []
    for uid in series:
        films += _films_of_series(pacs, study, uid)
        if len(films) > MAX_INSTANCES:
            raise PacsError(f"a study has more than {MAX_INSTANCES} radiographs")
    return preferred(films)


def _films_of_series(pacs: PacsConnection, study: RemoteStudy, series: str) -> Iterator[RemoteFilm]:
    with pacs.requesting("the metadata of a series"):
        answers = pacs.client.retrieve_series_metadata(study.uid, series)
        for answer in answers[: MAX_INSTANCES + 1]:
            header = _header(answer)
            number = str(header.get("InstanceNumber") or "")
            yield RemoteFilm(
                study.uid,
                series,
                str(header.SOPInstanceUID),
                int(number) if number.isdecimal() else 0,
                facts_of_header(header),
            )


def _header(answer: Json) -> Dataset:
    """The elements of an answer that are read; others, such as bulk data, are left out."""
    keywords = (*FACT_TAGS, "SOPInstanceUID", "InstanceNumber")
    tags = (f"{tag_for_keyword(keyword):08X}" for keyword in keywords)
    return Dataset.from_json({tag: dict(answer[tag]) for tag in tags if tag in answer})


def _texts(answer: Json, keywords: Sequence[str]) -> dict[str, str]:
    """The values of an answer as text; "" where there is none."""
    texts = {}
    for keyword in keywords:
        values = answer.get(f"{tag_for_keyword(keyword):08X}", {}).get("Value") or [""]
        texts[keyword] = str(values[0] or "").strip()
    return texts
