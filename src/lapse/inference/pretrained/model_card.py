"""The model card: architecture, training data, use and limits of a trained model."""

from __future__ import annotations

from torch import nn

from lapse.core.version import __version__
from lapse.inference.answer import RESEARCH_USE
from lapse.inference.pretrained.export import ModelParts
from lapse.models.interface import TrainableModel

_TEXT = """---
library_name: lapse
tags: [chest-x-ray, visual-question-answering, radiology, research]
---
# {name}

Compares two frontal chest radiographs of one patient and says what changed; also writes a \
report, describes a box, and finds a phrase. Method: Location-Aware Pretraining for Medical \
Difference Visual Question Answering (arXiv 2603.04950), both stages, by lapse {version}.

**{notice}** Never validated on patients for any use. "Missing" means that an image no longer \
shows or mentions a finding, not that it has resolved.

| | |
|---|---|
{rows}

```python
import lapse

model = lapse.load("this folder")
comparison = model.compare("reference.png", "main.png")
print(comparison.text, comparison.boxes)
```

Weights are float16 on disk and float32 in use. {vocabulary}
"""


def model_card(parts: ModelParts) -> str:
    """The README.md of a model folder; all values come from the model or its runs."""
    encoder = parts.pretrain.model_config_object().encoder
    size = f"{encoder.image_size} x {encoder.image_size}"
    rows = {
        "image": f"{size} pixels, {parts.processing}, patch {encoder.patch_size}",
        "parameters: encoder": _count(parts.encoder),
        "format of the encoder": _format(encoder.stem),
        "parameters: captioner without encoder": _count(parts.captioner, parts.encoder),
        "parameters: answerer without encoder": _count(parts.answerer, parts.encoder),
        "tasks of stage 1": ", ".join(parts.pretrain.data.tasks),
        "answers": f"beam search {parts.diffvqa.generation.num_beams}",
        **parts.facts,
    }
    if parts.calibration is not None:
        rows["probabilities"] = parts.calibration.describe()
    return _TEXT.format(
        name=f"{parts.pretrain.name} + {parts.diffvqa.name}",
        version=__version__,
        notice=RESEARCH_USE,
        rows="\n".join(f"| {name} | {value} |" for name, value in rows.items()),
        vocabulary=_vocabulary(parts),
    )


def _format(stem: str) -> str:
    if stem == "patch":
        return "opens as SiglipVisionModel of transformers after `export_encoder`"
    return "lapse's own: it has convolutions before its blocks, which SigLIP's format does not have"


def _count(model: TrainableModel | nn.Module, without: nn.Module | None = None) -> str:
    excluded = {id(p) for p in without.parameters()} if without is not None else set()
    return f"{sum(p.numel() for p in model.parameters() if id(p) not in excluded):,}"


def _vocabulary(parts: ModelParts) -> str:
    kept = [model.tokenizer.kept for model in (parts.captioner, parts.answerer)]
    if None in kept:
        return "All 50,257 tokens of GPT-2 have a row."
    counts = " and ".join(f"{len(ids):,}" for ids in kept if ids is not None)
    return (
        f"The token tables are trimmed to the tokens in use ({counts} of GPT-2's 50,257, for "
        "stage 1 and 2). The ids are those of GPT-2; other words are spelled byte by byte."
    )
