"""The closed list of defect types that `lapse verify` detects.

An error makes training or a score wrong, or costs complete records: download the file again, or
do not use the copy. A warning does not affect what is trained on: the loaders clip, skip or count
the record, or the defect is harmless.

docs/reference/defects.md lists the same types, with how each is detected and what to do about it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lapse.core.types import nearest

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class DefectType:
    """One type of defect.

    Attributes:
        unit: what each id of this type identifies (an image, a study, a row ...); "" where the
            defects are counted without ids.
        needs_pixels: detected only when image files are decoded.
    """

    code: str
    severity: Severity
    unit: str
    description: str
    needs_pixels: bool = False


DEFECT_TYPES: tuple[DefectType, ...] = (
    # files and tables
    DefectType("empty-file", "error", "file", "the file is empty: download it again"),
    DefectType("missing-table", "error", "table", "a table that the loaders need is missing"),
    DefectType("ambiguous-table", "error", "tables", "two files are the same table and differ: "
               "keep the complete one"),
    DefectType("repeated-table", "warning", "tables", "two files are the same table and are "
               "equal"),
    DefectType("missing-side-table", "warning", "table", "an optional table is missing"),
    DefectType("avoid-list-missing", "warning", "table", "images_to_avoid is missing: patients of "
               "the gold annotations may be trained on"),
    DefectType("damaged-table", "error", "table", "the table cannot be read to its end: download "
               "it again"),
    DefectType("missing-column", "error", "table: column", "the header lacks a column: was it "
               "renamed?"),
    DefectType("extra-column", "warning", "table: column", "the header has an unknown column"),
    DefectType("field-count", "error", "table and line", "the row has more or fewer fields than "
               "the header"),
    DefectType("not-utf8", "error", "table and line", "the row holds bytes that are not UTF-8"),
    DefectType("byte-order-mark", "warning", "table", "the table starts with a byte order mark"),
    DefectType("unreadable-id", "error", "table and line", "a patient or study id is not a number"),
    DefectType("checksum", "error", "file", "the file differs from the published SHA-256 sum"),
    DefectType("row-count", "error", "table", "the release has more or fewer rows"),
    # images
    DefectType("missing-image", "error", "image", "an image of the metadata has no file"),
    DefectType("unlisted-image", "warning", "file", "an image file is not in the metadata"),
    DefectType("duplicate-image", "error", "image", "two rows of one table name the same image"),
    DefectType("unreadable-size", "error", "image", "Rows or Columns is not a positive number"),
    DefectType("unreadable-time", "error", "image", "StudyDate or StudyTime is not a date or time"),
    DefectType("view-disagrees", "warning", "image", "ViewPosition and the view code disagree"),
    DefectType("view-empty", "warning", "image", "neither ViewPosition nor the view code is "
               "filled"),
    DefectType("view-nan", "warning", "image", 'a view column is not empty but "nan": it is read '
               "as empty"),
    DefectType("few-frontals", "error", "source", "less than half of the studies have a PA or AP "
               "image: check the view columns"),
    DefectType("study-two-patients", "error", "study", "one study belongs to two patients"),
    DefectType("ids-disagree", "error", "table: image", "the table assigns an image to another "
               "patient or study than the metadata"),
    DefectType("undecodable-image", "error", "image", "the image is truncated or damaged", True),
    DefectType("image-size", "error", "image", "the decoded size differs from the metadata", True),
    DefectType("identical-pixels", "error", "images", "images of two patients have identical "
               "pixels", True),
    # splits
    DefectType("unknown-split", "error", "row", "the split is not train, validate or test"),
    DefectType("image-without-split", "error", "image", "an image of the metadata is not in the "
               "split table"),
    DefectType("split-without-image", "error", "table: image", "an image of a split table is not "
               "in the metadata"),
    DefectType("patient-two-splits", "error", "dataset: patient", "one patient is in two splits "
               "of one dataset"),
    DefectType("questions-two-splits", "warning", "patient", "the questions of one patient are in "
               "two splits (the release splits rows, not patients)"),
    DefectType("cross-stage-overlap", "warning", "patient", "a patient is trained on in one "
               "dataset and evaluated on in another; the protocol patient-safe prevents this"),
    # reports
    DefectType("missing-report", "error", "study", "a study of the metadata has no report"),
    DefectType("unlisted-report", "warning", "file", "the study of a report is not in the "
               "metadata"),
    DefectType("report-not-utf8", "error", "study", "the report holds bytes that are not UTF-8"),
    DefectType("report-without-text", "warning", "study", "the report has neither findings, nor "
               "an impression, nor a last paragraph"),
    DefectType("report-headers", "warning", "study", "the section headers lack the blank before "
               "them or are in lower case: they are read"),
    DefectType("few-sections", "error", "source", "less than half of the studies have a report "
               "with findings or an impression"),
    # scene graphs
    DefectType("damaged-archive", "error", "archive", "scene_graph.zip cannot be opened"),
    DefectType("nested-graphs", "warning", "folder", "the scene graphs were unpacked one folder "
               "too deep: they are read"),
    DefectType("few-regions", "error", "source", "less than half of the images have a scene graph "
               "with boxes and phrases"),
    DefectType("graph-missing", "error", "image", "an image of the split tables has no scene "
               "graph"),
    DefectType("graph-damaged", "error", "image", "the scene graph is not valid JSON"),
    DefectType("graph-shape", "error", "image", "the scene graph is not an object with lists of "
               "objects and attributes"),
    DefectType("graph-unknown-image", "error", "image", "the image of a scene graph is not in the "
               "metadata"),
    DefectType("graph-other-image", "error", "image", "image_id differs from the file name"),
    DefectType("graph-ids-disagree", "error", "image", "patient or study differ from the "
               "metadata"),
    DefectType("parallel-lists", "error", "image region", "the lists that describe each phrase "
               "differ in length"),
    DefectType("unknown-region", "error", "image region", "the name of a box is not one of the 36 "
               "regions"),
    DefectType("duplicate-region", "warning", "image region", "a region has a second box"),
    DefectType("box-not-number", "error", "image region", "a corner of the box is not a finite "
               "number"),
    DefectType("box-negative", "warning", "image region", "the box starts left of or above its "
               "image"),
    DefectType("box-outside", "warning", "image region", "the box ends beyond its image"),
    DefectType("box-no-area", "warning", "image region", "the box has no width or no height"),
    DefectType("box-frames", "error", "image region", "the box in the 224 frame differs from the "
               "box in the original frame"),
    DefectType("regions-incomplete", "warning", "", "the scene graph lacks boxes for some of the "
               "36 regions (counted only)"),
    DefectType("gold-unknown-image", "error", "table and line", "the image of a gold row is not "
               "in the metadata"),
    DefectType("gold-unknown-region", "error", "table and line", "the region of a gold row is "
               "unknown"),
    DefectType("gold-blank-box", "warning", "table and line", "a gold row has no coordinates"),
    DefectType("gold-bad-box", "error", "table and line", "gold coordinates are not numbers, "
               "negative, outside the image, or without area"),
    # questions
    DefectType("unknown-category", "error", "question", "question_type is not one of the seven "
               "categories"),
    DefectType("category-case", "warning", "question", "question_type is not in lower case: it is "
               "read"),
    DefectType("few-questions", "error", "source", "less than half of the questions have a known "
               "category and known studies"),
    DefectType("empty-question", "error", "question", "the question or its answer is empty"),
    DefectType("question-unknown-study", "error", "question", "the main or reference study is not "
               "in the metadata"),
    DefectType("question-two-patients", "error", "question", "the two studies belong to different "
               "patients"),
    DefectType("reversed-time", "error", "question", "the main study is earlier than the "
               "reference"),
    DefectType("release-1.0.0", "warning", "question", "a large fraction of the questions has "
               "reversed time order: this is release 1.0.0, and 1.0.1 fixes it"),
    DefectType("same-time", "warning", "question", "main and reference study have the same time"),
    DefectType("duplicate-question", "warning", "question", "the question occurs in an earlier "
               "row of the same pair"),
    DefectType("unparsed-answer", "error", "question", "the grammar does not cover all words of a "
               "difference answer"),
    DefectType("glitch-answer", "warning", "question", '"pneumonia atelectasis" without a comma: '
               "a known error of the release"),
    DefectType("unknown-finding", "warning", "question or study, name", "the finding is not one "
               "of the 30 known ones or their aliases"),
    DefectType("overview-unknown-image", "error", "study", "mimic_all names an image of another "
               "study, or an unknown one"),
    DefectType("overview-other-image", "warning", "study", "mimic_all does not name the first "
               "frontal image of the study"),
    # MS-CXR-T
    DefectType("progression-unknown-image", "error", "table and line", "one of the two images is "
               "not in the metadata"),
    DefectType("progression-two-patients", "error", "table and line", "the two images and the row "
               "do not belong to one patient"),
    DefectType("progression-reversed", "error", "table and line", "the image is earlier than the "
               "previous one: its progressions are inverted"),
    DefectType("progression-unknown-word", "error", "table and line", "a progression is not "
               "improving, stable or worsening"),
    DefectType("progression-empty", "warning", "table and line", "none of the five findings has a "
               "progression"),
    DefectType("progression-duplicate", "error", "table and line", "an earlier row has the same "
               "two images: they would count twice in the score"),
    DefectType("damaged-json", "error", "file", "all_diseases.json is not a list of findings per "
               "study"),
    # own films
    DefectType("table-file", "error", "file", "a file of own films cannot be used"),
    DefectType("table-cell", "error", "row and column", "a cell of own films cannot be used"),
    DefectType("table-rows", "error", "row and column", "rows of own films contradict each other"),
    # public releases of films
    DefectType("release-table", "error", "file", "a table of a public release cannot be used"),
    DefectType("nih-2017-numbers", "error", "table", "the table numbers the films of a patient as "
               "in 2017, not in time order: fetch Data_Entry_2017_v2020.csv"),
    DefectType("age-falls", "error", "patient: films", "a later film of a patient has a lower "
               "age: the order cannot be used"),
    DefectType("box-label", "error", "image label", "a box marks a finding that the labels of its "
               "image lack"),
    DefectType("mask-landmarks", "error", "image", "a row of CheXmask has no 240 landmark "
               "coordinates"),
    DefectType("mask-size", "error", "image", "Height or Width of CheXmask differ from the image"),
    DefectType("mask-box", "error", "image region", "the landmarks of a region have no area or "
               "are outside the image"),
    DefectType("few-masks", "error", "source", "less than half of the images have a row of "
               "CheXmask of enough quality"),
    DefectType("changed-id", "error", "row and column", "a program that reads ids as numbers has "
               "changed the id: use the original table"),
    DefectType("release-row", "error", "row and column", "a row of a public release cannot be "
               "used"),
    DefectType("unknown-label", "error", "label", "a label is not in the published list of names"),
    DefectType("damaged-parts", "error", "archive", "an archive of images lacks a part, or cannot "
               "be read from its parts"),
    DefectType("study-without-facts", "error", "study", "a study of the reports is not in the "
               "master table"),
    DefectType("finding-without-box", "error", "study label", "an abnormal sentence has no box"),
    DefectType("fraction-box", "error", "study box", "a box is outside 0 to 1 or has no area"),
    DefectType("prior-later", "error", "study", "the prior study is later than the study"),
    DefectType("prior-two-patients", "error", "study", "the prior study is of another patient"),
    DefectType("prior-missing", "error", "image", "the image of a prior study has no file"),
    DefectType("order-disagrees", "error", "two studies", "the order or the age does not grow with "
               "the study number: the order of the two studies is not known"),
    DefectType("reports-disagree", "warning", "image", "the report differs in more than dates from "
               "that of the first image of the study, which is used"),
    DefectType("view-count", "warning", "study", "the list of views is shorter or longer than "
               "that of the images: images without a view are not used"),
    DefectType("unknown-view", "warning", "study view", "the view is not a known word: the image "
               "is not used"),
    DefectType("same-date", "warning", "two studies", "two studies of a patient have one date: "
               "they are in no pair"),
    DefectType("sides-swapped", "error", "image region", "the box of a right region is right of "
               "that of the left one: the patient's right is left in the image"),
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
