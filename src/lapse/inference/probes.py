"""Questions whose right answer follows from another answer: what a system may not contradict.

A probe takes the samples of a predictions file and shows the system other images:

    plain         reference, main              "the main image has ... edema ..."
    swap          main, reference              the same changes inverted (`grammar.invert`)
    identity      main, main                   "nothing has changed."
    acquisition   reference, main taken again  the same answer
    shuffled      another patient, main        scores must fall: the truth is about someone else
    blank         a grey square, main          scores must fall: there is nothing to compare with

The id of a probe's sample is the plain id, "#" and the name of the probe. Each sample keeps as
its reference answer what should be said (swap, identity, acquisition) or the plain truth, which
should be missed (shuffled, blank). `lapse.metrics.consistency` sets both files side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from lapse.core.grammar import UNCHANGED, invert, parse, render
from lapse.core.seeding import derive_index, derive_permutation
from lapse.core.types import Sample, nearest
from lapse.images.augment import perturb_exposure
from lapse.metrics.consistency import MARK, PROBES

BLANK = f"{MARK}blank"  # the key of the grey square; no image of a store is named so
AGAIN = f"{MARK}again"  # what a retaken image adds to its key
GREY = 128  # of the blank square: the middle, zero for a normalised model

Source: TypeAlias = Callable[[str], NDArray[np.uint8]]  # image key -> [S, S] uint8


@dataclass(frozen=True, slots=True)
class ProbeSamples:
    """The samples of one probe, and how many of the plain ones have none, by reason."""

    samples: tuple[Sample, ...]
    skipped: dict[str, int]


def check_probe(name: str) -> None:
    """Refuse an unknown probe.

    Raises:
        ValueError: names the known ones and the nearest.
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
        references: (patient, image key) that a shuffled reference is drawn from.
        seed: of that drawing.

    Raises:
        ValueError: unknown probe, or no reference of another patient.
    """
    check_probe(name)
    made, skipped = [], {"sample about one image": 0, "truth that cannot be inverted": 0}
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
            images = (reference, main + AGAIN)
        elif name == "shuffled":
            images = (_other_patient(sample, references, seed), main)
        else:
            images = (BLANK, main)
        made.append(replace(sample, id=f"{sample.id}{MARK}{name}", images=images, answer=answer))
    return ProbeSamples(tuple(made), {reason: count for reason, count in skipped.items() if count})


def _other_patient(
    sample: Sample, references: Sequence[tuple[str, str]], seed: int, tries: int = 64
) -> str:
    """The key of a reference of another patient; the same sample always gets the same one."""
    count, step = len(references), (seed, "shuffled reference", sample.id)
    for turn in range(tries if count else 0):
        patient, image = references[derive_index(count, *step, turn)]
        if patient != sample.patient:
            return image
    for place in derive_permutation(count, *step):  # nearly all references are of this patient
        if references[place][0] != sample.patient:
            return references[place][1]
    raise ValueError(
        f"no reference of another patient than {sample.patient} among {count}: the probe "
        "'shuffled' needs a split of two patients or more"
    )


def probe_pixels(
    source: Source,
    side: int,
    *,
    seed: int = 0,
    again: Callable[[str], NDArray[np.uint8]] | None = None,
) -> Source:
    """Where the images of probes come from: a source that also knows blank and retaken ones.

    Args:
        source: image key -> [S, S] uint8, such as `Store.pixels`.
        side: S in pixels.
        seed: of the retaken images.
        again: image key -> another exposure of that image, [S, S] uint8, such as a phantom's
            state rendered anew; None imitates one from the stored pixels.
    """

    def retaken(key: str) -> NDArray[np.uint8]:
        return perturb_exposure(np.asarray(source(key)), seed, key)

    def pixels(key: str) -> NDArray[np.uint8]:
        if key == BLANK:
            return np.full((side, side), GREY, dtype=np.uint8)
        if key.endswith(AGAIN):
            return (again or retaken)(key.removesuffix(AGAIN))
        return source(key)

    return pixels
