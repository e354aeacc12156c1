"""The input check and the guard of a model folder: arrays in safetensors, limits in config.json.

    input_check.safetensors   mean [D], whitening [K, D], film [32, 32]; float32, float16, float16
    config.json "input_check" format, median, warn, refuse, facts, sha256, weights
    config.json "guard"       the fields of `GuardRule`, weights

`lapse.training.exported_model` compares the SHA-256 of the file and of the weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

import torch
from torch import Tensor

from lapse.inference.checks.pixel_check import Floats, PixelCheck
from lapse.metrics.guard import GuardRule

FORMAT = 1
_DTYPES = {"mean": torch.float32, "whitening": torch.float16, "film": torch.float16}
_LIMITS = ("median", "warn", "refuse")


def check_tensors(check: PixelCheck) -> dict[str, Tensor]:
    """The tensors of an input check."""
    return {
        name: torch.from_numpy(getattr(check, name)).to(dtype) for name, dtype in _DTYPES.items()
    }


def check_values(check: PixelCheck) -> dict[str, Any]:
    """The limits and facts of an input check, as JSON."""
    limits = {name: getattr(check, name) for name in _LIMITS}
    return {"format": FORMAT, **limits, "facts": dict(check.facts)}


def parse_check(
    tensors: Mapping[str, Tensor] | None, values: Mapping[str, Any]
) -> PixelCheck | None:
    """The input check of a model folder; None where it has none.

    Raises:
        ValueError: another format, missing or unknown parts, shapes that do not fit, or values
            that are not finite.
    """
    if tensors is None:
        return None
    if values.get("format") != FORMAT:
        raise ValueError(
            f"the input check has format {values.get('format')!r}, this version reads {FORMAT}: "
            "export the model again"
        )
    if tensors.keys() != _DTYPES.keys():
        raise ValueError(
            f"the input check has the arrays {sorted(tensors)}, expected {sorted(_DTYPES)}"
        )
    arrays: dict[str, Floats] = {name: value.double().numpy() for name, value in tensors.items()}
    try:
        limits = {name: float(values[name]) for name in _LIMITS}
        facts = {str(name): str(value) for name, value in values["facts"].items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"the limits of the input check cannot be read: {error!r}") from None
    return PixelCheck(arrays["mean"], arrays["whitening"], arrays["film"], **limits, facts=facts)


def parse_rule(values: Mapping[str, Any]) -> GuardRule | None:
    """The guard of a model folder; None where it has none.

    Raises:
        ValueError: missing or unknown fields, or limits outside [0, 1].
    """
    if not values:
        return None
    names = {field.name for field in fields(GuardRule)} - {"is_strict"}
    if values.keys() != names:
        different = ", ".join(sorted(names ^ values.keys()))
        raise ValueError(f"the guard of the model lacks or adds {different}: export it again")
    if not all(isinstance(value, int | float) for value in values.values()):
        raise ValueError("the guard of the model has a value that is not a number")
    return GuardRule(**values)


def rule_values(rule: GuardRule) -> dict[str, Any]:
    """The limits of guarded answers, as JSON."""
    return {name: value for name, value in asdict(rule).items() if name != "is_strict"}
