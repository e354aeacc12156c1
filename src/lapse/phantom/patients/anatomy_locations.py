"""Anatomical locations of findings and devices: words, regions and attributes.

Converts the side and zone of a finding (lapse.phantom.patients.state) to the adjective in a report
("left basilar"), to the location after a preposition ("the left lung base"), to the regions that
the sentence describes, and to Chest ImaGenome attribute strings `category|yes|name`.
Source: the public documentation of Chest ImaGenome 1.0.0 (region names, attribute layout).
"""

from __future__ import annotations

from lapse.phantom.patients.state import Device, Finding

_ZONE_REGION = {"basilar": "lower lung zone", "apical": "apical zone"}

# finding -> (category, name, UMLS concept) of its attribute; "" for an unknown concept
ATTRIBUTES: dict[str, tuple[str, str, str]] = {
    "pleural effusion": ("anatomicalfinding", "pleural effusion", "C0032227"),
    "atelectasis": ("anatomicalfinding", "atelectasis", "C0004144"),
    "cardiomegaly": ("anatomicalfinding", "enlarged cardiac silhouette", "C0018800"),
    "edema": ("anatomicalfinding", "pulmonary edema/hazy opacity", "C0034063"),
    "vascular congestion": ("anatomicalfinding", "vascular congestion", ""),
    "hilar congestion": ("anatomicalfinding", "enlarged hilum", ""),
    "pneumothorax": ("anatomicalfinding", "pneumothorax", "C0032326"),
    "lung opacity": ("anatomicalfinding", "lung opacity", ""),
    "consolidation": ("anatomicalfinding", "consolidation", "C0521530"),
    "pneumonia": ("disease", "pneumonia", "C0032285"),
    "heart failure": ("disease", "fluid overload/heart failure", "C0018801"),
    "emphysema": ("disease", "copd/emphysema", "C0034067"),
    "pleural thickening": ("anatomicalfinding", "pleural/parenchymal scarring", ""),
    "blunting of the costophrenic angle": ("anatomicalfinding", "costophrenic angle blunting", ""),
    "granuloma": ("anatomicalfinding", "calcified nodule", ""),
    "calcification": ("anatomicalfinding", "vascular calcification", ""),
    "fracture": ("anatomicalfinding", "rib fracture", "C0035522"),
    "scoliosis": ("anatomicalfinding", "scoliosis", "C0036439"),
    "tortuosity of the thoracic aorta": ("anatomicalfinding", "tortuous aorta", ""),
    "hernia": ("anatomicalfinding", "hernia", ""),
    "gastric distention": ("anatomicalfinding", "gastric distention", ""),
}
CONCEPTS = {name: concept for _, name, concept in ATTRIBUTES.values() if concept}
CONCEPTS |= {"abnormal": "C0205161", "normal": "C0205307"}

_FIXED_REGIONS: dict[str, tuple[str, ...]] = {
    "cardiomegaly": ("cardiac silhouette",),
    "calcification": ("aortic arch",),
    "scoliosis": ("spine",),
    "tortuosity of the thoracic aorta": ("aortic arch", "mediastinum"),
    "hernia": ("mediastinum",),
    "gastric distention": ("abdomen",),
    "heart failure": ("cardiac silhouette", "right lung", "left lung"),
}
_SIDE_REGIONS: dict[str, tuple[str, ...]] = {
    "pleural effusion": ("costophrenic angle", "lower lung zone", "lung"),
    "pneumothorax": ("apical zone", "upper lung zone", "lung"),
    "edema": ("hilar structures", "lung"),
    "vascular congestion": ("hilar structures", "lung"),
    "hilar congestion": ("hilar structures", "lung"),
    "emphysema": ("hemidiaphragm", "lung"),
    "blunting of the costophrenic angle": ("costophrenic angle",),
    "fracture": ("ribs",),
}
_DEVICE_REGIONS: dict[str, tuple[str, ...]] = {
    "endotracheal tube": ("trachea", "carina"),
    "nasogastric tube": ("abdomen",),
    "picc line": ("svc", "cavoatrial junction"),
    "central line": ("svc", "cavoatrial junction", "right atrium"),
    "pacemaker": ("right atrium", "cardiac silhouette"),
    "sternal wires": ("mediastinum",),
    "ecg leads": (),
}
_DEVICE_ATTRIBUTES = {
    "endotracheal tube": "tubesandlines|yes|endotracheal tube",
    "nasogastric tube": "tubesandlines|yes|enteric tube",
    "picc line": "tubesandlines|yes|picc",
    "central line": "tubesandlines|yes|ij line",
    "chest tube": "tubesandlines|yes|chest tube",
    "pacemaker": "device|yes|cardiac pacer and wires",
    "sternal wires": "device|yes|sternotomy wires",
}


def sides_of(side: str) -> tuple[str, ...]:
    """The patient's sides that a side word includes, right before left; none for ""."""
    return ("right", "left") if side == "bilateral" else (side,) if side else ()


def adjective(side: str, zone: str) -> str:
    """The location before a noun: "left basilar", "bibasilar", "right upper lung", "".

    >>> adjective("bilateral", "basilar"), adjective("left", "mid"), adjective("right", "")
    ('bibasilar', 'left mid lung', 'right')
    """
    if side == "bilateral" and zone in ("basilar", "apical"):
        return f"bi{zone}"
    word = zone if zone in ("basilar", "apical", "") else f"{zone} lung"
    return f"{side} {word}".strip()


def location_phrase(side: str, zone: str) -> str:
    """The location after a preposition: "the left lung base", "both upper lungs", "".

    >>> location_phrase("left", "basilar"), location_phrase("bilateral", "apical")
    ('the left lung base', 'both lung apices')
    """
    if not side:
        return ""
    is_bilateral = side == "bilateral"
    if zone == "basilar":
        return "both lung bases" if is_bilateral else f"the {side} lung base"
    if zone == "apical":
        return "both lung apices" if is_bilateral else f"the {side} lung apex"
    noun = f"{zone} lung".strip()
    return f"both {noun}s" if is_bilateral else f"the {side} {noun}"


def preposition(zone: str) -> str:
    """The preposition of a location: at a base or an apex, in another part of a lung."""
    return "at" if zone in ("basilar", "apical") else "in"


def regions_of(finding: Finding) -> tuple[str, ...]:
    """The regions that a sentence about this finding describes."""
    if finding.name in _FIXED_REGIONS:
        return _FIXED_REGIONS[finding.name]
    parts = _SIDE_REGIONS.get(finding.name)
    if parts is None:
        zone = _ZONE_REGION.get(finding.zone, f"{finding.zone} lung zone" if finding.zone else "")
        parts = (zone, "lung") if zone else ("lung",)
        if finding.zone == "basilar":
            parts = (*parts, "hemidiaphragm")
    return tuple(f"{side} {part}" for side in sides_of(finding.side) for part in parts)


def device_regions(device: Device) -> tuple[str, ...]:
    """The regions that a sentence about this device describes."""
    if device.name == "chest tube":
        return tuple(f"{side} lung" for side in sides_of(device.side))
    return _DEVICE_REGIONS[device.name]


def attributes_of(finding: Finding) -> tuple[str, ...]:
    """Attribute strings of a sentence that affirms a finding, in the style of Chest ImaGenome."""
    category, name, _ = ATTRIBUTES[finding.name]
    is_opacity = finding.name in ("atelectasis", "consolidation", "pneumonia", "edema")
    opacity = ("anatomicalfinding|yes|lung opacity",) if is_opacity else ()
    return (*opacity, f"{category}|yes|{name}", "nlp|yes|abnormal")


def device_attributes(device: Device) -> tuple[str, ...]:
    """Attribute strings of a sentence about a device."""
    return (_DEVICE_ATTRIBUTES[device.name],)


def absent_attribute(name: str) -> str:
    """The attribute string of a sentence that denies a finding."""
    category, label, _ = ATTRIBUTES[name]
    return f"{category}|no|{label}"
