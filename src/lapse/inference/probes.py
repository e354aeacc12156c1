"""Probes: the same samples with other images, where the right answer follows from another answer.

    plain         reference, main              "the main image has ... edema ..."
    swap          main, reference              the same changes inverted (`grammar.invert`)
    identity      main, main                   "nothing has changed."
    acquisition   reference, main re-exposed   the same answer
    shuffled      another patient, main        scores must fall: the truth is about the reference
    blank         a grey square, main          scores must fall: there is no reference

The id of a probe's sample is the plain id, "#" and the name of the probe. The reference answer of
a sample is the expected answer (swap, identity, acquisition) or the plain truth, which a system
should miss (shuffled, blank). `lapse.metrics.consistency` compares the answers with the plain
ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lapse.core.grammar import UNCHANGED, invert, parse, render
from lapse.core.seeding import derive_index, derive_permutation
from lapse.core.types import Sample, nearest
from lapse.data.loading.batch_stream import Pixels
from lapse.images.augment import perturb_exposure
from lapse.metrics.consistency import MARK, PROBES

BLANK = f"{MARK}blank"  # key of the grey square; keys of a store hold no mark
SECOND_EXPOSURE = f"{MARK}again"  # suffix of the key of a re-exposed image
GREY = 128  # of the grey square: zero after normalisation
MAX_TRIES = 64  # random draws of a reference before all references are tried in turn


@dataclass(frozen=True, slots=True)
class ProbeSamples:
    """The samples of one probe, and the number of plain samples without one, by reason."""

    samples: tuple[Sample, ...]
    skipped: dict[str, int]


def check_probe(name: str) -> None:
    """Refuse an unknown probe.

    Raises:
        ValueError: lists the known names and the nearest.
    """
    if name not in PROBES:
        raise ValueError(f"no probe {name!r}; {nearest(name, PROBES)}")


def probe_samples(
    name: str, samples: Sequence[Sample], references: Sequence[tuple[str, str]], *, seed: int = 0
) -> ProbeSamples:
    """The samples of one probe, in the order of the plain ones.

    Args:
        name: one of `PROBES`.
        samples: plain samples; those about one image have no probe and are counted.
        references: (patient, image key) of the images that may replace a reference.
        seed: of the replacement.

    Raises:
        ValueError: unknown probe, or no reference of another patient.
    """
    check_probe(name)
    probed, skipped = [], {"sample about one image": 0, "truth that cannot be inverted": 0}
    for sample in samples:
        if len(sample.images) != 2:
            skipped["sample about one image"] += 1
            continue
        reference, main = sample.images
        images, answer = (reference, main), sample.answer
        if name == "swap":
            true = parse(sample.answer)
            if not true.is_parsed:
                skipped["truth that cannot be inverted"] += 1
                continue
            images, answer = (main, reference), f" {render(invert(true.changes)).strip()}"
        elif name == "identity":
            images, answer = (main, main), f" {UNCHANGED}"
        elif name == "acquisition":
            images = (reference, main + SECOND_EXPOSURE)
        elif name == "shuffled":
            images = (_other_patient(sample, references, seed), main)
        else:
            images = (BLANK, main)
        probed.append(replace(sample, id=f"{sample.id}{MARK}{name}", images=images, answer=answer))
    counts = {reason: count for reason, count in skipped.items() if count}
    return ProbeSamples(tuple(probed), counts)


def _other_patient(sample: Sample, references: Sequence[tuple[str, str]], seed: int) -> str:
    """The key of a reference of another patient; a function of the seed and the sample's id."""
    count, key = len(references), (seed, "shuffled reference", sample.id)
    for attempt in range(MAX_TRIES if count else 0):
        patient, image = references[derive_index(count, *key, attempt)]
        if patient != sample.patient:
            return image
    for index in derive_permutation(count, *key):  # nearly all references are of this patient
        if references[index][0] != sample.patient:
            return references[index][1]
    raise ValueError(
        f"no reference of another patient than {sample.patient} among {count}: the probe "
        "'shuffled' needs a split of two patients or more"
    )


def probe_pixels(
    source: Pixels, image_size: int, *, seed: int = 0, exposure_source: Pixels | None = None
) -> Pixels:
    """An image source that adds blank and re-exposed images to another source.

    Args:
        source: image key -> [S, S] uint8, such as `Store.pixels`.
        image_size: S in pixels.
        seed: of imitated exposures.
        exposure_source: image key -> a second exposure of that image, [S, S] uint8; None
            imitates one from the stored pixels.
    """

    def imitated(key: str) -> NDArray[np.uint8]:
        return perturb_exposure(np.asarray(source(key)), seed, key)

    def pixels(key: str) -> NDArray[np.uint8]:
        if key == BLANK:
            return np.full((image_size, image_size), GREY, dtype=np.uint8)
        if key.endswith(SECOND_EXPOSURE):
            return (exposure_source or imitated)(key.removesuffix(SECOND_EXPOSURE))
        return source(key)

    return pixels
