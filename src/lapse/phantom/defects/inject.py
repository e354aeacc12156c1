"""Every defect that `lapse verify` knows, put into a finished simulated tree, with the truth.

    simulate -> OUT -> inject -> the same OUT with defects, and OUT/quirks.json {kind: [ids]}

One injector for each kind of defect, named as the doctor names it; the harmless kinds are
variants that real copies have and that must not be reported as errors. Kinds run in one order,
from those that decide the name and the existence of a table to those that need final bytes.
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
from lapse.phantom.defects.tree import QuirkTree

TRUTH = "quirks.json"
HARMLESS_KINDS = (*HARMLESS, "further-views")
# These hide or contradict other kinds, so they are put in only when they are asked for.
ALONE = (*ARCHIVE, *RELEASE)
_WHOLE = ("damaged-table", "missing-side-table", "missing-table", "avoid-list-missing")
_FIRST = {name: TABLES[name] for name in _WHOLE}
_LAST = {"checksum": checksum, **ARCHIVE}  # they need the files as they will stay
INJECTORS: dict[str, Injector] = {
    **_FIRST,
    **HARMLESS,
    **{name: run for name, run in TABLES.items() if name not in _FIRST},
    **QUESTIONS,
    **RELEASE,
    **PROGRESSIONS,
    **IMAGES,
    **OVERVIEW,
    "further-views": further_views,
    **SPLITS,
    **REPORTS,
    **GRAPHS,
    "empty-file": empty_file,
    **_LAST,
}


def check_kinds(kinds: Sequence[str]) -> None:
    """Refuse a kind of defect that nobody knows.

    Raises:
        ValueError: names it, and the known ones.
    """
    for name in kinds:
        if name not in INJECTORS:
            raise ValueError(f"no kind of defect {name!r}; {nearest(name, list(INJECTORS))}")


def inject(
    out: Path, rate: float, seed: int, kinds: Sequence[str] | None = None
) -> dict[str, list[str]]:
    """Put defects into a simulated tree, in place, and write the truth beside it.

    Args:
        out: a folder that `simulate` wrote.
        rate: share of the images, reports, scene graphs or questions of each kind, above 0 and
            at most 1; at least one of each, where the tree has something left to damage.
        seed: which ones.
        kinds: names of defects; None for all that can stand beside each other.

    Returns:
        Kind -> ids, as the doctor names them; a kind for which nothing was left has no ids.

    Raises:
        ValueError: an unknown kind, a rate out of range, or no simulated tree.
    """
    wanted = [name for name in INJECTORS if name not in ALONE] if kinds is None else list(kinds)
    check_kinds(wanted)
    tree = QuirkTree(out, rate, seed)
    if (out / TRUTH).exists():
        raise ValueError(f"{out} holds defects already ({TRUTH}): simulate a new tree")
    truth: dict[str, list[str]] = {}
    for name, run in INJECTORS.items():
        if name in wanted:
            if name in _LAST:
                tree.flush()
            tree.kind = name
            truth[name] = run(tree)
    if not set(wanted) & set(_LAST):
        tree.flush()
    text = json.dumps(truth, indent=1, ensure_ascii=True)
    (out / TRUTH).write_text(f"{text}\n", encoding="utf-8", newline="\n")
    return truth
