"""Short tries of stage 1 at equal CPU seconds: what makes a small encoder look at its images?

    python experiments/stage1_tries.py STORE RAW OUT --seconds 240 \
        --try "bn1: model.encoder.stem=conv_batch model.encoder.layers=1 optim.learning_rate=0.002"

Each try trains `--preset` with its overrides for so many seconds of process time (so a busy
machine changes nothing but the wait; the rate falls by a cosine over those seconds) and writes
the held-out losses and image gaps of every minute to OUT/NAME.jsonl. Its last line is a linear
probe: logistic regression of the findings of RAW's all_diseases.json on the frozen encoder's
tokens (16 averaged cells and the maximum), fitted on training patients and scored by AUROC on
validation patients. `--seconds 0` gives the untrained control, without which no probe says
anything: random convolutions reach .69.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lapse.config import RunConfig, load_config
from lapse.data.loading.batch import normalise
from lapse.data.loading.training_data import TrainingData, read_training_data
from lapse.data.store.store import Store, open_store
from lapse.models.interface import TrainableModel
from lapse.training.distributed import init_distributed
from lapse.training.optim import build_optimizer, clip_gradients
from lapse.training.run_folder import build_model
from lapse.training.validation import Validator

WARMUP_STEPS = 100  # where a try does not name optim.warmup_steps
LOWEST = 0.02  # of the learning rate, where the cosine ends


def trained(
    config: RunConfig, material: TrainingData, seconds: float
) -> Iterator[tuple[TrainableModel, dict[str, float]]]:
    """The model and its figures: once a minute of process time, and at the end."""
    torch.manual_seed(config.train.seed)
    model = build_model(config, material.tokenizer)
    optimizer = build_optimizer(model, config.optim)
    watch, stream = Validator(material, config), material.stream
    used, step, report = 0.0, 0, 60.0
    named = config.optim.warmup_steps
    warmup = max(1, WARMUP_STEPS if named is None else named)
    with init_distributed() as world:
        while used < seconds:
            start = time.process_time()
            warm = min(1.0, (step + 1) / warmup)
            share = max(LOWEST, warm * (1 + math.cos(math.pi * used / seconds)) / 2)
            for group in optimizer.param_groups:
                group["lr"] = config.optim.learning_rate * share
            for batch in stream.batches(step):
                with torch.autocast("cpu", torch.bfloat16):
                    loss = model.loss(batch)["loss"]
                loss.backward()
            clip_gradients(model, config.optim.clip_norm)
            optimizer.step()
            optimizer.zero_grad()
            step, used = step + 1, used + time.process_time() - start
            if used >= min(report, seconds):
                report += 60.0
                figures = {"seconds": round(used), "images": step * stream.records_per_step}
                yield model, figures | watch.evaluate(model, world)
    yield model, {"seconds": round(used), "images": step * stream.records_per_step}


def labelled(store: Store, raw: Path, split: str, limit: int) -> tuple[Tensor, Tensor, list[str]]:
    """Images [U, 1, S, S], whether each finding is in them [U, F], and the findings' names."""
    told = json.loads((raw / "medical-diff-vqa" / "all_diseases.json").read_text("utf-8"))
    findings = {str(item["study_id"]): set(item["entity"]) for item in told}
    names = sorted(set().union(*findings.values()))
    studies = [study for study in store.studies_of(split) if study.study in findings][:limit]
    pixels = np.stack([np.array(store.pixels(study.image)) for study in studies])
    labels = [[name in findings[study.study] for name in names] for study in studies]
    return torch.from_numpy(pixels)[:, None], torch.tensor(labels).float(), names


@torch.no_grad()
def features(encoder: nn.Module, channels: int, images: Tensor) -> Tensor:
    """[U, 1, S, S] -> 16 averaged cells and the maximum over the tokens, [U, 17 D]."""
    found = []
    for some in images.split(128):
        tokens = encoder(normalise(some, channels)).float()
        count, number, width = tokens.shape
        side = math.isqrt(number)
        grid = tokens.transpose(1, 2).reshape(count, width, side, side)
        cells = F.avg_pool2d(grid, side // 4).flatten(1)
        found.append(torch.cat([cells, tokens.amax(1)], 1))
    return torch.cat(found)


def probe(model: TrainableModel, channels: int, store: Store, raw: Path) -> dict[str, float]:
    """AUROC of each finding on validation patients, and their mean."""
    encoder = model.encoder.eval()
    images, labels, names = labelled(store, raw, "train", 4000)
    held_out, truth, _ = labelled(store, raw, "validate", 1800)
    known, asked = (features(encoder, channels, some) for some in (images, held_out))
    mean, deviation = known.mean(0), known.std(0) + 1e-5
    known, asked = (known - mean) / deviation, (asked - mean) / deviation
    torch.manual_seed(0)
    layer = nn.Linear(known.shape[1], len(names))
    optimizer = torch.optim.AdamW(layer.parameters(), 1e-3, weight_decay=0.3)
    for _ in range(20):
        for rows in torch.randperm(len(known)).split(256):
            loss = F.binary_cross_entropy_with_logits(layer(known[rows]), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        scores = layer(asked)
    found = {name: auroc(scores[:, i], truth[:, i]) for i, name in enumerate(names)}
    return {"mean": float(np.nanmean(list(found.values()))), **found}


def auroc(scores: Tensor, truth: Tensor) -> float:
    """Area under the curve by ranks; nan where only one class is there."""
    ranks = torch.empty(len(scores))
    ranks[scores.argsort()] = torch.arange(1, len(scores) + 1).float()
    positives = float(truth.sum())
    negatives = len(truth) - positives
    if not positives or not negatives:
        return float("nan")
    above = float(ranks[truth > 0].sum()) - positives * (positives + 1) / 2
    return above / (positives * negatives)


def main() -> None:
    """Read the arguments; run every try in turn."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("store", type=Path)
    parser.add_argument("raw", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--try", dest="tries", action="append", required=True)
    parser.add_argument("--preset", default="pretrain-tiny")
    parser.add_argument("--seconds", type=float, default=240.0)
    told = parser.parse_args()
    told.out.mkdir(parents=True, exist_ok=True)
    store, tokenizer = open_store(told.store), None
    for attempt in told.tries:
        name, _, overrides = attempt.partition(":")
        config = load_config(told.preset, overrides.split())
        material = read_training_data(store, config, tokenizer)
        tokenizer = material.tokenizer
        with (told.out / f"{name}.jsonl").open("w", encoding="utf-8") as log:
            last = None
            for model, figures in trained(config, material, told.seconds):
                print(name, figures, flush=True)
                log.write(json.dumps(figures) + "\n")
                last = model
            found = probe(last, config.model["encoder"]["channels"], store, told.raw)
            print(name, "probe", found, flush=True)
            log.write(json.dumps({"probe": found}) + "\n")


if __name__ == "__main__":
    main()
