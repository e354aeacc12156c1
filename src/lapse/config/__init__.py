"""Configuration as data: frozen pydantic models, YAML presets, and a.b=value overrides.

The resolved configuration is saved in the run folder and is the only input of `predict`. These
modules do not import torch, so a wrong name is reported at once.
"""

from lapse.config.augment import AugmentConfig
from lapse.config.base import Config, explain
from lapse.config.loading import (
    check_config,
    load_config,
    preset_description,
    preset_names,
    read_yaml,
)
from lapse.config.models import (
    CaptionerConfig,
    DecoderConfig,
    EncoderConfig,
    LanguageModelConfig,
    PrefixLMConfig,
)
from lapse.config.run import (
    DataConfig,
    GenerationConfig,
    OptimConfig,
    RunConfig,
    Stage,
    TrainConfig,
)

__all__ = [
    "AugmentConfig",
    "CaptionerConfig",
    "Config",
    "DataConfig",
    "DecoderConfig",
    "EncoderConfig",
    "GenerationConfig",
    "LanguageModelConfig",
    "OptimConfig",
    "PrefixLMConfig",
    "RunConfig",
    "Stage",
    "TrainConfig",
    "check_config",
    "explain",
    "load_config",
    "preset_description",
    "preset_names",
    "read_yaml",
]
