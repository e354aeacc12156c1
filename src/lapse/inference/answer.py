"""Two images and a question -> an answer, its changes, the input checks, the research-use notice.

By default an answer is guarded (`lapse.inference.guard`): it states the changes that six readings
of the pair agree on, and lists the others as unsure. The paper's answer is the beam search of the
pair alone; it is `Answer.beam`, and the answer itself with `guarded=False`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lapse.config import RunConfig
from lapse.core.changes import QUESTION_CHANGED, Change
from lapse.core.grammar import parse
from lapse.core.types import Sample
from lapse.images.film_facts import FilmFacts
from lapse.inference.checks.issues import InputIssue, is_unfamiliar
from lapse.inference.checks.questions import check_question
from lapse.inference.generate import GenerateOptions, generate
from lapse.inference.guard import NUM_READINGS, generate_guarded
from lapse.metrics.confidence import BEAM, agreement, change_key
from lapse.metrics.guard import GuardRule, decide
from lapse.metrics.probability import Calibration
from lapse.models.interface import CandidateModel, TrainableModel

RESEARCH_USE = "Research use only: not a medical device, and no diagnosis."
ROLES = ("reference", "main")  # of the two images, in the order of the model
IDENTICAL_REASON = "both images have the same pixels"
PROBABILITY_UNUSUAL = (
    "The probabilities of this model are not given: they hold for films like those of its "
    "validation patients, and these films are unlike them or were not checked."
)
AGREEMENT_NOTE = (
    "Agreement is that of the model with itself; it is not calibrated, and not a probability "
    "that a change is real."
)
Status = Literal["changed", "unchanged", "undecided", "unguarded"]


@dataclass(frozen=True, slots=True)
class AnswerOptions:
    """How a pair of films is checked and answered.

    Attributes:
        guarded: state only changes that all readings agree on.
        allow_unusual: answer inputs that a check refuses; their issues become warnings.
        facts: of the reference and the main film; None for those of the file headers.
    """

    guarded: bool = True
    allow_unusual: bool = False
    facts: tuple[FilmFacts, FilmFacts] | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A model's answer about one pair of images.

    Attributes:
        text: the answer: the stated changes in words, "nothing has changed.", or "undecided.".
        changes: the stated changes, by kind and finding.
        leftover: words of the answer that the grammar cannot parse; never dropped.
        confidence: each change in words -> a number in [0, 1], uncalibrated: of a guarded answer
            the least fraction of the beam's probability over all readings; of an unguarded one
            the fraction of the beam, and "answer" for the entire answer. Empty without a beam.
        status: "changed", "unchanged", "undecided", or "unguarded".
        unsure: changes that some readings name and that are not stated.
        reasons: why the answer is undecided, or unchanged without a reading.
        beam: the text of beam search for this pair alone.
        trained_on: the training data of the model.
        probabilities: each change in words -> the calibrated probability that it is right. Empty
            for a model without a calibration, and for films that it does not hold for.
        calibration: what the probabilities rest on, or why there are none; "" for a model without
            a calibration.
    """

    text: str
    changes: tuple[Change, ...]
    leftover: tuple[str, ...]
    confidence: Mapping[str, float] = field(default_factory=dict)
    status: Status = "unguarded"
    unsure: tuple[Change, ...] = ()
    reasons: tuple[str, ...] = ()
    beam: str = ""
    issues: tuple[InputIssue, ...] = ()
    trained_on: str = ""
    probabilities: Mapping[str, float] = field(default_factory=dict)
    calibration: str = ""

    def lines(self) -> list[str]:
        """The answer for a terminal; the last line is the research-use notice."""
        return [*self.warnings(), *self.body(), *self.footer()]

    def warnings(self) -> list[str]:
        """The warnings of the input checks, which are above the answer."""
        return [issue.line() for issue in self.issues if issue.level != "note"]

    def body(self) -> list[str]:
        """The answer and its changes."""
        lines = [f"answer: {self.text or '(empty)'}"]
        lines += [f"  {self.describe(change)}" for change in self.changes]
        lines += [f"  not understood: {words!r}" for words in self.leftover]
        lines += [f"  unsure: {self.describe(change)}" for change in self.unsure]
        return [*lines, *(f"  reason: {reason}" for reason in self.reasons)]

    def footer(self) -> list[str]:
        """Checks that could not be made, the training data and the research-use notice."""
        lines = [issue.line() for issue in self.issues if issue.level == "note"]
        lines += self.notes()
        if self.trained_on:
            lines.append(f"Model trained on: {self.trained_on}.")
        return [*lines, RESEARCH_USE]

    def describe(self, change: Change) -> str:
        """One change in words, and its certainty if it is known."""
        return ", ".join(filter(None, (describe(change), self.certainty(change))))

    def certainty(self, change: Change) -> str:
        """The calibrated probability of a change, or else the model's agreement with itself.

        The agreement is in words, because the fraction of the beam is not a probability of being
        right. "" if both are unknown.
        """
        probability = self.probabilities.get(change_key(change))
        if probability is not None:
            return f"calibrated probability {probability:.2f}"
        confidence = self.confidence.get(change_key(change))
        if confidence is None:
            return ""
        source = "the beam" if self.status == "unguarded" else f"{NUM_READINGS} readings"
        return f"{agreement(confidence)} agreement of {source}"

    def notes(self) -> tuple[str, ...]:
        """What the values of `certainty` mean; () where no change has any."""
        if not any(map(self.certainty, (*self.changes, *self.unsure))):
            return ()
        if self.probabilities:
            return (self.calibration,)
        return (AGREEMENT_NOTE, *((self.calibration,) if self.calibration else ()))


def roles_with(change: Change) -> tuple[str, ...]:
    """The images that show a finding according to a change, reference first."""
    return {"added": ("main",), "missing": ("reference",)}.get(change.kind, ROLES)


def describe(change: Change) -> str:
    """One change in words: "+ edema (in the main image only)"."""
    if change.kind == "added":
        return f"+ {change.finding} (in the main image only)"
    if change.kind == "missing":
        return f"- {change.finding} (in the reference image only; not proven resolved)"
    return f"~ {change.finding}: {change.before} -> {change.after}"


def answer_images(
    model: TrainableModel,
    config: RunConfig,
    images: Sequence[NDArray[np.uint8]],
    question: str = QUESTION_CHANGED,
    *,
    rule: GuardRule | None = None,
) -> Answer:
    """Answer one question about two images at the model's image size.

    Args:
        model: a stage-2 model in evaluation mode.
        config: of the run that trained it.
        images: reference and main, each [S, S] uint8.
        question: one of the templates of Medical-Diff-VQA.
        rule: limits of a guarded answer; None for the beam search of the pair alone.

    Raises:
        ValueError: the question is empty, too long or unknown.
    """
    check_question(question, config.data.tasks)
    pixels = dict(zip(ROLES, images, strict=True))
    sample = Sample("answer", "diff_vqa", ROLES, "", question.strip(), "", " ?")
    has_beam = isinstance(model, CandidateModel)
    options = GenerateOptions(
        config.generation,
        config.data.max_tokens,
        confidence="beam" if has_beam else "none",
        precision=config.train.precision,
    )
    if rule is not None and has_beam:
        return _guarded(model, sample, pixels, options, rule)
    (generated,) = generate(model, [sample], pixels.__getitem__, options)
    parsed = parse(generated.text)
    changes = sorted(parsed.changes, key=lambda change: (change.kind, change.finding))
    return Answer(
        generated.text,
        tuple(changes),
        parsed.leftover,
        {
            name.removeprefix(BEAM): value
            for name, value in generated.confidence.items()
            if name == "answer" or name.startswith(BEAM)
        },
        beam=generated.text,
        issues=() if rule is None else (NO_GUARD,),
    )


def with_probabilities(answer: Answer, calibration: Calibration | None) -> Answer:
    """The answer with the calibrated probabilities of its changes.

    Only for an answer of the kind that was calibrated (guarded or not), to films that the input
    checks report nothing unusual about.
    """
    if calibration is None or (calibration.source == "beam") != (answer.status == "unguarded"):
        return answer
    if is_unfamiliar(answer.issues) or any(item.level == "refused" for item in answer.issues):
        return replace(answer, calibration=PROBABILITY_UNUSUAL)
    keys = map(change_key, (*answer.changes, *answer.unsure))
    probabilities = {
        key: calibration.probability(answer.confidence[key])
        for key in keys
        if key in answer.confidence
    }
    return replace(answer, probabilities=probabilities, calibration=calibration.describe())


NO_GUARD = InputIssue(
    "not-checked", "note", "this model has no beam search: its answer is not guarded"
)


def _guarded(
    model: TrainableModel,
    sample: Sample,
    pixels: Mapping[str, NDArray[np.uint8]],
    options: GenerateOptions,
    rule: GuardRule,
) -> Answer:
    (generated,) = generate_guarded(model, [sample], pixels.__getitem__, options)
    decided = decide(generated.evidence, rule)
    reasons = (IDENTICAL_REASON,) if generated.is_identical else decided.reasons
    notes = () if rule.answers else (InputIssue("not-checked", "note", rule.describe()),)
    return Answer(
        decided.text,
        decided.stated,
        (),
        {change_key(change): share for change, share in decided.shares.items()},
        status=decided.status,
        unsure=decided.unsure,
        reasons=reasons,
        beam=generated.plain.text,
        issues=notes,
    )
