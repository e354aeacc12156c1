"""Linear probe of the encoders of finished experiment runs: writes probe.json next to their scores.

    python experiments/experiment_probe.py --runs runs --results experiments/results --raw raw \
        --data store128 --data store64

A logistic regression (scikit-learn's default penalty) of the findings in RAW's all_diseases.json on
the mean encoder token, fitted on training studies and scored by AUROC on test studies. The weights
come from the run folders, which are not committed.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler
from stage1_trials import read_labels
from torch import Tensor, nn

from lapse.data.loading.batch import normalise
from lapse.data.store.store import open_store
from lapse.training.run_folder import load_run

NUM_TRAIN, NUM_TEST = 4000, 2000
MIN_CASES = 20  # a finding needs that many positive and negative studies in both parts


@torch.no_grad()
def mean_tokens(encoder: nn.Module, channels: int, images: Tensor) -> np.ndarray:
    """[U, 1, S, S] -> [U, D], the mean over the tokens of each image."""
    parts = [encoder(normalise(part, channels)).float().mean(1) for part in images.split(128)]
    return torch.cat(parts).numpy()


def probe(folder: Path, data: Path, raw: Path) -> dict[str, float]:
    """AUROC of every finding with enough cases, and their mean."""
    run = load_run(folder)
    encoder = run.model.encoder.eval()
    channels = run.config.model["encoder"]["channels"]
    store = open_store(data)
    images, labels, names = read_labels(store, raw, "train", NUM_TRAIN)
    test_images, test_labels, test_names = read_labels(store, raw, "test", NUM_TEST)
    if names != test_names:
        raise ValueError("the two splits name different findings")
    scaler = StandardScaler()
    train = scaler.fit_transform(mean_tokens(encoder, channels, images))
    test = scaler.transform(mean_tokens(encoder, channels, test_images))
    values = {}
    for index, name in enumerate(names):
        truth, test_truth = labels[:, index].numpy(), test_labels[:, index].numpy()
        counts = [part.sum() for part in (truth, 1 - truth, test_truth, 1 - test_truth)]
        if min(counts) < MIN_CASES:
            continue
        model = LogisticRegression(max_iter=1000).fit(train, truth)
        values[name] = float(roc_auc_score(test_truth, model.decision_function(test)))
    if not values:
        raise ValueError(f"no finding has {MIN_CASES} positive and negative studies in both splits")
    return {"mean": float(np.mean(list(values.values()))), "n": len(test), **values}


def main() -> None:
    """Probe every finished run that has no probe.json yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, required=True, help="the --out of experiment_runs.py")
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--raw", type=Path, required=True)
    parser.add_argument("--data", type=Path, action="append", required=True)
    args = parser.parse_args()
    stores = {open_store(path).info.size: path for path in args.data}
    for facts in sorted(args.results.glob("*-*/facts.json")):
        target = facts.with_name("probe.json")
        folder = args.runs / "runs" / json.loads(facts.read_text("utf-8"))["runs"][-1]
        if target.is_file() or not folder.is_dir():
            continue
        config = load_run(folder).config
        if config.model.get("images") == "none" or "encoder" not in config.model:
            continue
        values = probe(folder, stores[config.model["encoder"]["image_size"]], args.raw)
        target.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
        print(facts.parent.name, f"{values['mean']:.3f}", flush=True)


if __name__ == "__main__":
    main()
