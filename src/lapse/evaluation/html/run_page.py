"""The HTML report of a run: summary, scores, learning curves, test pairs, boxes, provenance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lapse.core.types import Box
from lapse.evaluation.html.elements import Outline, Pixels, Table, outlines
from lapse.evaluation.html.line_chart import Chart, line_plot
from lapse.evaluation.html.render import render


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    """The answer of a model to a pair, with its boxes of the findings.

    `boxes`: "reference" and "main" -> finding -> box, None for a malformed box.
    """

    name: str
    text: str
    is_right: bool
    verdict: str = ""
    notes: tuple[str, ...] = ()
    boxes: Mapping[str, Mapping[str, Box | None]] = field(default_factory=dict)

    @property
    def findings(self) -> list[str]:
        """Every finding with a box; its position is its color on both images."""
        return list(dict.fromkeys(name for boxes in self.boxes.values() for name in boxes))

    def outlines(self, image: str) -> list[Outline]:
        """The boxes over the "reference" or the "main" image."""
        colors = {name: color for color, name in enumerate(self.findings)}
        boxes = self.boxes.get(image, {})
        return outlines([(box, colors[name]) for name, box in boxes.items() if box is not None])


@dataclass(frozen=True, slots=True)
class PairExample:
    """A test pair, images [S, S] uint8, with the true answer and the answers of models."""

    reference: Pixels
    main: Pixels
    question: str
    truth: str
    answers: tuple[ModelAnswer, ...] = ()

    def outlines(self, image: str) -> list[Outline]:
        """What all answers draw over the "reference" or the "main" image."""
        return [outline for answer in self.answers for outline in answer.outlines(image)]


@dataclass(frozen=True, slots=True)
class BoxExample:
    """A region: true box, predicted box (None: malformed), predicted and true words."""

    label: str
    truth: Box
    predicted: Box | None
    words: str
    truth_words: str


@dataclass(frozen=True, slots=True)
class GroundingExample:
    """One image [S, S] uint8 with the boxes of some of its regions."""

    image: Pixels
    title: str
    boxes: tuple[BoxExample, ...]

    def outlines(self) -> list[Outline]:
        """The true boxes, dashed, and the predicted ones."""
        drawn = []
        for color, example in enumerate(self.boxes):
            drawn.append(Outline(example.truth, color, "4 3"))
            if example.predicted is not None:
                drawn.append(Outline(example.predicted, color))
        return drawn


@dataclass(frozen=True, slots=True)
class RunReport:
    """Everything that the page shows, in its order."""

    title: str
    summary: tuple[str, ...]
    charts: tuple[Chart, ...] = ()
    tables: tuple[Table, ...] = ()
    pairs: tuple[PairExample, ...] = ()
    grounding: tuple[GroundingExample, ...] = ()
    provenance: Mapping[str, str] = field(default_factory=dict)


def render_run_report(report: RunReport) -> str:
    """The page as HTML text."""
    plots = [plot for plot in map(line_plot, report.charts) if plot is not None]
    return render("run_page", title=report.title, report=report, plots=plots)
