"""Inject every defect that `lapse verify` detects into a simulated tree, and record them.

    simulate -> OUT -> inject -> the same OUT with defects, and OUT/quirks.json {defect: [ids]}

There is one injector per defect type, with the name that `lapse verify` reports. Harmless types are
variants of real copies that must not be reported as errors. The order of injection is fixed: from
defects that change the name or existence of a table to those that need the final bytes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from lapse.core.types import nearest
from lapse.phantom.defects.files import HARMLESS, SPLITS, TABLES, Injector, checksum, empty_file
from lapse.phantom.defects.images import IMAGES, REPORTS, further_views
from lapse.phantom.defects.progressions import PROGRESSIONS
from lapse.phantom.defects.questions import OVERVIEW, QUESTIONS, RELEASE
from lapse.phantom.defects.scene_graphs import ARCHIVE, GRAPHS
from lapse.phantom.defects.sources import (
    COPIES,
    HARMLESS_FILES,
    MAC_FILES,
    MOST_OF_A_SOURCE,
    MOVED,
    VARIANTS,
)
from lapse.phantom.defects.tree import DefectTree

TRUTH = "quirks.json"
HARMLESS_DEFECTS = (
    *HARMLESS,
    "further-views",
    *HARMLESS_FILES,
    *MAC_FILES,
    "reports-folder",
)
# These hide or contradict other defects, so they are injected only by name.
EXCLUSIVE_DEFECTS = (*ARCHIVE, *RELEASE, *MOVED, *MOST_OF_A_SOURCE)
_REMOVED_TABLES = ("damaged-table", "missing-side-table", "missing-table", "avoid-list-missing")
_FIRST = {name: TABLES[name] for name in _REMOVED_TABLES}
_LAST = {"checksum": checksum, **MAC_FILES, **MOVED, **ARCHIVE}  # these need the final files
INJECTORS: dict[str, Injector] = {
    **_FIRST,
    **COPIES,
    **HARMLESS,
    **{name: injector for name, injector in TABLES.items() if name not in _FIRST},
    **QUESTIONS,
    **RELEASE,
    **PROGRESSIONS,
    **IMAGES,
    **OVERVIEW,
    "further-views": further_views,
    **SPLITS,
    **REPORTS,
    **VARIANTS,
    **HARMLESS_FILES,
    **MOST_OF_A_SOURCE,
    **GRAPHS,
    "empty-file": empty_file,
    **_LAST,
}


def check_defects(names: Sequence[str]) -> None:
    """Check the names of defect types.

    Raises:
        ValueError: a name is unknown.
    """
    for name in names:
        if name not in INJECTORS:
            raise ValueError(f"no defect type {name!r}; {nearest(name, list(INJECTORS))}")


def inject(
    out: Path, rate: float, seed: int, names: Sequence[str] | None = None
) -> dict[str, list[str]]:
    """Inject defects into a simulated tree, in place, and record them in OUT/quirks.json.

    Args:
        out: a folder that `simulate` wrote.
        rate: fraction of the images, reports, scene graphs or questions that get each defect,
            above 0 and at most 1; at least one object of each type gets it, if one is left.
        seed: determines which objects get a defect.
        names: defect types; None for all that can be combined.

    Returns:
        Defect type -> ids as in the output of `lapse verify`; no ids if no object was left.

    Raises:
        ValueError: unknown defect type, rate out of range, or `out` is not a simulated tree.
    """
    if names is None:
        names = [name for name in INJECTORS if name not in EXCLUSIVE_DEFECTS]
    check_defects(names)
    tree = DefectTree(out, rate, seed)
    if (out / TRUTH).exists():
        raise ValueError(f"{out} has injected defects already ({TRUTH}): simulate a new tree")
    truth: dict[str, list[str]] = {}
    for name, injector in INJECTORS.items():
        if name in names:
            if name in _LAST:
                tree.flush()
            tree.defect = name
            truth[name] = injector(tree)
    if not set(names) & set(_LAST):
        tree.flush()
    text = json.dumps(truth, indent=1, ensure_ascii=True)
    (out / TRUTH).write_text(f"{text}\n", encoding="utf-8", newline="\n")
    return truth
