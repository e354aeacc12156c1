"""What an input check reports: issues with a code, a level and one sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

Level = Literal["note", "warning", "refused"]
Code = Literal[
    "patient",  # the films are of different patients
    "order",  # the reference film is later than the main film
    "view",  # a film is not frontal
    "body-part",  # a film shows another part of the body
    "modality",  # a file is not a radiograph
    "intent",  # a file holds raw detector data
    "same-study",  # two exposures of one visit
    "same-picture",  # both films have the same pixels
    "unusual-pixels",  # an image is unlike the films of the training data
    "not-checked",  # a check that this model or this file does not allow
]
CODES: tuple[Code, ...] = get_args(Code)


@dataclass(frozen=True, slots=True)
class InputIssue:
    """One result of an input check.

    Attributes:
        code: one of `CODES`.
        level: "refused", "warning", or "note" for a check that could not be made.
        message: one sentence, with the name of a DICOM tag and never its value.
    """

    code: Code
    level: Level
    message: str

    def line(self) -> str:
        """The issue for a terminal."""
        return f"{'warning' if self.level == 'refused' else self.level}: {self.message}"


class UnusualInputError(ValueError):
    """An input that a check refuses.

    Attributes:
        issues: all issues of the input.
    """

    def __init__(self, issues: Sequence[InputIssue]) -> None:
        self.issues = tuple(issues)
        reasons = "; ".join(issue.message for issue in issues if issue.level == "refused")
        super().__init__(f"{reasons} (answer nevertheless: allow_unusual, --allow-unusual)")


def is_unfamiliar(issues: Sequence[InputIssue]) -> bool:
    """Whether a film is unlike the training films, or that could not be checked."""
    return any(issue.code in {"unusual-pixels", "not-checked"} for issue in issues)


def refuse_unusual(issues: Sequence[InputIssue], *, allow_unusual: bool) -> None:
    """Stop at refused inputs.

    Raises:
        UnusualInputError: an issue is refused and `allow_unusual` is False.
    """
    if not allow_unusual and any(issue.level == "refused" for issue in issues):
        raise UnusualInputError(issues)
