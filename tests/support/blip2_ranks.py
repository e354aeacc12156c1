"""Gloo ranks for test_blip2_ranks.py: `python blip2_ranks.py DIR` prints JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

from contrastive_samples import ENCODER, TOKENIZER, batch, reports
from lapse.config.pretraining import Blip2Config, QFormerConfig
from lapse.models.pretraining.blip2 import Blip2
from sigmoid_ranks import on_ranks

QFORMER = QFormerConfig(
    queries=4, width=24, layers=2, heads=3, mlp_width=48, max_tokens=24, dropout=0.0
)


def losses(rank: int, size: int, contrast_over: str) -> dict[str, float]:
    """The losses of this rank's part of four pairs, in training mode, and the number of matches."""
    torch.manual_seed(0)
    config = Blip2Config(
        encoder=ENCODER, qformer=QFORMER, embedding_width=16, contrast_over=contrast_over
    )
    model, matched = Blip2(config, TOKENIZER).train(), []
    match = model.match

    def counted(memory: object, texts: object) -> torch.Tensor:
        logits = match(memory, texts)
        matched.append(len(logits))
        return logits

    model.match = counted
    rows = reports()
    part = rows[len(rows) * rank // size : len(rows) * (rank + 1) // size]
    result = model.loss(batch(part))
    result["loss"].backward()
    return {
        **{name.removeprefix("loss/"): value.item() for name, value in result.items()},
        "matches": matched[0],
        "gradient": float(model.image_head.weight.grad.abs().sum()),
    }


def main(out: Path) -> dict[str, object]:
    results: dict[str, object] = {}
    for name, size, over in (("one", 1, "all"), ("all", 2, "all"), ("rank", 2, "rank")):
        folder = out / name
        folder.mkdir()
        on_ranks(size, lambda rank, size=size, over=over: losses(rank, size, over), folder, name)
        results[name] = [json.loads((folder / f"{rank}.json").read_text()) for rank in range(size)]
    return results


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
