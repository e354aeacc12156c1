"""`verify`: the doctor for raw data trees. It looks, it counts, and it changes nothing.

    metadata -> images on disk -> labels, splits -> scene graphs, gold -> reports
        -> questions, overview, progressions -> patients between splits -> checksums [-> pixels]

Every table is streamed and every image, report and scene graph is read once, so memory depends on
the number of images (about 140 bytes each) and hardly on anything else. What cannot be judged,
because the table that it rests on is damaged, is said in the notes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields

from lapse.data.datasets.discovery import SIMULATED, Roots
from lapse.data.datasets.release_counts import beside_published
from lapse.data.verify.checksums import check_checksums
from lapse.data.verify.context import ProgressCounter, VerifyContext
from lapse.data.verify.gold import check_gold
from lapse.data.verify.images import check_image_files, check_label_tables, check_metadata
from lapse.data.verify.mimic_all import check_diseases, check_overview
from lapse.data.verify.pixels import check_pixels
from lapse.data.verify.progressions import check_progressions
from lapse.data.verify.questions import check_questions
from lapse.data.verify.reports import check_reports
from lapse.data.verify.results import Findings, VerifyReport
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
    roots: Roots,
    *,
    pixels: bool = False,
    release_counts: bool = True,
    workers: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> VerifyReport:
    """Look for every kind of defect in the raw trees.

    Args:
        roots: where the trees are (`find_roots`).
        pixels: also decode every image: truncated files, sizes, one image of two patients.
        release_counts: compare row counts with the published ones; never done for simulated
            trees.
        workers: threads that decode images.
        progress: called with (steps done, steps expected).

    Raises:
        ValueError: a tree lost its main table while it was read.
    """
    case = VerifyContext(roots, Findings(), ProgressCounter(progress), has_pixels=pixels)
    for check in CHECKS:
        check(case)
    if pixels:
        check_pixels(case, workers)
    else:
        case.findings.note("image files were not decoded: --check-pixels finds truncated ones")
    is_simulated = (roots.mimic_cxr_jpg.parent / SIMULATED).is_file()
    if is_simulated:
        case.findings.note("simulated trees: row counts were not compared with a release")
    elif not release_counts:
        case.findings.note("row counts were not compared with a release, as asked")
    rows = beside_published(case.counts, has_published=release_counts and not is_simulated)
    for row in rows:
        if row.differs:
            found = f"{row.found:,} of {row.published:,}"
            case.findings.add("row-count", f"{row.data_set} {row.what}: {found}")
    folders = [(field.name, getattr(roots, field.name)) for field in fields(Roots)]
    case.meter.finish()
    return VerifyReport(
        roots=tuple((name, str(folder)) for name, folder in folders if folder is not None),
        is_simulated=is_simulated,
        has_pixels=pixels,
        defects=case.findings.defects(),
        rows=rows,
        notes=tuple(case.findings.notes),
    )
