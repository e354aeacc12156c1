"""`verify` of a public release of films: its own defects, then what all releases share."""

from __future__ import annotations

from lapse.data.datasets.discovery import ReleaseRoots
from lapse.data.datasets.plain_table import PlainTable
from lapse.data.datasets.release import release_of
from lapse.data.datasets.release_counts import RowCount
from lapse.data.verify.context import VerifyRun
from lapse.data.verify.film_files import FilmFiles
from lapse.data.verify.masks import check_masks


def check_release(roots: ReleaseRoots, run: VerifyRun) -> tuple[RowCount, ...]:
    """Check the tables and images of a release; returns what its tables hold."""
    findings, release = run.findings, release_of(roots)
    for code, name in release.defects(roots):
        findings.add(code, name)
    counts: dict[str, int] = {}
    try:
        table = PlainTable(roots, frontals="all")
    except ValueError as error:
        if not findings.defects():
            findings.add("release-table", str(error))
        findings.note(f"images and counts were not checked: {error}")
    else:
        counts = _counts(table)
        _check_images(table, run)
    has_published = not run.is_subset and not roots.is_simulated
    if not has_published:
        kind = "subset" if run.is_subset else "simulated tree"
        findings.note(f"{kind}: row counts were not compared with the release")
    rows = tuple(
        RowCount(release.title, name, count, release.published.get(name) if has_published else None)
        for name, count in counts.items()
    )
    findings.add_row_counts((row.table, row) for row in rows)
    return rows


def _check_images(table: PlainTable, run: VerifyRun) -> None:
    patients = {table.image_name(study): study.patient for study in table.images}
    files = FilmFiles(table.roots.images, patients)
    files.check(run)
    check_masks(table, run.findings)
    files.check_pixels(run)
    for line in (*table.skipped.lines(), *table.noted.lines()):
        run.findings.note(line)


def _counts(table: PlainTable) -> dict[str, int]:
    pairs = table.pairs({study.id: study for study in table.images})
    return {
        "images": table.num_rows,
        "patients": len(table.splits),
        "boxes": table.num_boxes,
        "difference questions": sum(pair.category == "difference" for pair in pairs),
    }
