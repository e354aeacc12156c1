"""Sections of a report, its text, and the removal of references to earlier examinations."""

import pytest

from lapse.data.reports import (
    parse_sections,
    remove_priors,
    report_sections,
    report_text,
    split_sentences,
)

FULL = """                                 FINAL REPORT
 EXAMINATION:  CHEST (PA AND LAT)

 INDICATION:  ___ year old with cough // pneumonia?

 COMPARISONS:  ___.

 FINDINGS:

 The lungs are clear.  Heart size: normal.
 NOTE this is no header.

 IMPRESSION:

 No acute process.
"""


def test_sections_in_order():
    names = [name for name, _ in parse_sections(FULL)]
    assert names == [
        "preamble", "examination", "indication", "comparison", "findings", "impression",
    ]  # fmt: skip
    assert parse_sections(FULL)[0][1] == "FINAL REPORT"
    assert report_text(FULL) == (
        "The lungs are clear. Heart size: normal. NOTE this is no header. No acute process."
    )


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("CONCLUSION", "impression"),
        ("FINDINGS AND IMPRESSION", "impression"),
        ("FINDINGS/IMPRESSION", "impression"),
        ("FINDING", "findings"),
        ("FINDINS", "findings"),
        ("CLINICAL HISTORY", "history"),
        ("PFI", "history"),
        ("CHEST, TWO VIEWS", "findings"),
        ("PA AND LATERAL VIEWS OF THE CHEST", "findings"),
        ("SINGLE AP PORTABLE CHEST RADIOGRAPH", "findings"),
        ("PROVISIONAL FINDINGS IMPRESSION (PFI)", "impression"),
        ("COMPARISON", "comparison"),
        ("ADDENDUM BY DR", "addendum"),
        ("TECHNIQUE", "technique"),
    ],
)
def test_header_names(header, name):
    assert parse_sections(f"x\n {header}: words")[1] == (name, "words")


def test_the_last_section_with_text_wins():
    report = "x\n IMPRESSION: first\n FINDINGS:\n IMPRESSION: second\n IMPRESSION:\n"
    assert report_sections(report)["impression"] == "second"
    assert report_text(report) == "second"


def test_last_paragraph_only_without_findings_and_impression():
    report = "FINAL REPORT\n HISTORY: cough\n\n Lungs are clear.\n Heart is normal.\n"
    assert report_sections(report) == {
        "preamble": "FINAL REPORT",
        "history": "cough\n\n Lungs are clear.\n Heart is normal.",
        "last_paragraph": "Lungs are clear.\n Heart is normal.",
    }
    assert report_text(report) == "Lungs are clear. Heart is normal."
    assert report_text("FINAL REPORT\r\n\r\n Clear.") == "Clear."
    assert report_text(" HISTORY: cough") == "" and report_text("") == ""


def test_sentences_keep_decimals_numbers_and_titles():
    text = "1. A nodule of 2.5 cm, 3 mm. 2. Dr. ___ called at 4 p.m. The heart is big? Yes."
    assert split_sentences(text) == [
        "1. A nodule of 2.5 cm, 3 mm.",
        "2. Dr. ___ called at 4 p.m.",
        "The heart is big?",
        "Yes.",
    ]


@pytest.mark.parametrize(
    ("text", "rest", "removed"),
    [
        ("Effusion of 2.5 cm, unchanged. No edema.", "Effusion of 2.5 cm. No edema.",
         ("unchanged",)),
        ("Compared to the prior study, there is a small effusion.", "There is a small effusion.",
         ("Compared to the prior study",)),
        ("There is new edema. The heart is big.", "The heart is big.", ("There is new edema.",)),
        ("Mild edema, not significantly changed since ___.", "Mild edema.",
         ("not significantly changed since ___",)),
        ("Heart, lungs, and unchanged mediastinum are normal.", "",
         ("Heart, lungs, and unchanged mediastinum are normal.",)),
        ("Stable cardiomegaly.", "", ("Stable cardiomegaly.",)),
        ("The effusion has increased.", "", ("The effusion has increased.",)),
        ("Lines are in place, with interval removal of the tube, since ___.", "",
         ("Lines are in place, with interval removal of the tube, since ___.",)),
    ],
)  # fmt: skip
def test_priors_by_rules(text, rest, removed):
    assert remove_priors(text) == (rest, removed)


@pytest.mark.parametrize(
    "text",
    [
        "Degenerative changes of the spine.",
        "Prior granulomatous disease with a 2.5 cm calcification.",
        "No pleural effusion or pneumothorax.",
        "Post-surgical changes, old rib fractures.",
        "Recommend follow-up in 3.5 months.",
        "No pneumothorax, effusion, or edema.",
    ],
)
def test_innocent_words_survive(text):
    assert remove_priors(text) == (text, ())


def test_none_leaves_the_text_and_anything_else_is_refused():
    assert remove_priors("Unchanged.", "none") == ("Unchanged.", ())
    with pytest.raises(ValueError, match="one of rules, none"):
        remove_priors("x", "all")
