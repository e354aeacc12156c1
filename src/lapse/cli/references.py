"""Where `lapse evaluate` and `lapse compare` get references and image-blind baselines."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from lapse.cli.console import provenance
from lapse.cli.options import ImageIds, Split

if TYPE_CHECKING:
    from lapse.core.types import Prediction
    from lapse.data.store.store import Store
    from lapse.evaluation.predictions.questions import Question

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ReferenceOptions:
    """References from a store, from the question table, or from the predictions file itself."""

    panel: ClassVar[str] = "References and baselines"

    data: Annotated[
        Path | None,
        typer.Option(
            help="Store with the references; adds image-blind baselines, subgroups and provenance."
        ),
    ] = None
    baseline_data: Annotated[
        Path | None,
        typer.Option(
            help="Store of other patients whose train split the image-blind baselines use.",
            show_default="the store of --data",
        ),
    ] = None
    questions: Annotated[
        Path | None,
        typer.Option(help="mimic_pair_questions.csv with the references, instead of a store."),
    ] = None
    split: Annotated[Split, typer.Option(help="Split that the predictions answer.")] = "test"
    task: Annotated[str, typer.Option(help="Task of the answers in a CSV or COCO file.")] = (
        "diff_vqa"
    )
    ids: Annotated[
        ImageIds, typer.Option(help="What image_id means in a COCO file; auto detects it.")
    ] = "auto"

    def __post_init__(self) -> None:
        if self.data is not None and self.questions is not None:
            raise ValueError("--data and --questions both give references: use one of them")
        if self.baseline_data is not None and self.data is None:
            raise ValueError(
                f"--baseline-data {self.baseline_data} needs --data, the store of the evaluated "
                "patients: the two stores must not share a patient"
            )


@dataclass(frozen=True)
class ReferenceSource:
    """The references and baselines that the options name."""

    options: ReferenceOptions
    seed: int

    def store(self) -> Store | None:
        """The opened store, or None without --data."""
        from lapse.data.store.store import open_store

        return None if self.options.data is None else open_store(self.options.data)

    def read_questions(self) -> list[Question]:
        """The questions that a file should answer; [] if only the file has references."""
        from lapse.evaluation.predictions.questions import questions_of_store, questions_of_table

        options = self.options
        if options.questions is not None:
            return questions_of_table(options.questions, options.split, options.task)
        store = self.store()
        if store is None or not len(store.pairs_of(options.split)):
            return []
        return questions_of_store(store, options.split, options.task)

    def read_predictions(self, path: Path, questions: list[Question]) -> list[Prediction]:
        """The predictions of a file in any supported format."""
        from lapse.evaluation.predictions.external_formats import read_any

        predictions, note = read_any(path, questions, meaning=self.options.ids)
        if note:
            logger.info("%s: %s", path.name, note)
        return predictions

    def baselines(self, predictions: list[Prediction]) -> dict[str, list[Prediction]]:
        """The image-blind baselines for the samples of these predictions.

        Raises:
            ValueError: the store has no training data for them, or its training patients are
                among the evaluated ones.
        """
        from lapse.evaluation.baselines import blind_baselines, blind_text_baselines
        from lapse.evaluation.predictions.questions import training_answers

        options = self.options
        store = self._training_store(predictions)
        if store is not None:
            return blind_baselines(store, predictions, seed=self.seed)
        if options.questions is not None:
            answers = training_answers(options.questions, options.task)
            of_task = [item for item in predictions if item.task == options.task]
            return blind_text_baselines(answers, of_task, seed=self.seed)
        logger.info(
            "no image-blind baselines: they need training answers (--data STORE or --questions CSV)"
        )
        return {}

    def _training_store(self, predictions: list[Prediction]) -> Store | None:
        """The store whose train split the baselines use."""
        from lapse.data.store.leakage import refuse_shared
        from lapse.data.store.store import open_store
        from lapse.evaluation.baselines import has_training

        evaluated, baseline_data = self.store(), self.options.baseline_data
        if evaluated is None:
            return None
        store = evaluated if baseline_data is None else open_store(baseline_data)
        tasks = dict.fromkeys(item.task for item in predictions)
        if untrained := ", ".join(task for task in tasks if not has_training(store, task)):
            advice = (
                "remove --data to score without image-blind baselines"
                if baseline_data is None
                else "give a store that has one"
            )
            raise ValueError(
                f"{store.path} has no train split for {untrained}, which image-blind baselines "
                f"need: give a store of other patients with --baseline-data STORE, or {advice}"
            )
        if baseline_data is None:
            return store
        for name in ("size", "resize"):
            value, expected = (getattr(item.info, name) for item in (store, evaluated))
            if value != expected:
                raise ValueError(
                    f"{store.path} has {name} {value} and {evaluated.path} {expected}: prepare "
                    "both stores alike, because boxes are in pixels of the store"
                )
        patients = {item.patient for item in predictions}
        if "" in patients:
            raise ValueError(
                "some predictions do not name their patient, so --baseline-data cannot be checked "
                "for shared patients: write the file with lapse predict, or add the key patient"
            )
        refuse_shared(store, evaluated, patients)
        logger.info("image-blind baselines from %s: no shared patient, study or image", store.path)
        return store

    def facts(self, n: int) -> dict[str, str]:
        """The provenance of the scores."""
        from lapse.evaluation.predictions.questions import table_facts

        options = self.options
        facts = provenance(data=options.data, seed=self.seed, n=n)
        if options.baseline_data is not None:
            from lapse.data.store.store import open_store

            info = open_store(options.baseline_data).info
            facts["baselines from"] = f"{info.source}, data fingerprint {info.fingerprint[:16]}"
        if options.questions is not None:
            facts |= table_facts(options.questions, options.split)
        return facts
