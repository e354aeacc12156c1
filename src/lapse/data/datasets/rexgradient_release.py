"""ReXGradient-160K: 160,000 studies with English reports, for stage 1 only.

    ROOT/metadata/{train,valid,test}_metadata_view_position.json    lapse.data.datasets.rexgradient
    ROOT/deid_png/...                                               the unpacked images

The captions are findings and impression without references to earlier studies. There are no
labels and so no difference question; consecutive studies of a patient are listed as pairs without
answers, in the order of their dates.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from lapse.data.datasets.discovery import ReleaseRoots
from lapse.data.datasets.film_records import FilmRecords
from lapse.data.datasets.plain_cells import Cells
from lapse.data.datasets.plain_info import DatasetInfo
from lapse.data.datasets.plain_rows import FilmRow
from lapse.data.datasets.plain_studies import group_studies
from lapse.data.datasets.rexgradient import (
    FILES,
    IMAGES,
    ReXStudy,
    metadata_files,
    read_rexgradient,
)
from lapse.data.io.skip_log import SkipLog
from lapse.data.reports.sections import join_sections

REMARK = "reports for captions only: there are no labels, and dates give the order only"
NO_VIEW = "without a view"  # an image whose view is unknown may be lateral


class ReXGradient:
    """The release; see `lapse.data.datasets.release.Release`."""

    title = "ReXGradient-160K"
    remark = REMARK
    outside: tuple[str, ...] = ()
    published: Mapping[str, int] = {"images": 273_004, "patients": 109_487}
    expert_columns: tuple[str, ...] = ()
    intensity = "mimic"
    languages: tuple[str, ...] = ("en",)

    def find(self, folder: Path) -> tuple[Path, ...]:
        """The JSON files of the parts, in ROOT/metadata."""
        return tuple(metadata_files(folder).values())

    def read(self, roots: ReleaseRoots) -> FilmRecords:
        """The films; an image without a known frontal view is not used.

        Raises:
            ValueError: a file cannot be used, or a patient is in two parts.
        """
        studies = [study for part in _parts(roots) for study in part]
        conflicts = two_parts(studies)
        if conflicts:
            raise ValueError(
                f"{len(conflicts)} patients are in two parts, such as {', '.join(conflicts[:3])}: "
                "use the original files"
            )
        noted = SkipLog()
        orders = _orders(studies, noted)
        films = [row for study in studies for row in _films(study, orders[study.study])]
        info = DatasetInfo(
            name=self.title,
            licence="non-commercial agreement of the publisher",
            remark=REMARK,
            prefix="rexgradient",
        )
        return FilmRecords(
            info,
            group_studies(films),
            {study.patient: study.split for study in studies},
            notes=("splits of the release",),
            noted=noted,
            unanswered=tuple(_pairs(studies)),
        )

    def defects(self, roots: ReleaseRoots) -> Iterator[tuple[str, str]]:
        """Entries, lists of different length, unknown views, equal dates, patients in two parts."""
        errors: list[ValueError] = []
        try:
            studies = [study for part in _parts(roots, errors) for study in part]
        except ValueError as error:
            yield "release-table", str(error)
            return
        yield from (("release-row", str(error)) for error in errors)
        yield from (("patient-two-splits", f"{self.title}: {name}") for name in two_parts(studies))
        dates: dict[tuple[str, datetime], str] = {}
        for study in studies:
            if study.num_views != len(study.images):
                yield "view-count", study.study
            for _, view in study.images:
                if view.startswith("?"):
                    yield "unknown-view", f"{study.study} {view[1:]}"
            if not study.findings and not study.impression:
                yield "report-without-text", study.study
            if study.date is not None:
                other = dates.setdefault((study.patient, study.date), study.study)
                if other != study.study:
                    yield "same-date", f"{other} {study.study}"


def _parts(roots: ReleaseRoots, errors: list[ValueError] | None = None) -> Iterator[list[ReXStudy]]:
    split_of = {name: split for split, name in FILES.items()}
    for path in roots.tables:
        if errors is None:
            yield read_rexgradient(path, split_of[path.name])
        else:
            yield read_rexgradient(path, split_of[path.name], on_error=errors.append)


def two_parts(studies: Sequence[ReXStudy]) -> list[str]:
    """The patients that are in two parts."""
    splits: dict[str, str] = {}
    return sorted(
        {
            item.patient
            for item in studies
            if splits.setdefault(item.patient, item.split) != item.split
        }
    )


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
    report = join_sections({"findings": study.findings, "impression": study.impression})
    for path, view in study.images:
        yield FilmRow(
            cells=Cells(f"{study.split} part", order, {}, "study"),
            patient=study.patient,
            study=study.study,
            image=f"{IMAGES}/{path}",
            date=None,
            order=order,
            view=view.removeprefix("?") or NO_VIEW,
            split=study.split,
            prior="",
            findings=None,
            report=report,
            id=path.replace("/", "-"),
        )
