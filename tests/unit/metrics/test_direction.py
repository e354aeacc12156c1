"""One definition of direction, whatever the form of the change."""

import pytest

from lapse.core.changes import Change, invert
from lapse.metrics.direction import direction_of, directions_of

LEVEL = ("level", "mild", "severe")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("added",), "worse"),
        (("increased",), "worse"),
        (LEVEL, "worse"),
        (("level", "mild", "increasing"), "worse"),
        (("missing",), "better"),
        (("decreased",), "better"),
        (("level", "severe", "mild"), "better"),
        (("level", "increasing", "decreasing"), "better"),
        (("level", "acute", "severe"), ""),
        (("level", "small moderate", "severe"), ""),
    ],
)
def test_direction(change, expected):
    assert direction_of(Change("edema", *change)) == expected


def test_the_inverse_has_the_opposite_direction():
    changes = {Change("edema", "added"), Change("hernia", *LEVEL), Change("fracture", "decreased")}
    assert directions_of(changes) == {
        ("edema", "worse"), ("hernia", "worse"), ("fracture", "better"),
    }  # fmt: skip
    opposite = {"worse": "better", "better": "worse"}
    assert directions_of(invert(changes)) == {
        (finding, opposite[direction]) for finding, direction in directions_of(changes)
    }
