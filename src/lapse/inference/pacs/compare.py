"""Compare two studies of a PACS: choose, fetch, check, answer; all in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydicom.dataset import Dataset

from lapse.core.changes import QUESTION_CHANGED
from lapse.inference.answer import ROLES, AnswerOptions
from lapse.inference.comparison import Comparison
from lapse.inference.comparison_model import ComparisonModel
from lapse.inference.pacs.connection import PacsConnection, PacsError
from lapse.inference.pacs.studies import ChosenFilms, films_of_accessions, films_of_patient
from lapse.inference.pacs.transfer import fetch_film
from lapse.inference.pretrained.image_input import load_model_image


@dataclass(frozen=True, slots=True)
class PacsQuery:
    """Which studies are compared: the newest two of a patient, or two by accession number."""

    patient: str = ""
    accessions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if bool(self.patient) == bool(self.accessions):
            raise PacsError(
                "give either a patient id (its newest two studies) or two accession numbers"
            )


@dataclass(frozen=True, slots=True, eq=False)
class PacsComparison:
    """A comparison, the headers of its films for a structured report, and what was searched."""

    comparison: Comparison
    headers: dict[str, Dataset]
    chosen: ChosenFilms


def compare_studies(
    pacs: PacsConnection,
    query: PacsQuery,
    model: ComparisonModel,
    options: AnswerOptions,
    *,
    question: str = QUESTION_CHANGED,
) -> PacsComparison:
    """Fetch the films of a query and compare them.

    Args:
        pacs: of `connect`.
        query: which studies.
        model: that answers.
        options: guard and input checks.
        question: one of the data set's templates.

    Raises:
        PacsError: the PACS cannot be used, or has no such films.
        UnusualInputError: an input check refuses the films.
        ValueError: a film cannot be read, or an unknown question.
    """
    if query.patient:
        chosen = films_of_patient(pacs, query.patient)
    else:
        chosen = films_of_accessions(pacs, query.accessions)
    films = [fetch_film(pacs, film) for film in (chosen.reference, chosen.main)]
    reference, main = (
        load_model_image(film.data, model.image_size, model.processing) for film in films
    )
    comparison = model.compare(reference, main, question, options)
    headers = dict(zip(ROLES, (film.header for film in films), strict=True))
    return PacsComparison(comparison, headers, chosen)


def summary(chosen: ChosenFilms) -> Sequence[str]:
    """What was searched, in counts."""
    lines = [f"{chosen.num_studies} studies in the PACS match"]
    if chosen.num_without_film:
        lines.append(
            f"{chosen.num_without_film} newer studies without a frontal radiograph of the chest "
            "were passed over"
        )
    return lines
