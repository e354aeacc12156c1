"""What `lapse evaluate` and `lapse compare` share: where references and blind rows come from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lapse.terminal import provenance, say

if TYPE_CHECKING:
    from lapse.data.store import Store
    from lapse.predictions.questions import Question
    from lapse.types import Prediction


@dataclass(frozen=True, slots=True)
class Truth:
    """References from a store, or from the question table, or from the file itself."""

    data: Path | None
    questions: Path | None
    split: str
    task: str
    ids: str
    seed: int

    def __post_init__(self) -> None:
        if self.data is not None and self.questions is not None:
            raise ValueError("give --data STORE or --questions CSV, not both: one truth")

    def store(self) -> Store | None:
        """The opened store, where there is one."""
        from lapse.data.store import open_store

        return None if self.data is None else open_store(self.data)

    def asked(self) -> list[Question]:
        """The questions that a file should answer; [] where only the file knows."""
        from lapse.predictions.questions import questions_of_store, questions_of_table

        if self.questions is not None:
            return questions_of_table(self.questions, self.split, self.task)
        store = self.store()
        if store is None or not len(store.pairs_of(self.split)):
            return []
        return questions_of_store(store, self.split, self.task)

    def read(self, path: Path, asked: list[Question]) -> list[Prediction]:
        """The predictions of a file, with a line on how it was read."""
        from lapse.predictions.foreign import read_any

        found, told = read_any(path, asked, meaning=self.ids)
        if told:
            say(f"{path.name}: {told}")
        return found

    def blind(self, predictions: list[Prediction]) -> dict[str, list[Prediction]]:
        """The blind rows for these predictions."""
        from lapse.baselines import blind_rows, blind_text_rows, has_training
        from lapse.predictions.questions import training_answers

        store = self.store()
        if store is not None:
            tasks = dict.fromkeys(item.task for item in predictions)
            known = [task for task in tasks if has_training(store, task)]
            if unknown := ", ".join(task for task in tasks if task not in known):
                say(f"no blind rows for {unknown}: {store.path} has no training part for it")
            own = [item for item in predictions if item.task in known]
            return blind_rows(store, own, seed=self.seed)
        if self.questions is not None:
            own = [item for item in predictions if item.task == self.task]
            return blind_text_rows(training_answers(self.questions, self.task), own, seed=self.seed)
        say("no blind rows: they need training answers, of --data STORE or --questions CSV")
        return {}

    def facts(self, n: int) -> dict[str, str]:
        """Where the numbers come from."""
        from lapse.predictions.questions import table_facts

        found = provenance(data=self.data, seed=self.seed, n=n)
        return found | (table_facts(self.questions, self.split) if self.questions else {})
