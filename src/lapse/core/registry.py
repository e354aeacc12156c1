"""The only list of plug-ins: lazy tables from a name to "module:Class".

Layer 1, standard library only: looking up a name imports nothing until `load` is called, so
`lapse --help` and configuration errors never wait for torch. Wherever a name is accepted,
`"my_package.module:Class"` is accepted too.
"""

from __future__ import annotations

import importlib
from typing import Any

from lapse.core.types import nearest

TABLES: dict[str, dict[str, str]] = {
    "tasks": {
        "cap": "lapse.data.tasks.cap:Cap",
        "aref": "lapse.data.tasks.aref:Aref",
        "gcap": "lapse.data.tasks.gcap:Gcap",
        "caref": "lapse.data.tasks.caref:Caref",
        "diff_vqa": "lapse.data.tasks.diff_vqa:DiffVqa",
        "diff_vqa_boxes": "lapse.data.tasks.diff_vqa:DiffVqaBoxes",
        "diff_vqa_reports": "lapse.data.tasks.diff_vqa:DiffVqaReports",
        "vqa": "lapse.data.tasks.diff_vqa:Vqa",
        "medical_vqa": "lapse.data.tasks.diff_vqa:MedicalVqa",
        "progression": "lapse.data.tasks.diff_vqa:Progression",
    },
    "methods": {
        "captioner": "lapse.models.pretraining.captioner:Captioner",
        "global_contrastive": "lapse.models.pretraining.global_contrastive:GlobalContrastive",
        "blip2": "lapse.models.pretraining.blip2:Blip2",
        "blip2_writer": "lapse.models.pretraining.blip2_generative:Blip2Writer",
        "regional_contrastive": "lapse.models.pretraining.regional_contrastive:RegionalContrastive",
    },
    "systems": {
        "prefix_lm": "lapse.models.vqa.prefix_lm:PrefixLM",
        "blip2": "lapse.models.vqa.blip2:Blip2Answerer",
        "real": "lapse.models.vqa.real:ReAL",
        "plural": "lapse.models.vqa.plural:Plural",
        "rgag": "lapse.models.vqa.rgag:RGAG",
        "ekaid": "lapse.models.vqa.ekaid:Ekaid",
        "blind": "lapse.models.vqa.blind:BlindBaseline",
    },
    "datasets": {
        "mimic_cxr": "lapse.data.datasets.mimic_cxr:MimicCxr",
        "chest_imagenome": "lapse.data.datasets.chest_imagenome:ChestImaGenome",
        "chest_imagenome_gold": "lapse.data.datasets.chest_imagenome_gold:ChestImaGenomeGold",
        "mimic_diff_vqa": "lapse.data.datasets.mimic_diff_vqa:MimicDiffVqa",
        "ms_cxr_t": "lapse.data.datasets.ms_cxr_t:MsCxrT",
    },
    "metrics": {
        "captioning": "lapse.metrics.captioning:Captioning",
        "changes": "lapse.metrics.changes:Changes",
        "bertscore": "lapse.metrics.bertscore:BertScore",
        "box_accuracy": "lapse.metrics.box_accuracy:BoxAccuracy",
        "answer_accuracy": "lapse.metrics.answer_accuracy:AnswerAccuracy",
        "progression": "lapse.metrics.progression:ProgressionAccuracy",
    },
}

# The configuration class of each model plug-in of ours, so that a config can be checked
# without importing torch. A plug-in from outside names its own as `Class.config_class`.
CONFIGS: dict[tuple[str, str], str] = {
    ("methods", "captioner"): "lapse.config:CaptionerConfig",
    ("methods", "global_contrastive"): "lapse.config.pretraining:GlobalContrastiveConfig",
    ("methods", "blip2"): "lapse.config.pretraining:Blip2Config",
    ("methods", "blip2_writer"): "lapse.config.pretraining:Blip2WriterConfig",
    ("methods", "regional_contrastive"): "lapse.config.pretraining:RegionalContrastiveConfig",
    ("systems", "prefix_lm"): "lapse.config:PrefixLMConfig",
    ("systems", "blip2"): "lapse.config.vqa:Blip2SystemConfig",
    ("systems", "real"): "lapse.config.vqa:RealConfig",
    ("systems", "plural"): "lapse.config.vqa:PluralConfig",
    ("systems", "rgag"): "lapse.config.vqa:RgagConfig",
    ("systems", "ekaid"): "lapse.config.vqa:EkaidConfig",
    ("systems", "blind"): "lapse.config.vqa:BlindConfig",
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
