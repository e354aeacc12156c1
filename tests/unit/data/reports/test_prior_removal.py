"""References to earlier examinations: rules on clauses, and their precision and recall."""

import re
from itertools import pairwise

import pytest

from lapse.data.reports.prior_lexicon import is_dated
from lapse.data.reports.prior_removal import NoRemoval, prior_remover
from lapse.data.reports.sections import report_text
from lapse.data.reports.sentences import split_sentences
from lapse.phantom.patients.findings import draw_visits
from lapse.phantom.text.comparisons import WORDINGS
from lapse.phantom.text.report import write_report
from prior_sentences import HARDER, HELD_OUT, TUNED, measure_remover
from prior_sentences_unseen import FINAL, FIRST, LAST
from report_findings import extract_findings


class Everything:
    """A remover without rules, whose precision must be low."""

    name = "everything"

    def remove(self, text):
        return "", (text,)


def later_reports(patients):
    """(visit, report) of every later visit, with comparisons in the text."""
    for patient in range(patients):
        visits = draw_visits(5, patient, 3, age=40 + patient % 40)
        for earlier, visit in pairwise(visits):
            yield (
                visit,
                write_report(visit, "PA", seed=5, sex="F", previous=earlier),
            )


def test_sentences_keep_decimals_numbers_and_titles():
    text = "1. A nodule of 2.5 cm, 3 mm. 2. Dr. ___ called at 4 p.m. The heart is big? Yes."
    assert split_sentences(text) == [
        "1. A nodule of 2.5 cm, 3 mm.",
        "2. Dr. ___ called at 4 p.m.",
        "The heart is big?",
        "Yes.",
    ]
    assert split_sentences("There are 2. No more.") == ["There are 2.", "No more."]
    assert split_sentences("Impression: 1. No edema.") == ["Impression: 1. No edema."]
    assert split_sentences("  ") == []


@pytest.mark.parametrize(
    ("text", "rest", "removed"),
    [
        ("Effusion of 2.5 cm, unchanged. No edema.", "Effusion of 2.5 cm. No edema.",
         ("unchanged",)),
        ("Compared to the prior study, there is a small effusion.", "There is a small effusion.",
         ("Compared to the prior study",)),
        ("As before, there is mild edema.", "There is mild edema.", ("As before",)),
        ("Compared to the prior study, lung volumes are lower.", "",
         ("Compared to the prior study, lung volumes are lower.",)),
        ("Compared to the prior, small effusion, unchanged.", "Small effusion.",
         ("Compared to the prior", "unchanged")),
        ("There is new edema. The heart is big.", "The heart is big.", ("There is new edema.",)),
        ("Mild edema, not significantly changed since ___.", "Mild edema.",
         ("not significantly changed since ___",)),
        ("Mild edema which has improved.", "Mild edema.", ("which has improved",)),
        ("Edema is mild, but has improved.", "Edema is mild.", ("but has improved",)),
        ("Small effusion (unchanged since ___) and edema.", "Small effusion and edema.",
         ("(unchanged since ___)",)),
        ("No effusion is seen, in contrast to the prior study.", "No effusion is seen.",
         ("in contrast to the prior study",)),
        ("Although the effusion has decreased, there is atelectasis.", "There is atelectasis.",
         ("Although the effusion has decreased",)),
        ("Stable cardiomegaly, no edema, and no effusion.", "No edema, and no effusion.",
         ("Stable cardiomegaly",)),
        ("Unchanged effusion of 2.5 cm, no pneumothorax.", "No pneumothorax.",
         ("Unchanged effusion of 2.5 cm",)),
        ("Heart, lungs, and unchanged mediastinum are normal.", "",
         ("Heart, lungs, and unchanged mediastinum are normal.",)),
        ("Bilateral, new opacities.", "", ("Bilateral, new opacities.",)),
        ("Stable cardiomegaly.", "", ("Stable cardiomegaly.",)),
        ("The effusion has increased.", "", ("The effusion has increased.",)),
        ("Lines are in place, with interval removal of the tube, since ___.", "Lines are in place.",
         ("with interval removal of the tube, since ___",)),
    ],
)  # fmt: skip
def test_complete_clauses_are_removed(text, rest, removed):
    assert prior_remover("rules").remove(text) == (rest, removed)


def test_the_rest_is_not_dated_and_removal_is_idempotent():
    for text, _ in (pair for pairs in SETS.values() for pair in pairs):
        rest, _ = prior_remover("rules").remove(text)
        assert not is_dated(rest)
        assert prior_remover("rules").remove(rest) == (rest, ())


def test_a_text_without_references_is_unchanged():
    text = "Lungs  are clear.\nDegenerative   changes."
    assert prior_remover("rules").remove(text) == (text, ())


SETS = {
    "tuned": TUNED,
    "held out": HELD_OUT,
    "harder": HARDER,
    "first": FIRST,
    "last": LAST,
    "final": FINAL,
}


@pytest.mark.parametrize("pairs", SETS.values(), ids=SETS)
def test_rules_on_handwritten_sentences(pairs):
    assert len({text for text, _ in pairs}) == len(pairs)
    measured = measure_remover(prior_remover("rules"), pairs)
    print(f"{len(pairs)} sentences: precision {measured[0]:.3f}, recall {measured[1]:.3f}")
    assert measured[0] >= 0.95 and measured[1] >= 0.95
    assert measure_remover(Everything(), pairs)[0] < 0.95
    assert measure_remover(NoRemoval(), pairs) == (1.0, 0.0)


def test_no_sentence_is_in_two_sets():
    texts = [text for pairs in SETS.values() for text, _ in pairs]
    assert len(texts) == len(set(texts)) == 420


def test_rules_on_the_comparisons_of_the_phantom():
    """Every wording separately, then the sentences of complete reports."""
    texts = [text.format("Small left effusion", "small left effusion")
             for texts in WORDINGS.values() for text in texts]  # fmt: skip
    missed = [text for text in texts if not prior_remover("rules").remove(text)[1]]
    assert missed == []
    statements = [item for _, report in later_reports(40) for item in report.statements]
    pairs = [(item.text, bool(item.comparison)) for item in statements]
    precision, recall = measure_remover(prior_remover("rules"), pairs)
    print(f"{len(pairs)} sentences: precision {precision:.3f}, recall {recall:.3f}")
    assert sum(refers for _, refers in pairs) > 50
    assert precision >= 0.95 and recall >= 0.95
    assert measure_remover(Everything(), pairs)[0] < 0.95


def test_reports_keep_present_findings_without_comparisons():
    seen = 0
    words = re.compile(r"\b(prior|previous|interval|unchanged|since|again|before|stable)\b", re.I)
    for visit, report in later_reports(40):
        text = report_text(report.text)
        rest, removed = prior_remover("rules").remove(text)
        seen += len(removed)
        assert extract_findings(rest) == {item.name for item in visit.findings}
        assert not words.search(rest)
        assert bool(removed) is any(item.comparison for item in report.statements)
        for item in report.statements:
            assert item.comparison or item.text in rest
    assert seen > 50


def test_precision_and_recall_of_known_cases():
    pairs = (("New edema.", True), ("Edema.", True), ("Stable.", False), ("Clear.", False))
    assert measure_remover(prior_remover("rules"), pairs) == (0.5, 0.5)
    assert measure_remover(prior_remover("rules"), ()) == (1.0, 1.0)


def test_removers_by_name():
    assert prior_remover("none").remove("Unchanged.") == ("Unchanged.", ())
    assert [prior_remover(method).name for method in ("rules", "none")] == ["rules", "none"]
    assert prior_remover("rules").remove("Unchanged.") == ("", ("Unchanged.",))


@pytest.mark.parametrize("method", ["rule", "classifier", "classifier:", ""])
def test_an_unknown_remover_lists_the_known(method):
    with pytest.raises(ValueError, match="known: rules, none, classifier:/folder"):
        prior_remover(method)
