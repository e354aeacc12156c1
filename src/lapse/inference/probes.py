"""Probes: the same samples with other images, where the right answer follows from another answer.

    plain         reference, main              "the main image has ... edema ..."
    swap          main, reference              the same changes inverted (`changes.invert`)
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

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lapse.core.changes import UNCHANGED, invert, render
from lapse.core.grammar import parse
from lapse.core.seeding import derive_index, derive_permutation
from lapse.core.types import Sample, nearest
from lapse.data.loading.batch_stream import Pixels
from lapse.images.augment import perturb_exposure
from lapse.metrics.consistency import MARK

BLANK = f"{MARK}blank"  # key of the grey square; keys of a store hold no mark
SECOND_EXPOSURE = f"{MARK}again"  # suffix of the key of a re-exposed image
GREY = 128  # of the grey square: zero after normalisation
MAX_TRIES = 64  # random draws of a reference before all references are tried in turn
SEED = 0  # of references of other patients and of second exposures
# (patient, image key) of the images that may replace a reference
References = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class ProbeSamples:
    """The samples of one probe, and the number of plain samples without one, by reason."""

    samples: tuple[Sample, ...]
    skipped: dict[str, int]


def _swap(sample: Sample, _: References) -> Sample | str:
    true = parse(sample.answer)
    if not true.is_parsed:
        return "truth that cannot be inverted"
    reference, main = sample.images
    answer = f" {render(invert(true.changes)).strip()}"
    return replace(sample, images=(main, reference), answer=answer)


# probe -> its sample for a plain sample of two images, or the reason why there is none;
# `lapse.metrics.consistency.RATES` scores the answers to the same probes
PROBES: dict[str, Callable[[Sample, References], Sample | str]] = {
    "swap": _swap,
    "identity": lambda s, _: replace(s, images=(s.images[1],) * 2, answer=f" {UNCHANGED}"),
    "acquisition": lambda s, _: replace(s, images=(s.images[0], s.images[1] + SECOND_EXPOSURE)),
    "shuffled": lambda s, others: replace(s, images=(_other_patient(s, others), s.images[1])),
    "blank": lambda s, _: replace(s, images=(BLANK, s.images[1])),
}


def check_probe(name: str) -> None:
    """Refuse an unknown probe.

    Raises:
        ValueError: lists the known names and the nearest.
    """
    if name not in PROBES:
        raise ValueError(f"no probe {name!r}; {nearest(name, tuple(PROBES))}")


def probe_samples(name: str, samples: Sequence[Sample], references: References) -> ProbeSamples:
    """The samples of one probe, in the order of the plain ones.

    Args:
        name: one of `PROBES`.
        samples: plain samples; those about one image have no probe and are counted.
        references: (patient, image key) of the images that may replace a reference.

    Raises:
        ValueError: unknown probe, or no reference of another patient.
    """
    check_probe(name)
    probed, skipped = [], Counter[str]()
    for sample in samples:
        is_pair = len(sample.images) == 2
        result = PROBES[name](sample, references) if is_pair else "sample about one image"
        if isinstance(result, str):
            skipped[result] += 1
        else:
            probed.append(replace(result, id=f"{sample.id}{MARK}{name}"))
    return ProbeSamples(tuple(probed), dict(skipped))


def _other_patient(sample: Sample, references: References) -> str:
    """The key of a reference of another patient; a function of the sample's id."""
    count, key = len(references), (SEED, "shuffled reference", sample.id)
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
    source: Pixels, image_size: int, *, exposure_source: Pixels | None = None
) -> Pixels:
    """An image source that adds blank and re-exposed images to another source.

    Args:
        source: image key -> [S, S] uint8, such as `Store.pixels`.
        image_size: S in pixels.
        exposure_source: image key -> a second exposure of that image, [S, S] uint8; None
            imitates one from the stored pixels.
    """

    def imitated(key: str) -> NDArray[np.uint8]:
        return perturb_exposure(np.asarray(source(key)), SEED, key)

    def pixels(key: str) -> NDArray[np.uint8]:
        if key == BLANK:
            return np.full((image_size, image_size), GREY, dtype=np.uint8)
        if key.endswith(SECOND_EXPOSURE):
            return (exposure_source or imitated)(key.removesuffix(SECOND_EXPOSURE))
        return source(key)

    return pixels
