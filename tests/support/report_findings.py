"""The findings that a simulated report affirms, by rules that are independent of its writer."""

import re

_HEADER = re.compile(r"(?:^|\n) ([A-Z ()/,-]+):\s")
_BODY = ("FINDINGS", "IMPRESSION", "CONCLUSION", "FINDINGS AND IMPRESSION", "CHEST, TWO VIEWS")
_LEXICON = (
    ("blunting of the costophrenic angle", r"blunt(?:ing|ed)"),
    ("pleural effusion", r"effusions?|pleural fluid"),
    ("pleural thickening", r"pleural thickening|thickening of the pleura"),
    ("pneumothorax", r"pneumothora(?:x|ces)"),
    ("cardiomegaly", r"cardiomegaly|cardiac enlargement|enlarged heart|heart[^.]* enlarged"),
    ("edema", r"edema"),
    ("hilar congestion", r"hilar congestion|congestion of the hila"),
    ("vascular congestion", r"vascular congestion"),
    ("heart failure", r"heart failure|\bchf\b"),
    ("atelectasis", r"atelecta(?:sis|ses)|volume loss"),
    ("consolidation", r"consolidations?"),
    ("pneumonia", r"pneumonia|infection"),
    ("lung opacity", r"opacity|opacities|opacification"),
    ("emphysema", r"emphysema(?:tous)?"),
    ("granuloma", r"granulomas?"),
    ("calcification", r"calcifications?"),
    ("fracture", r"fractured?|fractures"),
    ("scoliosis", r"scoliosis"),
    ("tortuosity of the thoracic aorta", r"tortuous|tortuosity"),
    ("hernia", r"hernia"),
    ("gastric distention", r"gastric distention|distention of the stomach"),
)
_PATTERNS = tuple((name, re.compile(pattern)) for name, pattern in _LEXICON)
_DENIES_AFTER = re.compile(r"\b(?:no|neither|without|not|clear of|free of|resolution of)\b")
_DENIES_ALL = re.compile(r"\b(?:has|have) resolved\b")


def extract_findings(text):
    """The findings that a report affirms, by rules: sentence split, lexicon, negation.

    Only the findings and impression sections count (without them, the text after the last header),
    so an indication such as "evaluate for pneumonia" affirms nothing.

    >>> sorted(extract_findings("Mild edema. No pneumothorax. The prior effusion has resolved."))
    ['edema']
    """
    findings = set()
    for sentence in re.split(r"(?<=[.;?!])\s+", " ".join(_body(text).split()).lower()):
        if _DENIES_ALL.search(sentence):
            continue
        denial = _DENIES_AFTER.search(sentence)
        is_previous = denial is not None and "not seen previously" in sentence
        end = len(sentence) if denial is None or is_previous else denial.start()
        findings |= {name for name, pattern in _PATTERNS if pattern.search(sentence[:end])}
    return findings


def _body(text):
    headers = list(_HEADER.finditer(text))
    if not headers:
        return text
    ends = [*(match.start() for match in headers[1:]), len(text)]
    parts = [
        text[match.end() : end]
        for match, end in zip(headers, ends, strict=True)
        if match.group(1).strip() in _BODY
    ]
    if parts:
        return " ".join(parts)
    paragraphs = re.split(r"\n\s*\n", text[headers[-1].end() :].strip())
    return paragraphs[-1]
