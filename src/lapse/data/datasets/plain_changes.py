"""`changes.csv` next to a table of own films: the true changes of single pairs.

    reference, main   two studies of one patient, the reference earlier
    finding           one of the 30 findings
    change            added, missing, level; improved, stable, worsened; or none, without a finding
    before, after     the levels of a change of level

The changes of a pair replace those that follow from its findings. Improved, stable and worsened
have no words in the answers of the difference question: they are evaluated as in MS-CXR-T.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lapse.core.changes import Change, Kind
from lapse.core.findings import LEVELS
from lapse.core.types import nearest
from lapse.data.datasets.plain_cells import Cells, raise_error, read_cells
from lapse.data.datasets.plain_findings import known_finding
from lapse.data.datasets.plain_studies import PlainStudy

REQUIRED = ("reference", "main", "finding", "change")
LEVEL_COLUMNS = ("before", "after")
KINDS: dict[str, Kind] = {"added": "added", "missing": "missing", "level": "level"}
PROGRESSIONS = {"improved": "improving", "stable": "stable", "worsened": "worsening"}
WORDS = (*KINDS, *PROGRESSIONS, "none")


@dataclass(slots=True)
class StatedChanges:
    """The changes of one pair of studies.

    Attributes:
        changes: None if only progressions are stated.
        progressions: finding -> improving, stable or worsening.
        experts: label -> added, missing or unchanged, by expert readers of a release
            (lapse.metrics.expert_changes).
    """

    changes: set[Change] | None = None
    progressions: dict[str, str] = field(default_factory=dict)
    experts: dict[str, str] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)


def read_changes(
    path: Path,
    studies: Mapping[str, PlainStudy],
    *,
    on_error: Callable[[ValueError], None] = raise_error,
) -> dict[tuple[str, str], StatedChanges]:
    """(reference, main) -> the changes of the pair.

    Args:
        studies: the studies of the films.
        on_error: called with the error of a row, which is then left out.

    Raises:
        ValueError: a cell cannot be read, or a row contradicts another row or the studies.
    """
    _, rows = read_cells(path, REQUIRED, LEVEL_COLUMNS)
    pairs: dict[tuple[str, str], StatedChanges] = {}
    for cells in rows:
        try:
            _check_studies(cells, studies)
            pair = pairs.setdefault((cells["reference"], cells["main"]), StatedChanges())
            _add(pair, cells)
        except ValueError as error:
            on_error(error)
    return pairs


def _check_studies(cells: Cells, studies: Mapping[str, PlainStudy]) -> None:
    for column in ("reference", "main"):
        if cells[column] not in studies:
            names = list(studies)[:100]
            raise cells.error(column, f"is not a study; {nearest(cells[column], names)}")
    reference, main = studies[cells["reference"]], studies[cells["main"]]
    if reference.patient != main.patient:
        raise cells.error(
            "reference",
            f"is of patient {reference.patient!r} and {main.id!r} of {main.patient!r}: name two "
            "studies of one patient",
        )
    if reference.time >= main.time:
        raise cells.error("reference", f"is not earlier than {main.id!r}: swap the two studies")


def _add(pair: StatedChanges, cells: Cells) -> None:
    word = cells["change"].lower()
    if word not in WORDS:
        raise cells.error("change", f"is not a change; {nearest(word, WORDS)}")
    for column in LEVEL_COLUMNS:
        _check_level(cells, column, is_needed=word == "level")
    if word == "none":
        if cells["finding"] or pair.changes is not None:
            raise cells.error("change", "is 'none' with a finding: name the change, or no finding")
        pair.changes = set()
        return
    if pair.changes == set():
        raise cells.error("change", "follows 'none' for this pair: remove one of the rows")
    finding = known_finding(cells["finding"])
    if finding is None:
        raise cells.error("finding", "is not one of the 30 findings: write one of them")
    if finding in pair.seen:
        raise cells.error("finding", "is in an earlier row of this pair: keep one row")
    pair.seen.add(finding)
    if word in PROGRESSIONS:
        pair.progressions[finding] = PROGRESSIONS[word]
        return
    pair.changes = set() if pair.changes is None else pair.changes
    before, after = (cells[column].lower() for column in LEVEL_COLUMNS)  # "" without a level
    pair.changes.add(Change(finding, KINDS[word], before, after))


def _check_level(cells: Cells, column: str, *, is_needed: bool) -> None:
    level = cells[column].lower()
    if not is_needed and level:
        raise cells.error(column, "is a level of a change that is not 'level': leave it empty")
    if is_needed and level not in LEVELS:
        raise cells.error(column, f"is not a known level; {nearest(level, LEVELS)}")
