"""Short trials of stage 1 at equal CPU time: which options make a small encoder use its images?

    python experiments/stage1_trials.py STORE RAW OUT --seconds 240 \
        --trial "bn1: model.encoder.stem=conv_batch model.encoder.layers=1 optim.learning_rate=2e-3"

Each trial trains `--preset` with its overrides for a number of CPU seconds, which do not depend on
other programs; the learning rate follows a cosine over these seconds. OUT/NAME.jsonl gets the
validation losses and image gaps of every minute. Its last line is a linear probe: logistic
regression of the findings in RAW's all_diseases.json on the tokens of the frozen encoder (16
averaged cells and the maximum), fitted on training patients and scored by AUROC on validation
patients. `--seconds 0` measures the untrained encoder, the baseline of the probe: random
convolutions reach .69.
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

WARMUP_STEPS = 100  # if a trial does not set optim.warmup_steps
MIN_FRACTION = 0.02  # of the learning rate, at the end of the cosine


def train_for(
    config: RunConfig, data: TrainingData, seconds: float
) -> Iterator[tuple[TrainableModel, dict[str, float]]]:
    """The model and its figures, once per minute of CPU time and at the end."""
    torch.manual_seed(config.train.seed)
    model = build_model(config, data.tokenizer)
    optimizer = build_optimizer(model, config.optim)
    validator, stream = Validator(data, config), data.stream
    used, step, next_report = 0.0, 0, 60.0
    warmup = config.optim.warmup_steps
    warmup = max(1, WARMUP_STEPS if warmup is None else warmup)
    with init_distributed() as context:
        while used < seconds:
            started = time.process_time()
            cosine = (1 + math.cos(math.pi * used / seconds)) / 2
            fraction = max(MIN_FRACTION, min(1.0, (step + 1) / warmup) * cosine)
            for group in optimizer.param_groups:
                group["lr"] = config.optim.learning_rate * fraction
            for batch in stream.batches(step):
                with torch.autocast("cpu", torch.bfloat16):
                    loss = model.loss(batch)["loss"]
                loss.backward()
            clip_gradients(model, config.optim.clip_norm)
            optimizer.step()
            optimizer.zero_grad()
            step, used = step + 1, used + time.process_time() - started
            if used >= min(next_report, seconds):
                next_report += 60.0
                figures = {"seconds": round(used), "images": step * stream.records_per_step}
                yield model, figures | validator.evaluate(model, context)
    yield model, {"seconds": round(used), "images": step * stream.records_per_step}


def read_labels(
    store: Store, raw: Path, split: str, limit: int
) -> tuple[Tensor, Tensor, list[str]]:
    """Images [U, 1, S, S], which findings they have [U, F], and the names of the findings."""
    items = json.loads((raw / "medical-diff-vqa" / "all_diseases.json").read_text("utf-8"))
    findings = {str(item["study_id"]): set(item["entity"]) for item in items}
    names = sorted(set().union(*findings.values()))
    studies = [study for study in store.studies_of(split) if study.study in findings][:limit]
    pixels = np.stack([np.array(store.pixels(study.image)) for study in studies])
    labels = [[name in findings[study.study] for name in names] for study in studies]
    return torch.from_numpy(pixels)[:, None], torch.tensor(labels).float(), names


@torch.no_grad()
def encode(encoder: nn.Module, channels: int, images: Tensor) -> Tensor:
    """[U, 1, S, S] -> 16 averaged cells and the maximum over the tokens, [U, 17 D]."""
    features = []
    for part in images.split(128):
        tokens = encoder(normalise(part, channels)).float()
        num_images, num_tokens, width = tokens.shape
        side = math.isqrt(num_tokens)
        grid = tokens.transpose(1, 2).reshape(num_images, width, side, side)
        cells = F.avg_pool2d(grid, side // 4).flatten(1)
        features.append(torch.cat([cells, tokens.amax(1)], 1))
    return torch.cat(features)


def linear_probe(model: TrainableModel, channels: int, store: Store, raw: Path) -> dict[str, float]:
    """AUROC of each finding on validation patients, and their mean."""
    encoder = model.encoder.eval()
    images, labels, names = read_labels(store, raw, "train", 4000)
    test_images, test_labels, _ = read_labels(store, raw, "validate", 1800)
    train, test = (encode(encoder, channels, part) for part in (images, test_images))
    mean, deviation = train.mean(0), train.std(0) + 1e-5
    train, test = (train - mean) / deviation, (test - mean) / deviation
    torch.manual_seed(0)
    layer = nn.Linear(train.shape[1], len(names))
    optimizer = torch.optim.AdamW(layer.parameters(), 1e-3, weight_decay=0.3)
    for _ in range(20):
        for rows in torch.randperm(len(train)).split(256):
            loss = F.binary_cross_entropy_with_logits(layer(train[rows]), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        scores = layer(test)
    values = {name: auroc(scores[:, i], test_labels[:, i]) for i, name in enumerate(names)}
    return {"mean": float(np.nanmean(list(values.values()))), **values}


def auroc(scores: Tensor, labels: Tensor) -> float:
    """Area under the ROC curve by ranks; nan if only one class is present."""
    ranks = torch.empty(len(scores))
    ranks[scores.argsort()] = torch.arange(1, len(scores) + 1).float()
    num_positive = float(labels.sum())
    num_negative = len(labels) - num_positive
    if not num_positive or not num_negative:
        return float("nan")
    above = float(ranks[labels > 0].sum()) - num_positive * (num_positive + 1) / 2
    return above / (num_positive * num_negative)


def main() -> None:
    """Run every trial in turn."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("store", type=Path)
    parser.add_argument("raw", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--trial", action="append", required=True, help="NAME: a.b=value ...")
    parser.add_argument("--preset", default="pretrain-tiny")
    parser.add_argument("--seconds", type=float, default=240.0, help="CPU seconds of a trial")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    store, tokenizer = open_store(options.store), None
    for trial in options.trial:
        name, _, overrides = trial.partition(":")
        config = load_config(options.preset, overrides.split())
        data = read_training_data(store, config, tokenizer)
        tokenizer = data.tokenizer
        with (options.out / f"{name}.jsonl").open("w", encoding="utf-8") as log:
            trained = None
            for model, figures in train_for(config, data, options.seconds):
                print(name, figures, flush=True)
                log.write(json.dumps(figures) + "\n")
                trained = model
            channels = config.model["encoder"]["channels"]
            values = linear_probe(trained, channels, store, options.raw)
            print(name, "probe", values, flush=True)
            log.write(json.dumps({"probe": values}) + "\n")


if __name__ == "__main__":
    main()
