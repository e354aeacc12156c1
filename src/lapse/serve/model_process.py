"""The process of the model: two films -> a comparison, one film -> a report.

    python -m lapse.serve.model_process    requests on stdin, answers on stdout (messages.py)

The first request names the model, the classes that it may name, and the options of every answer.
Its answer states what the server must know: how films are read, what the model was trained on,
and whether it writes reports.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch

from lapse.core import registry
from lapse.images.film_facts import FilmFacts
from lapse.inference.answer import RESEARCH_USE, AnswerOptions
from lapse.inference.checks.issues import InputIssue, UnusualInputError
from lapse.inference.checks.questions import check_question, known_questions
from lapse.inference.comparison_model import ComparisonModel, open_model
from lapse.inference.pretrained import Lapse, ModelImage
from lapse.serve.messages import Message, Pipe

REPORT_TASK = "cap"  # of stage 1


class ModelProcess:
    """A loaded model and its answers as JSON."""

    def __init__(self, name: str, options: AnswerOptions | None = None) -> None:
        """Args:
        name: of `open_model`.
        options: of every answer.
        """
        # A second thread slows a model of the packaged size down on a busy machine.
        torch.set_num_threads(1)
        self.model: ComparisonModel = open_model(name)
        self.options = options or AnswerOptions()

    def facts(self) -> dict[str, Any]:
        """What the server and its clients must know about the model."""
        model, tasks = self.model, self.model.tasks
        processing = model.processing
        return {
            "size": model.image_size,
            "resize": processing.resize,
            "intensity": processing.intensity,
            "facts": dict(model.facts),
            "trained_on": model.trained_on,
            "research_use": RESEARCH_USE,
            "questions": [form for _, form in known_questions(tasks)],
            "has_reports": (
                isinstance(model, Lapse) and REPORT_TASK in model.parts.pretrain.data.tasks
            ),
            "allow_unusual": self.options.allow_unusual,
            "guarded": self.options.guarded,
        }

    def warm_up(self) -> None:
        """Answer once, so that the first user does not wait for what is set up once."""
        size = self.model.image_size
        ramp = np.add.outer(np.arange(size), np.arange(size)).astype(np.float64)
        shades = [ramp, ramp[::-1]]
        first, second = (
            ModelImage.of_store((255 * shade / shade.max()).astype(np.uint8)) for shade in shades
        )
        self.model.compare(first, second, options=AnswerOptions(allow_unusual=True))

    def answer(self, request: Message) -> dict[str, Any]:
        """The answer to one request, as JSON."""
        values = request.values
        pairs = zip(values["films"], request.parts, strict=True)
        films = [self._film(facts, pixels) for facts, pixels in pairs]
        allow_unusual = self.options.allow_unusual or bool(values["allow_unusual"])
        try:
            if values["do"] == "report":
                return self._report(films[0], allow_unusual=allow_unusual)
            return self._compare(films, values["question"], allow_unusual=allow_unusual)
        except UnusualInputError as error:
            return {"refused": "refused-input", "input_checks": _checks(error.issues)}

    def _compare(
        self, films: list[ModelImage], question: str, *, allow_unusual: bool
    ) -> dict[str, Any]:
        try:
            check_question(question, self.model.tasks)
        except ValueError:
            return {"refused": "unknown-question", "questions": self.facts()["questions"]}
        options = replace(self.options, allow_unusual=allow_unusual)
        comparison = self.model.compare(films[0], films[1], question, options)
        return comparison.to_dict()

    def _report(self, film: ModelImage, *, allow_unusual: bool) -> dict[str, Any]:
        model = self.model
        assert isinstance(model, Lapse)  # the server refuses reports of other models
        opened = model.open(film, allow_unusual=allow_unusual)
        issues = model.check({"image": opened})
        return {
            "research_use": RESEARCH_USE,
            "report": model.caption(opened).strip(),
            "input_checks": _checks(issues),
            "trained_on": model.trained_on,
            "model": model.facts,
        }

    def _film(self, values: dict[str, Any], pixels: bytes) -> ModelImage:
        size = self.model.image_size
        return ModelImage(
            np.frombuffer(pixels, np.uint8).reshape(size, size),
            int(values["height"]),
            int(values["width"]),
            self.model.processing.resize,
            FilmFacts(**values["facts"]),
        )


def _checks(issues: tuple[InputIssue, ...]) -> list[dict[str, Any]]:
    return [asdict(issue) for issue in issues]


def main() -> None:
    """Load a model and answer until stdin closes."""
    pipe = Pipe()
    first = pipe.receive()
    if first is None:
        return
    values = first.values
    try:
        registry.allow(*values["allow"])
        process = ModelProcess(values["model"], AnswerOptions(**values["options"]))
        process.warm_up()
    except (OSError, ValueError) as error:
        pipe.send(Message({"failed": str(error)}))
        return
    pipe.send(Message(process.facts()))
    while (request := pipe.receive()) is not None:
        pipe.send(Message(process.answer(request)))


if __name__ == "__main__":
    main()
