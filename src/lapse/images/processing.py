"""ImageProcessing: how an image file becomes the square that a model reads.

It is recorded with every store, run and exported model, so that inference repeats what training
did. Whatever the choices, every image is histogram-equalised.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lapse.core.types import nearest

RESIZES = ("squash", "letterbox")
INTENSITIES = ("mimic", "display", "percentile")


@dataclass(frozen=True, slots=True)
class ImageProcessing:
    """Resizing and intensity of the images of one store or model.

    Attributes:
        resize: "squash" as in the paper, or "letterbox" to keep the proportions.
        intensity: grey values of a DICOM. "mimic": the stored values, as MIMIC-CXR-JPG was made.
            "display": as a viewer shows them (rescale, then look-up table or window).
            "percentile": as "mimic", from the 0.5th to the 99.5th percentile instead of from the
            darkest to the brightest pixel, also for a PNG of 16 bits. JPEG files and PNG files of
            8 bits are the same under all.

    Raises:
        ValueError: an unknown choice.
    """

    resize: str = "squash"
    intensity: str = "mimic"

    def __post_init__(self) -> None:
        for name, value, choices in (
            ("way to resize", self.resize, RESIZES),
            ("intensity", self.intensity, INTENSITIES),
        ):
            if value not in choices:
                raise ValueError(f"unknown {name} {value!r}; {nearest(value, list(choices))}")

    def __str__(self) -> str:
        return f"{self.resize}, intensity {self.intensity}"


def recorded_processing(values: Mapping[str, Any], source: str) -> ImageProcessing:
    """The processing in the record of a store, run or model.

    Args:
        values: with "resize" and "intensity".
        source: names the record in errors.

    Raises:
        ValueError: a value is missing, as in files of lapse 0.2 and earlier, or unknown.
    """
    try:
        return ImageProcessing(str(values["resize"]), str(values["intensity"]))
    except KeyError as error:
        raise ValueError(
            f"{source} does not record how its images were processed ({error.args[0]}): it was "
            "written by lapse 0.2 or earlier, which did not equalise every image. Prepare the data "
            "again and train again"
        ) from None
