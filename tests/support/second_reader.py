"""A second reader of simulated reports, written from the sentences alone.

It shares no table with lapse.phantom: it looks for stems, words of degree and words of side, and
gives back name -> (level, side). A report that reads the same to both readers means what it says.
"""

import re

STEMS = {  # a stem that stands for one finding, the more special first
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


def read(text: str) -> dict[str, tuple[str, str]]:
    """Finding -> (level, side) of everything that the report affirms; "" where nothing is said.

    A second, different level or side of one finding is joined with "/", so that it cannot hide.
    """
    found: dict[str, tuple[set[str], set[str]]] = {}
    for sentence in re.split(r"(?<=[.?])\s+", _body(text)):
        if NEGATIVE.search(sentence) and not POSITIVE.search(sentence):
            continue
        for clause in re.split(",? and ", sentence):
            for name in {name for stem, name in STEMS.items() if stem in clause}:
                levels, sides = found.setdefault(name, (set(), set()))
                degree = next((word for stem, word in DEGREES.items() if stem in clause), None)
                levels |= {degree} if degree else set()
                sides |= {side for side, word in SIDES.items() if re.search(word, clause)}
    return {
        name: ("/".join(sorted(levels)), "/".join(sorted(sides)))
        for name, (levels, sides) in found.items()
    }


def _body(text: str) -> str:
    """The sentences of the findings and the impression, on one line in lower case."""
    parts = re.split(r"\n ([A-Z][A-Z ,()/-]+):", "\n" + text)
    wanted = ("FINDINGS", "IMPRESSION", "CONCLUSION", "TWO VIEWS")
    bodies = [
        body
        for header, body in zip(parts[1::2], parts[2::2], strict=True)
        if header.strip().startswith(wanted) or header.strip().endswith(wanted)
    ]
    if not bodies:  # everything after the blank line that ends the last section
        bodies = [parts[-1].rstrip().split("\n \n")[-1]]
    return " ".join(" ".join(bodies).lower().split())
