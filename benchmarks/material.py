"""What the rows are measured on: random texts and images of given sizes, and simulated patients.

Values do not matter to a clock, lengths do: captions of 84 tokens and region texts of 28 are the
means of the phantom's, which imitate the real ones.
"""

from __future__ import annotations

import atexit
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from lapse.core.tokenizer import END, Tokenizer
from lapse.core.types import Sample
from lapse.data.loading.batch import Batch
from lapse.data.prepare.prepare import PrepareOptions, find_roots, prepare
from lapse.phantom.dataset.writer import SimulateConfig, simulate

CAPTION, REGION, PREFIX = 84, 28, 2
TASKS = ("cap", "aref", "gcap", "caref")
QUESTION, ANSWER = 8, 40  # tokens of a difference question and of a long answer


def small_tokenizer(size: int) -> Tokenizer:
    """A tokenizer that keeps `size` of GPT-2's tokens."""
    return Tokenizer((*range(size - 1), END))


def captions(
    image_size: int, images: int, lengths: Sequence[int], kept: Sequence[int], seed: int = 0
) -> Batch:
    """Each image with one text of each length; the loss covers all but a prefix."""
    rows = [(image, length) for image in range(images) for length in lengths]
    return _batch(
        image_size,
        torch.tensor([[image] for image, _ in rows]),
        [length for _, length in rows],
        [PREFIX] * len(rows),
        kept,
        seed,
    )


def pairs(
    image_size: int, count: int, kept: Sequence[int], *, question: int, answer: int, seed: int = 0
) -> Batch:
    """Pairs of different images with a question and an answer; the loss covers the answer."""
    index = torch.arange(2 * count).view(count, 2)
    lengths = [question + answer] * count
    return _batch(image_size, index, lengths, [question] * count, kept, seed)


def _batch(
    image_size: int,
    index: Tensor,
    lengths: list[int],
    prompts: list[int],
    kept: Sequence[int],
    seed: int,
) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    count, width = len(lengths), max(lengths)
    images = int(index.max()) + 1
    pixels = torch.randint(
        0, 256, (images, 1, image_size, image_size), dtype=torch.uint8, generator=generator
    )
    chosen = torch.randint(0, len(kept), (count, width), generator=generator)
    place = torch.arange(width)
    used = place < torch.tensor(lengths)[:, None]
    prompt = torch.tensor(prompts)
    is_pair = index.shape[1] == 2
    samples = tuple(
        Sample(
            f"made/{row}",
            "diff_vqa" if is_pair else TASKS[row % len(TASKS)],
            tuple(f"image-{image}" for image in index[row].tolist()),
            "p",
            "prefix",
            "",
            " answer",
        )
        for row in range(count)
    )
    return Batch(
        images=pixels,
        image_index=index,
        tokens=torch.where(used, torch.tensor(list(kept))[chosen], 0),
        lengths=torch.tensor(lengths),
        prompt_lengths=prompt,
        prefix_lengths=prompt,
        loss_mask=used & (place >= prompt[:, None]),
        parallel=torch.zeros(count, dtype=torch.bool),
        samples=samples,
    )


@cache
def scratch() -> Path:
    """A folder that goes away with this process."""
    folder = tempfile.TemporaryDirectory(prefix="lapse-bench-")
    atexit.register(folder.cleanup)
    return Path(folder.name)


@cache
def phantom_store(patients: int = 124, size: int = 64) -> Path:
    """A store of simulated patients, made once for all rows of one process."""
    raw, store = scratch() / f"raw-{patients}", scratch() / f"store-{patients}"
    simulate(raw, SimulateConfig(patients=patients, seed=7, size=size))
    prepare(find_roots([raw]), store, PrepareOptions(size))
    return store
