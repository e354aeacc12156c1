"""The vocabulary: every name has one finding, and texts are searched for complete names."""

from lapse.core.findings import ALIASES, FINDINGS, LEVELS, NAMES, findings_in, is_level


def test_every_name_has_one_finding():
    assert len(set(FINDINGS)) == len(FINDINGS) == 30
    assert set(NAMES.values()) == set(FINDINGS) and not set(ALIASES) & set(FINDINGS)


def test_findings_of_a_text():
    text = "Small  pleural effusions and CHF; the hila are enlarged. No pneumothoraces."
    assert findings_in(text) == ("pleural effusion", "heart failure")
    assert findings_in("edematous") == ()


def test_levels():
    assert all(map(is_level, LEVELS)) and is_level("mild acute")
    assert not any(map(is_level, ("", " large", "mildest")))
