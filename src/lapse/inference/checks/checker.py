"""All checks of the films that a model is given, in one place.

`lapse answer`, `load().compare` and the other methods of a model, and `lapse predict` use it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from lapse.images.film_facts import FilmFacts
from lapse.inference.checks.fact_rules import all_fact_issues
from lapse.inference.checks.issues import InputIssue
from lapse.inference.checks.pixel_check import PixelCheck, pooled_tokens

Encode = Callable[[Tensor], Tensor]
NO_PIXEL_CHECK = InputIssue(
    "not-checked",
    "note",
    "this model has no input check: images that are not chest films are not recognised",
)
SAME_PICTURE = InputIssue(
    "same-picture", "warning", "both images have the same pixels: nothing can change"
)


@dataclass(frozen=True, slots=True)
class InputChecker:
    """Checks films against each other and against the training films of a model.

    Attributes:
        pixel_check: of the model; None where it has none.
        encode: uint8 [U, 1, S, S] -> tokens [U, N, D], by the encoder of the check.
    """

    pixel_check: PixelCheck | None = None
    encode: Encode | None = None

    def issues(
        self, facts: Mapping[str, FilmFacts], pixels: Sequence[NDArray[np.uint8]]
    ) -> tuple[InputIssue, ...]:
        """The issues of one film or of two, reference first.

        Args:
            facts: name of the film in messages -> the facts of its header.
            pixels: of the same films, each [S, S] at the image size of the model.
        """
        issues = all_fact_issues(facts)
        if len(pixels) == 2 and np.array_equal(pixels[0], pixels[1]):
            issues.append(SAME_PICTURE)
        return (*issues, *self._pixel_issues(facts, np.stack(pixels)))

    def levels(self, pixels: NDArray[np.uint8]) -> list[str]:
        """ "refused", "warning" or "" for each image. # [U, S, S] -> [U]"""
        if self.pixel_check is None or self.encode is None:
            return [""] * len(pixels)
        check = self.pixel_check
        scores = check.scores(pooled_tokens(self.encode, pixels), pixels)
        return [
            "refused" if score > check.refuse else "warning" if score > check.warn else ""
            for score in scores
        ]

    def _pixel_issues(self, roles: Iterable[str], pixels: NDArray[np.uint8]) -> list[InputIssue]:
        if self.pixel_check is None:
            return [NO_PIXEL_CHECK]
        issues = []
        for role, image, level in zip(roles, pixels, self.levels(pixels), strict=True):
            if level == "refused":
                kind = self.pixel_check.kind(image)
                appears = f"; it appears to be {kind}" if kind else ""
                message = f"the {role} is not like a frontal chest film{appears}"
                issues.append(InputIssue("unusual-pixels", "refused", message))
            elif level == "warning":
                message = (
                    f"the {role} is unlike the training films of this model: its answer may be "
                    "wrong"
                )
                issues.append(InputIssue("unusual-pixels", "warning", message))
        return issues
