"""The label names of PadChest: which of them is one of the 30 findings, compared as a whole.

Names that are not here are outside the 30: fractures of vertebrae and healed ribs, nodules, masses,
devices, "COPD signs", "interstitial pattern", "pericardial effusion", "subcutaneous emphysema" and
so on. A level, a side or a cause in a name ("loculated pleural effusion") is dropped. The table was
written by developers and needs the approval of a radiologist.
"""

from __future__ import annotations

from collections.abc import Iterable

NORMAL = "normal"
# A report with one of these need not repeat the findings, or its film is not to be used.
INCOMPLETE = frozenset({"unchanged", "exclude"})
FINDING_OF = {
    name: finding
    for finding, names in {
        "pleural effusion": (
            "pleural effusion",
            "loculated pleural effusion",
            "loculated fissural effusion",
        ),
        "atelectasis": (
            "atelectasis",
            "atelectasis basal",
            "laminar atelectasis",
            "lobar atelectasis",
            "round atelectasis",
            "segmental atelectasis",
            "total atelectasis",
            "volume loss",
        ),
        "cardiomegaly": ("cardiomegaly",),
        "edema": ("pulmonary edema",),
        "hernia": ("hiatal hernia",),
        "hilar congestion": ("hilar congestion",),
        "pneumothorax": ("pneumothorax",),
        "heart failure": ("heart insufficiency",),
        "lung opacity": (
            "alveolar pattern",
            "ground glass pattern",
            "increased density",
            "infiltrates",
        ),
        "pneumonia": ("pneumonia", "atypical pneumonia"),
        "tortuosity of the descending aorta": ("descendent aortic elongation",),
        "tortuosity of the thoracic aorta": ("aortic elongation", "ascendent aortic elongation"),
        "scoliosis": ("scoliosis",),
        "emphysema": ("emphysema",),
        "granuloma": ("granuloma", "calcified granuloma"),
        "calcification": ("calcified densities",),
        "pleural thickening": (
            "pleural thickening",
            "apical pleural thickening",
            "calcified pleural thickening",
        ),
        "blunting of the costophrenic angle": ("costophrenic angle blunting",),
        "consolidation": ("consolidation",),
        "fracture": ("fracture", "rib fracture", "clavicle fracture"),
        "pneumomediastinum": ("pneumomediastinum",),
    }.items()
    for name in names
}


def findings_of(labels: Iterable[str]) -> frozenset[str]:
    """The findings of the 30 that a list of labels names.

    >>> sorted(findings_of(["alveolar pattern", "infiltrates", "pericardial effusion"]))
    ['lung opacity']
    """
    return frozenset(FINDING_OF[label] for label in labels if label in FINDING_OF)


def outside_of(labels: Iterable[str]) -> frozenset[str]:
    """The labels that no answer can name; "normal" is none of them."""
    return frozenset(label for label in labels if label not in FINDING_OF and label != NORMAL)
