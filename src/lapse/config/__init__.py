"""Configuration as data: frozen pydantic models, YAML presets, and a.b=value overrides.

    base      an unknown key is an error; errors name the key and the nearest known name
    models    options of the paper's models
    run       data, optimizer, loop, decoding
    reading   preset or file + overrides -> RunConfig

The resolved configuration is printed, saved in the run folder, and is the only input of
`predict`. Layer 2: no torch here, so that a wrong name is reported at once.
"""

from lapse.config.base import Config, explain
from lapse.config.loading import check_config, load_config, preset_description, preset_names
from lapse.config.models import (
    CaptionerConfig,
    DecoderConfig,
    EncoderConfig,
    LanguageModelConfig,
    PrefixLMConfig,
    check_heads,
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
    "check_heads",
    "explain",
    "load_config",
    "preset_description",
    "preset_names",
]
