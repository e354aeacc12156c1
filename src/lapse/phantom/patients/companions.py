"""What accompanies a patient without being a finding: devices, and mimics of the exposure.

Neither tells of the findings while `confound` is 0: devices come and go at their own rates.
`confound` moves those rates towards the hospital, where the sick carry more devices and a chest
tube drains the side that needs it: rate = (1 - confound) * own + confound * coupled.
"""

from __future__ import annotations

from lapse.phantom.patients.catalogue import BY_NAME, DEVICES, DeviceSpec
from lapse.phantom.patients.difficulty import Difficulty
from lapse.phantom.patients.draws import Draws
from lapse.phantom.patients.mimicry import nuisance_mimics
from lapse.phantom.patients.state import Device, Finding, Mimic

MEAN_SICKNESS = 0.48  # of all visits: confound moves devices between patients, not their number
DRAINED_SHARE = 0.3  # of all visits have fluid or air in the pleura
_TUBE_FACTOR = 5.0


def draw_devices(
    draws: Draws,
    visit: int,
    before: dict[str, Device],
    findings: dict[str, Finding],
    difficulty: Difficulty,
) -> dict[str, Device]:
    """The devices at a visit, given those of the visit before."""
    now: dict[str, Device] = {}
    for spec in DEVICES:
        if spec.name in before:
            if not draws.chance(spec.removal, visit, spec.name, "removal"):
                now[spec.name] = before[spec.name]
            continue
        side = draws.choice(spec.sides, visit, spec.name, "side")
        if spec.name == "chest tube" and draws.chance(difficulty.confound, visit, "drained side"):
            side = _drained_side(findings) or side
        rate = (spec.onset if visit else spec.prevalence) * _factor(
            spec, findings, difficulty.confound
        )
        if draws.chance(rate * difficulty.prevalence, visit, spec.name, "start"):
            now[spec.name] = Device(spec.name, side, draws.instance(visit, spec.name))
    return now


def draw_mimics(draws: Draws, visit: int, tier: str, nuisance: float) -> tuple[Mimic, ...]:
    """The mimics that come with this exposure, whatever the findings are."""
    found = []
    for spec in nuisance_mimics(tier):
        if draws.chance(spec.rate * nuisance, visit, spec.name, "mimic"):
            like = BY_NAME[spec.like]
            side = draws.choice(like.sides, visit, spec.name, "side")
            zone = draws.choice(like.zones, visit, spec.name, "zone")
            seed = draws.instance(visit, spec.name)
            found.append(Mimic(spec.name, spec.like, side, zone, seed))
    return tuple(found)


def _factor(spec: DeviceSpec, findings: dict[str, Finding], confound: float) -> float:
    """How much more often than usual this device begins."""
    sickness = max((item.severity for item in findings.values()), default=0.0)
    own, coupled = 0.3 + 1.4 * MEAN_SICKNESS, 0.3 + 1.4 * sickness
    if spec.name == "chest tube":
        own *= _TUBE_FACTOR * DRAINED_SHARE
        coupled *= _TUBE_FACTOR if _drained_side(findings) is not None else 0.0
    return (1.0 - confound) * own + confound * coupled


def _drained_side(findings: dict[str, Finding]) -> str | None:
    """The side with air or fluid: "" where it is both, None where there is none."""
    drained = findings.get("pneumothorax") or findings.get("pleural effusion")
    if drained is None:
        return None
    return "" if drained.side == "bilateral" else drained.side
