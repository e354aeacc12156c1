"""What `lapse evaluate` and `lapse compare` share: where references and blind rows come from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lapse.cli.console import provenance, say

if TYPE_CHECKING:
    from lapse.core.types import Prediction
    from lapse.data.store.store import Store
    from lapse.evaluation.predictions.questions import Question


@dataclass(frozen=True, slots=True)
class ReferenceSource:
    """References from a store, or from the question table, or from the file itself."""

    data: Path | None
    questions: Path | None
    split: str
    task: str
    ids: str
    seed: int
    blind_from: Path | None = None

    def __post_init__(self) -> None:
        if self.data is not None and self.questions is not None:
            raise ValueError("give --data STORE or --questions CSV, not both: one truth")
        if self.blind_from is not None and self.data is None:
            raise ValueError(
                f"--blind-from {self.blind_from} needs --data, the store that is evaluated on: "
                "whether the two share a patient must be looked at"
            )

    def store(self) -> Store | None:
        """The opened store, where there is one."""
        from lapse.data.store.store import open_store

        return None if self.data is None else open_store(self.data)

    def asked(self) -> list[Question]:
        """The questions that a file should answer; [] where only the file knows."""
        from lapse.evaluation.predictions.questions import questions_of_store, questions_of_table

        if self.questions is not None:
            return questions_of_table(self.questions, self.split, self.task)
        store = self.store()
        if store is None or not len(store.pairs_of(self.split)):
            return []
        return questions_of_store(store, self.split, self.task)

    def read(self, path: Path, asked: list[Question]) -> list[Prediction]:
        """The predictions of a file, with a line on how it was read."""
        from lapse.evaluation.predictions.external_formats import read_any

        found, told = read_any(path, asked, meaning=self.ids)
        if told:
            say(f"{path.name}: {told}")
        return found

    def blind(self, predictions: list[Prediction]) -> dict[str, list[Prediction]]:
        """The blind rows for these predictions.

        Raises:
            ValueError: the store has nothing to learn them from, or it and the one of the
                predictions share a patient.
        """
        from lapse.evaluation.baselines import blind_baselines, blind_text_baselines
        from lapse.evaluation.predictions.questions import training_answers

        store = self._training(predictions)
        if store is not None:
            return blind_baselines(store, predictions, seed=self.seed)
        if self.questions is not None:
            own = [item for item in predictions if item.task == self.task]
            return blind_text_baselines(
                training_answers(self.questions, self.task), own, seed=self.seed
            )
        say("no blind rows: they need training answers, of --data STORE or --questions CSV")
        return {}

    def _training(self, predictions: list[Prediction]) -> Store | None:
        """The store whose training part the blind rows know."""
        from lapse.data.store.leakage import refuse_shared
        from lapse.data.store.store import open_store
        from lapse.evaluation.baselines import has_training

        evaluated = self.store()
        if evaluated is None:
            return None
        store = evaluated if self.blind_from is None else open_store(self.blind_from)
        tasks = dict.fromkeys(item.task for item in predictions)
        if unknown := ", ".join(task for task in tasks if not has_training(store, task)):
            advice = (
                "leave --data out to score without blind rows"
                if self.blind_from is None
                else "give a store that has one"
            )
            raise ValueError(
                f"{store.path} has no training part for {unknown}, which blind rows are made "
                f"from: name a store of other patients with --blind-from STORE, or {advice}"
            )
        if self.blind_from is None:
            return store
        for name in ("size", "resize"):
            mine, theirs = (getattr(one.info, name) for one in (evaluated, store))
            if mine != theirs:
                raise ValueError(
                    f"{store.path} has {name} {theirs} and {evaluated.path} {mine}: prepare both "
                    "alike, as boxes are written in pixels of the store"
                )
        patients = {item.patient for item in predictions}
        if "" in patients:
            raise ValueError(
                "some predictions do not name their patient, so nobody can tell that --blind-from "
                "holds other ones: write them with lapse predict, or add the key patient"
            )
        refuse_shared(store, evaluated, patients)
        say(f"blind rows from {store.path}: no patient, study or image shared")
        return store

    def facts(self, n: int) -> dict[str, str]:
        """Where the numbers come from."""
        from lapse.evaluation.predictions.questions import table_facts

        found = provenance(data=self.data, seed=self.seed, n=n)
        if self.blind_from is not None:
            from lapse.data.store.store import open_store

            info = open_store(self.blind_from).info
            found["blind rows from"] = f"{info.source}, data fingerprint {info.fingerprint[:16]}"
        return found | (table_facts(self.questions, self.split) if self.questions else {})
