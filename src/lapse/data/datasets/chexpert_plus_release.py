"""CheXpert Plus: 223,462 images with English reports, for stage 1 only.

    ROOT/df_chexpert_plus_240401.csv    lapse.data.datasets.chexpert_plus
    ROOT/PNG/train/patient00001/study1/view1_frontal.png    or ROOT/train/...

The captions are findings and impression of the first frontal image of a study, without references
to earlier studies. There is no difference question: the order of the studies is contested.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
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
from lapse.data.datasets.plain_studies import group_studies
from lapse.data.datasets.release import Release, check_one_split, row_defects, tables_with
from lapse.data.io.csv_tables import matching_tables

BASES = ("PNG", "PNG/PNG", "images", ".")


class CheXpertPlus(Release):
    """The release."""

    title = "CheXpert Plus"
    licence = "Stanford research use agreement, not commercial"
    prefix = "chexpert-plus"
    remark = "reports for captions only: the order of the studies of a patient is contested"
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
        reports = {study: row.report for study, row in first_frontals(rows).items()}
        films = [
            replace(row, image=_image(roots.folder, base, row), report=reports.get(row.study, ""))
            for row in rows
        ]
        splits = {row.patient: row.split for row in rows}
        notes = ("no test part: valid is the validation part",)
        return FilmRecords(self.info(), group_studies(films), splits, notes=notes)

    def table_defects(self, roots: ReleaseRoots) -> Iterator[tuple[str, str]]:
        """Rows, splits, orders that disagree, reports of one study that differ beyond dates."""
        errors: list[ValueError] = []
        rows = list(read_chexpert(roots.table, on_error=errors.append))
        yield from row_defects(errors)
        yield from self.split_defects((row.patient, row.split) for row in rows)
        for earlier, later in order_conflicts(rows):
            yield "order-disagrees", f"{earlier.study} {later.study}"
        first: dict[str, CheXpertRow] = {}
        for row in rows:
            if _without_dates(first.setdefault(row.study, row)) != _without_dates(row):
                yield "reports-disagree", row.image


def image_base(folder: Path) -> str:
    """The folder that holds `train` and `valid`, relative to that of the table."""
    for base in BASES:
        if any((folder / base / part).is_dir() for part in ("train", "valid")):
            return base
    return BASES[0]


def _without_dates(row: CheXpertRow) -> str:
    """The words of a report: dates are anonymised differently in the reports of one study."""
    return " ".join(word for word in (row.report or "").split() if not any(map(str.isdigit, word)))


def _image(folder: Path, base: str, row: CheXpertRow) -> str:
    """The path of an image below the folder, or where it is expected."""
    path = None if row.view == "lateral" else image_file(folder / base, row.image)
    expected = f"{base}/{row.image}" if base != "." else row.image
    return expected if path is None else path.relative_to(folder).as_posix()
