"""The full pipeline on simulated patients, from nothing to scored HTML reports.

    simulate -> prepare -> stage 1 -> stage 2 (with and without images) -> predict (and probes)
             -> evaluate -> report.html, answers.html

Training from random weights takes hours until a model uses its images, so both stages continue
from the packaged weights for a few minutes, and so does the image-blind model. The packaged model
itself answers the same pairs. Stages whose files exist are skipped or resumed. Image-blind
baselines are in the same table as the model. Nothing is chosen on test patients. Everything runs in
one thread: two threads are slower than one as soon as another program is busy.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from lapse.config import load_config
from lapse.core.files import write_text
from lapse.core.progress import ProgressBar, no_progress_bar
from lapse.core.types import Prediction, Score
from lapse.data.prepare.prepare import PrepareOptions, find_roots, prepare
from lapse.data.store.store import Store, open_store
from lapse.evaluation.blind_baselines import CONSTANT, blind_baselines
from lapse.evaluation.evaluate import EvaluateOptions, Evaluator
from lapse.evaluation.html.evaluation_page import EvaluationReport, render_evaluation_report
from lapse.evaluation.html.run_page import render_run_report
from lapse.evaluation.predictions.jsonl import write_predictions
from lapse.evaluation.reliability import reliability_scores
from lapse.evaluation.scores_file import predictions_facts, read_scores, write_scores
from lapse.inference.predict import PredictOptions, predict
from lapse.inference.pretrained import Lapse, load
from lapse.phantom.dataset.writer import MARK, SimulateConfig, simulate
from lapse.training.trainer import Callbacks, train
from lapse.workflows.demo.packaged_model import PACKAGED_MODEL, predict_pairs
from lapse.workflows.demo.page import MODEL, REGIONS, DemoResult, build_report, is_improved

logger = logging.getLogger(__name__)
CONTINUED = ("init_model=packaged", "optim.warmup_fraction=0.1", "train.eval_samples=64")
# Low rates: the packaged weights are trained, and the demo has few patients.
PRETRAIN = ("optim.learning_rate=1.0e-4", "train.batch_size=128", "train.eval_every=10")
FINETUNE = ("optim.learning_rate=1.0e-5", "train.batch_size=32", "train.eval_every=15")


@dataclass(frozen=True, slots=True)
class DemoConfig:
    """The size of the demo: a few minutes on two CPU cores.

    Without `use_java` the tables have no BLEU, METEOR, ROUGE-L and CIDEr.
    """

    num_patients: int = 160
    seed: int = 0
    image_size: int = 160
    store_size: int = 128
    pretrain_steps: int = 30
    finetune_steps: int = 30
    num_answers: int = 160
    num_regions: int = 160
    num_probes: int = 40
    use_java: bool = True


def run_demo(
    out: Path,
    config: DemoConfig,
    *,
    progress_bar: ProgressBar = no_progress_bar,
    facts: Mapping[str, str] | None = None,
) -> Path:
    """Run every stage whose files are missing; returns the path of OUT/report.html.

    OUT/answers.html shows the model's answers case by case.

    Args:
        out: folder of the demo; created.
        progress_bar: title -> a progress bar.
        facts: command, version and commit, for the provenance of the scores.

    Raises:
        ValueError: `out` holds a demo with another configuration.
    """
    return _Demo(out, config, progress_bar, dict(facts or {})).run()


@dataclass(slots=True)
class _Demo:
    out: Path
    config: DemoConfig
    progress_bar: ProgressBar
    facts: dict[str, str]

    def run(self) -> Path:
        start = time.monotonic()
        torch.set_num_threads(1)
        self._check_config()
        self._simulate()
        self._prepare()
        store = open_store(self.out / "store")
        self._train()
        packaged_model = load(device="cpu")
        predictions = self._predict(store, packaged_model)
        self.facts |= {"seed": str(self.config.seed), **store.info.provenance()}
        scores = self._evaluate(predictions)
        answers = EvaluationReport(
            title="lapse demo: the answers, case by case",
            predictions=predictions[MODEL],
            scores=read_scores(self._scores_path(MODEL), self._predictions_path(MODEL)),
            store=store,
            system=MODEL,
        )
        path = self.out / "answers.html"
        write_text(path, render_evaluation_report(answers))
        logger.info("answers, case by case: %s", path)
        minutes = (time.monotonic() - start) / 60
        result = DemoResult(
            store=store,
            folder=self.out,
            predictions=predictions,
            scores=scores,
            facts={**self.facts, "duration": f"{minutes:.1f} minutes"},
            num_patients=self.config.num_patients,
            packaged_model=packaged_model,
            is_improved=is_improved(self.out),
        )
        path = self.out / "report.html"
        write_text(path, render_run_report(build_report(result)))
        return path

    def _check_config(self) -> None:
        path = self.out / "demo.json"
        sizes = asdict(replace(self.config, use_java=True))  # may differ between calls
        text = json.dumps(sizes, indent=1)
        if path.exists() and path.read_text(encoding="utf-8") != text:
            raise ValueError(
                f"{self.out} holds a demo of another size or seed; choose another folder or remove "
                "it"
            )
        write_text(path, text)

    def _simulate(self) -> None:
        raw = self.out / "raw"
        if (raw / MARK).exists():
            logger.info("simulate: %s exists", raw)
            return
        config = SimulateConfig(
            patients=self.config.num_patients,
            seed=self.config.seed,
            size=self.config.image_size,
            processes=2,
        )
        with self.progress_bar("simulate patients") as progress:
            simulate(raw, config, progress)

    def _prepare(self) -> None:
        folder = self.out / "store"
        if folder.exists():
            logger.info("prepare: %s exists", folder)
            return
        options = PrepareOptions(self.config.store_size, workers=2)
        with self.progress_bar("prepare the store") as progress:
            report = prepare(find_roots([self.out / "raw"]), folder, options, progress=progress)
        for line in report.lines():
            logger.info(line)

    def _train(self) -> None:
        steps = f"train.steps={self.config.pretrain_steps}"
        self._train_run("pretrain-small", "pretrain", (steps, *CONTINUED, *PRETRAIN))
        steps = f"train.steps={self.config.finetune_steps}"
        encoder = f"init_encoder={self.out / 'pretrain'}"
        overrides = (steps, encoder, *CONTINUED, *FINETUNE)
        self._train_run("diffvqa-small", "diffvqa", overrides)
        blind = ("model.images=none", "data.cache_features=none")
        self._train_run("diffvqa-small", "text-only", (*overrides, *blind))

    def _train_run(self, preset: str, name: str, overrides: tuple[str, ...]) -> None:
        # fp32: the same numbers on every CPU
        fixed = ("train.precision=fp32", f"train.seed={self.config.seed}")
        run = load_config(preset, (*overrides, *fixed))
        with self.progress_bar(f"train {name}") as progress:
            train(run, self.out / "store", self.out / name, callbacks=Callbacks(progress=progress))

    def _predict(self, store: Store, packaged_model: Lapse) -> dict[str, list[Prediction]]:
        """System -> predictions on test patients; the baselines answer the same samples."""
        limit = self.config.num_answers
        options = PredictOptions(limit=limit, confidence="beam")
        predictions = {MODEL: self._predict_run("diffvqa", options)}
        with self.progress_bar(f"answer: {PACKAGED_MODEL}") as progress:
            answers = predict_pairs(packaged_model, self.out / "store", limit, progress)
        predictions[PACKAGED_MODEL] = answers
        predictions["text-only model"] = self._predict_run("text-only", options)
        predictions |= blind_baselines(store, predictions[MODEL], seed=self.config.seed)
        logger.info("constant answer of the baseline: %r", predictions[CONSTANT][0].prediction)
        options = PredictOptions(tasks=("caref", "gcap"), limit=self.config.num_regions)
        regions = predictions[REGIONS] = self._predict_run("pretrain", options)
        baselines = blind_baselines(store, regions, seed=self.config.seed)
        predictions["mean box, random phrase"] = [
            item for answers in baselines.values() for item in answers
        ]
        return predictions

    def _predict_run(self, name: str, options: PredictOptions) -> list[Prediction]:
        title = f"answer: {name}" + (f", {options.probe}" if options.probe else "")
        with self.progress_bar(title) as progress:
            data = self.out / "store"
            return list(predict(self.out / name, data, "test", options, progress=progress))

    def _evaluate(
        self, predictions: Mapping[str, list[Prediction]]
    ) -> dict[str, dict[str, dict[str, Score]]]:
        """System -> task -> scores; writes predictions and scores files."""
        evaluator = Evaluator(EvaluateOptions(use_java=self.config.use_java))
        scores: dict[str, dict[str, dict[str, Score]]] = {}
        for system, items in predictions.items():
            write_predictions(self._predictions_path(system), items)
            logger.info("evaluate: %s (%d predictions)", system, len(items))
            scores[system] = evaluator(items)
        scores[MODEL] |= reliability_scores(predictions[MODEL], self._probes())
        others = {name: item for name, item in scores.items() if "diff_vqa" in item}
        del others[MODEL]
        for system, values in scores.items():
            facts = {**self.facts, "n": str(len(predictions[system]))}
            facts |= predictions_facts(self._predictions_path(system))
            comparisons = others if system == MODEL else None
            write_scores(self._scores_path(system), values, facts, comparisons=comparisons)
        return scores

    def _probes(self) -> list[Prediction]:
        """The model's answers to swapped and to identical images of the first test pairs."""
        answers: list[Prediction] = []
        for probe in ("swap", "identity"):
            options = PredictOptions(limit=self.config.num_probes, probe=probe)
            items = self._predict_run("diffvqa", options)
            write_predictions(self.out / "predictions" / f"{_slug(MODEL)}.{probe}.jsonl", items)
            answers += items
        return answers

    def _predictions_path(self, system: str) -> Path:
        return self.out / "predictions" / f"{_slug(system)}.jsonl"

    def _scores_path(self, system: str) -> Path:
        return self.out / "scores" / f"{_slug(system)}.json"


def _slug(name: str) -> str:
    """A file name: lower-case letters and digits, joined by "-"."""
    return "-".join("".join(c if c.isalnum() else " " for c in name.lower()).split())
