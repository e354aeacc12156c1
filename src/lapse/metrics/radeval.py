"""Scores of RadEval, such as RadGraph-F1, where the user has that package and its weights.

RadEval needs other versions of many packages, so it runs in a separate Python environment
(`--radeval-python`), which reads texts and writes one number per answer. Nothing is downloaded: the
process runs with the offline switches of the Hugging Face libraries.
Sources: RadEval (Xu et al. 2025), RadGraph-F1 (Yu et al. 2023; Delbrouck et al. 2022).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lapse.core.types import Prediction, Score
from lapse.metrics.statistics import check_single_reference, mean_score

WORKER = Path(__file__).with_name("radeval_worker.py")
OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
TIME_LIMIT = 4 * 3600  # seconds
PREFIX = "RadEval "


@dataclass(frozen=True, slots=True)
class RadEvalChoice:
    """Which metrics of RadEval are computed, and by which Python.

    Attributes:
        metrics: names as RadEval has them, such as "radgraph", which is RadGraph-F1.
        python: a Python that has RadEval; "" for the running one.
    """

    metrics: tuple[str, ...]
    python: str = ""


class RadEvalScores:
    """(predictions) -> the mean of every number that RadEval gives per answer."""

    names = (f"{PREFIX}metric",)

    def __init__(self, choice: RadEvalChoice) -> None:
        self.choice = choice

    def __call__(self, predictions: Sequence[Prediction]) -> dict[str, Score]:
        """Score each prediction against its reference.

        Raises:
            ValueError: no prediction, several references, no RadEval in this Python, weights that
                are not there, or an answer of another shape.
        """
        if not predictions:
            raise ValueError("RadEval needs at least one prediction, got none")
        check_single_reference(predictions, "RadEval")
        columns = self._compute(predictions)
        details = {"backend": f"RadEval, {', '.join(self.choice.metrics)}"}
        return {
            f"{PREFIX}{name}": mean_score(f"{PREFIX}{name}", values, details)
            for name, values in columns.items()
        }

    def _compute(self, predictions: Sequence[Prediction]) -> dict[str, list[float]]:
        request = {
            "metrics": list(self.choice.metrics),
            "references": [item.references[0] for item in predictions],
            "answers": [item.prediction for item in predictions],
        }
        python = self.choice.python or sys.executable
        try:
            done = subprocess.run(
                # As a text, because the folder of a script comes first on its search path.
                [python, "-c", WORKER.read_text(encoding="utf-8")],
                input=json.dumps(request),
                capture_output=True,
                text=True,
                encoding="utf-8",
                env={**os.environ, **OFFLINE},
                timeout=TIME_LIMIT,
                check=False,
            )
        except OSError as error:
            raise ValueError(f"--radeval-python {python} cannot be started: {error}") from None
        except subprocess.TimeoutExpired:
            raise ValueError(f"RadEval gave no answer in {TIME_LIMIT} s") from None
        if done.returncode:
            lines = done.stderr.strip().splitlines() or ["no message"]
            raise ValueError(
                f"RadEval failed: {lines[-1][:300]}. It needs its package in --radeval-python "
                "and its weights in the cache of that user; lapse downloads nothing"
            )
        return _checked(done.stdout, len(predictions))


def _checked(output: str, count: int) -> dict[str, list[float]]:
    try:
        values = json.loads(output)
    except ValueError:
        raise ValueError(f"RadEval printed {output[:80]!r} instead of JSON") from None
    lengths = {name: len(column) for name, column in values.items()}
    if not values or set(lengths.values()) != {count}:
        raise ValueError(f"RadEval returned {lengths or 'nothing'} for {count} answers")
    return {name: list(map(float, column)) for name, column in values.items()}
