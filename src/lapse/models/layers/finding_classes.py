"""Classes of findings: which names of the scene graph count for each, and how they are related.

A finding head predicts one set of classes. `VINDR` is the list of 22 that EKAID's finding detector
was trained on (VinDr-CXR), each with the names of Chest ImaGenome that come closest (our choice).
`SCENE_GRAPH` has one class per name of Chest ImaGenome, as RG-AG's detector; its list was written
from memory and is not complete.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

ClassSet = Literal["vindr", "scene_graph"]

VINDR: dict[str, tuple[str, ...]] = {
    "aortic enlargement": ("tortuous aorta", "mediastinal widening"),
    "atelectasis": ("atelectasis", "linear/patchy atelectasis", "lobar/segmental collapse"),
    "calcification": ("calcified nodule", "vascular calcification"),
    "cardiomegaly": ("enlarged cardiac silhouette",),
    "clavicle fracture": ("clavicle fracture",),
    "consolidation": ("consolidation", "airspace opacity"),
    "edema": ("pulmonary edema/hazy opacity", "fluid overload/heart failure"),
    "emphysema": ("copd/emphysema", "hyperaeration"),
    "enlarged pa": ("enlarged hilum", "vascular congestion"),
    "ild": ("interstitial lung disease", "increased reticular markings/ild pattern"),
    "infiltration": ("infiltration", "pneumonia"),
    "lung opacity": ("lung opacity",),
    "lung cavity": ("cavitary lesion",),
    "lung cyst": ("cyst/bullae",),
    "mediastinal shift": ("mediastinal displacement",),
    "nodule/mass": ("mass/nodule (not otherwise specified)", "multiple masses/nodules"),
    "pleural effusion": ("pleural effusion", "costophrenic angle blunting"),
    "pleural thickening": ("pleural/parenchymal scarring",),
    "pneumothorax": ("pneumothorax", "hydropneumothorax"),
    "pulmonary fibrosis": ("granulomatous disease", "bronchiectasis"),
    "rib fracture": ("rib fracture",),
    "other lesion": ("lung lesion", "hernia", "scoliosis", "bone lesion"),
}
_SCENE_GRAPH_NAMES = (
    *(name for names in VINDR.values() for name in names),
    *("vascular redistribution", "superior mediastinal mass/enlargement", "pneumomediastinum"),
    *("elevated hemidiaphragm", "diaphragmatic eventration (benign)", "sub-diaphragmatic air"),
    *("subcutaneous air", "spinal fracture", "spinal degenerative changes", "gastric distention"),
    *("shoulder osteoarthritis", "lung cancer", "aspiration", "alveolar hemorrhage"),
    *("pericardial effusion", "goiter", "chest tube", "endotracheal tube", "enteric tube"),
    *("ij line", "picc", "subclavian line", "swan-ganz catheter", "tracheostomy tube"),
    *("chest port", "mediastinal drain", "intra-aortic balloon pump", "pigtail catheter"),
    *("cardiac pacer and wires", "prosthetic valve", "sternotomy wires", "cabg grafts"),
    "aortic graft/repair",
)
SCENE_GRAPH: dict[str, tuple[str, ...]] = {name: (name,) for name in _SCENE_GRAPH_NAMES}
CLASS_SETS: dict[ClassSet, dict[str, tuple[str, ...]]] = {
    "vindr": VINDR,
    "scene_graph": SCENE_GRAPH,
}

# The organ groups of EKAID's semantic relation; everything else belongs to the lung.
LUNG = "lung"
_GROUPS = {
    "pleural": (
        *("right costophrenic angle", "left costophrenic angle", "right hemidiaphragm"),
        *("left hemidiaphragm", "pleural effusion", "pleural thickening", "pneumothorax"),
    ),
    "bone": (
        *("right clavicle", "left clavicle", "calcification", "clavicle fracture"),
        "rib fracture",
    ),
    "heart": (
        *("aortic arch", "svc", "cardiac silhouette", "cavoatrial junction", "right atrium"),
        *("aortic enlargement", "cardiomegaly", "enlarged pa"),
    ),
    "mediastinum": ("upper mediastinum", "mediastinal shift"),
}
CHEXPERT = (
    *("atelectasis", "cardiomegaly", "consolidation", "edema", "lung opacity", "pneumothorax"),
    "pleural effusion",
)


def organ_group(name: str) -> str:
    """The organ group of an anatomical region or a class of findings.

    >>> organ_group("pneumothorax"), organ_group("carina")
    ('pleural', 'lung')
    """
    return next((group for group, names in _GROUPS.items() if name in names), LUNG)


def class_numbers(classes: Mapping[str, Sequence[str]]) -> dict[str, list[int]]:
    """Name of the scene graph -> the numbers of the classes that it counts for."""
    numbers: dict[str, list[int]] = {}
    for number, names in enumerate(classes.values()):
        for name in names:
            numbers.setdefault(name, []).append(number)
    return numbers
