"""The closed list of defects that `lapse verify` looks for.

An error would make training or a score wrong, or costs whole records: fetch the file again, or do
not trust the copy. After a warning what is trained on is still right: the loaders clip, pass over
or count it; or it is worth knowing and harms nothing.

docs/reference/defects.md is the same list for a reader, with how each is found and what to do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lapse.core.types import nearest

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of defect: its code, how bad it is, and what it means in one sentence.

    Attributes:
        names: what each id of the kind is (an image, a study, a row ...).
        needs_pixels: found only when image files are decoded.
    """

    code: str
    severity: Severity
    names: str
    sentence: str
    needs_pixels: bool = False


KINDS: tuple[Kind, ...] = (
    # files and tables
    Kind("empty-file", "error", "file", "the file holds no byte: fetch it again"),
    Kind("missing-table", "error", "table", "a table that the loaders need is not there"),
    Kind("missing-side-table", "warning", "table", "a table that the loaders can do without"),
    Kind("avoid-list-missing", "warning", "table", "images_to_avoid is not there: patients of the "
         "gold annotations may be trained on"),
    Kind("damaged-table", "error", "table", "the table cannot be read to its end: fetch it again"),
    Kind("missing-column", "error", "table: column", "the header lacks a column: was it renamed?"),
    Kind("extra-column", "warning", "table: column", "the header has a column nobody knows"),
    Kind("field-count", "error", "table and line", "the row has more or fewer fields than the "
         "header"),
    Kind("not-utf8", "error", "table and line", "the row holds bytes that are not UTF-8"),
    Kind("byte-order-mark", "warning", "table", "the table begins with a byte order mark"),
    Kind("unreadable-id", "error", "table and line", "a patient or study is no number"),
    Kind("checksum", "error", "file", "the file differs from the SHA-256 sum of its publisher"),
    Kind("row-count", "error", "table", "more or fewer rows than the release has"),
    # images
    Kind("missing-image", "error", "image", "the metadata names an image whose file is not there"),
    Kind("unlisted-image", "warning", "file", "an image file that the metadata does not name"),
    Kind("duplicate-image", "error", "image", "two rows of one table name the same image"),
    Kind("unreadable-size", "error", "image", "Rows or Columns is no positive number"),
    Kind("unreadable-time", "error", "image", "StudyDate or StudyTime is no date or time"),
    Kind("view-disagrees", "warning", "image", "ViewPosition and the view code name two views"),
    Kind("view-empty", "warning", "image", "neither ViewPosition nor the view code is filled"),
    Kind("study-two-patients", "error", "study", "one study stands under two patients"),
    Kind("ids-disagree", "error", "table: image", "the table gives an image another patient or "
         "study than the metadata"),
    Kind("undecodable-image", "error", "image", "the image is truncated or damaged", True),
    Kind("image-size", "error", "image", "the pixels have another size than the metadata says",
         True),
    Kind("identical-pixels", "error", "images", "two patients share an image, pixel by pixel",
         True),
    # splits
    Kind("unknown-split", "error", "row", "the split is none of train, validate and test"),
    Kind("image-without-split", "error", "image", "the split table lacks an image of the metadata"),
    Kind("split-without-image", "error", "table: image", "a split table names an image that the "
         "metadata lacks"),
    Kind("patient-two-splits", "error", "data set: patient", "one patient stands in two splits of "
         "one data set"),
    Kind("questions-two-splits", "warning", "patient", "the questions of one patient stand in two "
         "splits (the release cuts rows, not patients)"),
    Kind("cross-stage-overlap", "warning", "patient", "trained on in one data set and evaluated on "
         "in another; the protocol patient-safe keeps them apart"),
    # reports
    Kind("missing-report", "error", "study", "a study of the metadata has no report"),
    Kind("unlisted-report", "warning", "file", "a report of a study that the metadata lacks"),
    Kind("report-not-utf8", "error", "study", "the report holds bytes that are not UTF-8"),
    Kind("report-without-text", "warning", "study", "the report has neither findings, nor an "
         "impression, nor a last paragraph"),
    # scene graphs
    Kind("damaged-archive", "error", "archive", "scene_graph.zip cannot be opened"),
    Kind("graph-missing", "error", "image", "an image of the split tables has no scene graph"),
    Kind("graph-damaged", "error", "image", "the scene graph cannot be read as JSON"),
    Kind("graph-shape", "error", "image", "the scene graph is not an object with lists of objects "
         "and attributes"),
    Kind("graph-unknown-image", "error", "image", "the metadata lacks the image of a scene graph"),
    Kind("graph-other-image", "error", "image", "image_id is not the image in the file's name"),
    Kind("graph-ids-disagree", "error", "image", "patient or study differ from the metadata"),
    Kind("parallel-lists", "error", "image region", "the lists that describe phrase by phrase "
         "differ in length"),
    Kind("unknown-region", "error", "image region", "a box with a name outside the known 36"),
    Kind("duplicate-region", "warning", "image region", "a second box of one region"),
    Kind("box-not-number", "error", "image region", "a corner of the box is no finite number"),
    Kind("box-negative", "warning", "image region", "the box begins left of or above its image"),
    Kind("box-outside", "warning", "image region", "the box ends beyond its image"),
    Kind("box-no-area", "warning", "image region", "the box has no width or no height"),
    Kind("box-frames", "error", "image region", "the box in the 224 frame is not the box in the "
         "original frame"),
    Kind("regions-incomplete", "warning", "", "a scene graph without a box for each of the 36 "
         "regions (counted only)"),
    Kind("gold-unknown-image", "error", "table and line", "a gold row names an image that the "
         "metadata lacks"),
    Kind("gold-unknown-region", "error", "table and line", "a gold row names an unknown region"),
    Kind("gold-blank-box", "warning", "table and line", "a gold row without coordinates"),
    Kind("gold-bad-box", "error", "table and line", "gold coordinates are no numbers, negative, "
         "outside the image, or without area"),
    # questions
    Kind("unknown-category", "error", "question", "question_type is none of the seven"),
    Kind("empty-question", "error", "question", "the question or its answer is empty"),
    Kind("question-unknown-study", "error", "question", "the metadata lacks its main or reference "
         "study"),
    Kind("question-two-patients", "error", "question", "it joins studies of two patients"),
    Kind("reversed-time", "error", "question", "the main study is earlier than the reference"),
    Kind("release-1.0.0", "warning", "question", "a large share of the questions is in reversed "
         "time order: this is release 1.0.0, and 1.0.1 mends it"),
    Kind("same-time", "warning", "question", "main and reference study have the same time"),
    Kind("duplicate-question", "warning", "question", "a question that was asked of the same "
         "pair before"),
    Kind("unparsed-answer", "error", "question", "words of a difference answer are outside its "
         "grammar"),
    Kind("glitch-answer", "warning", "question", '"pneumonia atelectasis" without a comma: the '
         "known glitch of the release"),
    Kind("unknown-finding", "warning", "question or study, name", "a finding outside the known 30 "
         "and their aliases"),
    Kind("overview-unknown-image", "error", "study", "mimic_all names an image that is not the "
         "study's"),
    Kind("overview-other-image", "warning", "study", "mimic_all names another image than the "
         "study's first frontal one"),
    # MS-CXR-T
    Kind("progression-unknown-image", "error", "table and line", "the metadata lacks one of the "
         "two images"),
    Kind("progression-two-patients", "error", "table and line", "the two images and the row are "
         "not of one patient"),
    Kind("progression-reversed", "error", "table and line", "the image is earlier than the "
         "previous one: its progressions are inverted"),
    Kind("progression-unknown-word", "error", "table and line", "a progression is none of "
         "improving, stable and worsening"),
    Kind("progression-empty", "warning", "table and line", "none of the five findings has a "
         "progression"),
    Kind("progression-duplicate", "error", "table and line", "the same two images stand in an "
         "earlier row: they would count twice in the score"),
    Kind("damaged-json", "error", "file", "all_diseases.json is not a list of findings by study"),
)  # fmt: skip
_BY_CODE = {kind.code: kind for kind in KINDS}


def kind_of(code: str) -> Kind:
    """The kind of a code.

    Raises:
        ValueError: no such kind.
    """
    if code not in _BY_CODE:
        raise ValueError(f"no kind of defect {code!r}; {nearest(code, list(_BY_CODE))}")
    return _BY_CODE[code]
