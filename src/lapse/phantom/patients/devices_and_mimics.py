"""Devices and mimics of a visit: what an image shows besides the findings.

With `confound` 0 both are independent of the findings: every device has fixed insertion and removal
rates. `confound` moves the insertion rates towards those of a hospital, where sicker patients carry
more devices and a chest tube is on the side with air or fluid:

    rate factor = (1 - confound) * independent + confound * coupled
"""

from __future__ import annotations

from lapse.phantom.patients.catalogue import DEVICES, SPEC_BY_NAME, DeviceSpec
from lapse.phantom.patients.difficulty import Difficulty
from lapse.phantom.patients.draws import Draws
from lapse.phantom.patients.mimics import exposure_mimics
from lapse.phantom.patients.state import Device, Finding, Mimic

# Population means keep the number of devices constant over `confound`.
MEAN_ILLNESS = 0.48
DRAINED_FRACTION = 0.3  # of visits with air or fluid in the pleural space
_TUBE_FACTOR = 5.0


def draw_devices(
    draws: Draws,
    visit: int,
    previous: dict[str, Device],
    findings: dict[str, Finding],
    difficulty: Difficulty,
) -> dict[str, Device]:
    """The devices at a visit, given those at the previous visit."""
    devices: dict[str, Device] = {}
    for spec in DEVICES:
        if spec.name in previous:
            if not draws.chance(spec.removal, visit, spec.name, "removal"):
                devices[spec.name] = previous[spec.name]
            continue
        side = draws.choice(spec.sides, visit, spec.name, "side")
        if spec.name == "chest tube" and draws.chance(difficulty.confound, visit, "drained side"):
            side = _drained_side(findings) or side
        rate = spec.onset if visit else spec.prevalence
        rate *= _rate_factor(spec, findings, difficulty.confound)
        if draws.chance(rate * difficulty.prevalence, visit, spec.name, "start"):
            devices[spec.name] = Device(spec.name, side, draws.instance_seed(visit, spec.name))
    return devices


def draw_mimics(draws: Draws, visit: int, tier: str, nuisance: float) -> tuple[Mimic, ...]:
    """The mimics of this exposure, independent of the findings."""
    mimics = []
    for spec in exposure_mimics(tier):
        if draws.chance(spec.rate * nuisance, visit, spec.name, "mimic"):
            mimicked = SPEC_BY_NAME[spec.like]
            side = draws.choice(mimicked.sides, visit, spec.name, "side")
            zone = draws.choice(mimicked.zones, visit, spec.name, "zone")
            seed = draws.instance_seed(visit, spec.name)
            mimics.append(Mimic(spec.name, spec.like, side, zone, seed))
    return tuple(mimics)


def _rate_factor(spec: DeviceSpec, findings: dict[str, Finding], confound: float) -> float:
    illness = max((item.severity for item in findings.values()), default=0.0)
    independent, coupled = 0.3 + 1.4 * MEAN_ILLNESS, 0.3 + 1.4 * illness
    if spec.name == "chest tube":
        independent *= _TUBE_FACTOR * DRAINED_FRACTION
        coupled *= _TUBE_FACTOR if _drained_side(findings) is not None else 0.0
    return (1.0 - confound) * independent + confound * coupled


def _drained_side(findings: dict[str, Finding]) -> str | None:
    """The side with pleural air or fluid; "" for both sides, None for neither."""
    drained = findings.get("pneumothorax") or findings.get("pleural effusion")
    if drained is None:
        return None
    return "" if drained.side == "bilateral" else drained.side
