"""A comparison that no model made, with every kind of content."""

import numpy as np

from lapse.core.changes import Change
from lapse.core.types import Box
from lapse.inference.answer import Answer
from lapse.inference.checks.issues import InputIssue
from lapse.inference.comparison import Comparison
from lapse.inference.films import Film

EDEMA, AIR = Change("edema", "added"), Change("pneumothorax", "missing")


def comparison() -> Comparison:
    """A guarded answer with a stated and an unsure change, a region, a malformed box, a warning."""
    answer = Answer(
        "the answer.",
        (EDEMA,),
        ("odd <words>",),
        {"added edema": 0.95, "missing pneumothorax": 0.1},
        status="changed",
        unsure=(AIR,),
        reasons=("why",),
        beam="the beam.",
        issues=(InputIssue("view", "warning", "not frontal"),),
        trained_on="drawings",
    )
    grey = np.linspace(0, 255, 80 * 60).astype(np.uint8).reshape(80, 60)
    return Comparison(
        answer,
        {"reference": {}, "main": {"edema": Box(0.1, 0.6, 0.4, 0.9), "hernia": None}},
        anatomy={"main": {"edema": "right lower lung zone"}},
        model={"model": "tiny <1>"},
        films={"reference": Film(grey, 80, 60), "main": Film(grey, 80, 60, "<b>main.png")},
    )
