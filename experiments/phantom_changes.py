"""What each change of the simulation does to the lung boxes of a model on real films.

    pip download torchxrayvision --no-deps --dest packages
    python experiments/phantom_changes.py OUT --base MODEL --real FOLDER
        --masks packages/torchxrayvision-*.whl [--seed 0] [--steps 200] [--only NAME]

MODEL is a model folder that was trained on plain simulated films only. For each variant of
`experiments/phantom_distance.py` without augmentation, its stage 1 continues for STEPS steps of the
two tasks with a box as their target (AREF, CAREF) on films of simulated patients with this variant,
and the boxes that it then generates for the two lungs of each real film are compared with the boxes
of its lung mask (`experiments/real_film_boxes.py`). The variants of one seed have the same patients
and findings, so that "plain" of the same seed is the control: it shows what the additional training
does without a change. Several seeds show the noise.

OUT/results.jsonl has a line for each run; the same command continues. A run takes about four
minutes of one core.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev
from unittest import mock

from phantom_distance import Variant, variants
from real_film_boxes import LUNGS, Film, read_films, score

from lapse.core.tokenizer import Tokenizer
from lapse.core.types import Box
from lapse.inference.pretrained import Lapse
from lapse.inference.pretrained.export import read_folder
from lapse.phantom.dataset import history
from lapse.phantom.dataset.options import SimulateConfig
from lapse.phantom.dataset.writer import simulate
from lapse.phantom.patients.acquisition import Acquisition
from lapse.phantom.patients.portable import make_portable
from lapse.training import run_folder
from lapse.training.initialization import resolve_init_source

CONTROL = "plain"
KINDS = {"upright": "pa", "portable": "ap"}
TASKS = "data.tasks=[aref,caref]"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--base", type=Path, required=True, help="model folder")
    parser.add_argument("--real", type=Path, required=True, help="folder with data.csv and png/")
    parser.add_argument("--masks", type=Path, required=True, help="wheel of torchxrayvision")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--patients", type=int, default=500)
    parser.add_argument("--only", default="", help="variants whose name contains this")
    options = parser.parse_args()
    films = read_films(options.real, options.masks)
    options.out.mkdir(parents=True, exist_ok=True)
    results = options.out / "results.jsonl"
    for variant in variants():
        if variant.is_augmented or "left out" in variant.name or options.only not in variant.name:
            continue
        if any(
            (row["variant"], row["seed"]) == (variant.name, options.seed) for row in rows(results)
        ):
            continue
        started = time.monotonic()
        folder = options.out / "work" / f"{options.seed}"
        shutil.rmtree(folder, ignore_errors=True)
        model = trained(folder, variant, options)
        row = {
            "variant": variant.name,
            "seed": options.seed,
            "steps": options.steps,
            "patients": options.patients,
            **lung_scores(model, films),
            "seconds": round(time.monotonic() - started),
        }
        with results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        shutil.rmtree(folder)
        print(json.dumps(row), flush=True)
    print(table(rows(results)))


def rows(results: Path) -> list[dict[str, object]]:
    """The runs that are complete."""
    if not results.is_file():
        return []
    return [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()]


def trained(folder: Path, variant: Variant, options: argparse.Namespace) -> Lapse:
    """The base model after the additional steps on films of the variant."""
    raw, store, run = (folder / name for name in ("raw", "store", "run"))
    simulate_variant(raw, variant, options.patients, 900 + options.seed)
    lapse("prepare", raw, store, "--size", 128)
    steps = (f"train.steps={options.steps}", f"train.eval_every={options.steps}")
    lapse(
        *("train", "pretrain-small", "--data", store, "--out", run, f"init_model={options.base}"),
        *(
            TASKS,
            "train.batch_size=128",
            "optim.learning_rate=0.0007",
            f"train.seed={options.seed}",
        ),
        *(*steps, f"train.save_every={options.steps}", "train.precision=bf16"),
    )
    source = resolve_init_source(str(run), "run", "pretrain")
    assert source is not None
    captioner = run_folder.build_model(source.config, Tokenizer(source.kept))
    captioner.load_state_dict(dict(source.tensors))
    parts = read_folder(options.base)
    return Lapse(replace(parts, captioner=captioner.eval(), pretrain=source.config))


def simulate_variant(raw: Path, variant: Variant, patients: int, seed: int) -> None:
    """Simulated patients; each film is exposed as the variant says."""

    def expose(plain: Acquisition, nuisance: float, key: tuple[int, int, int]) -> Acquisition:
        return variant.exposure(plain, make_portable(plain, nuisance, key))

    config = SimulateConfig(
        patients=patients,
        seed=seed,
        size=160,
        anatomy="detailed" if variant.details else "plain",
        portable_fraction=1.0,
        counterfactual_fraction=0.0,
        ood_fraction=0.0,
    )
    with (
        mock.patch.object(history, "make_portable", expose),
        mock.patch.object(history, "DETAILS", variant.details),
    ):
        simulate(raw, config)


def lapse(*words: object) -> None:
    """Run a `lapse` command; its output is printed only if it fails."""
    command = [sys.executable, "-m", "lapse", *map(str, words)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise SystemExit(f"lapse {words[0]} failed:\n{result.stdout}{result.stderr}")


def lung_scores(model: Lapse, films: list[Film]) -> dict[str, float]:
    """Mean IoU of the lung boxes of real films, by projection."""
    given: list[dict[str, Box | None]] = []
    for film in films:
        regions = model.region(model.open(film.path, allow_unusual=True), LUNGS)
        given.append({region.name: region.box for region in regions})
    return {
        kind: round(score(films, given, prefix)["mean IoU"]["value"], 4)
        for kind, prefix in KINDS.items()
    }


def table(results: list[dict[str, object]]) -> str:
    """Mean IoU by variant, and its difference from the control of the same seed, as Markdown."""
    runs: dict[str, dict[object, dict[str, object]]] = defaultdict(dict)
    for row in results:
        runs[str(row["variant"])][row["seed"]] = row
    lines = ["| simulated films | seeds | " + " | ".join(KINDS) + " |", "|---|---|---|---|"]
    for name, by_seed in runs.items():
        cells = [name, str(len(by_seed))]
        for kind in KINDS:
            values = [float(str(row[kind])) for row in by_seed.values()]
            cell = f"{mean(values):.3f}"
            pairs = [
                float(str(row[kind])) - float(str(runs[CONTROL][seed][kind]))
                for seed, row in by_seed.items()
                if name != CONTROL and seed in runs[CONTROL]
            ]
            if pairs:
                spread = f", standard deviation {stdev(pairs):.3f}" if len(pairs) > 1 else ""
                cell += f" ({mean(pairs):+.3f}{spread})"
            elif len(values) > 1:
                cell += f" (standard deviation {stdev(values):.3f})"
            cells.append(cell)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
