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


def _zero() -> Sides:
    return [0.0, 0.0]


def _one() -> Sides:
    return [1.0, 1.0]


@dataclass(slots=True)
class Effects:
    """The effects of all findings of a visit."""

    heart: float = 1.0  # factor
    globe: float = 0.0  # globular shape of the heart, 0 .. 1
    lift: Sides = field(default_factory=_zero)  # mm, elevation of the domes
    flat: float = 0.0  # emphysema, 0 .. 1
    density: Sides = field(default_factory=_one)  # factor of the lung's attenuation
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
        push = 0.0
        if finding.name == "pleural effusion":
            push = 85.0 * max(0.0, severity - 0.55)
        elif finding.name == "pneumothorax":
            push = 85.0 * max(0.0, severity - 0.65)
        elif finding.name == "atelectasis" and finding.type not in ("linear", "plate-like"):
            push = -45.0 * max(0.0, severity - 0.5)
        effects.shift += push if sides[0] == 0 else -push
        effects.lift[sides[0]] -= 0.5 * max(0.0, push)


def _add(effects: Effects, finding: Finding) -> None:
    name, severity = finding.name, min(1.0, max(0.0, finding.severity))
    sides = side_indices(finding.side)
    sign = 1.0 if finding.seed % 2 else -1.0
    if name == "cardiomegaly":
        effects.heart = max(effects.heart, 1.06 + 0.4 * severity)
    elif name == "enlargement of the cardiac silhouette":
        effects.heart = max(effects.heart, 1.06 + 0.36 * severity)
        effects.globe = max(effects.globe, 0.4 + 0.5 * severity)
    elif name == "hypertensive heart disease":
        effects.heart = max(effects.heart, 1.05 + 0.26 * severity)
        effects.knob = max(effects.knob, 3.0 + 5.0 * severity)
        effects.sway = max(effects.sway, 6.0 + 12.0 * severity)
    elif name == "edema":
        for side in (0, 1):
            effects.haze[side] = max(effects.haze[side], 0.2 + 0.95 * severity)
        effects.vessels = max(effects.vessels, 1.1 + 0.25 * severity)
        effects.upper = max(effects.upper, 0.3 * severity)
    elif name == "vascular congestion":
        effects.vessels = max(effects.vessels, 1.15 + 0.45 * severity)
        effects.upper = max(effects.upper, 0.2 + 0.4 * severity)
    elif name == "hilar congestion":
        effects.hila = max(effects.hila, 0.35 + 0.6 * severity)
    elif name == "emphysema":
        effects.flat = max(effects.flat, 0.35 + 0.65 * severity)
    elif name == "scoliosis":
        effects.curve += sign * (9.0 + 19.0 * severity)
    elif name in ("tortuosity of the thoracic aorta", "tortuosity of the descending aorta"):
        effects.knob = max(effects.knob, 4.0 + 8.0 * severity)
        effects.sway = max(effects.sway, 10.0 + 20.0 * severity)
    elif name == "gastric distention":
        effects.stomach = max(effects.stomach, 12.0 + 26.0 * severity)
        effects.lift[1] += 16.0 * severity
    elif name == "atelectasis":
        _add_atelectasis(effects, finding, severity, sides)
    else:
        _add_pleural(effects, finding, severity, sides)


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


def _add_pleural(
    effects: Effects, finding: Finding, severity: float, sides: tuple[int, ...]
) -> None:
    """Fluid, air or scar in the pleural space."""
    for side in sides:
        if finding.name == "pleural effusion":
            effects.fluid[side] = max(effects.fluid[side], severity)
            push = max(0.0, severity - 0.65) * 55.0
        elif finding.name == "pneumothorax":
            effects.air[side] = max(effects.air[side], severity)
            push = max(0.0, severity - 0.78) * 75.0
        elif finding.name == "blunting of the costophrenic angle":
            effects.blunt[side] = max(effects.blunt[side], 0.3 + 0.7 * severity)
            continue
        elif finding.name == "pleural thickening":
            if finding.zone in ("apical", "upper"):
                effects.cap[side] = max(effects.cap[side], 8.0 + 13.0 * severity)
            else:
                effects.band[side] = max(effects.band[side], 5.0 + 11.0 * severity)
            continue
        else:
            continue
        effects.shift += push if side == 0 else -push  # away from the affected side
