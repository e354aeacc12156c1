"""The answer grammar: read what is written, write what was read, in both directions."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lapse.grammar import (
    ALIASES,
    FINDINGS,
    LEVELS,
    Change,
    contradictions,
    invert,
    parse,
    render,
)

# "from mild to moderate to severe" has two readings; it is read as mild -> moderate to severe.
TWO_READINGS = ("mild to moderate", "severe")


def level(name: str, before: str, after: str) -> Change:
    return Change(name, "level", before, after)


findings = st.sampled_from(FINDINGS)
levels = st.sampled_from(LEVELS)
changes = st.one_of(
    st.builds(Change, findings, st.sampled_from(["added", "missing"])),
    st.tuples(findings, levels, levels)
    .filter(lambda t: t[1] != t[2] and TWO_READINGS not in (t[1:], t[:0:-1]))
    .map(lambda t: level(*t)),
)


@given(st.sets(changes, max_size=6))
@settings(max_examples=2000, deadline=None)
def test_parse_reads_what_render_writes(found):
    parsed = parse(render(found))
    assert parsed.changes == found
    assert parsed.leftover == () and parsed.is_parsed
    assert parsed.is_unchanged == (not found)


@given(st.sets(changes, max_size=6))
@settings(max_examples=500, deadline=None)
def test_inverting_twice_is_nothing(found):
    assert invert(invert(found)) == found
    assert parse(render(invert(found))).changes == invert(found)


def test_all_single_changes_and_pairs_of_kinds():
    singles = [Change(name, kind) for name in FINDINGS for kind in ("added", "missing")]
    for one, two in itertools.combinations(singles, 2):
        assert parse(render([one, two])).changes == {one, two}


def test_published_templates():
    assert render([Change("edema", "added")]) == (
        "the main image has an additional finding of edema than the reference image. "
    )
    assert render([Change("edema", "missing"), Change("hernia", "missing")]) == (
        "the main image is missing the findings of edema, and hernia than the reference image. "
    )
    assert render([level("pleural effusion", "small", "moderate")]) == (
        "the level of pleural effusion has changed from small to moderate. "
    )
    assert render([]) == "nothing has changed."


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (
            "the main image has additional findings of lung opacity, and pneumonia atelectasis "
            "than the reference image. ",
            {Change(n, "added") for n in ("lung opacity", "pneumonia", "atelectasis")},
        ),
        (
            "The main image  has an additional finding of EDEMA than the reference image",
            {Change("edema", "added")},
        ),
        (
            "the level of pleural effusion has changed from small to moderate the main image is "
            "missing the finding of edema than the reference image",
            {level("pleural effusion", "small", "moderate"), Change("edema", "missing")},
        ),
        (
            "the level of edema has changed from mild to moderate to severe.",
            {level("edema", "mild", "moderate to severe")},
        ),
        (
            "the level of edema has changed from moderate to severe to small moderate.",
            {level("edema", "moderate to severe", "small moderate")},
        ),
    ],
)
def test_tolerant_reading(answer, expected):
    parsed = parse(answer)
    assert parsed.changes == expected
    assert parsed.is_parsed


def test_punctuation_may_be_stripped():
    found = {Change("edema", "added"), Change("hernia", "added"), Change("fracture", "missing")}
    bare = "".join(c for c in render(found) if c not in ".,")
    assert parse(bare).changes == found


@pytest.mark.parametrize(("alias", "name"), ALIASES.items())
def test_aliases_are_read(alias, name):
    answer = f"the main image is missing the finding of {alias} than the reference image."
    assert parse(answer).changes == {Change(name, "missing")}


@pytest.mark.parametrize(
    ("answer", "leftover"),
    [
        ("", ("",)),
        ("banana", ("banana",)),
        ("the main image has an additional finding of banana than the reference image.",
         ("banana",)),
        ("nothing has changed. hello", ("hello",)),
        ("the level of edema has changed from red to blue.",
         ("the level of edema has changed from red to blue",)),
    ],
)  # fmt: skip
def test_nothing_is_dropped(answer, leftover):
    parsed = parse(answer)
    assert parsed.leftover == leftover
    assert not parsed.is_parsed


@given(st.text(max_size=80))
@settings(max_examples=300, deadline=None)
def test_any_text_can_be_read(text):
    parsed = parse(text)
    assert parsed.is_parsed or parsed.leftover or parsed.changes


def test_changes_check_themselves():
    with pytest.raises(ValueError, match="unknown finding 'banana'"):
        Change("banana", "added")
    with pytest.raises(ValueError, match="two different levels"):
        Change("edema", "level", "mild", "mild")
    with pytest.raises(ValueError, match="unknown level 'red'"):
        Change("edema", "level", "red", "mild")
    with pytest.raises(ValueError, match="has no levels"):
        Change("edema", "added", "mild")


def test_contradictions():
    assert contradictions({Change("edema", "added"), Change("edema", "missing")}) == ("edema",)
    assert contradictions({Change("edema", "added")}) == ()
