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
from lapse.phantom.defects import files, images, progressions, questions, scene_graphs, sources
from lapse.phantom.defects.records import Injector, on_table
from lapse.phantom.defects.tree import DefectTree

TRUTH = "quirks.json"
MOST_OF_A_SOURCE = ("few-frontals", "few-sections", "few-regions", "few-questions")
HARMLESS_DEFECTS = (
    "plain-csv",
    "column-order",
    "line-endings",
    "padded-ids",
    "further-views",
    "upper-case-suffix",
    "png-copies",
    "mac-files",
    "reports-folder",
)
# These hide or contradict other defects, so they are injected only by name.
EXCLUSIVE_DEFECTS = (
    "damaged-archive",
    "release-1.0.0",
    "nested-graphs",
    "reports-folder",
    *MOST_OF_A_SOURCE,
)
_LAST: dict[str, Injector] = {  # these need the final files
    "checksum": files.checksum,
    "mac-files": sources.mac_files,
    "nested-graphs": sources.nested_graphs,
    "reports-folder": sources.reports_folder,
    "damaged-archive": scene_graphs.damaged_archive,
}
INJECTORS: dict[str, Injector] = {
    "damaged-table": files.damaged_table,
    "missing-side-table": on_table("negbio", "chexpert", exclusive=True)(files.delete_table),
    "missing-table": on_table("valid", "test", exclusive=True)(files.delete_table),
    "avoid-list-missing": on_table("images_to_avoid", exclusive=True)(files.delete_table),
    "ambiguous-table": sources.ambiguous_table,
    "repeated-table": sources.repeated_table,
    "plain-csv": files.plain_csv,
    "column-order": files.column_order,
    "line-endings": files.line_endings,
    "padded-ids": files.padded_ids,
    "byte-order-mark": files.byte_order_mark,
    "missing-column": files.missing_column,
    "extra-column": files.extra_column,
    "field-count": files.field_count,
    "not-utf8": files.not_utf8,
    "unreadable-id": files.unreadable_id,
    "reversed-time": questions.reversed_time,
    "unparsed-answer": questions.unparsed_answer,
    "glitch-answer": questions.glitch_answer,
    "unknown-category": questions.unknown_category,
    "category-case": questions.category_case,
    "empty-question": questions.empty,
    "question-unknown-study": questions.unknown_study,
    "question-two-patients": questions.two_patients,
    "unknown-finding": questions.unknown_finding,
    "duplicate-question": questions.duplicate_question,
    "same-time": questions.same_time,
    "questions-two-splits": questions.questions_two_splits,
    "cross-stage-overlap": questions.cross_stage_overlap,
    "release-1.0.0": questions.old_release,
    "progression-unknown-image": progressions.unknown_image,
    "progression-two-patients": progressions.two_patients,
    "progression-reversed": progressions.reversed_time,
    "progression-unknown-word": progressions.unknown_word,
    "progression-empty": progressions.empty,
    "progression-duplicate": progressions.duplicate_row,
    "missing-image": images.missing_image,
    "unlisted-image": images.unlisted_image,
    "duplicate-image": images.duplicate_image,
    "unreadable-size": images.unreadable_size,
    "unreadable-time": images.unreadable_time,
    "view-disagrees": images.view_disagrees,
    "view-empty": images.view_empty,
    "study-two-patients": images.study_two_patients,
    "undecodable-image": images.undecodable_image,
    "image-size": images.image_size,
    "identical-pixels": images.identical_pixels,
    "overview-unknown-image": questions.overview_unknown_image,
    "overview-other-image": questions.overview_other_image,
    "damaged-json": questions.damaged_json,
    "further-views": images.further_views,
    "patient-two-splits": files.patient_two_splits,
    "unknown-split": files.unknown_split,
    "image-without-split": files.image_without_split,
    "split-without-image": files.split_without_image,
    "ids-disagree": files.ids_disagree,
    "missing-report": images.missing_report,
    "unlisted-report": images.unlisted_report,
    "report-not-utf8": images.report_not_utf8,
    "report-without-text": images.report_without_text,
    "view-nan": images.view_nan,
    "report-headers": sources.report_headers,
    "upper-case-suffix": sources.upper_case_suffix,
    "png-copies": sources.png_copies,
    "few-frontals": sources.few_frontals,
    "few-sections": sources.few_sections,
    "few-regions": sources.few_regions,
    "few-questions": sources.few_questions,
    "parallel-lists": scene_graphs.parallel_lists,  # reads every scene graph, before the damage
    "graph-missing": scene_graphs.graph_missing,
    "graph-damaged": scene_graphs.graph_damaged,
    "graph-shape": scene_graphs.graph_shape,
    "graph-unknown-image": scene_graphs.graph_unknown_image,
    "graph-other-image": scene_graphs.graph_other_image,
    "graph-ids-disagree": scene_graphs.graph_ids_disagree,
    "unknown-region": scene_graphs.unknown_region,
    "duplicate-region": scene_graphs.duplicate_region,
    "box-not-number": scene_graphs.box_not_number,
    "box-negative": scene_graphs.box_negative,
    "box-outside": scene_graphs.box_outside,
    "box-no-area": scene_graphs.box_no_area,
    "box-frames": scene_graphs.box_frames,
    "regions-incomplete": scene_graphs.regions_incomplete,
    "gold-unknown-image": scene_graphs.gold_unknown_image,
    "gold-unknown-region": scene_graphs.gold_unknown_region,
    "gold-blank-box": scene_graphs.gold_blank_box,
    "gold-bad-box": scene_graphs.gold_bad_box,
    "empty-file": files.empty_file,
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
