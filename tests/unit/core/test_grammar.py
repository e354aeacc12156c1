"""The answer grammar: read what is written, write what was read, in both directions."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lapse.core.changes import FREE_KINDS, Change, invert, render
from lapse.core.findings import ALIASES, FINDINGS, LEVELS
from lapse.core.grammar import parse


def has_two_readings(before: str, after: str) -> bool:
    """ "from mild to moderate to severe" is read as mild -> moderate to severe."""
    return before == "mild to moderate" and after.split()[0] == "severe"


def level(name: str, before: str, after: str) -> Change:
    return Change(name, "level", before, after)


findings = st.sampled_from(FINDINGS)
single = st.sampled_from([word for word in LEVELS if " " not in word])
levels = st.one_of(st.sampled_from(LEVELS), st.lists(single, min_size=2, max_size=3).map(" ".join))
changes = st.one_of(
    st.builds(Change, findings, st.sampled_from(["added", "missing", *FREE_KINDS])),
    st.tuples(findings, levels, levels)
    .filter(
        lambda t: (
            t[1] != t[2] and not has_two_readings(t[1], t[2]) and not has_two_readings(t[2], t[1])
        )
    )
    .map(lambda t: level(*t)),
)


@given(st.sets(changes, max_size=6))
@settings(max_examples=500, deadline=None)
def test_parse_reads_what_render_writes(changes):
    parsed = parse(render(changes))
    assert parsed.changes == changes
    assert parsed.leftover == () and parsed.is_parsed
    assert parsed.is_unchanged == (not changes)


ADDED = "the main image has an additional finding of {} than the reference image. "
PTX = ADDED.format("pneumothorax")


@pytest.mark.parametrize(
    "answer",
    [
        ADDED.format("no pneumothorax"),
        ADDED.format("possible pneumothorax"),
        ADDED.format("resolved pneumothorax"),
        ADDED.format("pneumothorax, now resolved"),
        ADDED.format("pneumothorax or edema"),
        ADDED.format("no edema, and pneumothorax"),
        ADDED.format("pericardial effusion"),
        ADDED.format("subcutaneous emphysema"),
        ADDED.format("pneumothorax, which isn't real"),
        f"it is not true that {PTX}",
        f"It is possible that {PTX}",
        f"{PTX}This is not true.",
        f"{PTX}although it may be an artifact",
        f"if {PTX}it would be large",
        f"nothing has changed except {PTX}",
        f"nothing has changed. Except: {PTX}",
        "nothing has changed except pneumothorax",
        "nothing has changed, but there is edema",
        "it is not true that nothing has changed.",
        "the level of no edema has changed from mild to severe.",
        "it is unlikely that the level of edema has changed from mild to severe.",
        "the level of pericardial effusion has changed from small to severe.",
    ],
)
def test_a_clause_with_negation_or_doubt_is_unread(answer):
    parsed = parse(answer)
    assert parsed.changes == frozenset() and not parsed.is_unchanged
    assert parsed.leftover and not parsed.is_parsed


def test_doubt_about_a_finding_concerns_its_sentence_alone():
    parsed = parse(f"{PTX}no edema is seen. the main image is missing the finding of hernia.")
    assert parsed.changes == {Change("pneumothorax", "added"), Change("hernia", "missing")}
    assert parsed.leftover == ("no edema is seen",)


def test_a_modifier_of_place_or_type_keeps_the_name():
    parsed = parse(ADDED.format("left lower lobe atelectasis, and dense consolidation"))
    assert parsed.changes == {Change("atelectasis", "added"), Change("consolidation", "added")}
    assert parsed.leftover == ("left lower lobe", "dense")


@given(st.sets(changes, max_size=6))
@settings(max_examples=500, deadline=None)
def test_inverting_twice_changes_nothing(changes):
    assert invert(invert(changes)) == changes
    assert parse(render(invert(changes))).changes == invert(changes)


def test_all_single_changes_and_pairs_of_kinds():
    singles = [Change(name, kind) for name in FINDINGS for kind in ("added", "missing")]
    for one, two in itertools.combinations(singles, 2):
        assert parse(render([one, two])).changes == {one, two}


def test_all_pairs_of_levels():
    pairs = list(itertools.permutations(LEVELS, 2))
    other = [
        p for p in pairs if parse(render([level("edema", *p)])).changes != {level("edema", *p)}
    ]
    assert other == [("mild to moderate", "severe")]


def test_all_sets_of_three_findings_in_any_order():
    names = FINDINGS[:6]
    for trio in itertools.permutations(names, 3):
        answer = f"the main image is missing the findings of {trio[0]}, {trio[1]}, and {trio[2]}"
        parsed = parse(answer + " than the reference image. ")
        assert parsed.changes == {Change(name, "missing") for name in trio} and parsed.is_parsed


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
            "the level of edema has increased the level of hernia has changed from mild to severe",
            {Change("edema", "increased"), level("hernia", "mild", "severe")},
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


@given(st.sets(changes, max_size=6))
@settings(max_examples=200, deadline=None)
def test_punctuation_may_be_stripped(changes):
    bare = " ".join("".join(c for c in render(changes) if c not in ".,").upper().split())
    assert parse(bare).changes == changes
    assert parse(bare).is_parsed


def test_a_broken_sentence_does_not_swallow_the_next():
    edema = render([Change("edema", "added")])
    parsed = parse(
        f"the level of hernia. {edema}the level of edema has changed from mild to acute."
    )
    assert parsed.changes == {Change("edema", "added"), level("edema", "mild", "acute")}
    assert parsed.leftover == ("the level of hernia",)


@pytest.mark.parametrize(("alias", "name"), ALIASES.items())
def test_aliases_are_read(alias, name):
    answer = f"the main image is missing the finding of {alias} than the reference image."
    assert parse(answer).changes == {Change(name, "missing")}


@pytest.mark.parametrize(
    ("answer", "leftover"),
    [
        ("", ("",)),
        (" . ,", (". ,",)),
        ("nothing has changed. | edema", ("| edema",)),
        ("banana", ("banana",)),
        ("the main image has an additional finding of banana than the reference image.",
         ("banana",)),
        ("nothing has changed. hello", ("hello",)),
        ("the main image has an additional finding of", ("the main image has an additional "
         "finding of",)),
        ("the main image is missing the finding of edema than the", ("than the",)),
        ("the level of edema has changed from mild to mild.",
         ("the level of edema has changed from mild to mild",)),
        ("the main image has no additional finding of edema",
         ("the main image has no additional finding of edema",)),
        ("the level of edema has changed from red to blue.",
         ("the level of edema has changed from red to blue",)),
    ],
)  # fmt: skip
def test_nothing_is_dropped(answer, leftover):
    parsed = parse(answer)
    assert parsed.leftover == leftover
    assert not parsed.is_parsed


GLUE = "the|main image|has|changed|level of|from|to|is missing|finding of|nothing|.|,|and|/"
words = st.sampled_from([*FINDINGS[:3], *LEVELS[:4], *GLUE.split("|"), "than the reference image"])


@given(st.one_of(st.text(max_size=80), st.lists(words, max_size=30).map(" ".join)))
@settings(max_examples=300, deadline=None)
def test_any_text_can_be_read(text):
    parsed = parse(text)
    assert parsed.is_parsed != bool(parsed.leftover)


def test_a_very_long_answer_is_all_leftover():
    text = "the level of " * 2000
    parsed = parse(text)
    assert parsed.leftover == (text.strip(),) and not parsed.changes and not parsed.is_parsed
    assert parse("the main image is missing the finding of edema. " * 200).changes
