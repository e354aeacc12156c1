"""Report sentences about findings, absent findings and devices.

Each sentence is a `Statement`: its text, the regions that it describes, attribute strings and cues.
Level, side, zone and type are always stated. There are 4 to 20 wordings per finding, selected by
stateless randomness. All sentences were written for this project.
"""

from __future__ import annotations

from dataclasses import dataclass

from lapse.core.seeding import derive_index
from lapse.phantom.patients.anatomy_locations import (
    absent_attribute,
    adjective,
    attributes_of,
    device_attributes,
    device_regions,
    location_phrase,
    preposition,
    regions_of,
)
from lapse.phantom.patients.findings import level_of
from lapse.phantom.patients.state import Device, Finding

Key = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Statement:
    """One sentence, the regions that it describes and their attributes."""

    text: str
    regions: tuple[tuple[str, tuple[str, ...]], ...]  # (region, attribute strings)
    finding: str = ""  # the finding that it affirms
    denied: tuple[str, ...] = ()  # the findings that it denies
    comparison: str = ""  # comparison cue, e.g. "comparison|yes|improved"
    severity: str = ""
    texture: str = ""


# nouns with their kind, which determines the article: "a" countable, "" mass, "s" plural
_NOUNS: dict[str, tuple[tuple[str, str], ...]] = {
    "pleural effusion": (("pleural effusion", "a"),),
    "atelectasis": (("atelectasis", ""), ("volume loss", "")),
    "cardiomegaly": (("cardiomegaly", ""), ("cardiac enlargement", "")),
    "edema": (("edema", ""), ("pulmonary edema", "")),
    "vascular congestion": (("vascular congestion", ""), ("pulmonary vascular congestion", "")),
    "hilar congestion": (("hilar congestion", ""), ("congestion of the hila", "")),
    "pneumothorax": (("pneumothorax", "a"),),
    "lung opacity": (("opacity", "a"), ("airspace opacity", "a")),
    "consolidation": (("consolidation", "a"), ("airspace consolidation", "a")),
    "pneumonia": (("pneumonia", ""), ("infection", "")),
    "heart failure": (("congestive heart failure", ""), ("heart failure", "")),
    "emphysema": (("emphysema", ""), ("emphysematous change", "")),
    "pleural thickening": (("pleural thickening", ""),),
    "granuloma": (("granuloma", "a"),),
    "calcification": (("calcification of the aortic arch", ""), ("aortic arch calcification", "")),
    "scoliosis": (("scoliosis", ""), ("thoracic scoliosis", "")),
    "tortuosity of the thoracic aorta": (("tortuosity of the thoracic aorta", ""),),
    "hernia": (("hiatal hernia", "a"), ("hernia", "a")),
    "gastric distention": (("gastric distention", ""), ("distention of the stomach", "")),
}
_PLURALS = {"effusion": "effusions", "opacity": "opacities", "consolidation": "consolidations"}
_FRAMES = ("{0}.", "There is {1}.", "{1} is seen.", "{1} is present.", "{1} is noted.")
# wordings that only the OOD group "paraphrase" uses (lapse.phantom.patients.ood_splits)
_HELD_OUT_FRAMES = ("{1} is identified.", "The image demonstrates {1}.", "Of note is {1}.")
_LEVEL_ADVERBS = {"minimal": "minimally", "mild": "mildly", "moderate": "moderately"}
# findings that occur on one side or both sides only, so that reports omit the side
_SIDE_OMITTED = (
    "edema",
    "vascular congestion",
    "hilar congestion",
    "emphysema",
    "gastric distention",
)

_DENIALS: dict[tuple[str, ...], tuple[str, ...]] = {
    ("pleural effusion", "pneumothorax"): (
        "No pleural effusion or pneumothorax.",
        "There is no pleural effusion or pneumothorax.",
        "No pneumothorax or pleural effusion is seen.",
        "No effusion or pneumothorax.",
    ),
    ("pleural effusion",): (
        "No pleural effusion.",
        "There is no pleural effusion.",
        "No pleural effusion is seen.",
        "No effusion.",
    ),
    ("pneumothorax",): (
        "No pneumothorax.",
        "There is no pneumothorax.",
        "No pneumothorax is seen.",
        "No evidence of pneumothorax.",
    ),
    ("consolidation",): (
        "No focal consolidation.",
        "There is no focal consolidation.",
        "No consolidation is seen.",
        "No evidence of consolidation.",
    ),
    ("edema",): ("No pulmonary edema.", "There is no edema.", "No edema is seen.", "No edema."),
    ("lung opacity",): (  # clear lungs deny every lung finding
        "The lungs are clear.",
        "Both lungs are clear.",
        "Lungs are clear.",
        "Clear lungs.",
    ),
    ("cardiomegaly",): (
        "Heart size is normal.",
        "The heart is normal in size.",
        "Normal heart size.",
        "The heart size is within normal limits.",
    ),
    ("hilar congestion",): (
        "Mediastinal and hilar contours are normal.",
        "The mediastinal and hilar contours are unremarkable.",
        "Normal mediastinal and hilar contours.",
        "The mediastinum and hila are normal.",
    ),
    ("fracture",): (
        "No acute fracture.",
        "No fracture is seen.",
        "There is no fracture.",
        "No evidence of fracture.",
    ),
}
_HELD_OUT_DENIALS: dict[tuple[str, ...], tuple[str, ...]] = {
    ("pleural effusion", "pneumothorax"): (
        "Neither pleural effusion nor pneumothorax is demonstrated.",
        "The pleural spaces are free of effusion and pneumothorax.",
    ),
    ("pleural effusion",): (
        "The pleural spaces are free of effusion.",
        "Pleural spaces without effusion.",
    ),
    ("pneumothorax",): (
        "The pleural spaces are free of pneumothorax.",
        "Pleural spaces without pneumothorax.",
    ),
    ("consolidation",): (
        "The lungs are free of consolidation.",
        "Lungs without consolidation.",
    ),
    ("edema",): ("The lungs are free of edema.", "Lungs without edema."),
    ("lung opacity",): ("The lungs are well aerated throughout.", "Unremarkable lungs."),
    ("cardiomegaly",): ("The heart is of ordinary size.", "Unremarkable heart size."),
    ("hilar congestion",): (
        "The mediastinum and both hila are of ordinary shape.",
        "Unremarkable outline of mediastinum and hila.",
    ),
    ("fracture",): ("The ribs are free of fracture.", "Ribs without fracture."),
}
_DENIED_REGIONS: dict[str, tuple[str, ...]] = {
    "pleural effusion": ("right costophrenic angle", "left costophrenic angle"),
    "pneumothorax": ("right lung", "left lung"),
    "consolidation": ("right lung", "left lung"),
    "edema": ("right hilar structures", "left hilar structures"),
    "lung opacity": ("right lung", "left lung"),
    "cardiomegaly": ("cardiac silhouette",),
    "hilar congestion": ("mediastinum", "right hilar structures", "left hilar structures"),
    "fracture": ("right clavicle", "left clavicle", "spine"),
}
_DEVICES: dict[str, tuple[str, ...]] = {
    "endotracheal tube": (
        "Endotracheal tube ends above the carina.",
        "The endotracheal tube is in standard position.",
        "Endotracheal tube in place.",
        "ET tube tip is above the carina.",
    ),
    "nasogastric tube": (
        "Enteric tube ends in the stomach.",
        "The nasogastric tube is in the stomach.",
        "Nasogastric tube in place.",
        "Enteric tube courses below the diaphragm.",
    ),
    "picc line": (
        "{side} PICC line ends in the SVC.",
        "{side} PICC tip is in the SVC.",
        "A {side} PICC line is in place.",
        "{side} PICC line in standard position.",
    ),
    "central line": (
        "{side} central line ends at the cavoatrial junction.",
        "{side} jugular line is in place.",
        "A {side} central venous line is present.",
        "{side} central line in standard position.",
    ),
    "chest tube": (
        "{side} chest tube in place.",
        "A {side} chest tube is present.",
        "{side} chest tube is noted.",
        "There is a {side} chest tube.",
    ),
    "pacemaker": (
        "{side} pacemaker leads are in place.",
        "A {side} pacemaker is present.",
        "{side} pacemaker is noted.",
        "There is a {side} pacemaker.",
    ),
    "sternal wires": (
        "Sternal wires are intact.",
        "Median sternotomy wires are intact.",
        "Sternotomy wires are present.",
        "Sternal wires are noted.",
    ),
}


def noun_phrases(finding: Finding) -> tuple[tuple[str, str], ...]:
    """All noun phrases of a finding with level, type, side and zone, each with its kind.

    >>> noun_phrases(Finding("pleural effusion", "left", "basilar", 0.3, "", 1))[0]
    ('small left pleural effusion', 'a')
    """
    level, side, zone = level_of(finding.name, finding.severity), finding.side, finding.zone
    if finding.name == "fracture":
        return (
            (f"{side} rib fracture in the {zone} chest", "a"),
            (f"fracture of a {side} {zone} rib", "a"),
            (f"fractured {side} {zone} rib", "a"),
        )
    if finding.name == "blunting of the costophrenic angle":
        return (
            (f"blunting of the {side} costophrenic angle", ""),
            (f"{side} costophrenic angle blunting", ""),
            (f"blunted {side} costophrenic angle", "a"),
        )
    if finding.name in _SIDE_OMITTED:
        side = zone = ""
    if finding.name in ("pleural effusion", "pneumothorax"):
        zone = ""
    phrases = []
    for noun, kind in _NOUNS[finding.name]:
        if side == "bilateral" and kind == "a":
            last = noun.split()[-1]
            noun, kind = noun.replace(last, _PLURALS[last]), "s"
        words = (level, finding.type, adjective(side, zone), noun)
        phrases.append((" ".join(filter(None, words)), kind))
        if side and zone:
            head = " ".join(filter(None, (level, finding.type, noun)))
            phrases.append((f"{head} {preposition(zone)} {location_phrase(side, zone)}", kind))
    return tuple(phrases)


def affirm(finding: Finding, key: Key, *, is_held_out: bool = False) -> Statement:
    """A sentence that affirms a finding; `is_held_out` selects the held-out wordings."""
    level = level_of(finding.name, finding.severity)
    frames: tuple[str, ...] = _HELD_OUT_FRAMES if is_held_out else _FRAMES
    texts = [
        sentence(frame, phrase, kind) for phrase, kind in noun_phrases(finding) for frame in frames
    ]
    if not is_held_out:
        texts += _special_sentences(finding, level)
    text = texts[derive_index(len(texts), *key, "affirm", finding.name)]
    attributes = attributes_of(finding)
    return Statement(
        text=text,
        regions=tuple((region, attributes) for region in regions_of(finding)),
        finding=finding.name,
        severity=f"severity|yes|{level}" if level else "",
        texture=f"texture|yes|{finding.type}" if finding.type else "",
    )


def deny(names: tuple[str, ...], key: Key, *, is_held_out: bool = False) -> Statement:
    """A sentence that denies the named findings."""
    texts = (_HELD_OUT_DENIALS if is_held_out else _DENIALS)[names]
    is_normal = names[0] in ("lung opacity", "cardiomegaly", "hilar congestion")
    extra = ("nlp|yes|normal",) if is_normal else ()
    regions: dict[str, tuple[str, ...]] = {}
    for name in names:
        for region in _DENIED_REGIONS[name]:
            regions[region] = (*regions.get(region, ()), absent_attribute(name))
    return Statement(
        text=texts[derive_index(len(texts), *key, "deny", names[0])],
        regions=tuple((region, (*attributes, *extra)) for region, attributes in regions.items()),
        denied=names,
    )


def describe_device(device: Device, key: Key) -> Statement | None:
    """A sentence about a device, None for devices that reports do not mention (ECG leads)."""
    texts = _DEVICES.get(device.name)
    if texts is None:
        return None
    text = texts[derive_index(len(texts), *key, "device", device.name)]
    text = capital(text.format(side=device.side))
    attributes = device_attributes(device)
    return Statement(text, tuple((region, attributes) for region in device_regions(device)))


def sentence(frame: str, phrase: str, kind: str) -> str:
    """Fill a frame with a noun phrase: {0} without article, {1} with article."""
    if kind == "s":
        frame = frame.replace(" is ", " are ")
    article = ("an " if phrase[0] in "aeiou" else "a ") if kind == "a" else ""
    return capital(frame.format(phrase, article + phrase))


def capital(text: str) -> str:
    """The text with an upper-case first letter."""
    return text[:1].upper() + text[1:]


def _special_sentences(finding: Finding, level: str) -> list[str]:
    """Sentences of single findings that do not consist of a frame and a noun phrase."""
    if finding.name == "cardiomegaly":
        adverb = _LEVEL_ADVERBS.get(level, "severely")
        return [f"The heart is {adverb} enlarged.", f"Heart size is {adverb} enlarged."]
    if finding.name == "tortuosity of the thoracic aorta":
        return ["The thoracic aorta is tortuous.", "Tortuous thoracic aorta."]
    if finding.name == "heart failure":
        return ["Findings consistent with heart failure."]
    if finding.name == "blunting of the costophrenic angle":
        return [f"The {finding.side} costophrenic angle is blunted."]
    return []
