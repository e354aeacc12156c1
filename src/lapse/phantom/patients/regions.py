"""The 36 named regions of Chest ImaGenome: the 29 that the paper uses, in order, and 7 others.

"right" is the patient's right, which is the left of the image. Source: the public documentation
of Chest ImaGenome 1.0.0.
"""

from __future__ import annotations

REGIONS: tuple[str, ...] = (
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
OTHER_REGIONS: tuple[str, ...] = (
    "right cardiophrenic angle",
    "left cardiophrenic angle",
    "left cardiac silhouette",
    "right cardiac silhouette",
    "descending aorta",
    "left upper abdomen",
    "right upper abdomen",
)
