"""Effects of findings on the anatomy: organ sizes, pleural spaces, diaphragm position, haze.

This covers findings that change organs: an enlarged heart, a raised diaphragm, fluid or air in the
pleural space, congested vessels, a curved spine. Localized findings (consolidation, atelectasis,
nodules, fractures) are in lesions.py. Sides are indexed 0 right, 1 left. Unknown findings have no
effect.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from lapse.phantom.patients.state import Finding, Visit

Sides = list[float]
MAGNIFIED = "ap magnification"  # the mimic that enlarges the heart
# finding -> field of Effects -> value at severity 0, increase to severity 1; the largest is taken
_ORGANS: dict[str, dict[str, tuple[float, float]]] = {
    "cardiomegaly": {"heart": (1.06, 0.4)},
    "edema": {"vessels": (1.1, 0.25), "upper": (0.0, 0.3)},
    "vascular congestion": {"vessels": (1.15, 0.45), "upper": (0.2, 0.4)},
    "hilar congestion": {"hila": (0.35, 0.6)},
    "emphysema": {"flat": (0.35, 0.65)},
    "tortuosity of the thoracic aorta": {"knob": (4.0, 8.0), "sway": (10.0, 20.0)},
    "gastric distention": {"stomach": (12.0, 26.0)},
}
# the same for fields with a value for each side; pleural thickening depends on the zone
_SIDES: dict[str, tuple[str, float, float]] = {
    "edema": ("haze", 0.2, 0.95),
    "pleural effusion": ("fluid", 0.0, 1.0),
    "pneumothorax": ("air", 0.0, 1.0),
    "blunting of the costophrenic angle": ("blunt", 0.3, 0.7),
}
_CAP, _BAND = ("cap", 8.0, 13.0), ("band", 5.0, 11.0)
# severity from which a finding pushes the mediastinum away, and mm per severity above it
_PUSH = {"pleural effusion": (0.65, 55.0), "pneumothorax": (0.78, 75.0)}
_MASS_EFFECT = {"pleural effusion": (0.55, 85.0), "pneumothorax": (0.65, 85.0)}
_COLLAPSE = (0.5, -45.0)  # pulls


def _zero() -> Sides:
    return [0.0, 0.0]


@dataclass(slots=True)
class Effects:
    """The effects of all findings of a visit."""

    heart: float = 1.0  # factor
    lift: Sides = field(default_factory=_zero)  # mm, elevation of the domes
    flat: float = 0.0  # emphysema, 0 .. 1
    haze: Sides = field(default_factory=_zero)  # edema, 0 .. 1
    curve: float = 0.0  # mm, scoliosis
    knob: float = 0.0  # mm, radius of the aortic knob
    sway: float = 0.0  # mm, deviation of the descending aorta
    stomach: float = 0.0  # mm, radius of the gastric bubble
    shift: float = 0.0  # mm, mediastinum to the left
    vessels: float = 1.0  # factor of all vessel radii
    upper: float = 0.0  # additional factor of upper vessels
    hila: float = 0.0  # additional factor of vessels at the hila
    fluid: Sides = field(default_factory=_zero)  # severity of the effusion
    blunt: Sides = field(default_factory=_zero)  # blunting of the costophrenic angle
    air: Sides = field(default_factory=_zero)  # severity of the pneumothorax
    cap: Sides = field(default_factory=_zero)  # mm, apical pleural thickening
    band: Sides = field(default_factory=_zero)  # mm, lower pleural thickening


def side_indices(side: str) -> tuple[int, ...]:
    """0 for right, 1 for left; both for a bilateral finding or one without a side."""
    return {"right": (0,), "left": (1,)}.get(side, (0, 1))


def collect_effects(visit: Visit, details: frozenset[str] = frozenset()) -> Effects:
    """The effects of all findings of a visit, with the details of the patient's anatomy."""
    effects = Effects()
    for finding in visit.findings:
        if not finding.is_fine:  # fine_findings.py draws the cue
            _add(effects, finding)
    for mimic in visit.mimics:
        if mimic.name == MAGNIFIED:
            effects.heart = max(effects.heart, 1.07)
            effects.knob = max(effects.knob, 1.5)
    if "mass effect" in details:
        _displace(effects, visit)
    return effects


def _displace(effects: Effects, visit: Visit) -> None:
    """A large effusion or pneumothorax pushes the mediastinum and lowers the dome; a large
    collapse pulls the mediastinum."""
    effects.shift = 0.0
    for finding in visit.findings:
        sides = side_indices(finding.side)
        if finding.is_fine or len(sides) > 1:
            continue
        severity = min(1.0, max(0.0, finding.severity))
        start, strength = _MASS_EFFECT.get(finding.name, (0.0, 0.0))
        if finding.name == "atelectasis" and finding.type not in ("linear", "plate-like"):
            start, strength = _COLLAPSE
        push = strength * max(0.0, severity - start)
        effects.shift += push if sides[0] == 0 else -push
        effects.lift[sides[0]] -= 0.5 * max(0.0, push)


def _add(effects: Effects, finding: Finding) -> None:
    name, severity = finding.name, min(1.0, max(0.0, finding.severity))
    sides = side_indices(finding.side)
    for organ, (base, increase) in _ORGANS.get(name, {}).items():
        setattr(effects, organ, max(getattr(effects, organ), base + increase * severity))
    sided = _SIDES.get(name)
    if name == "pleural thickening":
        sided = _CAP if finding.zone in ("apical", "upper") else _BAND
    elif name == "scoliosis":
        effects.curve += (1.0 if finding.seed % 2 else -1.0) * (9.0 + 19.0 * severity)
    elif name == "gastric distention":
        effects.lift[1] += 16.0 * severity
    elif name == "atelectasis":
        _add_atelectasis(effects, finding, severity, sides)
    start, strength = _PUSH.get(name, (0.0, 0.0))
    push = max(0.0, severity - start) * strength
    for side in sides:
        if sided is not None:
            organ, base, increase = sided
            values = getattr(effects, organ)
            values[side] = max(values[side], base + increase * severity)
        effects.shift += push if side == 0 else -push  # away from the affected side


def _add_atelectasis(
    effects: Effects, finding: Finding, severity: float, sides: tuple[int, ...]
) -> None:
    """Volume loss elevates the dome; a large loss shifts the mediastinum to the same side."""
    is_low = finding.zone in ("basilar", "lower", "")
    is_thin = finding.type in ("linear", "plate-like")
    for side in sides:
        effects.lift[side] += (5.0 if is_thin else 18.0) * severity * (1.0 if is_low else 0.4)
    if len(sides) == 1 and not is_thin and severity > 0.6:
        effects.shift += (1.0 if sides[0] == 1 else -1.0) * 22.0 * (severity - 0.6)
