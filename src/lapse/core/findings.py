"""The vocabulary of difference answers: findings with their aliases, levels, and types.

Source: the published names of Medical-Diff-VQA (Hu et al., 2023).
"""

from __future__ import annotations

from lapse.core.hedges import word_pattern

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
_OTHER_NAMES = {
    "pleural effusion": ("effusion", "effusions", "pleural effusions", "pleural fluid"),
    "atelectasis": (
        "volume loss",
        "collapse",
        "atelectases",
        "atelectatic change",
        "atelectatic changes",
    ),
    "cardiomegaly": ("enlarged",),
    "edema": ("pulmonary edema",),
    "hernia": ("hiatal hernia", "hiatus hernia"),
    "vascular congestion": ("pulmonary vascular congestion",),
    "heart failure": ("chf", "congestive heart failure", "cardiac decompensation"),
    "lung opacity": (
        "opacity",
        "opacities",
        "lung opacities",
        "opacification",
        "airspace opacity",
        "airspace opacities",
        "lung opacification",
    ),
    "pneumonia": ("infection",),
    "scoliosis": ("thoracolumbar scoliosis",),
    "hypertensive heart disease": ("htn",),
    "contusion": ("pulmonary contusion",),
    "fracture": ("fractures", "rib fracture", "rib fractures"),
    "granuloma": ("granulomas", "granulomatous disease"),
    "calcification": ("calcifications",),
    "consolidation": ("consolidations",),
    "blunting of the costophrenic angle": (
        "blunting of the costophrenic angles",
        "blunting of the left costophrenic angle",
        "blunting of the right costophrenic angle",
        "blunting of the left costodiaphragmatic",
        "blunting of the right costodiaphragmatic",
    ),
}
ALIASES = {alias: name for name, aliases in _OTHER_NAMES.items() for alias in aliases}
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


NAME_PATTERN = word_pattern(NAMES)  # any name or alias
_LEVEL = word_pattern(LEVELS)


def is_level(text: str) -> bool:
    """Whether a text consists of level words.

    >>> is_level("mild to moderate"), is_level("large")
    (True, False)
    """
    return bool(text) and not _LEVEL.sub("", text).strip()


def findings_in(text: str) -> tuple[str, ...]:
    """The findings that a text names, aliases included, each once, in the order of their ids."""
    matches = set(NAME_PATTERN.findall(" ".join(text.lower().split())))
    named = {NAMES[match] for match in matches - {"enlarged"}}  # hila, for one
    return tuple(name for name in FINDINGS if name in named)
