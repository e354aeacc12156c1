"""What limits the names of airspace findings: consolidation, pneumonia and lung opacity.

    python experiments/airspace_probe.py merge PREDICTIONS.jsonl
    python experiments/airspace_probe.py images --films FILE.npz [--size 128] [--steps 1400]
    python experiments/airspace_probe.py tokens --films FILE.npz --model MODEL

`merge` counts the three names as one and prints change F1 with and without: the difference is
what wrong names cost. The other two ask a small classifier for the name of the one finding of a
simulated film (a third each, so that chance is 1/3; 3,900 films for training, 600 for the test):
`images` trains the convolutions of the packaged encoder with the names as labels, `tokens` trains
a pooling layer on the frozen tokens of a model. FILE.npz is simulated if it does not exist.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from lapse.core.changes import Change
from lapse.core.grammar import parse
from lapse.images.intensity import equalise
from lapse.inference.pretrained import Lapse, load
from lapse.models.layers.conv_stem import ConvStem
from lapse.phantom.patients.acquisition import draw_acquisition
from lapse.phantom.patients.catalogue import SPEC_BY_NAME
from lapse.phantom.patients.findings import DiseaseCourse, draw_visits
from lapse.phantom.patients.patient import draw_patient
from lapse.phantom.patients.state import Finding
from lapse.phantom.rendering.render import render

NAMES = ("lung opacity", "consolidation", "pneumonia")
SEED = 77
NUM_FILMS, NUM_TRAIN = 4500, 3900
SIZE = 256  # px of the stored films
Films = NDArray[np.uint8]
Batch = Callable[[Tensor], Tensor]  # indices -> what the classifier reads


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", choices=("merge", "images", "tokens"))
    parser.add_argument("predictions", type=Path, nargs="?", help="for merge")
    parser.add_argument("--films", type=Path, help="NPZ file of simulated films")
    parser.add_argument("--size", type=int, default=128, help="px, for images")
    parser.add_argument("--model", help="model folder or packaged, for tokens")
    parser.add_argument("--steps", type=int, default=1400)
    options = parser.parse_args()
    if options.part == "merge":
        for name, value in merged_f1(options.predictions).items():
            print(f"{name}: change F1 {value:.3f}")
        return
    films, labels = simulated(options.films)
    torch.manual_seed(0)
    torch.set_num_threads(1)
    if options.part == "images":
        classifier, batch = image_classifier(films, options.size)
    else:
        classifier, batch = token_classifier(films, load(options.model, device="cpu"))
    train(classifier, batch, torch.from_numpy(labels), options.steps)


def merged_f1(path: Path) -> dict[str, float]:
    """Change F1 of a file of predictions, with the names as they are and as one name."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    rows = [
        (parse(line["prediction"]).changes, parse(line["references"][0]).changes)
        for line in lines
        if "prediction" in line
    ]

    def f1(name: Callable[[Change], object]) -> float:
        pairs = [({name(c) for c in given}, {name(c) for c in true}) for given, true in rows]
        right = sum(len(given & true) for given, true in pairs)
        return 2 * right / sum(len(given) + len(true) for given, true in pairs)

    def as_one(change: Change) -> Change:
        return replace(change, finding=NAMES[0]) if change.finding in NAMES else change

    return {"names as they are": f1(lambda change: change), "one name": f1(as_one)}


def simulated(path: Path) -> tuple[Films, NDArray[np.int64]]:
    """Films with one airspace finding each, and the index of its name. # [n, S, S], [n]"""
    if path.is_file():
        stored = np.load(path)
        return stored["films"], stored["labels"]
    films = np.empty((NUM_FILMS, SIZE, SIZE), np.uint8)
    for index in range(NUM_FILMS):
        rng = np.random.default_rng((SEED, index))
        person = draw_patient(SEED, index)
        (visit,) = draw_visits(SEED, index, 1, age=person.age, course=DiseaseCourse())
        spec = SPEC_BY_NAME[NAMES[index % len(NAMES)]]
        types, weights = zip(*spec.types, strict=True)
        finding = Finding(
            spec.name,
            str(rng.choice(("left", "right"))),
            str(rng.choice(("upper", "mid", "lower"))),
            float(rng.uniform(0.15, 0.9)),
            str(rng.choice(types, p=np.array(weights) / sum(weights))),
            index,
        )
        visit = replace(visit, findings=(finding,))
        image = render(person, visit, draw_acquisition(SEED, index, 0, 0), 320).image
        small = Image.fromarray(image).resize((SIZE, SIZE), Image.Resampling.BOX)
        films[index] = np.asarray(equalise(small))
    labels = np.arange(NUM_FILMS) % len(NAMES)
    np.savez(path, films=films, labels=labels)
    return films, labels


def resized(films: Films, size: int) -> Tensor:
    """The films at another size. # [n, 256, 256] -> [n, size, size]"""
    images = [Image.fromarray(film).resize((size, size), Image.Resampling.BOX) for film in films]
    return torch.from_numpy(np.stack([np.asarray(image) for image in images]))


def image_classifier(films: Films, size: int) -> tuple[nn.Module, Batch]:
    """The convolutions of the packaged encoder, maximum over positions; films move by 5%."""
    pixels, width, limit = resized(films, size), 192, size // 20
    classifier = nn.Sequential(
        ConvStem(1, width, 16, over_batch=True),
        *(nn.BatchNorm2d(width), nn.ReLU(), nn.AdaptiveMaxPool2d(1), nn.Flatten()),
        nn.Linear(width, len(NAMES)),
    )

    def batch(indices: Tensor) -> Tensor:
        images = pixels[indices][:, None].float() / 127.5 - 1.0
        if not classifier.training:
            return images
        down, right = torch.randint(-limit, limit + 1, (2,)).tolist()
        return torch.roll(images, (down, right), (2, 3))

    return classifier, batch


def token_classifier(films: Films, model: Lapse) -> tuple[nn.Module, Batch]:
    """Attention pooling with four queries on the frozen tokens of a model."""
    encode = model.parts.encode
    assert encode is not None
    pixels = resized(films, model.image_size)[:, None]
    with torch.inference_mode():
        parts = [encode(part).float() for part in pixels.split(100)]
    tokens = torch.cat(parts).clone()
    training = tokens[:NUM_TRAIN]
    tokens = (tokens - training.mean((0, 1))) / training.std((0, 1))
    return AttentionPooling(tokens.shape[-1]), lambda indices: tokens[indices]


class AttentionPooling(nn.Module):
    """[B, N, D] -> [B, 3]."""

    def __init__(self, width: int, hidden: int = 256, queries: int = 4) -> None:
        super().__init__()
        self.hidden = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Dropout(0.2))
        self.attention = nn.Linear(hidden, queries)
        self.out = nn.Linear(hidden * queries, len(NAMES))

    def forward(self, tokens: Tensor) -> Tensor:
        hidden = self.hidden(tokens)
        weights = self.attention(hidden).softmax(dim=1)
        out: Tensor = self.out((weights.transpose(1, 2) @ hidden).flatten(1))
        return out


def train(classifier: nn.Module, batch: Batch, labels: Tensor, steps: int) -> None:
    """Train on the first films, and print the accuracy on the others."""
    optimizer = torch.optim.AdamW(classifier.parameters(), weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, steps)
    test = torch.arange(NUM_TRAIN, NUM_FILMS)
    for step in range(1, steps + 1):
        indices = torch.randint(NUM_TRAIN, (48,))
        with torch.autocast("cpu", torch.bfloat16):
            logits = classifier(batch(indices))
        loss = nn.functional.cross_entropy(logits.float(), labels[indices], label_smoothing=0.05)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step == steps or step % 500 == 0:
            classifier.eval()
            with torch.no_grad():
                guess = torch.cat([classifier(batch(part)).argmax(1) for part in test.split(100)])
            classifier.train()
            right = (guess == labels[test]).float()
            by_name = [f"{right[labels[test] == k].mean():.2f}" for k in range(len(NAMES))]
            print(f"step {step}: accuracy {right.mean():.3f} ({', '.join(by_name)})", flush=True)


if __name__ == "__main__":
    main()
