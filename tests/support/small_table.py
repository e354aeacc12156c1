"""A table of three rows with minimal models: one trains, one is image-blind, one is missing."""

from __future__ import annotations

from lapse.workflows.paper_tables.spec import TableSpec

ENCODER = (
    "model.encoder={image_size: 32, patch_size: 16, channels: 1, width: 16, layers: 1, heads: 2, "
    "mlp_width: 32}"
)
LOOP = ["train.precision=fp32", "train.steps=4", "train.batch_size=8", "train.eval_every=2",
        "train.save_every=1",
        "train.eval_samples=8", "generation={num_beams: 2, max_new_tokens: 6}"]  # fmt: skip
SMALL = {
    "pretrain": [
        ENCODER, "model.adapter_width=16", *LOOP,
        "model.decoder={width: 16, layers: 1, heads: 2, mlp_width: 32, max_tokens: 160}",
    ],
    "diffvqa": [
        ENCODER, *LOOP,
        "model.language_model={width: 16, layers: 1, heads: 2, max_positions: 160, dropout: 0.1}",
    ],
}  # fmt: skip
ROWS = [
    {"key": "ours", "name": "Ours", "paper": ["pretrain-lapse", "diffvqa-lapse"],
     "tiny": ["pretrain-tiny", "diffvqa-tiny"], "printed": {"BLEU-4": 0.594}},
    {"key": "constant", "name": "Constant answer", "paper": ["diffvqa-constant"],
     "tiny": ["diffvqa-constant"], "own_length": True},
    {"key": "gone", "name": "Not there", "paper": ["x"], "tiny": ["pretrain-gone-tiny"]},
]  # fmt: skip


def spec(**changes) -> TableSpec:
    values = {
        "title": "Table 9: a small one", "section": "4", "tasks": ["diff_vqa"], "ours": "ours",
        "columns": {"BLEU-4": "diff_vqa/BLEU-4", "exact match": "diff_vqa/exact match",
                    "BERTScore": "diff_vqa/BERTScore"},
        "tiny": SMALL, "tiny_limit": 4, "rows": ROWS,
    }  # fmt: skip
    return TableSpec.model_validate(values | changes)
