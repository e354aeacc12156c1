"""Sections of a report and its text: one test for each rule of the layout."""

import pytest

from lapse.data.reports.sections import join_sections, parse_sections, report_sections, report_text

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
        ("CONCLUSIONS", "impression"),
        ("FINDINGS AND IMPRESSION", "impression"),
        ("FINDINGS/IMPRESSION", "impression"),
        ("FINDING", "findings"),
        ("FINDINS", "findings"),
        ("COMPARISONS", "comparison"),
        ("CLINICAL HISTORY", "history"),
        ("PFI", "history"),
        ("CHEST, TWO VIEWS", "findings"),
        ("PA AND LATERAL VIEWS OF THE CHEST", "findings"),
        ("SINGLE AP PORTABLE CHEST RADIOGRAPH", "findings"),
        ("PROVISIONAL FINDINGS IMPRESSION (PFI)", "impression"),
        ("COMPARISON", "comparison"),
        ("ADDENDUM BY DR", "addendum"),
        ("TECHNIQUE", "technique"),
        ("FINAL IMPRESSION", "impression"),  # the following are mapped by substring
        ("LUNG FINDINGS", "findings"),
        ("MEDICAL HISTORY", "history"),
        ("COMPARISON STUDIES", "comparison"),
        ("REASON FOR EXAM", "reason for exam"),
        ("CHEST", "chest"),  # no view is named
        ("INDICATION (CHEST PAIN)", "indication (chest pain)"),
        ("CHEST, PA AND LATERAL", "findings"),
        ("FRONTAL AND LATERAL RADIOGRAPHS OF THE CHEST", "findings"),
        ("TWO VIEWS", "findings"),
    ],
)
def test_header_names(header, name):
    assert parse_sections(f"x\n {header}: words")[1] == (name, "words")


def test_the_last_section_with_text_is_used():
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


@pytest.mark.parametrize(
    "text",
    [
        "x\nFINDINGS: words",  # no blank before
        "x\n Findings: words",  # lower case
        "x\n FINDINGS words",  # no colon
        "x\n FINDINGS:words",  # no white space
        "x\n 2 FINDINGS: words",  # a digit
        "x FINDINGS: words",  # within a line
    ],
)
def test_text_that_is_not_a_header(text):
    assert [name for name, _ in parse_sections(text)] == ["preamble"]


def test_headers_in_the_first_line_and_at_the_end_of_a_line():
    assert parse_sections(" FINDINGS:\n words")[1:] == (("findings", "words"),)
    assert parse_sections(" FINDINGS: words")[0] == ("preamble", "")
    assert parse_sections("x\n   FINDINGS: words")[1] == (
        "findings",
        "words",
    )  # the blanks belong to the header
    assert parse_sections("x\n FINDINGS:\twords")[1] == ("findings", "words")
    assert parse_sections("x\n FINDINGS:")[1] == ("findings", "")


def test_names_are_lower_case_and_blanks_collapse():
    assert parse_sections("x\n WET   READ: words")[1] == ("wet read", "words")


def test_text_before_the_first_header_is_the_preamble():
    assert report_sections("one\n two\n FINDINGS: three")["preamble"] == "one\n two"
    assert report_sections("no header at all") == {"preamble": "no header at all"}


def test_line_ends_of_other_systems():
    for end in ("\n", "\r\n", "\r"):
        report = end.join(("FINAL REPORT", " FINDINGS: Clear.", " IMPRESSION: Normal."))
        assert report_text(report) == "Clear. Normal."


def test_aliases_take_part_in_the_last_occurrence():
    report = "x\n IMPRESSION: first\n FINDINGS AND IMPRESSION: second\n CONCLUSION: third"
    assert report_sections(report)["impression"] == "third"


def test_the_last_paragraph_follows_the_first_blank_line_of_the_last_section():
    report = "x\n HISTORY: a\n\n b\n COMPARISON: c\n \n d\n\n e"
    assert report_sections(report)["last_paragraph"] == "d\n\n e"
    assert "last_paragraph" not in report_sections("x\n COMPARISON: c\n d")
    assert "last_paragraph" not in report_sections("x\n IMPRESSION: c\n\n d")
    assert "last_paragraph" not in report_sections("x\n FINDINGS: c\n\n d")


def test_an_empty_impression_is_followed_by_the_last_paragraph():
    assert report_text("x\n IMPRESSION:\n HISTORY: a\n\n Clear.") == "Clear."


def test_sections_of_the_derived_table_are_joined_the_same_way():
    row = {"impression": "No edema.", "findings": " Clear\n lungs. ", "last_paragraph": "Other."}
    assert join_sections(row) == "Clear lungs. No edema."
    assert join_sections(row | {"impression": " ", "findings": ""}) == "Other."


def test_marks_of_removed_names_are_kept_in_a_report():
    assert report_text("x\n FINDINGS: Seen by Dr. ___.") == "Seen by Dr. ___."
