"""ReXGradient-160K: 160,000 studies with English reports, for stage 1 only.

    ROOT/metadata/{train,valid,test}_metadata_view_position.json    lapse.data.datasets.rexgradient
    ROOT/deid_png/...                                               the unpacked images

The captions are findings and impression without references to earlier studies. There are no
labels and so no difference question; consecutive studies of a patient are listed as pairs without
answers, in the order of their dates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType

from lapse.data.datasets.discovery import ReleaseRoots
from lapse.data.datasets.film_records import FilmRecords
from lapse.data.datasets.plain_cells import Cells, raise_error
from lapse.data.datasets.plain_rows import FilmRow
from lapse.data.datasets.plain_studies import group_studies
from lapse.data.datasets.release import Release, check_one_split, row_defects
from lapse.data.datasets.rexgradient import (
    FILES,
    IMAGES,
    ReXStudy,
    metadata_files,
    read_rexgradient,
)
from lapse.data.io.skip_log import SkipLog

NO_VIEW = "without a view"  # an image whose view is unknown may be lateral


class ReXGradient(Release):
    """The release."""

    title = "ReXGradient-160K"
    licence = "non-commercial agreement of the publisher"
    prefix = "rexgradient"
    remark = "reports for captions only: there are no labels, and dates give the order only"
    published = MappingProxyType({"images": 273_004, "patients": 109_487})
    languages = ("en",)

    def find(self, folder: Path) -> tuple[Path, ...]:
        """The JSON files of the parts, in ROOT/metadata."""
        return metadata_files(folder)

    def read(self, roots: ReleaseRoots) -> FilmRecords:
        """The films; an image without a known frontal view is not used.

        Raises:
            ValueError: a file cannot be used, or a patient is in two parts.
        """
        studies = _studies(roots)
        check_one_split(((study.patient, study.split) for study in studies), self.title)
        noted = SkipLog()
        orders = _orders(studies, noted)
        films = [row for study in studies for row in _films(study, orders[study.study])]
        return FilmRecords(
            self.info(),
            group_studies(films),
            {study.patient: study.split for study in studies},
            notes=("splits of the release",),
            noted=noted,
            unanswered=tuple(_pairs(studies)),
        )

    def table_defects(self, roots: ReleaseRoots) -> Iterator[tuple[str, str]]:
        """Entries, lists of different length, unknown views, equal dates, patients in two parts."""
        errors: list[ValueError] = []
        studies = _studies(roots, on_error=errors.append)
        yield from row_defects(errors)
        yield from self.split_defects((study.patient, study.split) for study in studies)
        dates: dict[tuple[str, datetime], str] = {}
        for study in studies:
            if study.num_views != len(study.images):
                yield "view-count", study.study
            for _, view in study.images:
                if view.startswith("?"):
                    yield "unknown-view", f"{study.study} {view[1:]}"
            if not study.report:
                yield "report-without-text", study.study
            if study.date is not None:
                other = dates.setdefault((study.patient, study.date), study.study)
                if other != study.study:
                    yield "same-date", f"{other} {study.study}"


def _studies(
    roots: ReleaseRoots, on_error: Callable[[ValueError], None] = raise_error
) -> list[ReXStudy]:
    return [
        study
        for path in roots.tables
        for study in read_rexgradient(path, FILES[path.name], on_error=on_error)
    ]


def _by_patient(studies: Sequence[ReXStudy]) -> Iterator[list[tuple[datetime, ReXStudy]]]:
    """The dated studies of each patient, in the order of their dates."""
    dated: dict[str, list[tuple[datetime, ReXStudy]]] = {}
    for study in studies:
        if study.date is not None:
            dated.setdefault(study.patient, []).append((study.date, study))
    for items in dated.values():
        yield sorted(items, key=lambda item: item[0])


def _orders(studies: Sequence[ReXStudy], noted: SkipLog) -> dict[str, int]:
    """Study -> its rank; equal dates share a rank, and studies without a date are the last."""
    orders = {}
    for items in _by_patient(studies):
        rank, last = 0, None
        for date, study in items:
            rank, last = rank + (date != last), date
            orders[study.study] = rank
    for number, study in enumerate(studies, start=len(studies) + 1):
        if study.date is None:
            noted.add("study without a date (in no pair)", study.study)
            orders[study.study] = number
    return orders


def _pairs(studies: Sequence[ReXStudy]) -> Iterator[tuple[str, str]]:
    """(reference, main) of neighbours with a frontal image, the main one strictly later."""
    frontal = [study for study in studies if study.frontal is not None]
    for items in _by_patient(frontal):
        dates = [date for date, _ in items]
        for (before, reference), (after, main) in pairwise(items):
            if before < after and dates.count(before) == dates.count(after) == 1:
                yield reference.study, main.study


def _films(study: ReXStudy, order: int) -> Iterator[FilmRow]:
    for path, view in study.images:
        yield FilmRow(
            cells=Cells(f"{study.split} part", order, {}, "study"),
            patient=study.patient,
            study=study.study,
            image=f"{IMAGES}/{path}",
            order=order,
            view=view.removeprefix("?") or NO_VIEW,
            report=study.report,
            id=path.replace("/", "-"),
        )
