"""The whole path on simulated patients, from nothing to a scored, illustrated report.

    simulate -> prepare -> stage 1 -> stage 2 (and its blind twin) -> predict (and probes)
             -> evaluate -> report.html, answers.html

Where the package carries its small model, that one answers the same pairs beside.

Every stage leaves its files in the demo folder and is skipped or resumed when they are there.
The blind rows never see an image; they stand in the same table as the model, whatever the
result. Nothing is chosen on test patients.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from lapse.config import load_config
from lapse.core.types import Prediction, Score
from lapse.core.version import __version__
from lapse.data.prepare.prepare import PrepareOptions, find_roots, prepare
from lapse.data.store.store import Store, open_store
from lapse.evaluation.blind_baselines import CONSTANT, blind_baselines
from lapse.evaluation.evaluate import Evaluator
from lapse.evaluation.html import (
    EvaluationReport,
    read_scores,
    write_evaluation_report,
    write_run_report,
)
from lapse.evaluation.predictions.jsonl import write_predictions
from lapse.evaluation.reliability import reliability_scores
from lapse.evaluation.scores_file import write_scores
from lapse.inference.predict import PredictOptions, predict
from lapse.phantom.dataset.writer import SimulateConfig, simulate
from lapse.training.trainer import Callbacks, train
from lapse.workflows.demo.packaged_model import SMALL, small_answers, small_model
from lapse.workflows.demo.page import MODEL, REGIONS, DemoResult, build_report

# Faster than the preset's rate, which is made for longer runs; at 1e-3 the losses fall lower
# still, but the adapter shuts the images out and the model goes blind (docs/log.md).
SHORT = (
    "optim.learning_rate=5.0e-4",
    "train.eval_every=75",
    "train.eval_samples=64",
    "train.save_every=150",
)

Say = Callable[[str], None]
Bar = Callable[[str], AbstractContextManager[Callable[[int, int], None]]]


@dataclass(frozen=True, slots=True)
class DemoConfig:
    """The size of the demo: a few minutes on two CPU cores."""

    patients: int = 160
    seed: int = 0
    image_side: int = 160
    store_side: int = 128
    pretrain_steps: int = 450
    finetune_steps: int = 300
    test_answers: int = 160
    test_regions: int = 160
    test_probes: int = 40


def run_demo(out: Path, config: DemoConfig, *, say: Say, bar: Bar, commit: str) -> Path:
    """Run everything that is not there yet and write OUT/report.html; returns its path.

    OUT/answers.html beside it shows the model's answers case by case.

    Args:
        out: folder of the demo; created.
        say: receives one line per event.
        bar: opens a progress bar with a title and gives its (done, total) callback.
        commit: of the running source, for the provenance table.
    """
    started = time.monotonic()
    out.mkdir(parents=True, exist_ok=True)
    _same_config(out, config)
    _simulate(out / "raw", config, say=say, bar=bar)
    _prepare(out / "raw", out / "store", config, say=say, bar=bar)
    store = open_store(out / "store")
    _train(out, config, bar=bar)
    predictions = _predict(out, store, config, say=say, bar=bar)
    small = small_model(store, say)
    if small is not None:
        with bar(f"answer: {SMALL}") as progress:
            answers = small_answers(small, out / "store", config.test_answers, progress)
        predictions = _second(predictions, SMALL, answers)
    scores: dict[str, dict[str, dict[str, Score]]] = {}
    evaluator = Evaluator()
    for row, found in predictions.items():
        write_predictions(out / "predictions" / f"{_slug(row)}.jsonl", found)
        say(f"evaluate: {row} ({len(found)} predictions)")
        scores[row] = evaluator(found)
    probes = _probe(out, config, bar=bar)
    scores[MODEL] |= reliability_scores(predictions[MODEL], probes)
    facts = {
        "seed": str(config.seed),
        "command": f"lapse demo {out.name} --patients {config.patients} --seed {config.seed}",
        "version": __version__,
        "commit": commit,
        **store.info.provenance(),
    }
    for row, values in scores.items():
        rows = {**facts, "n": str(len(predictions[row]))}
        write_scores(out / "scores" / f"{_slug(row)}.json", values, rows)
    others = {row: values for row, values in scores.items() if "diff_vqa" in values}
    del others[MODEL]
    evaluated = out / "scores" / f"{_slug(MODEL)}.json"
    n = str(len(predictions[MODEL]))
    write_scores(evaluated, scores[MODEL], {**facts, "n": n}, comparisons=others)
    evaluation = EvaluationReport(
        title="lapse demo: the answers, case by case",
        predictions=predictions[MODEL],
        scores=read_scores(evaluated),
        store=store,
        system=MODEL,
    )
    say(f"cases: {write_evaluation_report(out / 'answers.html', evaluation)}")
    minutes = (time.monotonic() - started) / 60
    result = DemoResult(
        store=store,
        folder=out,
        predictions=predictions,
        scores=scores,
        facts={**facts, "this run took": f"{minutes:.1f} minutes"},
        patients=config.patients,
        num_bins=config.store_side,
        small=small,
    )
    return write_run_report(out / "report.html", build_report(result))


def _second(
    rows: dict[str, list[Prediction]], name: str, answers: list[Prediction]
) -> dict[str, list[Prediction]]:
    """The rows with one more, right behind the model."""
    first, *others = rows.items()
    return {first[0]: first[1], name: answers, **dict(others)}


def _slug(row: str) -> str:
    return "-".join("".join(c if c.isalnum() else " " for c in row.lower()).split())


def _same_config(out: Path, config: DemoConfig) -> None:
    mark = out / "demo.json"
    text = json.dumps({name: getattr(config, name) for name in config.__slots__}, indent=1)
    if mark.exists() and mark.read_text(encoding="utf-8") != text:
        raise ValueError(
            f"{out} holds a demo of another size or seed; choose another folder or remove it"
        )
    mark.write_text(text, encoding="utf-8")


def _simulate(raw: Path, config: DemoConfig, *, say: Say, bar: Bar) -> None:
    if (raw / "SIMULATED.txt").exists():
        say(f"simulate: {raw} is there already")
        return
    _remove_unfinished(raw)
    settings = SimulateConfig(
        patients=config.patients, seed=config.seed, size=config.image_side, processes=2
    )
    with bar("simulate patients") as progress:
        simulate(raw, settings, progress)


def _remove_unfinished(raw: Path) -> None:
    """Take away a simulation that was cut: its mark is written last."""
    import shutil

    if raw.exists():
        shutil.rmtree(raw)


def _prepare(raw: Path, folder: Path, config: DemoConfig, *, say: Say, bar: Bar) -> None:
    if folder.exists():
        say(f"prepare: {folder} is there already")
        return
    with bar("prepare the store") as progress:
        options = PrepareOptions(config.store_side, workers=2)
        report = prepare(find_roots([raw]), folder, options, progress=progress)
    for line in report.lines():
        say(line)


def _train(out: Path, config: DemoConfig, *, bar: Bar) -> None:
    pretrained = out / "pretrain"
    rows = [
        (
            "pretrain-tiny",
            pretrained,
            [f"train.steps={config.pretrain_steps}", *SHORT],
        ),
        (
            "diffvqa-tiny",
            out / "diffvqa",
            [f"train.steps={config.finetune_steps}", f"init_encoder={pretrained}"],
        ),
        (
            "diffvqa-tiny",
            out / "text-only",
            [f"train.steps={config.finetune_steps}", "model.images=none"],
        ),
    ]
    for preset, folder, overrides in rows:
        run = load_config(preset, [*overrides, f"train.seed={config.seed}"])
        with bar(f"train {folder.name}") as progress:
            train(run, out / "store", folder, callbacks=Callbacks(progress=progress))


def _predict(
    out: Path, store: Store, config: DemoConfig, *, say: Say, bar: Bar
) -> dict[str, list[Prediction]]:
    """Row name -> predictions on test patients; the blind rows answer the same samples."""
    data = out / "store"
    rows: dict[str, list[Prediction]] = {}
    for row, folder in ((MODEL, "diffvqa"), ("text-only model", "text-only")):
        with bar(f"answer: {row}") as progress:
            options = PredictOptions(limit=config.test_answers, confidence="beam")
            rows[row] = list(predict(out / folder, data, "test", options, progress=progress))
    rows |= blind_baselines(store, rows[MODEL], seed=config.seed)
    say(f"blind rows: constant answer {rows[CONSTANT][0].prediction!r}")
    with bar("regions: boxes and phrases") as progress:
        options = PredictOptions(tasks=("caref", "gcap"), limit=config.test_regions)
        grounded = list(predict(out / "pretrain", data, "test", options, progress=progress))
    rows[REGIONS] = grounded
    blind = blind_baselines(store, grounded, seed=config.seed)
    rows["mean box, random phrase"] = [item for said in blind.values() for item in said]
    return rows


def _probe(out: Path, config: DemoConfig, *, bar: Bar) -> list[Prediction]:
    """The model's answers to swapped and to identical images, on the first of the test pairs."""
    found: list[Prediction] = []
    for probe in ("swap", "identity"):
        with bar(f"answer: {probe}") as progress:
            options = PredictOptions(limit=config.test_probes, probe=probe)
            rows = predict(out / "diffvqa", out / "store", "test", options, progress=progress)
            said = list(rows)
        write_predictions(out / "predictions" / f"{_slug(MODEL)}.{probe}.jsonl", said)
        found += said
    return found
