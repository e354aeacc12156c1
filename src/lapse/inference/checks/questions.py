"""Questions, phrases and region names that models are trained on; others are refused.

A model answers any text. To a question outside its training data the answer means nothing, so
such texts are errors that list what is known.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from lapse.core.annotation_names import REGION_SETS
from lapse.core.changes import QUESTION_CHANGED
from lapse.core.findings import ALIASES, FINDINGS, TYPES, findings_in
from lapse.core.types import nearest

MAX_QUESTION = 300  # characters
REGION_NAMES = REGION_SETS["36"]
_WORD = (
    "(?:left|right|bilateral|both|upper|mid|middle|lower|basal|basilar|bibasilar|apical|hilar|"
    "perihilar|retrocardiac|bases?|apex|lungs?|lobe|zone|side|areas?|hemithorax|pleural|"
    "costophrenic|angle|cardiac|mediastinal|paratracheal|lingular|anterior|posterior|lateral|"
    "medial|and|the|of|at|in)"
)
_AREA = rf"{_WORD}(?:[ ,]+{_WORD})*"
_FINDING = "(?:{})".format(
    "|".join(re.escape(name) for name in sorted({*FINDINGS, *ALIASES}, key=len, reverse=True))
)
_TYPED = f"(?:(?:{'|'.join(map(re.escape, TYPES))}) )?{_FINDING}"
# (pattern, form in messages); only the category "difference" has two images
DIFFERENCE = (
    (r"what has changed compared to the reference image", QUESTION_CHANGED),
    (rf"what has changed in the {_AREA}", "what has changed in the left lower lung area?"),
)
SINGLE = (
    (
        r"what abnormalities are seen in (?:this|the) image",
        "what abnormalities are seen in this image?",
    ),
    (
        rf"what abnormalities are seen (?:in|at) {_AREA}",
        "what abnormalities are seen in the left lung?",
    ),
    (
        rf"is there (?:evidence of )?any abnormalities in (?:this image|{_AREA})",
        "is there evidence of any abnormalities in this image?",
    ),
    (
        rf"is there (?:evidence of )?(?:an? )?{_TYPED}(?: in this image| (?:in|at) {_AREA})?",
        "is there evidence of edema in this image?",
    ),
    (rf"is the {_TYPED} bilateral", "is the edema bilateral?"),
    (r"which view is this image taken", "which view is this image taken?"),
    (r"(?:is this|is this an?|is it) (?:pa|ap|lateral) view", "is this PA view?"),
    (
        rf"where (?:in the image )?is the {_TYPED}(?: located)?",
        "where in the image is the edema located?",
    ),
    (
        rf"is the {_TYPED} located (?:on|in|at) {_AREA}(?: or (?:the )?{_AREA})?",
        "is the edema located on the left side or right side?",
    ),
    (
        rf"(?:what|which) side is the {_TYPED}(?: located)?",
        "which side is the edema located?",
    ),
    (rf"what level is the {_TYPED}", "what level is the edema?"),
    (rf"what type is the {_TYPED}", "what type is the edema?"),
)
# words of report sentences about anatomy, devices and findings in other words than the grammar's
_ANATOMY = re.compile(
    r"\b(?:lungs?|pleura\w*|heart|cardi\w+|mediastin\w+|hil(?:um|ar|a)|aort\w+|trache\w+|"
    r"carina\w*|diaphragm\w*|hemidiaphragm\w*|costophrenic|ribs?|spine|spinal|vertebra\w*|"
    r"clavicl\w+|osseous|bon[ye]\w*|vascul\w+|bronch\w+|abdomen|abdominal|thorax|thoracic|"
    r"chest|svc|vena cava|atri\w+|tubes?|catheters?|lines?|picc|pacemaker|icd|wires?|leads?|"
    r"stent|valve|drain|clips?|device|port|sternotomy|monitoring|support|stomach|gastr\w+|"
    r"emphysem\w+|opaci\w+|consolidat\w+|effus\w+|edema\w*|nodul\w+|mass(?:es)?|lesions?|"
    r"infiltrat\w+|atelecta\w+|pneumo\w+|scolio\w+|fractur\w+|hernia\w*|congest\w+|"
    r"hyperinflat\w+|cardiopulmonary|silhouette)\b"
)


def known_questions(tasks: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """(pattern, form in messages) of the questions that a model of these tasks is trained on."""
    has_single = any(task in {"vqa", "medical_vqa"} for task in tasks)
    return (*DIFFERENCE, *SINGLE) if has_single else DIFFERENCE


def check_question(question: str, tasks: Sequence[str]) -> None:
    """Refuse a question that does not occur in the training data of a model.

    Args:
        question: any case; the question mark may be missing.
        tasks: of the model's run; "diff_vqa" is trained on two-image questions alone.

    Raises:
        ValueError: an empty or unknown question; lists the known forms and the nearest.
    """
    text = " ".join(question.lower().split()).rstrip("? ")
    if not text:
        raise ValueError("the question is empty: remove it to ask the standard question")
    if len(text) > MAX_QUESTION:
        raise ValueError(f"the question has {len(text)} characters, the limit is {MAX_QUESTION}")
    forms = known_questions(tasks)
    if not any(re.fullmatch(pattern, text) for pattern, _ in forms):
        known = nearest(f"{text}?", [form for _, form in forms])
        raise ValueError(
            f"the model is not trained on the question {question.strip()[:80]!r}; {known}"
        )


def check_phrase(phrase: str) -> None:
    """Refuse a phrase that names no finding, region or device.

    Raises:
        ValueError: an empty or unknown phrase; lists the findings and the nearest.
    """
    text = " ".join(phrase.lower().split())
    if not text:
        raise ValueError("the phrase is empty: give a sentence such as 'There is edema.'")
    if not findings_in(text) and not _ANATOMY.search(text):
        raise ValueError(
            f"the phrase {phrase.strip()[:80]!r} names no finding of a chest radiograph; "
            f"{nearest(text, FINDINGS)}"
        )


def check_regions(names: Sequence[str]) -> None:
    """Refuse names that are not regions of Chest ImaGenome.

    Raises:
        ValueError: one string, or an unknown name; lists the known names and the nearest.
    """
    if isinstance(names, str):
        raise ValueError(f"names is the string {names!r}: give a list of names, [{names!r}]")
    for name in names:
        if " ".join(name.lower().split()) not in REGION_NAMES:
            raise ValueError(f"no region {name[:80]!r}; {nearest(name.lower(), REGION_NAMES)}")
