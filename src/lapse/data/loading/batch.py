"""Samples and pixels -> one Batch of tensors.

Legend: B rows (texts)  U distinct images  I images per row  T text tokens  S image side

An image of several rows is stored once in `images` and encoded once: the four tasks of one
radiograph share one encoder pass (docs/explanation/architecture.md).

    prefix    given        answer + end        pad
    . . . . | . . . . . . | . . . . . . . . E | 0 0 0
      never   `loss_on_given`      always          never   <- loss_mask, unless `loss_on_prefix`

`loss_mask[b, t]` is True if token t of row b is a target. A causal row predicts it from the hidden
state of t - 1, a parallel row (all targets replaced by the mask token) from that of t.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from lapse.core.seeding import derive_seed
from lapse.core.tokenizer import Tokenizer
from lapse.core.types import Sample

PAD = 0  # never attended to and never a target: `lengths` excludes padding


@dataclass(frozen=True, slots=True)
class ParallelForm:
    """How the rows that are predicted in parallel are read; by default as in the paper (3.2.1).

    Attributes:
        attends: their places attend to each other; False: each to itself.
        shows_prefix: the prefix is visible; False: the mask token replaces it too.
        knows_length: they have the places of their text; False: all places of the decoder.
    """

    attends: bool = True
    shows_prefix: bool = True
    knows_length: bool = True


@dataclass(frozen=True, slots=True)
class Batch:
    """The input of one step, with all tensors on one device.

    Attributes:
        images: [U, 1, S, S] uint8, each distinct image once.
        image_index: [B, I] int64, the rows of `images` that belong to each text
            (for a pair: reference first, then main).
        tokens: [B, T] int64 GPT-2 ids: prefix, given, answer, end, padding.
        lengths: [B] int64, tokens in use.
        prompt_lengths: [B] int64, tokens of prefix + given.
        prefix_lengths: [B] int64, tokens of the prefix.
        loss_mask: [B, T] bool.
        parallel: [B] bool, rows whose targets are predicted in parallel.
        samples: the B samples.
        part: 1 for the second batch of a step (`data.second_tasks`), else 0.
        parallel_form: how these rows are read.
        features: [U, N, D] the cached tokens of `images` from a frozen encoder, or None.
    """

    images: Tensor
    image_index: Tensor
    tokens: Tensor
    lengths: Tensor
    prompt_lengths: Tensor
    prefix_lengths: Tensor
    loss_mask: Tensor
    parallel: Tensor
    samples: tuple[Sample, ...]
    parallel_form: ParallelForm = ParallelForm()
    features: Tensor | None = None
    part: int = 0

    def to(self, device: torch.device | str) -> Batch:
        """The same batch with every tensor on `device`.

        For a GPU the batch is pinned first, so that the host does not wait for the copies.
        """
        is_cuda = torch.device(device).type == "cuda"
        batch = self.pin_memory() if is_cuda and not self.images.is_cuda else self
        return batch._map(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> Batch:
        """The same batch with every tensor in page-locked memory; needs a GPU."""
        return self._map(Tensor.pin_memory)

    def _map(self, change: Callable[[Tensor], Tensor]) -> Batch:
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        tensors = {name: value for name, value in values.items() if isinstance(value, Tensor)}
        changed: dict[str, Any] = {name: change(tensor) for name, tensor in tensors.items()}
        return replace(self, **changed)

    def __len__(self) -> int:
        return len(self.samples)


@dataclass(frozen=True, slots=True)
class EncodedText:
    """Token ids of one sample: `ids[:prefix]` is the prefix, `ids[:prompt]` prefix and given."""

    ids: tuple[int, ...]
    prefix: int
    prompt: int


def encode_sample(sample: Sample, tokenizer: Tokenizer, max_tokens: int) -> EncodedText:
    """Tokens of prefix | given | answer | end, each part encoded separately.

    Encoding the parts separately keeps their boundaries at token edges, so a prompt at evaluation
    has the same tokens as in training. An answer that does not fit into `max_tokens` is truncated
    and has no end token.

    Raises:
        ValueError: the prompt alone fills `max_tokens`.
    """
    prefix = tokenizer.encode(sample.prefix)
    given = tokenizer.encode(f" {sample.given}") if sample.given else []
    answer = tokenizer.encode(sample.answer)
    prompt = len(prefix) + len(given)
    if prompt >= max_tokens:
        raise ValueError(
            f"sample {sample.id}: its prompt has {prompt} tokens and the limit is {max_tokens}; "
            "raise data.max_tokens"
        )
    ids = [*prefix, *given, *answer, tokenizer.end][:max_tokens]
    return EncodedText(tuple(ids), len(prefix), prompt)


def collate(
    samples: Sequence[Sample],
    texts: Sequence[EncodedText],
    pixels: Mapping[str, Tensor],
    *,
    parallel: Sequence[bool] = (),
    loss_on_given: bool = True,
) -> Batch:
    """Join samples into a Batch.

    Args:
        samples: B samples, all with the same number of images.
        texts: their tokens, from `encode_sample`.
        pixels: image key -> [S, S] uint8.
        parallel: whether each row is predicted in parallel; () for none.
        loss_on_given: whether the loss covers `given` as well as the answer.

    Raises:
        ValueError: no sample, or rows with different numbers of images.
    """
    if not samples:
        raise ValueError("a batch needs at least one sample, got none")
    counts = {len(sample.images) for sample in samples}
    if len(counts) > 1:
        raise ValueError(
            f"a batch with samples of {sorted(counts)} images: group them by number first"
        )
    keys = image_keys(samples)
    rows = {key: row for row, key in enumerate(keys)}
    width = max(len(text.ids) for text in texts)
    tokens = torch.full((len(samples), width), PAD, dtype=torch.long)
    loss_mask = torch.zeros((len(samples), width), dtype=torch.bool)
    for row, text in enumerate(texts):
        tokens[row, : len(text.ids)] = torch.tensor(text.ids)
        start = text.prefix if loss_on_given else text.prompt
        loss_mask[row, start : len(text.ids)] = True
    return Batch(
        images=torch.stack([pixels[key] for key in keys]).unsqueeze(1),
        image_index=torch.tensor([[rows[key] for key in sample.images] for sample in samples]),
        tokens=tokens,
        lengths=torch.tensor([len(text.ids) for text in texts]),
        prompt_lengths=torch.tensor([text.prompt for text in texts]),
        prefix_lengths=torch.tensor([text.prefix for text in texts]),
        loss_mask=loss_mask,
        parallel=torch.tensor(list(parallel) or [False] * len(samples)),
        samples=tuple(samples),
    )


def image_keys(samples: Sequence[Sample]) -> list[str]:
    """The distinct images of samples, in the order of `Batch.images`."""
    return list(dict.fromkeys(key for sample in samples for key in sample.images))


def with_features(batch: Batch, read: Callable[[str], Tensor]) -> Batch:
    """The batch with the cached tokens [N, D] of each of its images."""
    return replace(batch, features=torch.stack([read(key) for key in image_keys(batch.samples)]))


def with_prefix_loss(batch: Batch) -> Batch:
    """The batch with a loss on every token but the first and the padding."""
    index = torch.arange(batch.tokens.shape[1])
    return replace(batch, loss_mask=(index > 0) & (index < batch.lengths[:, None]))


def text_keys(batch: Batch) -> Tensor:
    """One number per row, equal for equal answers (without case and repeated blanks): [B]."""
    words = [" ".join(sample.answer.lower().split()) for sample in batch.samples]
    return torch.tensor([derive_seed("text", text) >> 1 for text in words])


def normalise(images: Tensor, channels: int) -> Tensor:
    """uint8 [U, 1, S, S] -> float [U, channels, S, S] in [-1, 1], on the images' device.

    The same for both stages (SigLIP's mean and deviation of one half).
    """
    return images.float().div(127.5).sub(1.0).expand(-1, channels, -1, -1)
