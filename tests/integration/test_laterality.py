"""Laterality: for a mirrored pair the packaged model names the other side.

The answer states findings, not sides; the side is in the box of the finding and in the region that
the model assigns to it. Left on the film is the patient's right.
"""

from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest

import lapse
from lapse.inference.answer import AnswerOptions
from lapse.phantom.patients.acquisition import draw_acquisition
from lapse.phantom.patients.patient import draw_patient
from lapse.phantom.patients.state import Finding, Visit
from lapse.phantom.rendering.render import render

NUM_PAIRS = 6
EFFUSION = "pleural effusion"
OPTIONS = AnswerOptions(guarded=False, allow_unusual=True)


def pair(number):
    """A film without a finding and one with an effusion of one side, of one patient."""
    side = ("right", "left")[number % 2]
    finding = Finding(EFFUSION, side, "basilar", 0.55, "", 30 + number)
    films = []
    for visit, findings in enumerate(((), (finding,))):
        acquisition = draw_acquisition(31, number, visit, 0, nuisance=0.5)
        acquisition = replace(acquisition, is_supine=False, marker="", label="")
        state = Visit(number, visit, datetime(2150, 1, 1 + visit), findings, ())
        films.append(render(draw_patient(31, number), state, acquisition, 256).image)
    return side, films


def side_of(comparison):
    """The half of the main film with the box of the effusion; "" without a box."""
    box = comparison.boxes["main"].get(EFFUSION)
    if box is None:
        return ""
    return "right" if box.x_min + box.x_max < 1.0 else "left"


@pytest.fixture(scope="module")
def sides():
    """(true side, side of the answer, side of the answer to the mirrored pair)."""
    model = lapse.load(device="cpu")
    rows = []
    for number in range(NUM_PAIRS):
        side, films = pair(number)
        mirrored = [np.ascontiguousarray(film[:, ::-1]) for film in films]
        answers = [model.compare(*pictures, options=OPTIONS) for pictures in (films, mirrored)]
        rows.append((side, *map(side_of, answers)))
    return rows


def test_the_box_of_an_effusion_is_on_its_side(sides):
    num_right = sum(side == named for side, named, _ in sides)
    print(f"effusions on the right side: {num_right}/{len(sides)}")
    assert num_right >= NUM_PAIRS - 1


def test_a_mirrored_pair_has_the_other_side(sides):
    other = {"right": "left", "left": "right"}
    num_turned = sum(named != "" and mirrored == other[named] for _, named, mirrored in sides)
    print(f"mirrored pairs with the other side: {num_turned}/{len(sides)}")
    assert num_turned >= NUM_PAIRS - 1
