"""The table of plug-ins: one entry per task, model, dataset and metric.

Entries hold import paths, so looking up a name imports nothing until `load` is called. Wherever a
configuration of the user accepts a name, it also accepts "my_package.module:Class". Names from
run folders and model folders (`registered_only`), which others may have written, must be in the
table or allowed by the user.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

from lapse.core.types import nearest

OTHER_TASKS = "*"


@dataclass(frozen=True, slots=True)
class Plugin:
    """One entry.

    Attributes:
        description: one line for `lapse list`.
        config: models: "module:Class" of the configuration, which is importable without torch.
        tasks: models: the tasks to train where a configuration names none. Metrics: the tasks to
            score; `OTHER_TASKS` for tasks that no metric lists.
        parent: models: the model whose runs `init_model` can also name, as the class's `inherits`.
        option: metrics: the field of `EvaluateOptions` to build the metric with. A metric whose
            option is None is not used.
    """

    path: str
    description: str = ""
    config: str | None = None
    tasks: tuple[str, ...] = ()
    parent: str = ""
    option: str | None = None


def _task(path: str, description: str) -> Plugin:
    return Plugin(f"lapse.data.tasks.{path}", description)


def _dataset(path: str, description: str) -> Plugin:
    return Plugin(f"lapse.data.datasets.{path}", description)


def _layout(path: str, description: str) -> Plugin:
    return Plugin(f"lapse.phantom.dataset.{path}", description)


TABLES: dict[str, dict[str, Plugin]] = {
    "tasks": {
        "cap": _task("cap:Cap", "image -> report"),
        "caption": _task("cap:Caption", "image -> report, without a task prefix (CapPa)"),
        "aref": _task("regions:Aref", "image, phrase -> box"),
        "gcap": _task("regions:Gcap", "image, box -> phrases"),
        "caref": _task("regions:Caref", "image, region name -> phrases, box"),
        "diff_vqa": _task("diff_vqa:DiffVqa", "two images, difference question -> answer"),
        "diff_vqa_boxes": _task("diff_vqa:DiffVqaBoxes", "diff_vqa with the boxes of both images"),
        "diff_vqa_reports": _task(
            "diff_vqa:DiffVqaReports", "diff_vqa with boxes and training reports"
        ),
        "vqa": _task("diff_vqa:Vqa", "one image, question -> answer"),
        "medical_vqa": _task("diff_vqa:MedicalVqa", "all seven question categories"),
        "medical_vqa_boxes": _task(
            "diff_vqa:MedicalVqaBoxes",
            "medical_vqa with both images and their boxes in every category",
        ),
        "medical_vqa_reports": _task(
            "diff_vqa:MedicalVqaReports", "medical_vqa with boxes and training reports"
        ),
        "report_single": _task("reports:ReportSingle", "image -> findings section of the report"),
        "impression_single": _task("reports:ImpressionSingle", "image -> impression of the report"),
        "report_single_boxes": _task("reports:ReportSingleBoxes", "image with boxes -> report"),
        "report_pair": _task("reports:ReportPair", "two images -> findings of the main study"),
        "impression_pair": _task(
            "reports:ImpressionPair", "two images -> impression of the main study"
        ),
        "report_pair_boxes": _task(
            "reports:ReportPairBoxes", "two images with boxes -> report of the main study"
        ),
        "region_findings": _task(
            "region_findings:RegionFindings", "image with boxes -> findings of each region"
        ),
        "progression": _task(
            "diff_vqa:Progression",
            "two images -> progression of five findings (MS-CXR-T, evaluation only)",
        ),
        "expert_changes": _task(
            "diff_vqa:ExpertChanges",
            "two images -> changes of three labels by expert readers (NIH, evaluation only)",
        ),
    },
    "pretraining": {
        "captioner": Plugin(
            "lapse.models.pretraining.captioner:Captioner",
            "the paper's stage 1: captions and boxes; also CapPa and LocCa",
            config="lapse.config:CaptionerConfig",
            tasks=("cap", "aref", "gcap", "caref"),
        ),
        "global_contrastive": Plugin(
            "lapse.models.pretraining.global_contrastive:GlobalContrastive",
            "image against report, sigmoid loss (SigLIP)",
            config="lapse.config.pretraining:GlobalContrastiveConfig",
            tasks=("cap",),
        ),
        "regional_contrastive": Plugin(
            "lapse.models.pretraining.regional_contrastive:RegionalContrastive",
            "regions against phrases, sigmoid loss",
            config="lapse.config.pretraining:RegionalContrastiveConfig",
            tasks=("gcap",),
        ),
        "blip2": Plugin(
            "lapse.models.pretraining.blip2:Blip2",
            "BLIP-2, first stage: three losses over one Q-Former",
            config="lapse.config.pretraining:Blip2Config",
            tasks=("cap",),
        ),
        "blip2_writer": Plugin(
            "lapse.models.pretraining.blip2_generative:Blip2Writer",
            "BLIP-2, second stage: a language model reads the queries",
            config="lapse.config.pretraining:Blip2WriterConfig",
            tasks=("cap",),
            parent="blip2",
        ),
        "findings": Plugin(
            "lapse.models.pretraining.findings:Findings",
            "findings of each region on a frozen encoder, for EKAID and RG-AG",
            config="lapse.config.pretraining:FindingsConfig",
            tasks=("region_findings",),
        ),
    },
    "vqa": {
        "prefix_lm": Plugin(
            "lapse.models.vqa.prefix_lm:PrefixLM",
            "the paper's stage 2: frozen encoder, temporal embeddings, GPT-2",
            config="lapse.config:PrefixLMConfig",
            tasks=("diff_vqa",),
        ),
        "blip2": Plugin(
            "lapse.models.vqa.blip2:Blip2Answerer",
            "BLIP-2: query tokens instead of all visual tokens",
            config="lapse.config.vqa:Blip2SystemConfig",
            tasks=("diff_vqa",),
        ),
        "real": Plugin(
            "lapse.models.vqa.real:ReAL",
            "ReAL: a branch for the residual image",
            config="lapse.config.vqa:RealConfig",
            tasks=("diff_vqa",),
        ),
        "plural": Plugin(
            "lapse.models.vqa.plural:Plural",
            "PLURAL-style: one encoder-decoder over both images and the question",
            config="lapse.config.vqa:PluralConfig",
            tasks=("diff_vqa",),
        ),
        "plural_published": Plugin(
            "lapse.models.vqa.plural_published:PluralPublished",
            "PLURAL as published: OFA over two images and the question",
            config="lapse.config.vqa:PluralPublishedConfig",
            tasks=("diff_vqa",),
        ),
        "rgag": Plugin(
            "lapse.models.vqa.rgag:RGAG",
            "RG-AG-style: one model generates both reports, then the answer",
            config="lapse.config.vqa:RgagConfig",
            tasks=("diff_vqa_reports",),
        ),
        "rgag_report": Plugin(
            "lapse.models.vqa.rgag_report:RgagReport",
            "RG-AG, first model: reports from anatomical tokens",
            config="lapse.config.vqa:RgagReportConfig",
            tasks=("report_pair_boxes",),
        ),
        "rgag_published": Plugin(
            "lapse.models.vqa.rgag_published:RgagPublished",
            "RG-AG, second model: answers from predicted reports",
            config="lapse.config.vqa:RgagPublishedConfig",
            tasks=("medical_vqa_reports",),
            parent="rgag_report",
        ),
        "ekaid": Plugin(
            "lapse.models.vqa.ekaid:Ekaid",
            "EKAID-style: graphs of anatomical regions, an LSTM decoder",
            config="lapse.config.vqa:EkaidConfig",
            tasks=("diff_vqa_boxes",),
        ),
        "ekaid_published": Plugin(
            "lapse.models.vqa.ekaid_published:EkaidPublished",
            "EKAID as published: 52 nodes, relation graphs, gates, two LSTMs",
            config="lapse.config.vqa:EkaidPublishedConfig",
            tasks=("medical_vqa_boxes",),
        ),
        "blind": Plugin(
            "lapse.models.vqa.blind:BlindBaseline",
            "image-blind baseline: the most frequent answer, or a random one",
            config="lapse.config.vqa:BlindConfig",
            tasks=("diff_vqa",),
        ),
    },
    "datasets": {
        "mimic_cxr": _dataset("mimic_cxr:MimicCxr", "MIMIC-CXR-JPG or MIMIC-CXR, with reports"),
        "chest_imagenome": _dataset("chest_imagenome:ChestImaGenome", "Chest ImaGenome, silver"),
        "chest_imagenome_gold": _dataset(
            "chest_imagenome_gold:ChestImaGenomeGold", "Chest ImaGenome, gold"
        ),
        "mimic_diff_vqa": _dataset("mimic_diff_vqa:MimicDiffVqa", "Medical-Diff-VQA"),
        "ms_cxr_t": _dataset("ms_cxr_t:MsCxrT", "MS-CXR-T"),
        "plain_table": _dataset("plain_table:PlainTable", "your own films: one CSV and a folder"),
    },
    "releases": {
        "nih": _dataset("nih:Nih", "NIH ChestX-ray14"),
        "padchest": _dataset("padchest_release:PadChest", "PadChest"),
        "padchest-gr": _dataset("padchest_gr_release:PadChestGr", "PadChest-GR"),
        "chexpert-plus": _dataset(
            "chexpert_plus_release:CheXpertPlus", "CheXpert Plus: reports for stage 1"
        ),
        "rexgradient": _dataset(
            "rexgradient_release:ReXGradient", "ReXGradient-160K: reports for stage 1"
        ),
    },
    "layouts": {
        "nih": _layout("nih_tree:write_nih_tree", "NIH ChestX-ray14"),
        "padchest": _layout("padchest_tree:write_padchest_tree", "PadChest"),
        "padchest-gr": _layout("padchest_gr_tree:write_padchest_gr_tree", "PadChest-GR"),
        "chexpert-plus": _layout("chexpert_plus_tree:write_chexpert_plus_tree", "CheXpert Plus"),
        "rexgradient": _layout("rexgradient_tree:write_rexgradient_tree", "ReXGradient-160K"),
    },
    "metrics": {
        "changes": Plugin(
            "lapse.metrics.changes:Changes",
            "precision, recall and F1 of findings that changed; exact match",
            tasks=("diff_vqa",),
        ),
        "answer_accuracy": Plugin(
            "lapse.metrics.answer_accuracy:AnswerAccuracy",
            "accuracy of short answers",
            tasks=("vqa", "medical_vqa"),
        ),
        "captioning": Plugin(
            "lapse.metrics.captioning:Captioning",
            "BLEU, METEOR, ROUGE-L and CIDEr",
            tasks=("cap", "gcap", "diff_vqa", "medical_vqa", OTHER_TASKS),
        ),
        "bertscore": Plugin(
            "lapse.metrics.bertscore:BertScore",
            "BERTScore, with a model of your choice",
            tasks=("cap", "gcap", "diff_vqa", "medical_vqa", OTHER_TASKS),
            option="bert",
        ),
        "radeval": Plugin(
            "lapse.metrics.radeval:RadEvalScores",
            "RadGraph-F1 and other metrics of the user's RadEval",
            tasks=("cap", "diff_vqa", OTHER_TASKS),
            option="radeval",
        ),
        "box_accuracy": Plugin(
            "lapse.metrics.box_accuracy:BoxAccuracy",
            "Acc@0.5 and mean IoU of boxes",
            tasks=("aref", "caref"),
        ),
        "progression": Plugin(
            "lapse.metrics.progression:ProgressionAccuracy",
            "accuracy of the progression of five findings",
            tasks=("progression",),
        ),
        "expert_changes": Plugin(
            "lapse.metrics.expert_changes:ExpertChanges",
            "precision, recall and F1 of the changes that expert readers see",
            tasks=("expert_changes",),
        ),
    },
}


def names(table: str) -> tuple[str, ...]:
    """The registered names of a table, in order.

    Raises:
        ValueError: there is no such table.
    """
    if table not in TABLES:
        raise ValueError(f"no plug-in table {table!r}; {nearest(table, list(TABLES))}")
    return tuple(TABLES[table])


_allowed: set[str] = set()


def allow(*paths: str) -> None:
    """Let run folders and model folders name these classes: their modules are then imported.

    Args:
        paths: each "module:Class".

    Raises:
        ValueError: a name of another form.
    """
    for path in paths:
        if not all(path.partition(":")):
            raise ValueError(f"{path!r} names no class to allow: write it as module:Class")
    _allowed.update(paths)


def allowed() -> tuple[str, ...]:
    """The names that `allow` was called with, for another process of the same command."""
    return tuple(sorted(_allowed))


def find(table: str, name: str, *, registered_only: bool = False) -> Plugin:
    """The entry of a registered name, or a new one for a "module:Class" path.

    Raises:
        ValueError: the name is not registered and not a path, or a path that `allow` was not
            called with where only registered names are accepted.
    """
    registered = names(table)
    if name in registered:
        return TABLES[table][name]
    if registered_only and name not in _allowed:
        hint = f"; if you trust its code: lapse --allow {name} ..." if ":" in name else ""
        raise ValueError(
            f"{name!r} is not a registered name of {table}; {nearest(name, registered)}{hint}"
        )
    if ":" not in name:
        raise ValueError(
            f"no {table} plug-in named {name!r}; {nearest(name, registered)} "
            '(or give "module:Class")'
        )
    return Plugin(name)


def load(table: str, name: str) -> Any:
    """Import and return the class of a registered name or a "module:Class" path.

    Raises:
        ValueError: the name is neither registered nor an importable "module:Class".
    """
    return _import(find(table, name).path, f"{table} plug-in {name!r}")


def load_config_class(table: str, name: str, *, registered_only: bool = False) -> Any:
    """The pydantic class that checks the options of a model.

    A plug-in from outside names its own as `Class.config_class`.

    Raises:
        ValueError: as `find` and `load`, or the plug-in has no configuration class.
    """
    plugin = find(table, name, registered_only=registered_only)
    if plugin.config is not None:
        return _import(plugin.config, f"configuration of {name!r}")
    model = load(table, name)
    if not hasattr(model, "config_class"):
        raise ValueError(f"{table} plug-in {name!r} has no attribute config_class")
    return model.config_class


def _import(path: str, what: str) -> Any:
    module_name, _, attribute = path.partition(":")
    try:
        return getattr(importlib.import_module(module_name), attribute)
    except (ModuleNotFoundError, AttributeError) as error:
        raise ValueError(f"{what} points to {path!r}, which cannot be imported: {error}") from error
