"""Two DICOM films of one invented patient, and a comparison of them with all kinds of content."""

from dataclasses import replace

import numpy as np

import small_dicom
from comparisons import comparison
from lapse.core.changes import Change
from lapse.core.types import Box
from lapse.inference.comparison import Comparison
from lapse.inference.films import Film

ROWS, COLUMNS = 8, 8
LEVEL, GONE = (
    Change("pleural effusion", "level", "small", "moderate"),
    Change("atelectasis", "missing"),
)
BOXES = {
    "reference": {"pleural effusion": Box(0.5, 0.5, 0.9, 0.95), "atelectasis": None},
    "main": {"edema": Box(0.1, 0.6, 0.4, 0.9), "pleural effusion": Box(0.52, 0.5, 0.9, 0.95)},
}
EARLIER = small_dicom.FIRST | {
    "SOPInstanceUID": "1.2.826.99.1.1",
    "SeriesInstanceUID": "1.2.826.99.1.2",
    "AccessionNumber": "ACC-EARLIER",
}
LATER = EARLIER | {
    "SOPInstanceUID": "1.2.826.99.2.1",
    "SeriesInstanceUID": "1.2.826.99.2.2",
    "StudyInstanceUID": "1.2.826.99.2",
    "StudyDate": "20210102",
    "AccessionNumber": "ACC-LATER",
}


def write_films(folder, earlier=EARLIER, later=LATER):
    """(reference, main) as files of 8 x 8 pixels."""
    return (
        small_dicom.write(folder / "earlier.dcm", earlier),
        small_dicom.write(folder / "later.dcm", later),
    )


def compared() -> Comparison:
    """A finding on both films, one on each film, a malformed box, a probability."""
    base = comparison()
    answer = replace(
        base.answer,
        changes=(*base.changes, LEVEL, GONE),
        confidence={**base.answer.confidence, "level pleural effusion: small -> moderate": 0.7},
        probabilities={"added edema": 0.81},
        calibration="Calibrated on drawings.",
    )
    grey = np.zeros((ROWS, COLUMNS), np.uint8)
    anatomy = {
        "reference": {"pleural effusion": "left lung"},
        "main": {"edema": "right lower lung zone", "pleural effusion": "left lung"},
    }
    films = {role: Film(grey, ROWS, COLUMNS) for role in BOXES}
    return replace(base, answer=answer, boxes=BOXES, anatomy=anatomy, films=films)
