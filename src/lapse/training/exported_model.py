"""An exported model folder, read as data: configurations, vocabularies, tensors, facts.

    config.json         both runs' resolved configurations, their trimmed vocabularies, what the
                        model was trained on, SHA-256 of the weights
    model.safetensors   encoder.*  captioner.*  answerer.*   in 16 bits
    input_check.safetensors   optional: arrays of the input check

"input_check" in config.json has the limits of the input check and the SHA-256 of its arrays;
"guard" has the limits of guarded answers, "calibration" the map from confidence to probability. All
three are optional and name the SHA-256 of the weights that they were fitted to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import Field, ValidationError
from torch import Tensor

from lapse.config import Config, RunConfig, Stage, check_config
from lapse.config.base import explain, flatten
from lapse.core.files import check_inside, sha256_of
from lapse.core.json_files import read_json_object
from lapse.core.tokenizer import SIZE, Tokenizer
from lapse.core.version import __version__
from lapse.images import ImageProcessing
from lapse.models.backbones.hub import check_finite
from lapse.training.run_folder import build_model, skip_pretrained_weights
from lapse.training.weight_files import check_header, opened, read_tensors

CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"
CHECK = "input_check.safetensors"
MAX_CHECK = 1 << 20  # bytes of the arrays of an input check
DEFAULT = Path(__file__).parents[1] / "assets" / "model"
PACKAGED = "packaged"  # names DEFAULT in a configuration
LIBRARY, FORMAT = "lapse", 3
ENCODER = "encoder."
PREFIXES: dict[Stage, str] = {"pretrain": "captioner.", "diffvqa": "answerer."}


@dataclass(frozen=True, slots=True)
class ExportedModel:
    """What a model folder holds.

    Attributes:
        configs: stage -> resolved configuration of its run.
        kept: stage -> GPT-2 ids that its trimmed vocabulary keeps; None for all.
        all_tensors: every tensor of the file, in float32.
        processing: of the training images, which inference repeats.
        facts: what it was trained on.
        sha256: of the weights file.
        input_check: arrays of the input check; None without one.
        input_check_values: its limits and facts.
        guard: limits of guarded answers; {} without any.
        calibration: from confidence to probability; {} without one.
    """

    configs: Mapping[Stage, RunConfig]
    kept: Mapping[Stage, list[int] | None]
    all_tensors: Mapping[str, Tensor]
    processing: ImageProcessing
    facts: Mapping[str, str]
    sha256: str
    input_check: Mapping[str, Tensor] | None = None
    input_check_values: Mapping[str, Any] = field(default_factory=dict)
    guard: Mapping[str, Any] = field(default_factory=dict)
    calibration: Mapping[str, Any] = field(default_factory=dict)

    def tensors(self, stage: Stage) -> dict[str, Tensor]:
        """The tensors of one stage, encoder included, under the names of its model."""
        prefix = PREFIXES[stage]
        return {
            name.removeprefix(prefix): value
            for name, value in self.all_tensors.items()
            if name.startswith((prefix, ENCODER))
        }


def is_exported_model(folder: Path) -> bool:
    """Whether a folder is an exported model, by its config.json."""
    try:
        return read_json_object(folder / CONFIG).get("library_name") == LIBRARY
    except (OSError, ValueError):
        return False


def read_exported_model(folder: Path) -> ExportedModel:
    """Read a model folder. Its names of models and tasks must be registered names.

    The header of the weights is compared with the models of the configuration, which are built
    without memory, before any weight is read.

    Raises:
        ValueError: a file is missing, damaged (its SHA-256 differs), of another format or a link
            out of the folder; or the weights are not those of the configuration.
    """
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            raise ValueError(f"{folder} is not a model folder: it has no {name}")
        check_inside(folder / name, folder)
    values = _read_values(folder / CONFIG)
    digest = sha256_of(folder / WEIGHTS)
    if digest != values.sha256:
        raise ValueError(
            f"{folder / WEIGHTS} has SHA-256 {digest[:12]}..., {CONFIG} says "
            f"{values.sha256[:12]}...: damaged, or of another model; copy or download it again"
        )
    configs = {stage: _read_config(folder, values, stage) for stage in PREFIXES}
    check_header(folder / WEIGHTS, _expected_tensors(folder, configs, values.vocabulary))
    tensors = read_tensors(folder / WEIGHTS)
    check_finite(folder / WEIGHTS, tensors)
    return ExportedModel(
        configs,
        values.vocabulary,
        {name: value.float() for name, value in tensors.items()},
        ImageProcessing(values.resize, values.intensity),
        values.facts,
        digest,
        *_read_input_check(folder, values),
        _of_weights(folder, "guard", values.guard, digest),
        _of_weights(folder, "calibration", values.calibration, digest),
    )


def _read_input_check(
    folder: Path, values: _Values
) -> tuple[dict[str, Tensor] | None, Mapping[str, Any]]:
    limits = _of_weights(folder, "input_check", values.input_check, values.sha256)
    if not limits:
        return None, {}
    path = folder / CHECK
    if not path.is_file():
        raise ValueError(f"{folder} has no {CHECK}, which {CONFIG} names: copy the complete folder")
    check_inside(path, folder)
    if path.stat().st_size > MAX_CHECK or sha256_of(path) != limits.pop("sha256", ""):
        raise ValueError(
            f"{path} is not the file that {CONFIG} names (its SHA-256 differs): damaged, or of "
            "another model; copy or download it again"
        )
    tensors = read_tensors(path)
    check_finite(path, tensors)
    return tensors, limits


def _of_weights(
    folder: Path, name: str, values: Mapping[str, Any] | None, weights: str
) -> dict[str, Any]:
    """An optional part of the configuration that belongs to the weights of the folder."""
    if values is None:
        return {}
    if values.get("weights") != weights:
        raise ValueError(
            f"{folder / CONFIG}: {name} was fitted to other weights than {WEIGHTS}: export the "
            "model again"
        )
    return {key: value for key, value in values.items() if key != "weights"}


class _Values(Config):
    """The content of config.json."""

    library_name: str
    format: int
    version: str
    resize: Literal["squash", "letterbox"]
    intensity: Literal["mimic", "display", "percentile"]
    facts: dict[str, str]
    sha256: str
    vocabulary: dict[Stage, list[Annotated[int, Field(ge=0, lt=SIZE)]] | None]
    pretrain: dict[str, Any]
    diffvqa: dict[str, Any]
    input_check: dict[str, Any] | None = None
    guard: dict[str, Any] | None = None
    calibration: dict[str, Any] | None = None


def _read_values(path: Path) -> _Values:
    raw = read_json_object(path)
    version = raw.get("format")
    if version != FORMAT:
        releases: dict[Any, str] = {1: "use lapse 0.1.0", 2: "use lapse 0.2.0"}
        fix = releases.get(version, "use the version of lapse that wrote it")
        raise ValueError(
            f"{path.parent} has model format {version!r}, and lapse {__version__} reads format "
            f"{FORMAT}: {fix}, or export the model again"
        )
    try:
        values = _Values.model_validate(raw)
    except ValidationError as error:
        raise ValueError(f"{path} is damaged: {explain(error)}") from None
    if values.vocabulary.keys() != PREFIXES.keys():
        raise ValueError(f"{path} is damaged: vocabulary has the stages {list(values.vocabulary)}")
    return values


def _read_config(folder: Path, values: _Values, stage: Stage) -> RunConfig:
    """The configuration of one stage; it may not claim more layers than the file has tensors."""
    config = check_config(getattr(values, stage), registered_only=True)
    with opened(folder / WEIGHTS) as file:
        num_tensors = len(file.keys())
    for key, value in flatten(config.model).items():
        numbers = value if isinstance(value, list) else [value]
        layers = sum(number for number in numbers if isinstance(number, int))
        if ("layers" in key or key.endswith("depths")) and layers > num_tensors:
            raise ValueError(
                f"{folder / CONFIG}: model.{key} of {stage} is {value}, and {WEIGHTS} holds "
                f"{num_tensors} tensors: the files do not belong together"
            )
    return config


def _expected_tensors(
    folder: Path, configs: Mapping[Stage, RunConfig], kept: Mapping[Stage, list[int] | None]
) -> dict[str, Tensor]:
    """The tensors that the models of both stages have, under their names in the file."""
    expected = {}
    for stage, config in configs.items():
        if config.stage != stage:
            raise ValueError(f"{folder / CONFIG}: {stage} holds a run of stage {config.stage!r}")
        with torch.device("meta"):
            model = build_model(skip_pretrained_weights(config), Tokenizer(kept[stage]))
        for name, value in model.state_dict().items():
            expected[name if name.startswith(ENCODER) else PREFIXES[stage] + name] = value
    return expected
