"""CheXpert Plus: 223,462 images with English reports, for stage 1 only.

    ROOT/df_chexpert_plus_240401.csv    lapse.data.datasets.chexpert_plus
    ROOT/PNG/train/patient00001/study1/view1_frontal.png    or ROOT/train/...

The captions are findings and impression of the first frontal image of a study, without references
to earlier studies. There is no difference question: the order of the studies is contested.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType

from lapse.data.datasets.chexpert_plus import (
    COLUMNS,
    TABLE,
    CheXpertRow,
    first_frontals,
    image_file,
    order_conflicts,
    read_chexpert,
)
from lapse.data.datasets.discovery import ReleaseRoots
from lapse.data.datasets.film_records import FilmRecords
from lapse.data.datasets.plain_cells import Cells
from lapse.data.datasets.plain_info import DatasetInfo
from lapse.data.datasets.plain_rows import FilmRow
from lapse.data.datasets.plain_studies import group_studies
from lapse.data.datasets.release import Release, check_one_split, in_two_splits, tables_with
from lapse.data.io.csv_tables import matching_tables
from lapse.data.reports.sections import join_sections

REMARK = "reports for captions only: the order of the studies of a patient is contested"
BASES = ("PNG", "PNG/PNG", "images", ".")


class CheXpertPlus(Release):
    """The release."""

    title = "CheXpert Plus"
    remark = REMARK
    published = MappingProxyType({"images": 223_462, "patients": 64_725})
    languages = ("en",)

    def find(self, folder: Path) -> tuple[Path, ...]:
        """The table."""
        named = matching_tables(folder, TABLE)
        usable = tables_with(folder, COLUMNS) if named else []
        return tuple(path for path in named if path in usable)[:1]

    def read(self, roots: ReleaseRoots) -> FilmRecords:
        """The films; the first frontal image of a study represents it.

        Raises:
            ValueError: the table cannot be used, or a patient is in two splits.
        """
        rows = list(read_chexpert(roots.table))
        check_one_split(((row.patient, row.split) for row in rows), roots.table.name)
        base = image_base(roots.folder)
        reports = {
            study: join_sections({"findings": row.findings, "impression": row.impression})
            for study, row in first_frontals(rows).items()
        }
        films = [_film(roots, row, base, reports.get(row.study, "")) for row in rows]
        info = DatasetInfo(
            name=self.title,
            licence="Stanford research use agreement, not commercial",
            remark=REMARK,
            prefix="chexpert-plus",
        )
        splits = {row.patient: row.split for row in rows}
        notes = ("no test part: valid is the validation part",)
        return FilmRecords(info, group_studies(films), splits, notes=notes)

    def table_defects(self, roots: ReleaseRoots) -> Iterator[tuple[str, str]]:
        """Rows, splits, orders that disagree, reports of one study that differ beyond dates."""
        errors: list[ValueError] = []
        rows = list(read_chexpert(roots.table, on_error=errors.append))
        yield from (("release-row", str(error)) for error in errors)
        for name in in_two_splits((row.patient, row.split) for row in rows):
            yield "patient-two-splits", f"{self.title}: {name}"
        for earlier, later in order_conflicts(rows):
            yield "order-disagrees", f"{earlier.study} {later.study}"
        first: dict[str, CheXpertRow] = {}
        for row in rows:
            if _without_dates(first.setdefault(row.study, row)) != _without_dates(row):
                yield "reports-disagree", row.path


def image_base(folder: Path) -> str:
    """The folder that holds `train` and `valid`, relative to that of the table."""
    for base in BASES:
        if any((folder / base / part).is_dir() for part in ("train", "valid")):
            return base
    return BASES[0]


def _without_dates(row: CheXpertRow) -> str:
    """The words of a report: dates are anonymised differently in the reports of one study."""
    text = f"{row.findings} {row.impression}"
    return " ".join(word for word in text.split() if not any(map(str.isdigit, word)))


def _film(roots: ReleaseRoots, row: CheXpertRow, base: str, report: str) -> FilmRow:
    path = None if row.view == "lateral" else image_file(roots.folder / base, row.path)
    expected = f"{base}/{row.path}" if base != "." else row.path
    name = expected if path is None else path.relative_to(roots.folder).as_posix()
    return FilmRow(
        cells=Cells(roots.table.name, row.line, {"image": row.path}),
        patient=row.patient,
        study=row.study,
        image=name,
        order=row.number,
        view=row.view,
        split=row.split,
        report=report,
        id=row.path.replace("/", "-"),
    )
