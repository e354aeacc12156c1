"""The reader of free text: names, directions, sides, levels, negation and doubt."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.free_text_reader import FILES, SCOPES, counts_of, read_rows
from lapse.core.changes import Change, render
from lapse.core.findings import ALIASES, FINDINGS
from lapse.core.free_text.reader import parse_free_text, read_statements, sentences_of
from lapse.core.free_text.sentence import Statement
from lapse.core.hedges import HEDGES, NEGATIONS

EFFUSION = "pleural effusion"


def states(*parts: tuple[str, ...]) -> tuple[Statement, ...]:
    return tuple(Statement(*part) for part in parts)


@pytest.mark.parametrize("name", [name for name in (*FINDINGS, *ALIASES) if name != "enlarged"])
def test_every_name_of_the_data_set_is_read(name):
    finding = ALIASES.get(name, name)
    for text, direction in ((f"New {name}.", "new"), (f"The {name} has resolved.", "resolved")):
        assert [(s.finding, s.direction) for s in read_statements(text)] == [(finding, direction)]


def test_enlarged_alone_is_a_heart():
    assert read_statements("New enlarged heart.") == states(("cardiomegaly", "new"))
    assert not read_statements("Stable position of the enlarged tube.")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Pericardial effusion has increased.", ()),
        ("Subcutaneous emphysema has resolved.", ()),
        ("The pericardial effusion is new and the left pleural effusion is larger.",
         states((EFFUSION, "increased", "left"))),
        ("Pneumothorax, pneumonia and edema have all worsened.",
         states(("pneumothorax", "increased"), ("pneumonia", "increased"), ("edema", "increased"))),
        ("Increased right effusion, decreased left effusion.",
         states((EFFUSION, "increased", "right"), (EFFUSION, "decreased", "left"))),
        ("RUL opacity has cleared.", states(("lung opacity", "resolved", "right", "upper"))),
        ("The effusion went from small to moderate.",
         states((EFFUSION, "increased", "", "", "small -> moderate"))),
        ("No pneumothorax.", ()),
        ("No new pneumothorax and no larger effusion.", ()),
        ("More opacity is seen in the left lung than in the right.", ()),
        ("Decreased bone density.", ()),
        ("No worsening of the edema.", ()),
        ("There may be a new pneumothorax.", ()),
        ("New pneumonia cannot be excluded.", ()),
        ("Edema has not improved.", states(("edema", "stable"))),
        ("The reference image shows edema, while the main image shows an effusion.",
         states(("edema", "resolved"), (EFFUSION, "new"))),
        ("The reference image shows a right pneumothorax. The main image shows pneumonia.",
         states(("pneumothorax", "resolved", "right"), ("pneumonia", "new"))),
        ("The main image shows edema, but the reference image shows clear lungs.",
         states(("edema", "new"))),
        ("The effusion seen in the reference image is absent in the main image.",
         states((EFFUSION, "resolved"))),
        ("**New:**\n- edema\n- hernia</s>", states(("edema", "new"), ("hernia", "new"))),
    ],
)  # fmt: skip
def test_statements(text, expected):
    assert read_statements(text) == expected


def test_markdown_bullets_tables_and_end_tokens_are_stripped():
    text = "# Changes\n1. **Edema** is `better`.\n> - new hernia<|im_end|>\n|a|b|\n|---|---|"
    assert sentences_of(text) == ["changes", "edema is better.", "new hernia", "a: b"]


def test_template_sentences_are_read_as_templates():
    changes = {Change("edema", "level", "mild", "severe"), Change("hernia", "missing")}
    assert parse_free_text(render(changes)).changes == changes
    assert parse_free_text(f"**Answer:** {render(changes)}</s>").changes == changes


def test_kinds_of_changes():
    parsed = parse_free_text("New edema, resolved hernia, larger effusion, smaller pneumothorax.")
    assert parsed.changes == {
        Change("edema", "added"), Change("hernia", "missing"),
        Change(EFFUSION, "increased"), Change("pneumothorax", "decreased"),
    }  # fmt: skip
    moderate = parse_free_text("Edema increased from mild to moderate.").changes
    assert moderate == {Change("edema", "level", "mild", "moderate")}


@pytest.mark.parametrize("text", ["No significant interval change.", "Stable.", "The edema is "
                                  "unchanged.", "No new consolidation."])  # fmt: skip
def test_texts_without_a_change_are_read(text):
    parsed = parse_free_text(text)
    assert parsed.is_unchanged and parsed.is_parsed and not parsed.changes


@pytest.mark.parametrize("text", ["", "I am unable to compare these images.", "A possible new "
                                  "effusion.", "There is a left effusion.", "Worse."])  # fmt: skip
def test_doubts_descriptions_and_refusals_are_unread(text):
    parsed = parse_free_text(text)
    assert not parsed.is_parsed and not parsed.is_unchanged and not parsed.changes


NEGATED = """The main image does not have an additional finding of pneumothorax.
the main image hasn't an additional finding of pneumothorax than the reference image.
There is no evidence that the main image has an additional finding of pneumothorax.
There isn't any new pneumothorax. I don't see a new pneumothorax.
Neither image shows a new pneumothorax.
The main image does not show a new pneumothorax. The main image lacks a new pneumothorax.
A new pneumothorax is not apparent. Nothing to suggest a new pneumothorax.
A new pneumothorax is not seen. A new pneumothorax is absent. New pneumothorax is ruled out.
No pneumothorax or new effusion is seen. The effusion hasn't increased.
The level of edema has not changed from mild to severe."""
DOUBTED = """It is not true that there is a new pneumothorax.
It is false that nothing has changed.
There is a new pneumothorax. This is wrong.
There is a new pneumothorax, which is not true.
A new pneumothorax is doubtful. A new pneumothorax is unlikely. Unlikely new pneumothorax.
The apparent increase in heart size is likely due to projection.
Suspicion of a new pneumothorax. New pneumothorax in the differential.
Rule out new pneumothorax. Evaluate for new pneumothorax. History of worsening pneumothorax.
An artifact mimicking a new pneumothorax. The pneumothorax is no longer increasing.
Nothing has changed except pneumothorax. No new findings apart from a pneumothorax."""


# Written before the reader read them: seven stated a false change at first sight.
FURTHER = """No appreciable enlargement of the right pleural effusion.
I would not call this a new consolidation.
There is nothing here to indicate worsening edema.
No progression of the previously noted opacities is demonstrated.
The previously seen opacities have not progressed.
New airspace disease is not apparent on this study.
Findings are not those of worsening heart failure.
The apparent increase in heart size is likely due to projection.
The apparent increase in heart size is projectional.
A new nodule is not convincingly shown.
No new or enlarging pneumothorax.
Neither a new effusion nor a new pneumothorax is identified.
The question of new pneumonia cannot be answered on this film.
Pneumonia has not developed in the interval.
Absence of any new consolidation.
The lungs remain without new consolidation.
There has been no development of edema.
The pneumothorax did not enlarge.
The effusion wasn't larger today.
It can't be said that the edema improved.
The idea that the effusion has grown is not supported.
Contrary to the clinical impression, the edema has not worsened.
New opacity? Unlikely.
Worsening of edema is not favored.
Increased opacity is thought to be artifactual.
I cannot confirm a new fracture.
The main image does not demonstrate any additional finding of edema.
Compared with the reference image, the main image shows no additional finding of edema.
It would be wrong to say that cardiomegaly has increased.
There is no suggestion of interval worsening of atelectasis.
We see no new effusion and no worsening of the edema.
The right effusion is not any bigger.
Pneumothorax is not larger and the effusion is not smaller."""


def lines_and_sentences(text):
    return [text for line in text.split("\n") for text in (line, *line.split(". ")[1:])]


@pytest.mark.parametrize("text", lines_and_sentences(NEGATED))
def test_negated_findings_are_no_changes(text):
    parsed = parse_free_text(text)
    assert parsed.is_unchanged and not parsed.changes


@pytest.mark.parametrize("text", lines_and_sentences(DOUBTED))
def test_doubted_findings_are_unread(text):
    parsed = parse_free_text(text)
    assert not parsed.is_parsed and not parsed.is_unchanged and not parsed.changes


@pytest.mark.parametrize("text", FURTHER.splitlines())
def test_further_negated_and_doubted_sentences_state_no_change(text):
    assert not parse_free_text(text).changes


@pytest.mark.parametrize("word", sorted({*NEGATIONS, *HEDGES} - {"or"}))
def test_every_word_of_negation_and_doubt_of_the_strict_reader(word):
    """ "or" joins two findings of a free text."""
    for text in (f"{word} new pneumothorax.", f"The pneumothorax {word} increased."):
        assert not parse_free_text(text).changes


def test_an_exception_with_a_direction_is_a_change():
    parsed = parse_free_text("Unchanged except for a larger effusion and no new edema.")
    assert parsed.changes == {Change(EFFUSION, "increased")}


def test_unknown_words_of_unread_sentences_are_kept():
    parsed = parse_free_text("New edema. Kindly correlate clinically.")
    assert parsed.is_parsed and parsed.ignored == ("kindly", "correlate", "clinically")


@given(st.text(max_size=300))
@settings(max_examples=200, deadline=None)
def test_any_text_can_be_read(text):
    parsed = parse_free_text(text)
    assert parsed.is_parsed != bool(parsed.leftover)


@pytest.mark.parametrize(
    ("name", "precision", "recall"), [(FILES[0], 0.98, 0.95), (FILES[1], 0.94, 0.88)]
)
def test_precision_and_recall_on_written_sentences(name, precision, recall):
    correct, read, true = counts_of(read_rows(name), SCOPES["finding, direction"])
    assert correct / read >= precision and correct / true >= recall
