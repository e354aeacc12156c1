"""The central types of the package: frozen values that are validated when they are built.

The path from disk to score (docs/explanation/architecture.md) leads from one type to the next:

    Study | Pair  --tasks-->  Sample  --collate-->  Batch  --predict-->  Prediction  -->  Score
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from lapse.core.grammar import Parsed, read_template

FINDING_BOX = "finding: "  # starts the name of a region that marks a finding
SPLITS = ("train", "validate", "test")


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle on an image, in fractions of its width and height, origin at the top left.

    `lapse.core.tokenizer` converts fractions to bins, `lapse.data` converts pixels to fractions.

    Raises:
        ValueError: a coordinate is not finite or outside [0, 1], or the area is zero.
    """

    x_min: float
    y_min: float
    x_max: float
    y_max: float

    def __post_init__(self) -> None:
        values = (self.x_min, self.y_min, self.x_max, self.y_max)
        if not all(math.isfinite(v) and 0.0 <= v <= 1.0 for v in values):
            raise ValueError(
                f"box {values} is outside the image: coordinates are fractions in [0, 1]; "
                "clip the box to the image first"
            )
        if self.x_min >= self.x_max or self.y_min >= self.y_max:
            raise ValueError(f"box {values} has no area: it needs x_min < x_max and y_min < y_max")

    @property
    def area(self) -> float:
        """The fraction of the image that the box covers, in (0, 1]."""
        return (self.x_max - self.x_min) * (self.y_max - self.y_min)

    def iou(self, other: Box) -> float:
        """Intersection over union with another box of the same image, in [0, 1]."""
        width = min(self.x_max, other.x_max) - max(self.x_min, other.x_min)
        height = min(self.y_max, other.y_max) - max(self.y_min, other.y_min)
        if width <= 0 or height <= 0:
            return 0.0
        intersection = width * height
        return intersection / (self.area + other.area - intersection)


@dataclass(frozen=True, slots=True)
class Region:
    """One anatomical region in one image: its name, its phrases in the report, and its box.

    `box` is None for the region names that Chest ImaGenome describes but does not localize.
    `findings` names what the scene graph says is present there, such as "lung opacity".
    """

    name: str
    phrases: tuple[str, ...]
    box: Box | None
    findings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("a region needs a name, got an empty string")

    @property
    def is_finding(self) -> bool:
        """Whether the box marks a finding, not a part of the anatomy."""
        return self.name.startswith(FINDING_BOX)


@dataclass(frozen=True, slots=True)
class Study:
    """One frontal chest radiograph with its report and its described regions.

    `id` is the image's `dicom_id` (unique), `study` the MIMIC `study_id` as a string, `image`
    the key of its pixels in the store. `view` is "PA", "AP", or "" if unknown. `taken_at` is
    None if only the order of the studies is known. `impression` is the end of `report` that its
    impression section makes, "" if unknown.
    """

    id: str
    study: str
    patient: str
    image: str
    view: str
    split: str
    taken_at: datetime | None
    report: str
    regions: tuple[Region, ...]
    impression: str = ""

    def __post_init__(self) -> None:
        _check_split(self.split, self.id)
        if not self.report.endswith(self.impression):
            raise ValueError(f"the report of {self.id} does not end with its impression")

    @property
    def findings(self) -> str:
        """The report without its impression."""
        return self.report.removesuffix(self.impression).strip()

    def region(self, name: str) -> Region | None:
        """The region of that name, or None."""
        return next((region for region in self.regions if region.name == name), None)


@dataclass(frozen=True, slots=True)
class Pair:
    """One question of Medical-Diff-VQA: the main study, the reference study, the answer.

    `reference` is filled for every category of the real files but is an input only for the
    category "difference".
    """

    id: str
    reference: Study
    main: Study
    question: str
    answer: str
    category: str
    split: str

    def __post_init__(self) -> None:
        _check_split(self.split, self.id)
        if self.reference.patient != self.main.patient:
            raise ValueError(
                f"pair {self.id} has patients {self.reference.patient} and "
                f"{self.main.patient}: both studies must be of one patient"
            )

    @property
    def days(self) -> float | None:
        """Days from the reference to the main study; None if one of the dates is unknown."""
        return days_between(self.reference, self.main)


def days_between(first: Study, second: Study) -> float | None:
    """Days from one study to another, negative if the second is earlier; None if unknown."""
    if first.taken_at is None or second.taken_at is None:
        return None
    return (second.taken_at - first.taken_at).total_seconds() / 86400


@dataclass(frozen=True, slots=True)
class Sample:
    """One text about one or two images: prefix | given | answer.

    The training loss covers given + answer (`data.loss_on_given` excludes `given`). Evaluation
    prompts with prefix + given and compares the generated text with the answer. Only some tasks
    fill `boxes` (per image, the regions with a box), `findings` (per image, what each region
    shows) and `reports` (per image, for training only: they contain the answer).

    >>> Sample("caref/img/carina", "caref", ("img",), "p1", "caref:", "carina:",
    ...        " No edema. [1, 2, 3, 4]").prompt
    'caref: carina:'
    """

    id: str
    task: str
    images: tuple[str, ...]
    patient: str
    prefix: str
    given: str
    answer: str
    box: Box | None = None
    boxes: tuple[tuple[tuple[str, Box], ...], ...] = ()
    reports: tuple[str, ...] = ()
    findings: tuple[tuple[tuple[str, tuple[str, ...]], ...], ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= len(self.images) <= 2:
            raise ValueError(f"sample {self.id} has {len(self.images)} images: one or two")
        if not self.prefix:
            raise ValueError(f"sample {self.id} has an empty prefix: the loss starts after it")
        if not self.answer.strip():
            raise ValueError(f"sample {self.id} has an empty answer: there is nothing to learn")
        for what in ("boxes", "reports", "findings"):
            values = getattr(self, what)
            if values and len(values) != len(self.images):
                raise ValueError(
                    f"sample {self.id} has {what} of {len(values)} images and "
                    f"{len(self.images)} images: one entry per image, or none"
                )

    @property
    def prompt(self) -> str:
        """The input text at evaluation: prefix and given."""
        return f"{self.prefix} {self.given}" if self.given else self.prefix


@dataclass(frozen=True, slots=True)
class Prediction:
    """The text that a system generated for one sample, with its references.

    `patient` is the unit of every interval; `prompt` names the region or the question.
    `confidence` is empty if the system gives none; `lapse.metrics.confidence` describes its keys.
    `guarded` is the guarded answer (`lapse.metrics.guard`), "" where there is none; `prediction` is
    always the answer of beam search.
    `reader` turns a text into changes: `lapse.core.grammar.parse` reads the templates only.
    """

    id: str
    task: str
    prediction: str
    references: tuple[str, ...]
    patient: str = ""
    prompt: str = ""
    confidence: Mapping[str, float] = field(default_factory=dict)
    guarded: str = ""
    reader: Callable[[str], Parsed] = field(default=read_template, repr=False, compare=False)

    @property
    def answer(self) -> Parsed:
        """The changes that the prediction states."""
        return self.reader(self.prediction)

    @property
    def truth(self) -> Parsed:
        """The changes that the first reference states."""
        return self.reader(self.references[0])

    @property
    def is_read(self) -> bool:
        """Whether every word of the prediction and of the first reference was read."""
        return self.answer.is_parsed and self.truth.is_parsed

    def __post_init__(self) -> None:
        if not self.references:
            raise ValueError(f"prediction {self.id} has no reference")
        for name, value in self.confidence.items():
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise ValueError(
                    f"prediction {self.id}: confidence {name!r} is {value!r}: a number"
                )
            if not math.isfinite(value):
                raise ValueError(
                    f"prediction {self.id}: confidence {name!r} is {value}: remove unknown values"
                )


@dataclass(frozen=True, slots=True)
class Candidate:
    """One hypothesis of beam search: its text and its probability.

    `log_probability` is the natural logarithm, summed over `num_tokens` tokens.
    """

    text: str
    log_probability: float
    num_tokens: int


@dataclass(frozen=True, slots=True, eq=False)
class Statistics:
    """Numbers per sample whose sums give a score; resampling patients needs no more.

    A mean has the rows (value, 1), BLEU its lengths and matches, a pooled F1 its counts.

    Attributes:
        rows: [n, k] float64 array, one row a prediction. Scores that share rows share the array.
        score: sums [..., k] -> scores [...]; nan where the score is undefined.
        events: sums [k] -> number of events that the score rests on; None where not counted.
    """

    rows: Any
    score: Callable[[Any], Any]
    events: Callable[[Any], float] | None = None

    def num_events(self) -> str:
        """The events of all rows as a text for `Score.details`; "" where not counted."""
        return "" if self.events is None else f"{self.events(self.rows.sum(axis=0)):.0f}"


@dataclass(frozen=True, slots=True)
class Score:
    """One number of one metric, with its interval (None until computed) and its parts.

    `per_sample` holds one value per prediction in their order, or () where the metric is undefined
    for a single sample. `details` names the backend: tokenizer, n, idf corpus. Intervals and
    paired tests are computed from `statistics`, which is not written to scores.json; None where
    there are none. `higher_is_better` and `value_range` tell how to read the value; the range is
    None where the metric states none.
    """

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    per_sample: tuple[float, ...] = ()
    details: dict[str, str] = field(default_factory=dict)
    statistics: Statistics | None = field(default=None, repr=False, compare=False)
    higher_is_better: bool = True
    value_range: tuple[float, float] | None = None

    @property
    def direction(self) -> str:
        """The better direction and the range, for tables: "lower, 0 to 1"."""
        return describe_direction(self.higher_is_better, self.value_range)


def describe_direction(is_higher_better: bool, value_range: Sequence[float] | None) -> str:
    """ "lower, 0 to 1"; the range is left out where it is not known."""
    word = "higher" if is_higher_better else "lower"
    if value_range is None:
        return word
    low, high = value_range
    return f"{word}, {low:g} to {high:g}"


def _check_split(split: str, owner: str) -> None:
    if split not in SPLITS:
        raise ValueError(f"{owner} is in split {split!r}: one of {', '.join(SPLITS)}")


def nearest(name: str, names: Sequence[str]) -> str:
    """The end of an error about an unknown name: the known names and the nearest one."""
    import difflib

    close = difflib.get_close_matches(name, names, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return f"known: {', '.join(names) or 'none'}{hint}"
