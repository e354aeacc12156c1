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
from types import ModuleType

from lapse.core.types import nearest
from lapse.phantom.defects import files, images, progressions, questions, scene_graphs, sources
from lapse.phantom.defects.records import Injector
from lapse.phantom.defects.tree import DefectTree

TRUTH = "quirks.json"
MOST_OF_A_SOURCE = ("few-frontals", "few-sections", "few-regions", "few-questions")
# These hide or contradict other defects, so they are injected only by name.
EXCLUSIVE_DEFECTS = (
    "damaged-archive",
    "release-1.0.0",
    "nested-graphs",
    "reports-folder",
    *MOST_OF_A_SOURCE,
)
_ORDER: tuple[tuple[ModuleType, str], ...] = (
    (files, "damaged-table missing-side-table missing-table avoid-list-missing"),
    (sources, "ambiguous-table repeated-table"),
    (files, "plain-csv column-order line-endings padded-ids byte-order-mark missing-column"),
    (files, "extra-column field-count not-utf8 unreadable-id"),
    (questions, "reversed-time unparsed-answer glitch-answer unknown-category category-case"),
    (questions, "empty-question question-unknown-study question-two-patients unknown-finding"),
    (questions, "duplicate-question same-time questions-two-splits cross-stage-overlap"),
    (questions, "release-1.0.0"),
    (progressions, "progression-unknown-image progression-two-patients progression-reversed"),
    (progressions, "progression-unknown-word progression-empty progression-duplicate"),
    (images, "missing-image unlisted-image duplicate-image unreadable-size unreadable-time"),
    (images, "view-disagrees view-empty study-two-patients undecodable-image image-size"),
    (images, "identical-pixels"),
    (questions, "overview-unknown-image overview-other-image damaged-json"),
    (images, "further-views"),
    (files, "patient-two-splits unknown-split image-without-split split-without-image"),
    (files, "ids-disagree"),
    (images, "missing-report unlisted-report report-not-utf8 report-without-text view-nan"),
    (sources, "report-headers upper-case-suffix png-copies"),
    (sources, "few-frontals few-sections few-regions few-questions"),
    # the first reads every scene graph, before the damage
    (scene_graphs, "parallel-lists graph-missing graph-damaged graph-shape graph-unknown-image"),
    (scene_graphs, "graph-other-image graph-ids-disagree unknown-region duplicate-region"),
    (scene_graphs, "box-not-number box-negative box-outside box-no-area box-frames"),
    (scene_graphs, "regions-incomplete gold-unknown-image gold-unknown-region gold-blank-box"),
    (scene_graphs, "gold-bad-box"),
    (files, "empty-file"),
)
_WITH_FINAL_FILES: tuple[tuple[ModuleType, str], ...] = (
    (files, "checksum"),
    (sources, "mac-files nested-graphs reports-folder"),
    (scene_graphs, "damaged-archive"),
)


def _injectors(order: Sequence[tuple[ModuleType, str]]) -> dict[str, Injector]:
    """Each defect type is injected by the function of that name in its module."""
    return {
        name: getattr(module, name.replace("-", "_").replace(".", "_"))
        for module, names in order
        for name in names.split()
    }


_LAST = _injectors(_WITH_FINAL_FILES)
INJECTORS = _injectors(_ORDER) | _LAST


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
