"""`verify`: validate raw datasets. Reads and counts, and changes nothing.

Every table is streamed, and every report and scene graph is read once. Memory grows with the
number of images and questions: about 400 MB for the published releases. What depends on a damaged
table is not checked, and the notes say so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields

from lapse.core.progress import Progress, no_progress
from lapse.data.datasets.discovery import SIMULATED, DatasetRoots, TableRoots
from lapse.data.datasets.release import FilmRoots
from lapse.data.datasets.release_counts import RowCount, compare_with_published
from lapse.data.verify.checksums import check_checksums
from lapse.data.verify.context import ProgressCounter, VerifyContext, VerifyRun
from lapse.data.verify.gold import check_gold
from lapse.data.verify.images import (
    check_image_files,
    check_label_tables,
    check_metadata,
    films_with_content,
)
from lapse.data.verify.mimic_all import check_diseases, check_overview
from lapse.data.verify.own_table import check_table
from lapse.data.verify.pixels import check_pixels
from lapse.data.verify.progressions import check_progressions
from lapse.data.verify.questions import check_questions
from lapse.data.verify.release import check_release
from lapse.data.verify.reports import check_reports
from lapse.data.verify.results import VerifyReport
from lapse.data.verify.scene_graphs import check_scene_graphs
from lapse.data.verify.splits import check_mimic_splits, check_patients

CHECKS: tuple[Callable[[VerifyContext], None], ...] = (
    check_metadata,
    check_image_files,
    check_label_tables,
    check_mimic_splits,
    check_scene_graphs,
    check_gold,
    check_reports,
    check_questions,
    check_overview,
    check_diseases,
    check_progressions,
    check_patients,
    check_checksums,
)


def verify(
    roots: DatasetRoots | FilmRoots,
    *,
    pixels: bool = False,
    subset: bool = False,
    workers: int = 2,
    progress: Progress = no_progress,
) -> VerifyReport:
    """Check the raw datasets for every defect type.

    Args:
        roots: the folders of the datasets (`find_roots`), own films (`find_table_roots`), or
            another release (`find_release`).
        pixels: also decode every image: truncated files, sizes, identical images of two patients.
        subset: the copy is a part of a release, such as the patients of p10. Files of studies
            without an image, records of studies that the metadata lacks, and sources that deliver
            less than half are no defects, and row counts are not compared with the published
            ones (which is never done for simulated trees).
        progress: called with (steps done, steps expected).

    Raises:
        ValueError: the main table of a dataset was removed in the meantime.
    """
    run = VerifyRun(pixels, subset, workers, ProgressCounter(progress))
    if isinstance(roots, DatasetRoots):
        is_simulated = (roots.mimic_cxr_jpg.parent / SIMULATED).is_file()
        folders = [(field.name, getattr(roots, field.name)) for field in fields(roots)]
        rows = _check_datasets(roots, run, is_simulated=is_simulated)
    elif isinstance(roots, TableRoots):
        is_simulated = (roots.table.parent / SIMULATED).is_file()
        folders = [*((path.name, path) for path in roots.files), ("images", roots.images)]
        rows = check_table(roots, run)
    else:
        is_simulated = roots.is_simulated
        folders = [(path.name, path) for path in roots.files]
        rows = check_release(roots, run)
    run.progress.finish()
    return VerifyReport(
        roots=tuple((name, str(folder)) for name, folder in folders if folder is not None),
        is_simulated=is_simulated,
        has_pixels=pixels,
        defects=run.findings.defects(),
        rows=rows,
        notes=tuple(run.findings.notes),
    )


def _check_datasets(
    roots: DatasetRoots, run: VerifyRun, *, is_simulated: bool
) -> tuple[RowCount, ...]:
    findings = run.findings
    settings = (run.has_pixels, run.is_subset, run.workers, run.progress)
    context = VerifyContext(*settings, findings, roots=roots)
    for check in CHECKS:
        check(context)
    check_pixels(run, films_with_content(context), len(context.image_files))
    if is_simulated:
        findings.note("simulated trees: row counts were not compared with a release")
    elif run.is_subset:
        findings.note("subset: row counts were not compared with a release")
    has_published = not run.is_subset and not is_simulated
    rows = compare_with_published(context.counts, has_published=has_published)
    findings.add_row_counts((f"{row.dataset} {row.table}", row) for row in rows)
    return rows
