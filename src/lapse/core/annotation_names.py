"""Names in public annotations: the regions of Chest ImaGenome and the labels of CheXpert.

"right" is the patient's right, which is the left of the image. REGIONS are the 29 that the paper
uses, in order. Source: the public documentation of Chest ImaGenome 1.0.0 and of MIMIC-CXR-JPG.
"""

from __future__ import annotations

REGIONS = (
    "right lung",
    "right upper lung zone",
    "right mid lung zone",
    "right lower lung zone",
    "right hilar structures",
    "right apical zone",
    "right costophrenic angle",
    "right hemidiaphragm",
    "left lung",
    "left upper lung zone",
    "left mid lung zone",
    "left lower lung zone",
    "left hilar structures",
    "left apical zone",
    "left costophrenic angle",
    "left hemidiaphragm",
    "trachea",
    "spine",
    "right clavicle",
    "left clavicle",
    "aortic arch",
    "mediastinum",
    "upper mediastinum",
    "svc",
    "cardiac silhouette",
    "cavoatrial junction",
    "right atrium",
    "carina",
    "abdomen",
)
FURTHER_REGIONS = (
    "right cardiophrenic angle",
    "left cardiophrenic angle",
    "left cardiac silhouette",
    "right cardiac silhouette",
    "descending aorta",
    "left upper abdomen",
    "right upper abdomen",
)
CHEXPERT_LABELS = (
    "Atelectasis",
    "Cardiomegaly",
    "Consolidation",
    "Edema",
    "Enlarged Cardiomediastinum",
    "Fracture",
    "Lung Lesion",
    "Lung Opacity",
    "No Finding",
    "Pleural Effusion",
    "Pleural Other",
    "Pneumonia",
    "Pneumothorax",
    "Support Devices",
)
REGION_SETS = {"29": REGIONS, "36": REGIONS + FURTHER_REGIONS}
NOT_IN_GOLD = ("spine", "mediastinum", "abdomen")  # the gold annotations have 26 regions
GOLD_REGIONS = tuple(name for name in REGIONS if name not in NOT_IN_GOLD)
