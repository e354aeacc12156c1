"""The vocabulary of difference answers: findings with their aliases, levels, and types.

Source: the published names of Medical-Diff-VQA (Hu et al., 2023).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

FINDINGS = (
    "pleural effusion",
    "atelectasis",
    "cardiomegaly",
    "enlargement of the cardiac silhouette",
    "edema",
    "hernia",
    "vascular congestion",
    "hilar congestion",
    "pneumothorax",
    "heart failure",
    "lung opacity",
    "pneumonia",
    "tortuosity of the descending aorta",
    "scoliosis",
    "gastric distention",
    "hypoxemia",
    "hypertensive heart disease",
    "hematoma",
    "tortuosity of the thoracic aorta",
    "contusion",
    "emphysema",
    "granuloma",
    "calcification",
    "pleural thickening",
    "thymoma",
    "blunting of the costophrenic angle",
    "consolidation",
    "fracture",
    "pneumomediastinum",
    "air collection",
)
ALIASES = {
    "effusion": "pleural effusion",
    "effusions": "pleural effusion",
    "pleural effusions": "pleural effusion",
    "pleural fluid": "pleural effusion",
    "volume loss": "atelectasis",
    "collapse": "atelectasis",
    "atelectases": "atelectasis",
    "atelectatic change": "atelectasis",
    "atelectatic changes": "atelectasis",
    "enlarged": "cardiomegaly",
    "pulmonary edema": "edema",
    "hiatal hernia": "hernia",
    "hiatus hernia": "hernia",
    "pulmonary vascular congestion": "vascular congestion",
    "chf": "heart failure",
    "congestive heart failure": "heart failure",
    "cardiac decompensation": "heart failure",
    "opacity": "lung opacity",
    "opacities": "lung opacity",
    "lung opacities": "lung opacity",
    "opacification": "lung opacity",
    "airspace opacity": "lung opacity",
    "airspace opacities": "lung opacity",
    "lung opacification": "lung opacity",
    "infection": "pneumonia",
    "thoracolumbar scoliosis": "scoliosis",
    "htn": "hypertensive heart disease",
    "pulmonary contusion": "contusion",
    "fractures": "fracture",
    "rib fracture": "fracture",
    "rib fractures": "fracture",
    "granulomas": "granuloma",
    "granulomatous disease": "granuloma",
    "calcifications": "calcification",
    "consolidations": "consolidation",
    "blunting of the costophrenic angles": "blunting of the costophrenic angle",
    "blunting of the left costophrenic angle": "blunting of the costophrenic angle",
    "blunting of the right costophrenic angle": "blunting of the costophrenic angle",
    "blunting of the left costodiaphragmatic": "blunting of the costophrenic angle",
    "blunting of the right costodiaphragmatic": "blunting of the costophrenic angle",
}
LEVELS = (
    "moderately",
    "moderate",
    "acute",
    "mildly",
    "mild",
    "small",
    "severe",
    "moderate to large",
    "moderate to severe",
    "mild to moderate",
    "minimal",
    "subtle",
    "massive",
    "minimally",
    "increasing",
    "decreasing",
    "minor",
)
TYPES = (
    "interstitial",
    "layering",
    "dense",
    "parenchymal",
    "compressive",
    "obstructive",
    "linear",
    "plate-like",
    "patchy",
    "ground-glass",
    "calcified",
    "scattered",
    "focal",
    "multifocal",
    "multi-focal",
)
IDS = {name: index for index, name in enumerate(FINDINGS)}
NAMES = {**{name: name for name in FINDINGS}, **ALIASES}
# Words that may accompany a name without making it another finding. They stay leftover.
MODIFIERS = {word for text in (*LEVELS, *TYPES) for word in text.split()} | {
    "a", "an", "and", "apical", "area", "basal", "base", "bases", "basilar", "bibasilar",
    "bilateral", "both", "image", "in", "left", "lobe", "lobes", "lower", "lung", "lungs", "main",
    "mid", "middle", "new", "of", "perihilar", "pulmonary", "reference", "retrocardiac", "right",
    "sided", "than", "the", "to", "upper", "zone", "zones",
}  # fmt: skip


def _alternatives(words: Iterable[str]) -> str:
    """A pattern of complete words that prefers the longest one."""
    ordered = sorted(words, key=lambda word: (-len(word), word))
    return r"(?<![\w-])(?:" + "|".join(re.escape(word) for word in ordered) + r")(?![\w-])"


NAME_PATTERN = re.compile(_alternatives(NAMES))  # any name or alias
_LEVEL = re.compile(_alternatives(LEVELS))


def is_level(text: str) -> bool:
    """Whether a text consists of level words.

    >>> is_level("mild to moderate"), is_level("large")
    (True, False)
    """
    return bool(text) and not _LEVEL.sub("", text).strip()


def findings_in(text: str) -> tuple[str, ...]:
    """The findings that a text names, aliases included, each once, in the order of their ids."""
    matches = set(NAME_PATTERN.findall(" ".join(text.lower().split()))) - {
        "enlarged"
    }  # hila, for one
    named = {NAMES[match] for match in matches}
    return tuple(name for name in FINDINGS if name in named)
