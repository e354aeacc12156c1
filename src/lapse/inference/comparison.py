"""A comparison of two films in a form that other programs and people can read.

    Comparison --to_dict--> JSON     --lines--> terminal     --page--> HTML report, notebooks

Boxes are regions: the box of a finding is the part of the film to which a report would assign it,
in fractions of width and height from the upper left corner, and not an outline of the finding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from html import escape
from pathlib import Path
from typing import Any

from lapse.core.changes import QUESTION_CHANGED, Change
from lapse.core.findings import FINDINGS
from lapse.core.types import Box
from lapse.core.version import __version__
from lapse.evaluation.html.case_card import CaseImage, ChangeLine
from lapse.evaluation.html.elements import Outline, outlines
from lapse.evaluation.html.render import render
from lapse.images import ImageProcessing
from lapse.inference.answer import RESEARCH_USE, ROLES, Answer, describe
from lapse.inference.checks.issues import InputIssue
from lapse.inference.films import Film, read_film
from lapse.metrics.confidence import change_key

FORMAT = 1  # of the dictionary
UNIT = "fractions of the width and height of the film, from its upper left corner"
MAX_LABEL = 38  # characters over a film
FRAME_HEIGHT = 900  # pixels of a comparison in a notebook


@dataclass(frozen=True, slots=True)
class Comparison:
    """A model's comparison of two radiographs of one patient.

    Attributes:
        answer: the sentence, its parsed changes, and words that could not be parsed.
        boxes: "reference" or "main" -> finding -> box on that image. A finding is listed for
            the images that show it according to the answer; None for a malformed box.
        anatomy: "reference" or "main" -> finding -> the anatomical region that the box of the
            finding overlaps most (`lapse.inference.region_names`).
        model: name and facts of the model.
        films: "reference" and "main" -> the film.
    """

    answer: Answer
    boxes: Mapping[str, Mapping[str, Box | None]]
    anatomy: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    notice: str = RESEARCH_USE
    question: str = QUESTION_CHANGED
    model: Mapping[str, str] = field(default_factory=dict)
    films: Mapping[str, Film] = field(default_factory=dict, compare=False, repr=False)

    @property
    def text(self) -> str:
        """The answer; `answer.beam` is that of beam search alone."""
        return self.answer.text

    @property
    def confidence(self) -> Mapping[str, float]:
        """A number in [0, 1] for each change (`Answer.confidence`)."""
        return self.answer.confidence

    @property
    def changes(self) -> tuple[Change, ...]:
        """The stated changes."""
        return self.answer.changes

    @property
    def unsure(self) -> tuple[Change, ...]:
        """Changes that some readings name and that are not stated."""
        return self.answer.unsure

    @property
    def issues(self) -> tuple[InputIssue, ...]:
        """What the input checks report."""
        return self.answer.issues

    def lines(self) -> list[str]:
        """Warnings, answer and boxes for a terminal; the last line is the research-use notice."""
        lines = [*self.answer.warnings(), *self.answer.body()]
        for role, boxes in self.boxes.items():
            for finding, box in boxes.items():
                region = "no box found" if box is None else self._describe_box(role, finding, box)
                lines.append(f"  region of {finding} in the {role} image: {region}")
        return [*lines, *self.answer.footer()]

    def to_dict(self) -> dict[str, Any]:
        """Everything except the pixels, in values that JSON has (docs/reference/file-formats)."""
        answer = self.answer
        return {
            "format": FORMAT,
            "research_use": self.notice,
            "question": self.question,
            "status": answer.status,
            "answer": answer.text,
            "changes": [self._change_values(change) for change in answer.changes],
            "unsure": [self._change_values(change) for change in answer.unsure],
            "reasons": list(answer.reasons),
            "not_understood": list(answer.leftover),
            "beam_answer": answer.beam,
            "regions": [
                {
                    "image": role,
                    "finding": finding,
                    "anatomy": self.anatomy.get(role, {}).get(finding),
                    **_region_values(box),
                }
                for role, boxes in self.boxes.items()
                for finding, box in boxes.items()
            ],
            "unit_of_regions": UNIT,
            "films": {
                role: {"file": film.file, "height": film.height, "width": film.width}
                for role, film in self.films.items()
            },
            "input_checks": [asdict(issue) for issue in answer.issues],
            "calibration": answer.calibration or None,
            "trained_on": answer.trained_on,
            "model": dict(self.model),
            "lapse": __version__,
        }

    def outlines(self) -> dict[str, list[Outline]]:
        """ "reference" and "main" -> the boxes to draw, each with the name of its finding."""
        colors = self._colors()
        drawn = {}
        for role in self.films:
            boxes = [(n, box) for n, box in self.boxes.get(role, {}).items() if box is not None]
            labels = [self._label(role, name) for name, _ in boxes]
            drawn[role] = outlines([(box, colors.get(name, 0)) for name, box in boxes], labels)
        return drawn

    def region_name(self, role: str, finding: str) -> str:
        """The anatomical region of a finding; the part of the film where it has no name.

        Raises:
            KeyError: no such finding on that film, or its box is malformed.
        """
        box = self.boxes[role][finding]
        if box is None:
            raise KeyError(finding)
        return self.anatomy.get(role, {}).get(finding) or zone(box)

    def page(self) -> str:
        """The comparison as one self-contained HTML page."""
        answer, colors, drawn = self.answer, self._colors(), self.outlines()
        lines = [self._change_line(change, colors) for change in answer.changes]
        lines += [ChangeLine(words, "wrong", "not understood") for words in answer.leftover]
        return render(
            "answer_page",
            title="Comparison of two films",
            question=self.question,
            answer=answer.text or "(empty)",
            status=answer.status,
            images=[self._image(role, film, drawn[role]) for role, film in self.films.items()],
            changes=lines,
            unsure=[self._change_line(change, colors) for change in answer.unsure],
            reasons=answer.reasons,
            issues=[issue.line() for issue in answer.issues],
            notes=answer.notes(),
            facts={
                "trained on": answer.trained_on or "unknown",
                **{name: value for name, value in self.model.items() if name != "trained on"},
                "lapse": __version__,
                "answer of beam search alone": answer.beam,
            },
        )

    def _repr_html_(self) -> str:
        """The page in a frame of a notebook, which keeps its style sheet apart."""
        return (
            f'<iframe sandbox srcdoc="{escape(self.page())}" title="Comparison of two films" '
            f'style="width:100%;height:{FRAME_HEIGHT}px;border:0"></iframe>'
        )

    def _change_values(self, change: Change) -> dict[str, Any]:
        key = change_key(change)
        return {
            "finding": change.finding,
            "kind": change.kind,
            "before": change.before or None,
            "after": change.after or None,
            "text": describe(change),
            "confidence": self.answer.certainty(change) or None,
            "beam_fraction": self.answer.confidence.get(key),
            "probability": self.answer.probabilities.get(key),
        }

    def _change_line(self, change: Change, colors: Mapping[str, int]) -> ChangeLine:
        certainty = self.answer.certainty(change)
        return ChangeLine(describe(change), "", certainty, colors.get(change.finding))

    def _image(self, role: str, film: Film, drawn: Sequence[Outline]) -> CaseImage:
        boxes = self.boxes.get(role, {})
        regions = {
            name: [self.region_name(role, name)] for name, box in boxes.items() if box is not None
        }
        caption = f"{film.height} x {film.width} pixels"
        return CaseImage(role, caption, film.pixels, drawn, regions)

    def _describe_box(self, role: str, finding: str, box: Box) -> str:
        return (
            f"{self.region_name(role, finding)} ({zone(box)}, {box.x_min:.0%} .. {box.x_max:.0%} "
            f"from the left edge, {box.y_min:.0%} .. {box.y_max:.0%} from the top)"
        )

    def _label(self, role: str, finding: str) -> str:
        """The finding and its region, or the finding alone where both are too long for a film."""
        label = f"{finding}, {self.region_name(role, finding)}"
        return label if len(label) <= MAX_LABEL else finding

    def _colors(self) -> dict[str, int]:
        named = {change.finding for change in (*self.changes, *self.unsure)}
        return {name: color for color, name in enumerate(n for n in FINDINGS if n in named)}


def with_full_films(
    comparison: Comparison, files: Sequence[Path], processing: ImageProcessing
) -> Comparison:
    """The comparison with its films at a size for reading, from the files again.

    Args:
        processing: of the model; its grey values of a DICOM are used.
    """
    films = {role: read_film(path, processing) for role, path in zip(ROLES, files, strict=True)}
    return replace(comparison, films=films)


def zone(box: Box) -> str:
    """The part of the film that holds the centre of a box.

    >>> zone(Box(0.1, 0.6, 0.4, 0.9))
    'lower left of the film'
    """
    x, y = (box.x_min + box.x_max) / 2, (box.y_min + box.y_max) / 2
    height = "upper" if y < 1 / 3 else "middle" if y < 2 / 3 else "lower"
    width = "left" if x < 0.4 else "centre" if x < 0.6 else "right"
    return f"{height} {width} of the film"


def _region_values(box: Box | None) -> dict[str, Any]:
    if box is None:
        return {"region": None, "box": None}
    return {
        "region": zone(box),
        "box": {key: round(value, 4) for key, value in asdict(box).items()},
    }
