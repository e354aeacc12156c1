"""The only list of plug-ins: lazy tables from a name to "module:Class".

Layer 1, standard library only: looking up a name imports nothing until `load` is called, so
`lapse --help` and configuration errors never wait for torch. Wherever a name is accepted,
`"my_package.module:Class"` is accepted too.
"""

from __future__ import annotations

import importlib
from typing import Any

from lapse.types import nearest

TABLES: dict[str, dict[str, str]] = {
    "tasks": {
        "cap": "lapse.tasks.cap:Cap",
        "aref": "lapse.tasks.aref:Aref",
        "gcap": "lapse.tasks.gcap:Gcap",
        "caref": "lapse.tasks.caref:Caref",
        "diff_vqa": "lapse.tasks.diff_vqa:DiffVqa",
        "diff_vqa_boxes": "lapse.tasks.diff_vqa:DiffVqaBoxes",
        "diff_vqa_reports": "lapse.tasks.diff_vqa:DiffVqaReports",
        "vqa": "lapse.tasks.diff_vqa:Vqa",
        "medical_vqa": "lapse.tasks.diff_vqa:MedicalVqa",
        "progression": "lapse.tasks.diff_vqa:Progression",
    },
    "methods": {
        "captioner": "lapse.methods.captioner:Captioner",
        "global_contrastive": "lapse.methods.global_contrastive:GlobalContrastive",
        "blip2": "lapse.methods.blip2:Blip2",
        "blip2_writer": "lapse.methods.blip2_writer:Blip2Writer",
        "regional_contrastive": "lapse.methods.regional_contrastive:RegionalContrastive",
    },
    "systems": {
        "prefix_lm": "lapse.systems.prefix_lm:PrefixLM",
        "blip2": "lapse.systems.blip2:Blip2Answerer",
        "real": "lapse.systems.real:ReAL",
        "plural": "lapse.systems.plural:Plural",
        "rgag": "lapse.systems.rgag:ReportThenAnswer",
        "ekaid": "lapse.systems.ekaid:Ekaid",
        "blind": "lapse.systems.blind:Remembered",
    },
    "datasets": {
        "mimic_cxr": "lapse.data.mimic_cxr:MimicCxr",
        "chest_imagenome": "lapse.data.chest_imagenome:ChestImaGenome",
        "chest_imagenome_gold": "lapse.data.chest_imagenome_gold:ChestImaGenomeGold",
        "mimic_diff_vqa": "lapse.data.mimic_diff_vqa:MimicDiffVqa",
        "ms_cxr_t": "lapse.data.ms_cxr_t:MsCxrT",
    },
    "metrics": {
        "captioning": "lapse.metrics.captioning:Captioning",
        "changes": "lapse.metrics.changes:Changes",
        "box_accuracy": "lapse.metrics.box_accuracy:BoxAccuracy",
        "answer_accuracy": "lapse.metrics.answer_accuracy:AnswerAccuracy",
        "progression": "lapse.metrics.progression:ProgressionAccuracy",
    },
}

# The configuration class of each model plug-in of ours, so that a config can be checked
# without importing torch. A plug-in from outside names its own as `Class.config_class`.
CONFIGS: dict[tuple[str, str], str] = {
    ("methods", "captioner"): "lapse.config:CaptionerConfig",
    ("methods", "global_contrastive"): "lapse.models.method_options:GlobalContrastiveConfig",
    ("methods", "blip2"): "lapse.models.method_options:Blip2Config",
    ("methods", "blip2_writer"): "lapse.models.method_options:Blip2WriterConfig",
    ("methods", "regional_contrastive"): "lapse.models.method_options:RegionalContrastiveConfig",
    ("systems", "prefix_lm"): "lapse.config:PrefixLMConfig",
    ("systems", "blip2"): "lapse.models.system_options:Blip2SystemConfig",
    ("systems", "real"): "lapse.models.system_options:RealConfig",
    ("systems", "plural"): "lapse.models.system_options:PluralConfig",
    ("systems", "rgag"): "lapse.models.system_options:RgagConfig",
    ("systems", "ekaid"): "lapse.models.system_options:EkaidConfig",
    ("systems", "blind"): "lapse.models.system_options:BlindConfig",
}


def names(table: str) -> tuple[str, ...]:
    """The registered names of a table, in order.

    Raises:
        ValueError: there is no such table.
    """
    if table not in TABLES:
        raise ValueError(f"no plug-in table {table!r}; {nearest(table, list(TABLES))}")
    return tuple(TABLES[table])


def load(table: str, name: str) -> Any:
    """Import and return the class behind a registered name or a "module:Class" path.

    Raises:
        ValueError: the name is neither registered nor an importable "module:Class".
    """
    known = names(table)
    path = TABLES[table].get(name, name)
    if ":" not in path:
        raise ValueError(
            f'no {table} plug-in named {name!r}; {nearest(name, known)} (or give "module:Class")'
        )
    return _import(path, f"{table} plug-in {name!r}")


def config_class(table: str, name: str) -> Any:
    """The pydantic class that checks the options of a method or a system."""
    path = CONFIGS.get((table, name))
    if path is not None:
        return _import(path, f"configuration of {name!r}")
    plugin = load(table, name)
    if not hasattr(plugin, "config_class"):
        raise ValueError(f"{table} plug-in {name!r} does not name its config_class")
    return plugin.config_class


def _import(path: str, what: str) -> Any:
    module_name, _, attribute = path.partition(":")
    try:
        return getattr(importlib.import_module(module_name), attribute)
    except (ModuleNotFoundError, AttributeError) as error:
        raise ValueError(f"{what} points to {path!r}, which cannot be imported: {error}") from error
