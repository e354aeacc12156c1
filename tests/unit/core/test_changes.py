"""Changes: what is a valid one, what contradicts, the inverse, and the published templates."""

import pytest

from lapse.core.changes import Change, contradictions, invert, render


def test_published_templates():
    assert render([Change("edema", "added")]) == (
        "the main image has an additional finding of edema than the reference image. "
    )
    assert render([Change("edema", "missing"), Change("hernia", "missing")]) == (
        "the main image is missing the findings of edema, and hernia than the reference image. "
    )
    assert render([Change("pleural effusion", "level", "small", "moderate")]) == (
        "the level of pleural effusion has changed from small to moderate. "
    )
    assert render([]) == "nothing has changed."


def test_invalid_changes_are_refused():
    with pytest.raises(ValueError, match="unknown finding 'banana'"):
        Change("banana", "added")
    with pytest.raises(ValueError, match="two different levels"):
        Change("edema", "level", "mild", "mild")
    with pytest.raises(ValueError, match="unknown level 'red'"):
        Change("edema", "level", "red", "mild")
    with pytest.raises(ValueError, match="unknown level ' '"):
        Change("edema", "level", " ", "mild")
    with pytest.raises(ValueError, match="has no levels"):
        Change("edema", "added", "mild")


def test_contradictions():
    assert contradictions({Change("edema", "added"), Change("edema", "missing")}) == ("edema",)
    assert contradictions({Change("edema", "added")}) == ()


def test_the_inverse_is_the_change_of_the_swapped_pair():
    assert invert([Change("edema", "added"), Change("hernia", "decreased")]) == {
        Change("edema", "missing"),
        Change("hernia", "increased"),
    }
    swapped = Change("edema", "level", "mild", "severe")
    assert invert([Change("edema", "level", "severe", "mild")]) == {swapped}
