"""Samples and pixels -> one Batch of tensors.

Legend: B rows (texts)  U distinct images  I images per row  T text tokens  S image side

An image that several rows speak about stands once in `images` and is encoded once: the four
tasks of one radiograph share one encoder pass (docs/explanation/architecture.md).

    prefix    given        answer + end        pad
    . . . . | . . . . . . | . . . . . . . . E | 0 0 0
      never   `loss_on_given`      always          never   <- loss_mask

`loss_mask[b, t]` says that token t of row b is a target; a causal row predicts it from the
hidden state of t - 1, a parallel row (all targets replaced by the mask token) from t itself.
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

PAD = 0  # never attended to and never a target; lengths say where a row ends


@dataclass(frozen=True, slots=True)
class Batch:
    """One step's input. All tensors live on one device; `samples` keeps the words.

    Attributes:
        images: [U, 1, S, S] uint8, each distinct image once.
        image_index: [B, I] int64, the rows of `images` that each text speaks about
            (for a pair: reference first, then main).
        tokens: [B, T] int64 GPT-2 ids: prefix, given, answer, end, padding.
        lengths: [B] int64, tokens in use.
        prompt_lengths: [B] int64, tokens of prefix + given.
        prefix_lengths: [B] int64, tokens of the prefix.
        loss_mask: [B, T] bool.
        parallel: [B] bool, rows to be predicted all at once (captions only).
        samples: the B samples.
        features: [U, N, D] the frozen encoder's tokens of `images`, where they were cached.
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
    features: Tensor | None = None

    def to(self, device: torch.device | str) -> Batch:
        """The same batch with every tensor on `device`."""
        tensors = {name: getattr(self, name) for name in self.__dataclass_fields__}
        moved: dict[str, Any] = {
            name: value.to(device, non_blocking=True)
            for name, value in tensors.items()
            if isinstance(value, Tensor)
        }
        return replace(self, **moved)

    def __len__(self) -> int:
        return len(self.samples)


@dataclass(frozen=True, slots=True)
class EncodedText:
    """Token ids of one sample and where its parts end."""

    ids: tuple[int, ...]
    prefix: int
    prompt: int


def encode_sample(sample: Sample, tokenizer: Tokenizer, max_tokens: int) -> EncodedText:
    """Tokens of prefix | given | answer | end, each part encoded by itself.

    Encoding the parts apart keeps the boundary between them at a token edge, so that a prompt
    at evaluation has exactly the tokens that it had in training. An answer that does not fit
    into `max_tokens` loses its end (and then carries no end token).

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
        parallel: which rows to predict in parallel; () for none.
        loss_on_given: whether the loss covers `given` as well as the answer.

    Raises:
        ValueError: no sample, or rows with different numbers of images.
    """
    if not samples:
        raise ValueError("a batch needs at least one sample, got none")
    counts = {len(sample.images) for sample in samples}
    if len(counts) > 1:
        raise ValueError(f"one batch joins samples of {sorted(counts)} images: group them first")
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
    """The images that samples speak about, each once, in the order of `Batch.images`."""
    return list(dict.fromkeys(key for sample in samples for key in sample.images))


def with_features(batch: Batch, read: Callable[[str], Tensor]) -> Batch:
    """The batch with the cached tokens [N, D] of each of its images."""
    return replace(batch, features=torch.stack([read(key) for key in image_keys(batch.samples)]))


def text_keys(batch: Batch) -> Tensor:
    """One number per row, equal where two answers read the same (case and blanks aside): [B]."""
    words = [" ".join(sample.answer.lower().split()) for sample in batch.samples]
    return torch.tensor([derive_seed("text", text) >> 1 for text in words])


def normalise(images: Tensor, channels: int) -> Tensor:
    """uint8 [U, 1, S, S] -> float [U, channels, S, S] in [-1, 1], on the images' device.

    The same for both stages (SigLIP's mean and deviation of one half).
    """
    return images.float().div(127.5).sub(1.0).expand(-1, channels, -1, -1)
