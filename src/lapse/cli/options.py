"""Groups of options as dataclasses, and the closed choices of the command line.

A command function takes a dataclass where several options belong together:

    @dataclass(frozen=True)
    class SamplingOptions:
        panel: ClassVar[str] = "Sampling"
        seed: Annotated[int, typer.Option(help="Seed of the resampling.")] = 0

    @expand_options
    def evaluate_command(file: Path, sampling: SamplingOptions) -> None: ...

`expand_options` gives typer one option per field and the function the filled dataclass.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from enum import StrEnum
from functools import wraps
from typing import Any, Literal, get_type_hints

Split = Literal["train", "validate", "test"]
ReaderName = Literal["strict", "lenient"]
ImageIds = Literal["auto", "id", "study_ref", "row", "position", "doubled"]
Confidence = Literal["none", "beam", "clauses"]
ConfidenceSource = Literal["beam", "clauses"]
Protocol = Literal["patient-safe", "published"]
Resize = Literal["squash", "letterbox"]
Intensity = Literal["mimic", "display", "percentile"]
Boxes = Literal["silver", "gold"]
RegionSet = Literal["29", "36"]
Frontals = Literal["first", "all"]
ImageFormat = Literal["jpeg", "dicom", "both"]
Tier = Literal["coarse", "fine", "mixed"]
Anatomy = Literal["plain", "detailed", "mixed"]


class Probe(StrEnum):
    """The probes of `lapse.inference.probes` (typer takes no list of a Literal)."""

    SWAP = "swap"
    IDENTITY = "identity"
    ACQUISITION = "acquisition"
    SHUFFLED = "shuffled"
    BLANK = "blank"


def expand_options(function: Callable[..., None]) -> Callable[..., None]:
    """Replace each dataclass parameter of a command by one option per field.

    A group shows its options in a panel of `--help` that is named by its class variable `panel`.
    """
    hints = get_type_hints(function, include_extras=True)
    groups: dict[str, Any] = {name: hint for name, hint in hints.items() if is_dataclass(hint)}
    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.name in groups:
            parameters += _group_parameters(groups[parameter.name])
        else:
            hint = hints[parameter.name]
            parameters.append(_keyword(parameter.name, hint, parameter.default))

    @wraps(function)
    def command(**values: Any) -> None:
        for name, group in groups.items():
            values[name] = group(**{item.name: values.pop(item.name) for item in fields(group)})
        function(**values)

    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {item.name: item.annotation for item in parameters}
    return command


def _group_parameters(group: Any) -> list[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    parameters = []
    for item in fields(group):
        annotation = hints[item.name]
        for option in getattr(annotation, "__metadata__", ()):
            option.rich_help_panel = group.panel
        default = inspect.Parameter.empty if item.default is MISSING else item.default
        if item.default_factory is not MISSING:
            default = item.default_factory()
        parameters.append(_keyword(item.name, annotation, default))
    return parameters


def _keyword(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, kind, default=default, annotation=annotation)
