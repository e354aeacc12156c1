"""Two run folders with random weights, as `train` writes them."""

from __future__ import annotations

import json
from pathlib import Path

from lapse.config import RunConfig, check_config
from lapse.core.tokenizer import Tokenizer, trimmed_ids
from lapse.training.checkpoint import save_checkpoint
from lapse.training.run_folder import build_model, write_run

SIDE = 32
ENCODER = {
    "image_size": SIDE,
    "patch_size": 8,
    "channels": 1,
    "width": 16,
    "layers": 2,
    "heads": 2,
    "mlp_width": 32,
}
WORDS = ("the main image has an additional finding of edema than the reference image. ",)


def config(stage: str, seed: int = 0) -> RunConfig:
    decoder = {"width": 16, "layers": 1, "heads": 2, "mlp_width": 32, "max_tokens": 64}
    models = {
        "pretrain": ("captioner", {"encoder": ENCODER, "adapter_width": 16, "decoder": decoder}),
        "diffvqa": (
            "prefix_lm",
            {
                "encoder": ENCODER,
                "language_model": {"width": 16, "layers": 1, "heads": 2, "max_positions": 64},
            },
        ),
    }
    name, model = models[stage]
    return check_config(
        {
            "name": f"tiny-{stage}",
            "stage": stage,
            "model_type": name,
            "model": model,
            "data": {
                "tasks": ["cap"] if stage == "pretrain" else ["diff_vqa"],
                "max_tokens": 48,
                "vocabulary": "trimmed",
            },
            "optim": {"warmup_steps": 1},
            "train": {"steps": 1, "seed": seed, "precision": "fp32"},
            "generation": {"num_beams": 2, "max_new_tokens": 12},
        }
    )


FACTS = {"data": "d" * 8, "images": {"resize": "squash", "intensity": "mimic"}}


def write(folder: Path, *, same_encoder: bool = True, seed: int = 0) -> tuple[Path, Path]:
    """Run folders of stage 1 and 2; the second has the encoder of the first, or another."""
    stage1, stage2 = folder / "stage1", folder / "stage2"
    tokenizer = Tokenizer(trimmed_ids(WORDS))
    captioner = build_model(config("pretrain", seed), tokenizer)
    answerer = build_model(config("diffvqa", seed=1), tokenizer)
    if same_encoder:
        answerer.load_encoder(captioner.encoder.state_dict())
    for run, model, stage in ((stage1, captioner, "pretrain"), (stage2, answerer, "diffvqa")):
        write_run(run, config(stage, 0 if stage == "pretrain" else 1), tokenizer, FACTS)
        save_checkpoint(run, 1, model, {}, state={})
        assert json.loads((run / "run.json").read_text())["data"] == "d" * 8
    return stage1, stage2
