"""The studies of a table of own films: rows grouped, in order of time, in one split per patient.

    rows --checked together--> studies --order or date--> the sequence of each patient

Checks that need more than one row are here; `lapse.data.datasets.plain_rows` checks single cells.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from lapse.core.seeding import derive_uniform
from lapse.core.types import SPLITS, nearest
from lapse.data.datasets.plain_cells import FINDING_COLUMN
from lapse.data.datasets.plain_findings import StudyFindings
from lapse.data.datasets.plain_rows import SECTIONS, TIMES, FilmRow
from lapse.data.io.csv_tables import plain_id

SPLIT_ENDS = ((0.70, "train"), (0.85, "validate"), (1.0, "test"))
OF_A_STUDY = ("findings", "prior", "report", *SECTIONS)  # columns on which its rows agree

DAY_ZERO = datetime(2000, 1, 1)  # `taken_at` of day 0 where only days are known

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PlainStudy:
    """One study and its rows, in the order of the table."""

    rows: tuple[FilmRow, ...]

    @property
    def id(self) -> str:
        """The study."""
        return self.rows[0].study

    @property
    def patient(self) -> str:
        """The patient."""
        return self.rows[0].patient

    @property
    def findings(self) -> StudyFindings | None:
        """What was seen, None if the study is not labelled."""
        labelled = (row.findings for row in self.rows if row.findings is not None)
        return next(labelled, None)

    @property
    def labeller(self) -> str:
        """Who labelled the study, "" where the data set has one labeller."""
        return self.rows[0].labeller

    @property
    def prior(self) -> str:
        """The study that is named as reference, or ""."""
        return next((row.prior for row in self.rows if row.prior), "")

    @property
    def report(self) -> str | None:
        """Findings and impression, "" where the cell is empty, None without such a column."""
        return next((row.report for row in self.rows if row.report), self.rows[0].report)

    @property
    def date(self) -> datetime | None:
        """The earliest date of its rows, None if it is not known."""
        return min((row.date for row in self.rows if row.date is not None), default=None)

    @property
    def taken_at(self) -> datetime | None:
        """The date, or a time whose distances within a patient are true; None if unknown."""
        days = self.rows[0].days
        return self.date if days is None else DAY_ZERO + timedelta(days)

    @property
    def time(self) -> float:
        """A number that grows with time within a patient: the order, the days, or the date."""
        order, days = self.rows[0].order, self.rows[0].days
        if order is not None:
            return order
        if days is not None:
            return days
        assert self.date is not None, "a study has neither order nor date"
        return (self.date - datetime.min).total_seconds()


def group_studies(rows: Iterable[FilmRow]) -> dict[str, PlainStudy]:
    """Study -> its rows, in the order of the table.

    Raises:
        ValueError: rows contradict each other; the message names one of them.
    """
    rows = list(rows)
    _check_ids(rows)
    rows_of: dict[str, list[FilmRow]] = {}
    for row in rows:
        rows_of.setdefault(row.study, []).append(row)
    for same_study in rows_of.values():
        _check_agreement(same_study)
    studies = {study: PlainStudy(tuple(group)) for study, group in rows_of.items()}
    _check_times(rows, studies)
    _check_priors(studies)
    return studies


def time_scale(studies: Iterable[PlainStudy]) -> str:
    """What is known about time: "dates", "days" (distances only) or "order"."""
    for study in studies:
        if study.rows[0].days is not None:
            return "days"
        if study.date is not None:
            return "dates"
    return "order"


def patient_splits(rows: Iterable[FilmRow]) -> dict[str, str]:
    """Patient -> split, from the table or by a hash of the id.

    Raises:
        ValueError: only some rows have a split, or a patient has two.
    """
    rows = list(rows)
    splits: dict[str, str] = {}
    if not any(row.split for row in rows):
        splits = {row.patient: split_of(row.patient) for row in rows}
        empty = [split for split in SPLITS if split not in splits.values()]
        if empty:
            logger.warning(
                "none of %d patients is in %s: add patients, or a column 'split'",
                len(splits),
                " or ".join(empty),
            )
        return splits
    conflicts: dict[str, FilmRow] = {}
    for row in rows:
        if not row.split:
            raise row.cells.error(
                "split", "is empty and other rows have a split: fill in all rows, or none"
            )
        if splits.setdefault(row.patient, row.split) != row.split:
            conflicts.setdefault(row.patient, row)
    if conflicts:
        listed = ", ".join(list(conflicts)[:3])
        raise next(iter(conflicts.values())).cells.error(
            "split",
            f"differs from an earlier row of the patient ({len(conflicts)} patients are in two "
            f"splits: {listed}): give all rows of a patient one split",
        )
    return splits


def split_of(patient: str, ends: Sequence[tuple[float, str]] = SPLIT_ENDS) -> str:
    """The split of a patient: 70% train, 15% validate, 15% test, by a hash of the id.

    Args:
        ends: (cumulative fraction, split), ascending, the last fraction is 1.
    """
    value = derive_uniform("plain_table/split", patient)
    return next(split for end, split in ends if value < end)


def _check_ids(rows: Iterable[FilmRow]) -> None:
    """Each image once, each study of one patient, no two ids that differ only in form."""
    images: dict[str, FilmRow] = {}
    patient_of: dict[str, str] = {}
    forms: dict[tuple[str, str], str] = {}
    for row in rows:
        earlier = images.setdefault(row.image, row)
        if earlier is not row:
            raise row.cells.error(
                "image", f"is in row {earlier.cells.row} already: list each image once"
            )
        patient = patient_of.setdefault(row.study, row.patient)
        if patient != row.patient:
            raise row.cells.error(
                "study",
                f"belongs to the patients {patient!r} and {row.patient!r}: give each study its "
                "own id",
            )
        for column, text in (("patient", row.patient), ("study", row.study)):
            other = forms.setdefault((column, plain_id(text.lower())), text)
            if other != text:
                raise row.cells.error(
                    column,
                    f"and {other!r} differ only in case, zeros or prefix: write one {column} in "
                    "one way, or use clearly different ids",
                )


def _check_agreement(rows: Iterable[FilmRow]) -> None:
    """The rows of one study have one text in each column that describes the study."""
    first: dict[str, FilmRow] = {}
    for row in rows:
        for column in ("order", "days"):
            if getattr(first.setdefault(column, row), column) != getattr(row, column):
                raise row.cells.error(
                    column, f"differs from another row of the same study: a study has one {column}"
                )
        wide = (name for name in row.cells.texts if name.lower().startswith(FINDING_COLUMN))
        for column in (*OF_A_STUDY, *wide):
            if not row.cells[column]:
                continue
            earlier = first.setdefault(column, row)
            if earlier.cells[column] != row.cells[column]:
                raise row.cells.error(
                    column,
                    f"differs from row {earlier.cells.row} of the same study: fill in one row of a "
                    "study, or write the same in all",
                )


def _check_times(rows: Iterable[FilmRow], studies: Mapping[str, PlainStudy]) -> None:
    """Every patient has an order or dates throughout, and the two agree."""
    rows_of: dict[str, list[FilmRow]] = {}
    for row in rows:
        rows_of.setdefault(row.patient, []).append(row)
    for patient, same_patient in rows_of.items():
        has_order = any(row.order is not None for row in same_patient)
        for row in same_patient:
            if has_order and row.order is None:
                raise row.cells.error(
                    "order",
                    f"is empty and other rows of patient {patient!r} have an order: fill in all of "
                    "them, or none",
                )
            if not has_order and row.date is None and row.days is None:
                raise row.cells.error(
                    next(name for name in TIMES if name in row.cells.texts),
                    f"is empty and patient {patient!r} has no order: write a date, or the order of "
                    "the studies as 1, 2, 3",
                )
        names = dict.fromkeys(row.study for row in same_patient)
        _check_dates(sorted((studies[name] for name in names), key=lambda study: study.time))


def _check_dates(sequence: Iterable[PlainStudy]) -> None:
    """No date is earlier than that of a study with a lower order."""
    latest: PlainStudy | None = None
    for study in sequence:
        if study.date is None:
            continue
        if (
            latest is not None
            and latest.date is not None
            and study.date.date() < latest.date.date()
        ):
            row = next(row for row in study.rows if row.date == study.date)
            raise row.cells.error(
                "date",
                f"is before {latest.date:%Y-%m-%d} of study {latest.id!r}, whose order is not "
                "higher: the order grows with time; correct one of them",
            )
        latest = study


def _check_priors(studies: Mapping[str, PlainStudy]) -> None:
    """A prior is an earlier study of the same patient."""
    for study in studies.values():
        for row in study.rows:
            if not row.prior:
                continue
            prior = studies.get(row.prior)
            if prior is None:
                problem = f"is not a study; {nearest(row.prior, list(studies)[:100])}"
            elif prior.patient != row.patient:
                problem = f"is a study of patient {prior.patient!r}: name one of {row.patient!r}"
            elif prior.time >= study.time:
                problem = f"is not earlier than {row.study!r}: name an earlier study"
            else:
                continue
            raise row.cells.error("prior", problem)
