"""The closed list of defect types that `lapse verify` detects.

An error makes training or a score wrong, or costs complete records: download the file again, or
do not use the copy. A warning does not affect what is trained on: the loaders clip, skip or count
the record, or the defect is harmless.

docs/reference/defects.md lists the same types, with how each is detected and what to do about it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Literal

from lapse.core.types import nearest

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class DefectType:
    """One type of defect.

    Attributes:
        needs_pixels: detected only when image files are decoded.
    """

    severity: Severity
    code: str
    description: str
    needs_pixels: bool = False


_error, _warning = partial(DefectType, "error"), partial(DefectType, "warning")
DEFECT_TYPES: tuple[DefectType, ...] = (
    # files and tables
    _error("empty-file", "the file is empty: download it again"),
    _error("missing-table", "a table that the loaders need is missing"),
    _error("ambiguous-table", "two files are the same table and differ: keep the complete one"),
    _warning("repeated-table", "two files are the same table and are equal"),
    _warning("missing-side-table", "an optional table is missing"),
    _warning("avoid-list-missing", "images_to_avoid is missing: patients of the gold annotations "
             "may be trained on"),
    _error("damaged-table", "the table cannot be read to its end: download it again"),
    _error("missing-column", "the header lacks a column: was it renamed?"),
    _warning("extra-column", "the header has an unknown column"),
    _error("field-count", "the row has more or fewer fields than the header"),
    _error("not-utf8", "the row holds bytes that are not UTF-8"),
    _warning("byte-order-mark", "the table starts with a byte order mark"),
    _error("unreadable-id", "a patient or study id is not a number"),
    _error("checksum", "the file differs from the published SHA-256 sum"),
    _error("row-count", "the release has more or fewer rows"),
    # images
    _error("missing-image", "an image of the metadata has no file"),
    _warning("unlisted-image", "an image file is not in the metadata"),
    _error("duplicate-image", "two rows of one table name the same image"),
    _error("unreadable-size", "Rows or Columns is not a positive number"),
    _error("unreadable-time", "StudyDate or StudyTime is not a date or time"),
    _warning("view-disagrees", "ViewPosition and the view code disagree"),
    _warning("view-empty", "neither ViewPosition nor the view code is filled"),
    _warning("view-nan", 'a view column is not empty but "nan": it is read as empty'),
    _error("few-frontals", "less than half of the studies have a PA or AP image: check the view "
           "columns"),
    _error("study-two-patients", "one study belongs to two patients"),
    _error("ids-disagree", "the table assigns an image to another patient or study than the "
           "metadata"),
    _error("undecodable-image", "the image is truncated or damaged", True),
    _error("image-size", "the decoded size differs from the metadata", True),
    _error("identical-pixels", "images of two patients have identical pixels", True),
    # splits
    _error("unknown-split", "the split is not train, validate or test"),
    _error("image-without-split", "an image of the metadata is not in the split table"),
    _error("split-without-image", "an image of a split table is not in the metadata"),
    _error("patient-two-splits", "one patient is in two splits of one dataset"),
    _warning("questions-two-splits", "the questions of one patient are in two splits (the release "
             "splits rows, not patients)"),
    _warning("cross-stage-overlap", "a patient is trained on in one dataset and evaluated on in "
             "another; the protocol patient-safe prevents this"),
    # reports
    _error("missing-report", "a study of the metadata has no report"),
    _warning("unlisted-report", "the study of a report is not in the metadata"),
    _error("report-not-utf8", "the report holds bytes that are not UTF-8"),
    _warning("report-without-text", "the report has neither findings, nor an impression, nor a "
             "last paragraph"),
    _warning("report-headers", "the section headers lack the blank before them or are in lower "
             "case: they are read"),
    _error("few-sections", "less than half of the studies have a report with findings or an "
           "impression"),
    # scene graphs
    _error("damaged-archive", "scene_graph.zip cannot be opened"),
    _warning("nested-graphs", "the scene graphs were unpacked one folder too deep: they are read"),
    _error("few-regions", "less than half of the images have a scene graph with boxes and phrases"),
    _error("graph-missing", "an image of the split tables has no scene graph"),
    _error("graph-damaged", "the scene graph is not valid JSON"),
    _error("graph-shape", "the scene graph is not an object with lists of objects and attributes"),
    _error("graph-unknown-image", "the image of a scene graph is not in the metadata"),
    _error("graph-other-image", "image_id differs from the file name"),
    _error("graph-ids-disagree", "patient or study differ from the metadata"),
    _error("parallel-lists", "the lists that describe each phrase differ in length"),
    _error("unknown-region", "the name of a box is not one of the 36 regions"),
    _warning("duplicate-region", "a region has a second box"),
    _error("box-not-number", "a corner of the box is not a finite number"),
    _warning("box-negative", "the box starts left of or above its image"),
    _warning("box-outside", "the box ends beyond its image"),
    _warning("box-no-area", "the box has no width or no height"),
    _error("box-frames", "the box in the 224 frame differs from the box in the original frame"),
    _warning("regions-incomplete", "the scene graph lacks boxes for some of the 36 regions "
             "(counted only)"),
    _error("gold-unknown-image", "the image of a gold row is not in the metadata"),
    _error("gold-unknown-region", "the region of a gold row is unknown"),
    _warning("gold-blank-box", "a gold row has no coordinates"),
    _error("gold-bad-box", "gold coordinates are not numbers, negative, outside the image, or "
           "without area"),
    # questions
    _error("unknown-category", "question_type is not one of the seven categories"),
    _warning("category-case", "question_type is not in lower case: it is read"),
    _error("few-questions", "less than half of the questions have a known category and known "
           "studies"),
    _error("empty-question", "the question or its answer is empty"),
    _error("question-unknown-study", "the main or reference study is not in the metadata"),
    _error("question-two-patients", "the two studies belong to different patients"),
    _error("reversed-time", "the main study is earlier than the reference"),
    _warning("release-1.0.0", "a large fraction of the questions has reversed time order: this is "
             "release 1.0.0, and 1.0.1 fixes it"),
    _warning("same-time", "main and reference study have the same time"),
    _warning("duplicate-question", "the question occurs in an earlier row of the same pair"),
    _error("unparsed-answer", "the grammar does not cover all words of a difference answer"),
    _warning("glitch-answer", '"pneumonia atelectasis" without a comma: a known error of the '
             "release"),
    _warning("unknown-finding", "the finding is not one of the 30 known ones or their aliases"),
    _error("overview-unknown-image", "mimic_all names an image of another study, or an unknown "
           "one"),
    _warning("overview-other-image", "mimic_all does not name the first frontal image of the "
             "study"),
    # MS-CXR-T
    _error("progression-unknown-image", "one of the two images is not in the metadata"),
    _error("progression-two-patients", "the two images and the row do not belong to one patient"),
    _error("progression-reversed", "the image is earlier than the previous one: its progressions "
           "are inverted"),
    _error("progression-unknown-word", "a progression is not improving, stable or worsening"),
    _warning("progression-empty", "none of the five findings has a progression"),
    _error("progression-duplicate", "an earlier row has the same two images: they would count "
           "twice in the score"),
    _error("damaged-json", "all_diseases.json is not a list of findings per study"),
    # own films
    _error("table-file", "a file of own films cannot be used"),
    _error("table-cell", "a cell of own films cannot be used"),
    _error("table-rows", "rows of own films contradict each other"),
    # public releases of films
    _error("release-table", "a table of a public release cannot be used"),
    _error("nih-2017-numbers", "the table numbers the films of a patient as in 2017, not in time "
           "order: fetch Data_Entry_2017_v2020.csv"),
    _error("age-falls", "a later film of a patient has a lower age: the order cannot be used"),
    _error("box-label", "a box marks a finding that the labels of its image lack"),
    _error("mask-landmarks", "a row of CheXmask has no 240 landmark coordinates"),
    _error("mask-size", "Height or Width of CheXmask differ from the image"),
    _error("mask-box", "the landmarks of a region have no area or are outside the image"),
    _error("few-masks", "less than half of the images have a row of CheXmask of enough quality"),
    _error("changed-id", "a program that reads ids as numbers has changed the id: use the original "
           "table"),
    _error("release-row", "a row of a public release cannot be used"),
    _error("unknown-label", "a label is not in the published list of names"),
    _error("damaged-parts", "an archive of images lacks a part, or cannot be read from its parts"),
    _error("study-without-facts", "a study of the reports is not in the master table"),
    _error("finding-without-box", "an abnormal sentence has no box"),
    _error("fraction-box", "a box is outside 0 to 1 or has no area"),
    _error("prior-later", "the prior study is later than the study"),
    _error("prior-two-patients", "the prior study is of another patient"),
    _error("prior-missing", "the image of a prior study has no file"),
    _error("order-disagrees", "the order or the age does not grow with the study number: the order "
           "of the two studies is not known"),
    _warning("reports-disagree", "the report differs in more than dates from that of the first "
             "image of the study, which is used"),
    _warning("view-count", "the list of views is shorter or longer than that of the images: images "
             "without a view are not used"),
    _warning("unknown-view", "the view is not a known word: the image is not used"),
    _warning("same-date", "two studies of a patient have one date: they are in no pair"),
    _error("sides-swapped", "the box of a right region is right of that of the left one: the "
           "patient's right is left in the image"),
)  # fmt: skip
_BY_CODE = {entry.code: entry for entry in DEFECT_TYPES}


def defect_type(code: str) -> DefectType:
    """The defect type of a code.

    Raises:
        ValueError: the code is unknown.
    """
    if code not in _BY_CODE:
        raise ValueError(f"unknown defect type {code!r}; {nearest(code, list(_BY_CODE))}")
    return _BY_CODE[code]
