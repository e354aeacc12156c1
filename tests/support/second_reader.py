"""A second extractor of findings from simulated reports, independent of lapse.phantom.

It has its own tables of word stems, levels and sides and returns name -> (level, side). Agreement
of both extractors shows that the text of a report is unambiguous.
"""

import re

STEMS = {  # word stem -> finding, more specific stems first
    "blunt": "blunting of the costophrenic angle",
    "pleural thickening": "pleural thickening",
    "effusion": "pleural effusion",
    "pneumothora": "pneumothorax",
    "cardiomegaly": "cardiomegaly",
    "enlarge": "cardiomegaly",
    "edema": "edema",
    "vascular congestion": "vascular congestion",
    "hilar congestion": "hilar congestion",
    "congestion of the hila": "hilar congestion",
    "heart failure": "heart failure",
    "atelecta": "atelectasis",
    "volume loss": "atelectasis",
    "consolidat": "consolidation",
    "pneumonia": "pneumonia",
    "infection": "pneumonia",
    "opacit": "lung opacity",
    "emphysema": "emphysema",
    "granuloma": "granuloma",
    "calcification": "calcification",
    "fracture": "fracture",
    "scoliosis": "scoliosis",
    "tortuo": "tortuosity of the thoracic aorta",
    "hernia": "hernia",
    "distention": "gastric distention",
}
DEGREES = {
    "moderate to large": "moderate to large",
    "minimal": "minimal",
    "small": "small",
    "mild": "mild",
    "moderate": "moderate",
    "severe": "severe",
    "massive": "massive",
}
SIDES = {
    "left": r"\bleft\b",
    "right": r"\bright\b",
    "bilateral": r"\bbilateral\b|\bbibasilar\b|\bbiapical\b|\bboth\b",
}
NEGATIVE = re.compile(r"\b(no|neither|without|free|resolved|resolution)\b")
POSITIVE = re.compile(r"no interval change|not seen previously")


def read_findings(text: str) -> dict[str, tuple[str, str]]:
    """Finding -> (level, side) of all findings that a report affirms; "" if not stated.

    Different levels or sides of one finding are joined with "/", so that they are detected.
    """
    findings: dict[str, tuple[set[str], set[str]]] = {}
    for sentence in re.split(r"(?<=[.?])\s+", _body(text)):
        if NEGATIVE.search(sentence) and not POSITIVE.search(sentence):
            continue
        for clause in re.split(",? and ", sentence):
            for name in {name for stem, name in STEMS.items() if stem in clause}:
                levels, sides = findings.setdefault(name, (set(), set()))
                degree = next((word for stem, word in DEGREES.items() if stem in clause), None)
                levels |= {degree} if degree else set()
                sides |= {side for side, word in SIDES.items() if re.search(word, clause)}
    return {
        name: ("/".join(sorted(levels)), "/".join(sorted(sides)))
        for name, (levels, sides) in findings.items()
    }


def _body(text: str) -> str:
    """The sentences of the findings and the impression, on one line in lower case."""
    parts = re.split(r"\n ([A-Z][A-Z ,()/-]+):", "\n" + text)
    headers = ("FINDINGS", "IMPRESSION", "CONCLUSION", "TWO VIEWS")
    bodies = [
        body
        for header, body in zip(parts[1::2], parts[2::2], strict=True)
        if header.strip().startswith(headers) or header.strip().endswith(headers)
    ]
    if not bodies:  # the text after the blank line that ends the last section
        bodies = [parts[-1].rstrip().split("\n \n")[-1]]
    return " ".join(" ".join(bodies).lower().split())
