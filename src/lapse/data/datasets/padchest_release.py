"""PadChest: 160,861 films of 67,625 patients with true dates and labels of their reports.

    ROOT/PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv[.gz]    lapse.data.datasets.padchest
    ROOT/<ImageDir>/<ImageID>, ROOT/images/..., or the zip files as downloaded

A pair joins a frontal study with the one before it, strictly earlier. Its answer is the difference
of the labels, for two reports that one method labelled: a physician, or a program trained on their
labels. Where a label outside the 30 findings differs there is no pair, nor where a report says
"unchanged", because it need not repeat the findings. The reports are stems of Spanish words and
are not used.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from lapse.data.datasets.discovery import ReleaseRoots
from lapse.data.datasets.film_records import FilmRecords
from lapse.data.datasets.packed_images import PackedImages
from lapse.data.datasets.padchest import TABLE, PadChestRow, read_padchest
from lapse.data.datasets.padchest_gr import REPORTS
from lapse.data.datasets.padchest_gr_master import find_master, read_master
from lapse.data.datasets.padchest_labels import FINDING_OF, NORMAL, OUTSIDE
from lapse.data.datasets.plain_findings import StudyFindings
from lapse.data.datasets.plain_studies import group_studies, patient_splits
from lapse.data.datasets.release import Release, labelled_findings, mapping_notes, row_defects
from lapse.data.io.csv_tables import matching_tables
from lapse.data.io.skip_log import SkipLog

LICENCE = "BIMCV research use agreement"
PREFIX = "padchest"
NUM_SHARED = 1  # studies of two patients in the release itself
IMAGE_FOLDERS = ("images", "images/*", "images-*", "[0-9]*")


class PadChest(Release):
    """The release."""

    title = "PadChest"
    licence = LICENCE
    prefix = PREFIX
    remark = (
        "labels of reports, three of four by a program; a change is a difference of two reports, "
        "and what a report does not mention counts as absent"
    )
    outside = OUTSIDE
    # without the three images of the study of two patients that the release has
    published = MappingProxyType({"images": 160_858, "patients": 67_623})
    intensity = "percentile"

    def find(self, folder: Path) -> tuple[Path, ...]:
        """The table, and the master table of PadChest-GR if it is there without its reports."""
        tables = matching_tables(folder, TABLE)
        if not tables or any(folder.glob(REPORTS)):
            return ()
        master = find_master(folder)
        return (tables[0], *([] if master is None else [master]))

    def read(self, roots: ReleaseRoots) -> FilmRecords:
        """The films; those of other views are counted as such.

        Raises:
            ValueError: the table cannot be used.
        """
        skipped, noted = SkipLog(), SkipLog()
        rows = list(_of_one_patient(read_padchest(roots.table), skipped))
        images = PackedImages(roots.folder, IMAGE_FOLDERS, noted)
        exact = {**FINDING_OF, **dict(roots.label_map)}
        info = self.info(exact)
        films = [
            replace(
                row,
                image=images.path(row.id) or row.image,
                findings=_findings(row, exact, info.outside, noted),
            )
            for row in rows
        ]
        splits, source = patient_splits(films), "splits by a hash of the patient"
        for master in roots.tables[1:]:
            splits |= {
                facts.patient: facts.split
                for facts in read_master(master).values()
                if facts.patient in splits
            }
            source += ", those of PadChest-GR for its patients"
        return FilmRecords(
            info,
            group_studies(films),
            splits,
            notes=(source, *mapping_notes(roots)),
            skipped=skipped,
            noted=noted,
        )

    def table_defects(self, roots: ReleaseRoots) -> Iterator[tuple[str, str]]:
        """Ids that a program has changed, cells that cannot be read, studies of two patients."""
        errors: list[ValueError] = []
        rows = list(read_padchest(roots.table, on_error=errors.append))
        yield from row_defects(errors)
        shared = _shared_studies(rows)
        if len(shared) > NUM_SHARED:
            yield from (("study-two-patients", name) for name in sorted(shared))
        known = {*FINDING_OF, *OUTSIDE, NORMAL}
        for name in dict.fromkeys(name for row in rows for name in row.labels or ()):
            if name.lower() not in known:
                yield "unknown-label", name
        images = PackedImages(roots.folder, IMAGE_FOLDERS, SkipLog())
        yield from (("damaged-parts", problem) for problem in images.problems)


def _shared_studies(rows: Iterable[PadChestRow]) -> set[str]:
    """The studies that belong to two patients."""
    patient_of: dict[str, str] = {}
    return {
        row.study for row in rows if patient_of.setdefault(row.study, row.patient) != row.patient
    }


def _of_one_patient(rows: Iterable[PadChestRow], skipped: SkipLog) -> Iterator[PadChestRow]:
    """The rows without those of a study that belongs to two patients: one in the release."""
    rows = list(rows)
    shared = _shared_studies(rows)
    for row in rows:
        if row.study in shared:
            skipped.add("image of a study of two patients", row.study)
        else:
            yield row


def _findings(
    row: PadChestRow, exact: Mapping[str, str], outside: tuple[str, ...], noted: SkipLog
) -> StudyFindings | None:
    if not row.is_comparable:
        if row.is_frontal:
            reason = "report without labels" if not row.labels else "report that says 'unchanged'"
            noted.add(f"{reason} (no question)", row.id)
        return None
    labels = (name for name in row.labels or () if name != NORMAL)
    return labelled_findings(labels, exact, outside, f"row {row.cells.row} of the table")
