"""Fit the input check and the guard of the packaged model again, in place.

    python experiments/packaged_model_guards.py STORE [--model FOLDER] [--predictions FILE]

STORE holds simulated patients of the model's own kind (`lapse simulate`, `lapse prepare --size
128`): its training films fit the check, its validation patients set all limits. FILE is written by
`lapse predict packaged --data STORE --split validate --guarded --out FILE`, and without it the
pairs are answered here. The weights are not changed. Run it again after a change of the image path
or of the weights.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
from pathlib import Path

from lapse.core.files import sha256_of
from lapse.inference.pretrained import DEFAULT, Lapse
from lapse.inference.pretrained.export import read_folder
from lapse.inference.pretrained.fit_guards import FitOptions, fit_guards
from lapse.training.exported_model import CARD, CHECK, CONFIG, WEIGHTS


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("store", type=Path)
    parser.add_argument("--model", type=Path, default=DEFAULT)
    parser.add_argument("--precision", type=float, default=0.85)
    parser.add_argument("--pairs", type=int, default=600)
    parser.add_argument("--predictions", type=Path)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    fit = FitOptions(options.store, options.precision, options.pairs, options.predictions)
    parts = fit_guards(read_folder(options.model), fit)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        Lapse(parts).save_pretrained(folder)
        if sha256_of(folder / WEIGHTS) != sha256_of(options.model / WEIGHTS):
            raise SystemExit("the weights are not written as they were: nothing is changed")
        for file in (CHECK, CONFIG, CARD):
            (options.model / file).write_bytes((folder / file).read_bytes())
    check = parts.pixel_check
    assert check is not None
    print(f"{CHECK}: {(options.model / CHECK).stat().st_size} bytes, {check.facts['fitted on']}")
    print(f"warned above {check.warn:.3f}, refused above {check.refuse:.3f}; {parts.guard}")


if __name__ == "__main__":
    main()
