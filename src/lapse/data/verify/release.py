"""`verify` of a public release of films: its own defects, then what all releases share.

Release.defects --> records --> row counts --> image files [--> pixels]
"""

from __future__ import annotations

from lapse.core.progress import Progress, no_progress
from lapse.data.datasets.discovery import ReleaseRoots
from lapse.data.datasets.plain_table import PlainTable
from lapse.data.datasets.release import release_of
from lapse.data.datasets.release_counts import RowCount
from lapse.data.verify.film_files import FilmFiles
from lapse.data.verify.masks import check_masks
from lapse.data.verify.results import Findings, VerifyReport


def verify_release(
    roots: ReleaseRoots,
    *,
    pixels: bool = False,
    subset: bool = False,
    workers: int = 2,
    progress: Progress = no_progress,
) -> VerifyReport:
    """Check the tables and images of a release.

    Args:
        roots: its files (`find_release`).
        subset: the copy is a part of the release: images without a file and counts that differ
            from the published ones are noted only.
        progress: called with (images done, images).
    """
    findings = Findings()
    release = release_of(roots)
    for code, name in release.defects(roots):
        findings.add(code, name)
    try:
        table = PlainTable(roots, frontals="all")
    except ValueError as error:
        if not findings.defects():
            findings.add("release-table", str(error))
        findings.note(f"images and counts were not checked: {error}")
        counts = {}
    else:
        counts = _counts(table)
        patients = {table.image_name(study): study.patient for study in table.images}
        files = FilmFiles(roots.images, patients)
        files.check(findings, subset=subset)
        if roots.masks is not None:
            check_masks(table, findings)
        if pixels:
            files.check_pixels(findings, workers, progress)
        else:
            line = "image files were not decoded: --check-pixels finds truncated ones"
            findings.note(line)
        for line in (*table.skipped.lines(), *table.noted.lines()):
            findings.note(line)
    has_published = not subset and not roots.is_simulated
    if not has_published:
        kind = "subset" if subset else "simulated tree"
        findings.note(f"{kind}: row counts were not compared with the release")
    rows = tuple(
        RowCount(release.title, name, count, release.published.get(name) if has_published else None)
        for name, count in counts.items()
    )
    for row in rows:
        if row.differs:
            numbers = f"{row.num_rows:,} of {row.num_published:,}"
            findings.add("row-count", f"{row.table}: {numbers}")
    return VerifyReport(
        roots=tuple((path.name, str(path)) for path in roots.files),
        is_simulated=roots.is_simulated,
        has_pixels=pixels,
        defects=findings.defects(),
        rows=rows,
        notes=tuple(findings.notes),
    )


def _counts(table: PlainTable) -> dict[str, int]:
    pairs = table.pairs({study.id: study for study in table.images})
    return {
        "images": table.num_rows,
        "patients": len(table.splits),
        "boxes": table.num_boxes,
        "difference questions": sum(pair.category == "difference" for pair in pairs),
    }
