"""Input checks and guarded answers in numbers: films that pass, images that are refused, laws.

    python experiments/guard_results.py checks --store STORE [--real FOLDER] --out OUT
    python experiments/guard_results.py pairs --real FOLDER --out OUT [--limit 60]
    python experiments/guard_results.py strength --store STORE --out OUT [--limit 450]
    python experiments/guard_results.py page --out OUT [--predictions FILE]

`checks` gives the fractions of films that are warned about and refused, by kind (OUT/checks.json).
`pairs` answers consecutive films of each patient in both orders; it appends to OUT/pairs.jsonl and
continues there. `strength` answers simulated validation pairs whose films are augmented 0 to 2.5
times as strongly as in training, by beam search alone, and prints change F1 by the score of the
input check (OUT/strength.csv: strength, score, changes that are right, given and true). `page`
prints checks and pairs as Markdown, with the scores of a predictions file of new simulated patients
(`lapse predict packaged --guarded`). FOLDER holds data.csv (patient_id, image_id, admission_offset)
and png/; its films are read and not copied.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from unusual_images import photographs, unusual_images

import lapse
from lapse.config import AugmentConfig
from lapse.core.changes import QUESTION_CHANGED, UNCHANGED, invert
from lapse.core.grammar import parse
from lapse.core.seeding import derive_seed
from lapse.core.types import Sample, Score
from lapse.data.store.store import open_store
from lapse.evaluation.predictions.jsonl import read_predictions
from lapse.images.errors import ImageError
from lapse.images.film_augmentation import augment_film, draw_film
from lapse.images.film_facts import NO_FACTS
from lapse.inference.answer import ROLES
from lapse.inference.checks.checker import InputChecker
from lapse.inference.checks.issues import is_unfamiliar
from lapse.inference.checks.pixel_check import pooled_tokens
from lapse.inference.generate import GenerateOptions, generate
from lapse.inference.guard import GuardedGeneration, generate_guarded
from lapse.inference.pretrained import Lapse
from lapse.metrics.guard import decide
from lapse.metrics.guard_scores import guarded_scores

NUM_FILMS = 1000  # of each split, about
STRENGTHS = (0.0, 1.0, 1.5, 2.0, 2.5)  # of augmentation, times that of training
NUM_BINS = 12
SEED, COUNT = 19, 65  # of images that are not films, a kind
VIEWS: dict[str, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {
    "upright": lambda film: film,
    "mirrored": lambda film: film[:, ::-1],
    "turned by 180 degrees": lambda film: film[::-1, ::-1],
    "flipped": lambda film: film[::-1],
    "turned by 90 degrees to the left": lambda film: np.rot90(film),
    "turned by 90 degrees to the right": lambda film: np.rot90(film, 3),
    "negative": lambda film: 255 - film,
}
Pixels = NDArray[np.uint8]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", choices=("checks", "pairs", "strength", "page"))
    parser.add_argument("--store", type=Path)
    parser.add_argument("--real", type=Path)
    parser.add_argument("--predictions", type=Path)
    parser.add_argument("--limit", type=int, default=60, help="pairs of films")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    if options.part == "checks":
        _checks(options.store, options.real, options.out / "checks.json")
    elif options.part == "pairs":
        _pairs(options.real, options.out / "pairs.jsonl", options.limit)
    elif options.part == "strength":
        _strength(options.store, options.out / "strength.csv", options.limit)
    else:
        _page(options.out, options.predictions)


def _checks(store: Path | None, real: Path | None, out: Path) -> None:
    model = lapse.load(device="cpu")
    rows: dict[str, dict[str, float]] = {}
    if store is not None:
        opened = open_store(store)
        for split in ("validate", "test"):
            # the limits are those of validation films; test films are new
            studies = opened.studies_of(split)
            keys = [study.image for study in studies[:: max(1, len(studies) // NUM_FILMS)]]
            films = np.stack([np.asarray(opened.pixels(key)) for key in keys])
            rows[f"simulated films, {split}"] = _rates(model, films)
        for name, view in list(VIEWS.items())[1:]:
            turned = np.stack([np.ascontiguousarray(view(film)) for film in films[:200]])
            rows[f"simulated films, {name}"] = _rates(model, turned, name)
    negatives: list[Pixels] = []
    num_refused = 0  # images that are not read
    for kind, images in {**unusual_images(SEED, COUNT), "photographs": photographs()}.items():
        read = []
        for image in images:
            with suppress(ImageError):  # blank images and noise are refused by the reader
                read.append(model.open(image).pixels)
        num_unread = len(images) - len(read)
        rows[kind] = _rates(model, np.array(read), num_unread=num_unread)
        num_refused += num_unread
        negatives += read
    if real is not None:
        upright = _real_films(model, real)
        for name, view in VIEWS.items():
            films = np.stack([np.ascontiguousarray(view(film)) for film in upright])
            rows[f"Hannover, {name}"] = _rates(model, films, name)
            if name not in {"upright", "mirrored"}:
                negatives += list(films)
    rows["all images that are not upright films"] = _rates(
        model, np.stack(negatives), num_unread=num_refused
    )
    out.write_text(json.dumps(rows, indent=1) + "\n", "utf-8")
    print(json.dumps(rows, indent=1))


def _rates(
    model: Lapse, pixels: Pixels, name: str = "", *, num_unread: int = 0
) -> dict[str, float]:
    """Fractions of warnings (refusals included) and of refusals; how often the kind is named."""
    checker = InputChecker(model.parts.pixel_check, model.parts.encode)
    levels = checker.levels(pixels) if len(pixels) else []
    refused = [row for row, level in enumerate(levels) if level == "refused"]
    check = model.parts.pixel_check
    assert check is not None
    count = len(levels) + num_unread
    rates = {
        "n": count,
        "unread": num_unread,
        "warned": (sum(bool(level) for level in levels) + num_unread) / count,
        "refused": (len(refused) + num_unread) / count,
    }
    if refused and (name.startswith("turned") or name in {"negative", "flipped"}):
        word = {"flipped": "180 degrees or flipped"}.get(name, name)
        rates["named"] = sum(word in check.kind(pixels[row]) for row in refused) / len(refused)
    return rates


def _real_films(model: Lapse, real: Path) -> Pixels:
    """Every film of the folder, read as at inference. # [n, S, S]"""
    paths = sorted((real / "png").glob("*.png"))
    return np.stack([model.open(path).pixels for path in paths])


def real_pairs(real: Path) -> Iterator[tuple[str, Path, Path]]:
    """Patient, earlier and later film; consecutive films of each patient in order of time."""
    films: dict[str, list[tuple[float, str]]] = {}
    with (real / "data.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["admission_offset"] and (real / "png" / f"{row['image_id']}.png").is_file():
                time = -float(row["admission_offset"])  # days from the film to the admission
                films.setdefault(row["patient_id"], []).append((time, row["image_id"]))
    for patient, items in sorted(films.items()):
        for (_, first), (_, second) in pairwise(sorted(items)):
            yield patient, real / "png" / f"{first}.png", real / "png" / f"{second}.png"


def _pairs(real: Path, out: Path, limit: int) -> None:
    model = lapse.load(device="cpu")
    rule = model.parts.guard
    assert rule is not None

    config = model.parts.diffvqa
    checker = InputChecker(model.parts.pixel_check, model.parts.encode)
    generation = GenerateOptions(
        config.generation, config.data.max_tokens, "beam", config.train.precision
    )

    def read(*films: Pixels) -> GuardedGeneration:
        pixels = dict(zip(ROLES, films, strict=True))
        sample = Sample("pair", "diff_vqa", ROLES, "", QUESTION_CHANGED, "", " ?")
        return generate_guarded(model.answerer, [sample], pixels.__getitem__, generation)[0]

    done = len(out.read_text("utf-8").splitlines()) if out.is_file() else 0
    pairs = list(real_pairs(real))
    for number in range(done, min(limit, len(pairs))):
        patient, *paths = pairs[number]
        first, second = (model.open(path).pixels for path in paths)
        forward, backward, same = read(first, second), read(second, first), read(first, first)
        is_strict = is_unfamiliar(checker.issues({"a": NO_FACTS, "b": NO_FACTS}, [first, second]))
        used = replace(rule, is_strict=is_strict)
        answer, exchanged = (decide(item.evidence, used) for item in (forward, backward))
        plain, inverted = (parse(item.plain.text).changes for item in (forward, backward))
        row = {
            "patient": patient,
            "status": answer.status,
            "stated": len(answer.stated),
            "unsure": len(answer.unsure),
            "swap": answer.inverse() == exchanged,
            "identity": decide(same.evidence, rule).text == UNCHANGED,
            "beam stated": len(plain),
            "beam swap": invert(plain) == inverted,
            "beam identity": not parse(same.plain.text).changes,
            "unfamiliar": is_strict,
            "evidence": forward.evidence.confidence(),
        }
        with out.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


def _strength(path: Path, out: Path, limit: int) -> None:
    model, store = lapse.load("packaged", device="cpu"), open_store(path)
    check, encode, answerer = model.parts.pixel_check, model.parts.encode, model.answerer
    assert check is not None and encode is not None
    pairs = [pair for pair in store.pairs_of("validate") if pair.category == "difference"]
    chosen = np.random.default_rng(1).permutation(len(pairs))[:limit]
    config = model.parts.diffvqa
    options = GenerateOptions(
        config.generation, config.data.max_tokens, "none", config.train.precision
    )
    rows = []
    for strength in STRENGTHS:
        films, samples = {}, []
        for pair in (pairs[index] for index in chosen):
            for role, study in zip(ROLES, (pair.reference, pair.main), strict=True):
                film = np.asarray(store.pixels(study.image))
                seed = derive_seed("strength", study.image, role, str(strength)) >> 1
                draw = draw_film(_stronger(strength), seed)
                films[f"{pair.id} {role}"] = augment_film(film, draw) if strength else film
            images = tuple(f"{pair.id} {role}" for role in ROLES)
            samples.append(Sample(pair.id, "diff_vqa", images, "", pair.question, "", " ?"))
        pixels = np.stack(list(films.values()))
        scores = check.scores(pooled_tokens(encode, pixels), pixels).reshape(-1, 2).max(axis=1)
        for start in range(0, len(samples), 16):
            part = samples[start : start + 16]
            for offset, answer in enumerate(
                generate(answerer, part, films.__getitem__, options), start
            ):
                given = parse(answer.text).changes
                true = parse(pairs[chosen[offset]].answer).changes
                counts = len(given & true), len(given), len(true)
                rows.append((strength, float(scores[offset]), *counts))
        print(f"strength {strength}: change F1 {_f1(rows, strength):.3f}", flush=True)
    with out.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("strength", "score", "right", "given", "true"))
        writer.writerows((s, round(score, 4), *counts) for s, score, *counts in rows)
    print(f"warning above {check.warn:.3f}, refusal above {check.refuse:.3f}\n")
    print("| score of the pair | pairs | change F1 |\n|---|---|---|")
    for part in np.array_split(np.array(sorted(rows, key=lambda row: row[1])), NUM_BINS):
        print(f"| {part[0, 1]:.2f} to {part[-1, 1]:.2f} | {len(part)} | {_f1(part):.3f} |")


def _stronger(strength: float) -> AugmentConfig:
    """The augmentation of training, so many times as strong."""
    once = AugmentConfig()
    weak, strong = once.sharpness
    return AugmentConfig(
        shift=once.shift * strength,
        scale=(once.scale[0] ** strength, once.scale[1] ** strength),
        rotation=once.rotation * strength,
        gamma=once.gamma * strength,
        sharpness=(max(-1.0, weak * strength), strong * strength),
        shading=once.shading * strength,
        noise=once.noise * strength,
        lines=once.lines * strength,
    )


def _f1(rows: Sequence[Sequence[float]] | NDArray[np.float64], strength: float = -1.0) -> float:
    """Change F1 of all rows, or of those of one strength."""
    counts = np.array([row[2:] for row in rows if strength in (-1.0, row[0])])
    right, given, true = counts.sum(axis=0)
    return float(2 * right / (given + true))


def _page(out: Path, predictions: Path | None) -> None:
    if (out / "checks.json").is_file():
        print("| images | n | of them not read | warned | refused | kind named |")
        print("|---|---|---|---|---|---|")
        for name, rates in json.loads((out / "checks.json").read_text("utf-8")).items():
            named = f"{rates['named']:.2f}" if "named" in rates else ""
            unread = rates["unread"] or ""
            fractions = f"{rates['warned']:.3f} | {rates['refused']:.3f}"
            values = f"{rates['n']} | {unread} | {fractions} | {named}"
            print(f"| {name} | {values} |")
    if (out / "pairs.jsonl").is_file():
        rows = [json.loads(line) for line in (out / "pairs.jsonl").read_text("utf-8").splitlines()]
        count = len(rows)
        patients = len({row["patient"] for row in rows})
        print(f"\n| {count} pairs of {patients} patients | guarded | unguarded |\n|---|---|---|")
        for name in ("swap", "identity"):
            values = [sum(row[key] for row in rows) for key in (name, f"beam {name}")]
            print(f"| {name} | {values[0]}/{count} | {values[1]}/{count} |")
        stated, beam = (sum(row[key] for row in rows) / count for key in ("stated", "beam stated"))
        print(f"| stated changes a pair | {stated:.2f} | {beam:.2f} |")
        with_any = [sum(bool(row[key]) for row in rows) for key in ("stated", "beam stated")]
        print(f"| pairs with a stated change | {with_any[0]}/{count} | {with_any[1]}/{count} |")
        statuses = Counter(row["status"] for row in rows)
        print(f"| undecided | {statuses['undecided']}/{count} | |")
    if predictions is not None:
        _print_scores(guarded_scores(read_predictions(predictions)))


def _print_scores(scores: Mapping[str, Score]) -> None:
    print("\n| score | value | 95% interval |\n|---|---|---|")
    for name, score in scores.items():
        low, high = score.low, score.high
        interval = "" if low is None or high is None else f"[{low:.3f}, {high:.3f}]"
        print(f"| {name} | {score.value:.3f} | {interval} |")


if __name__ == "__main__":
    main()
