"""Power spectrum and grey levels of simulated radiographs compared with a real one.

    python experiments/phantom_realism.py path/to/radiograph.dcm [images]

The radiograph is a frontal DICOM, JPEG or PNG file, which is measured and not copied. Its grey
levels are scaled between the .5 and 99.5 percentiles; the reader inverts MONOCHROME1.
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


def scaled(image: NDArray[np.float32]) -> NDArray[np.uint8]:
    low, high = np.percentile(image, (0.5, 99.5))
    tone = np.clip((image - low) / max(high - low, 1e-6), 0.0, 1.0)
    return np.asarray(np.rint(255 * tone), dtype=np.uint8)


def simulated(index: int) -> tuple[str, ImageStatistics]:
    acquisition = draw_acquisition(0, index, 0, 0)
    visit = Visit(index, 0, datetime(2150, 1, 1), (), ())
    image = render(draw_patient(0, index), visit, acquisition, 448).image
    return acquisition.view, measure(image)


def line(name: str, statistics: ImageStatistics, real: ImageStatistics) -> str:
    slopes = " ".join(
        f"{slope:6.2f} ({slope - other:+.2f})"
        for slope, other in zip(statistics.slopes, real.slopes, strict=True)
    )
    return f"{name:20s} {slopes}   overlap {statistics.overlap(real):.2f}"


def main(path: str, images: int = 48) -> None:
    real = measure(scaled(read_image(Path(path))))
    statistics = [simulated(index) for index in range(images)]
    bands = "   ".join(f"{low}-{high} cycles" for low, high in BANDS)
    print(f"{'slopes':20s} {bands}")
    print(line("the radiograph", real, real))
    print(line(f"simulated, {images}", average([item for _, item in statistics]), real))
    for view in ("PA", "AP"):
        kept = [item for name, item in statistics if name == view]
        print(line(f"  {view}, {len(kept)}", average(kept), real))
    best = max(item.overlap(real) for _, item in statistics)
    print(f"best overlap of a single simulated image {best:.2f}")


if __name__ == "__main__":
    main(sys.argv[1], *(int(word) for word in sys.argv[2:3]))
