"""Simulated chest films beside a real one: slopes of the power spectrum, grey levels.

    python experiments/phantom_realism.py path/to/radiograph.dcm [images]

The radiograph (DICOM, JPEG or PNG, frontal) is read, measured and never copied. Grey levels are
spread between its .5 and 99.5 percentiles, the MONOCHROME1 of a DICOM is inverted by the reader.
"""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lapse.images.read import read_image
from lapse.phantom.analysis.realism import BANDS, ImageStatistics, average, measure
from lapse.phantom.patients.acquisition import draw_acquisition
from lapse.phantom.patients.patient import draw_patient
from lapse.phantom.patients.state import Visit
from lapse.phantom.rendering.render import render


def spread(image: NDArray[np.float32]) -> NDArray[np.uint8]:
    low, high = np.percentile(image, (0.5, 99.5))
    share = np.clip((image - low) / max(high - low, 1e-6), 0.0, 1.0)
    return np.asarray(np.rint(255 * share), dtype=np.uint8)


def simulated(index: int) -> tuple[str, ImageStatistics]:
    taken = draw_acquisition(0, index, 0, 0)
    visit = Visit(index, 0, datetime(2150, 1, 1), (), ())
    image = render(draw_patient(0, index), visit, taken, 448).image
    return taken.view, measure(image)


def line(name: str, found: ImageStatistics, real: ImageStatistics) -> str:
    slopes = " ".join(
        f"{slope:6.2f} ({slope - other:+.2f})"
        for slope, other in zip(found.slopes, real.slopes, strict=True)
    )
    return f"{name:20s} {slopes}   overlap {found.overlap(real):.2f}"


def main(path: str, images: int = 48) -> None:
    real = measure(spread(read_image(Path(path))))
    made = [simulated(index) for index in range(images)]
    bands = "   ".join(f"{low}-{high} cycles" for low, high in BANDS)
    print(f"{'slopes':20s} {bands}")
    print(line("the radiograph", real, real))
    print(line(f"simulated, {images}", average([item for _, item in made]), real))
    for view in ("PA", "AP"):
        kept = [item for name, item in made if name == view]
        print(line(f"  {view}, {len(kept)}", average(kept), real))
    best = max(item.overlap(real) for _, item in made)
    print(f"best overlap of a single simulated image {best:.2f}")


if __name__ == "__main__":
    main(sys.argv[1], *(int(word) for word in sys.argv[2:3]))
