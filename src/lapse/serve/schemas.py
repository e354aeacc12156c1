"""Bodies of requests and answers, as the OpenAPI document describes them.

An answer may have more values than are listed here: those of `lapse answer --json` appear as they
are.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from lapse.core.changes import QUESTION_CHANGED
from lapse.serve.limits import DEFAULT

FilmId = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9_-]{24}$", description="The id of a film in memory.")
]
Sha256 = Annotated[str, Field(description="SHA-256 of the bytes that were sent.")]


class Body(BaseModel):
    """A JSON body: no unknown names, no conversions of types."""

    model_config = ConfigDict(extra="forbid", strict=True)


class CompareBody(Body):
    """Two films of one patient and a question."""

    reference: Annotated[FilmId, Field(description="The earlier film.")]
    main: Annotated[FilmId, Field(description="The later film.")]
    question: Annotated[str, Field(max_length=300)] = QUESTION_CHANGED
    allow_unusual: Annotated[
        bool, Field(description="Answer although an input check refuses the films.")
    ] = False


class ReportBody(Body):
    """A film to describe."""

    film: FilmId
    allow_unusual: bool = False


class TimelineBody(Body):
    """The films of one patient."""

    films: Annotated[list[FilmId], Field(min_length=1, max_length=DEFAULT.timeline_films)]


class Answer(BaseModel):
    """An answer of the service."""

    model_config = ConfigDict(extra="allow")


class FilmAnswer(Answer):
    """A film in memory."""

    id: FilmId
    height: int
    width: int
    sha256: Sha256
    notes: Annotated[list[str], Field(description="What was ignored or changed in the file.")]
    expires_in: Annotated[float, Field(description="Seconds after the last use.")]


class InputCheck(Answer):
    """One result of an input check."""

    code: str
    level: Annotated[str, Field(description="note, warning or refused.")]
    message: str


class PairFilm(Answer):
    """One film of a comparison."""

    sha256: Sha256
    height: int
    width: int


class ComparisonAnswer(Answer):
    """What changed; the values of `lapse answer --json`, and the SHA-256 of both films."""

    research_use: str
    question: str
    status: Annotated[str, Field(description="changed, unchanged, undecided or unguarded.")]
    answer: str
    changes: list[dict[str, Any]]
    unsure: list[dict[str, Any]]
    regions: list[dict[str, Any]]
    input_checks: list[InputCheck]
    trained_on: str
    model: dict[str, str]
    pair: dict[str, PairFilm]


class ReportAnswer(Answer):
    """The report of one film."""

    research_use: str
    report: str
    input_checks: list[InputCheck]
    trained_on: str
    model: dict[str, str]


class TimelineAnswer(Answer):
    """Films from the earliest to the latest."""

    films: list[FilmId]
    days: Annotated[
        list[int | None], Field(description="Days between neighbours, where dates are known.")
    ]
    is_dated: Annotated[
        bool, Field(description="Whether all films have a date; if not, the order is as sent.")
    ]


class ServiceAnswer(Answer):
    """The model and the limits of this service."""

    research_use: str
    trained_on: str
    facts: dict[str, str]
    questions: list[str]
    has_reports: bool
    allow_unusual: Annotated[
        bool,
        Field(description="Whether films that an input check refuses are answered in any case."),
    ]
    guarded: Annotated[
        bool, Field(description="Whether only changes that all readings agree on are stated.")
    ]
    lapse: str


class HealthAnswer(Answer):
    """The service runs."""

    status: str


class ErrorValues(Answer):
    """Why a request was not answered."""

    code: Annotated[str, Field(description="Of a closed list.")]
    message: str


class ErrorAnswer(Answer):
    """An error."""

    error: ErrorValues
