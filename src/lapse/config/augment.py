"""Configuration of what training changes in its films and pairs."""

from __future__ import annotations

from pydantic import Field, model_validator

from lapse.config.base import Config


class AugmentConfig(Config):
    """Changes of training films and pairs, drawn again in every epoch. Nothing by default."""

    fraction: float = Field(0.0, ge=0.0, le=1.0)
    """Fraction of the films that are changed. The two films of a pair are drawn independently,
    and boxes follow the geometry. 0 switches it off.
    """
    shift: float = Field(0.08, ge=0.0, le=0.3)
    """Largest shift in both directions, as a fraction of the image size."""
    scale: tuple[float, float] = (0.85, 1.3)
    """Smallest and largest scale."""
    rotation: float = Field(12.0, ge=0.0, le=45.0)
    """Largest rotation in degrees."""
    gamma: float = Field(0.3, ge=0.0, le=2.0)
    """Grey values to a power between 1 / (1 + gamma) and 1 + gamma."""
    sharpness: tuple[float, float] = (-1.0, 1.5)
    """Least and greatest gain of the detail; below 0 the film is blurred."""
    shading: float = Field(0.25, ge=0.0, le=1.0)
    """Largest change of the grey values from one edge to the other, as a fraction of 255."""
    noise: float = Field(6.0, ge=0.0, le=64.0)
    """Largest standard deviation of the noise in grey levels."""
    lines: float = Field(3.0, ge=0.0, le=32.0)
    """Mean number of bright lines (cables)."""
    exchanged_pairs: float = Field(0.0, ge=0.0, le=1.0)
    """Fraction of the difference questions that are read in exchanged order, with the inverted
    answer.
    """
    repeated_films: float = Field(0.0, ge=0.0, le=1.0)
    """Fraction of the difference questions that show one film twice, with the answer "nothing has
    changed"; with `fraction` above 0 each under a separate draw.
    """

    @property
    def is_active(self) -> bool:
        """Whether anything is changed."""
        return max(self.fraction, self.exchanged_pairs, self.repeated_films) > 0.0

    @model_validator(mode="after")
    def _consistent(self) -> AugmentConfig:
        low, high = self.scale
        if not 0.5 <= low <= 1.0 <= high <= 2.0:
            raise ValueError(f"scale is {low} .. {high}: give limits in 0.5 .. 1 and 1 .. 2")
        weak, strong = self.sharpness
        if not -1.0 <= weak <= 0.0 <= strong <= 4.0:
            raise ValueError(f"sharpness is {weak} .. {strong}: give limits in -1 .. 0 and 0 .. 4")
        if self.exchanged_pairs + self.repeated_films > 1.0:
            raise ValueError(
                f"exchanged_pairs {self.exchanged_pairs} and repeated_films {self.repeated_films} "
                "add up to more than all pairs"
            )
        return self
