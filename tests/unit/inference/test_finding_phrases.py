"""The sentence that states a finding, with its side."""

from lapse.inference.finding_phrases import stating_sentence

DESCRIPTIONS = [
    "A moderate left pleural effusion is noted.",
    "No pneumothorax. A small right pleural effusion is seen.",
    "A moderate left pleural effusion is noted. No edema.",
    "The lungs are clear without edema.",
]


def test_the_most_frequent_statement_is_taken():
    sentence = stating_sentence("pleural effusion", DESCRIPTIONS)
    assert sentence == "A moderate left pleural effusion is noted."
    assert stating_sentence("pleural effusion", DESCRIPTIONS[:2]) == sentence
    assert "right" in stating_sentence("pleural effusion", DESCRIPTIONS[1:2])


def test_denied_and_missing_findings_have_none():
    for name in ("pneumothorax", "edema", "hernia"):
        assert stating_sentence(name, DESCRIPTIONS) == ""
    assert stating_sentence("edema", []) == ""
