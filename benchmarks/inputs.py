"""Inputs of the benchmarks: random texts and images of given sizes, and simulated patients.

Times depend on lengths, not on values. Captions of 84 tokens and region texts of 28 are the means
of the simulator, which imitates the real data.
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
    """A tokenizer with the first `size` tokens of GPT-2."""
    return Tokenizer((*range(size - 1), END))


def captions(
    image_size: int,
    num_images: int,
    lengths: Sequence[int],
    token_ids: Sequence[int],
    seed: int = 0,
) -> Batch:
    """Every image with one text of each length; the loss covers all but a prefix."""
    rows = [(image, length) for image in range(num_images) for length in lengths]
    return _batch(
        image_size,
        torch.tensor([[image] for image, _ in rows]),
        [length for _, length in rows],
        PREFIX,
        token_ids,
        seed,
    )


def pairs(
    image_size: int,
    num_pairs: int,
    token_ids: Sequence[int],
    *,
    question: int,
    answer: int,
    seed: int = 0,
) -> Batch:
    """Pairs of different images with a question and an answer; the loss covers the answer."""
    index = torch.arange(2 * num_pairs).view(num_pairs, 2)
    return _batch(image_size, index, [question + answer] * num_pairs, question, token_ids, seed)


def _batch(
    image_size: int,
    index: Tensor,
    lengths: list[int],
    prompt_length: int,
    token_ids: Sequence[int],
    seed: int,
) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    num_rows, width = len(lengths), max(lengths)
    num_images = int(index.max()) + 1
    pixels = torch.randint(
        0, 256, (num_images, 1, image_size, image_size), dtype=torch.uint8, generator=generator
    )
    drawn = torch.randint(0, len(token_ids), (num_rows, width), generator=generator)
    position = torch.arange(width)
    is_token = position < torch.tensor(lengths)[:, None]
    prompt = torch.full((num_rows,), prompt_length)
    is_pair = index.shape[1] == 2
    samples = tuple(
        Sample(
            f"random/{row}",
            "diff_vqa" if is_pair else TASKS[row % len(TASKS)],
            tuple(f"image-{image}" for image in index[row].tolist()),
            "p",
            "prefix",
            "",
            " answer",
        )
        for row in range(num_rows)
    )
    return Batch(
        images=pixels,
        image_index=index,
        tokens=torch.where(is_token, torch.tensor(list(token_ids))[drawn], 0),
        lengths=torch.tensor(lengths),
        prompt_lengths=prompt,
        prefix_lengths=prompt,
        loss_mask=is_token & (position >= prompt[:, None]),
        parallel=torch.zeros(num_rows, dtype=torch.bool),
        samples=samples,
    )


@cache
def scratch() -> Path:
    """A folder that is removed at the end of this process."""
    folder = tempfile.TemporaryDirectory(prefix="lapse-benchmark-")
    atexit.register(folder.cleanup)
    return Path(folder.name)


@cache
def phantom_store(patients: int = 124, size: int = 64) -> Path:
    """A store of simulated patients, written once per process."""
    raw, store = scratch() / f"raw-{patients}", scratch() / f"store-{patients}"
    simulate(raw, SimulateConfig(patients=patients, seed=7, size=size))
    prepare(find_roots([raw]), store, PrepareOptions(size))
    return store
