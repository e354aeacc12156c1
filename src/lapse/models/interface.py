"""What training and inference require of a model, as typed protocols.

A pretraining method or VQA system is an `nn.Module` that satisfies `TrainableModel`. Optional
capabilities are separate protocols, checked with `isinstance` (`has_encoder` for the encoder).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol, Self, TypeGuard, runtime_checkable

import torch
from torch import Tensor, nn

from lapse.config import GenerationConfig
from lapse.core.tokenizer import Tokenizer
from lapse.core.types import Candidate
from lapse.data.loading.batch import Batch


@runtime_checkable
class TrainableModel(Protocol):
    """A model that learns from batches and answers them.

    The first three methods are the model's own; `nn.Module` provides the others.

    Attributes:
        tokenizer: encodes and decodes its texts.
        training: False in evaluation mode.
    """

    tokenizer: Tokenizer
    training: bool

    def loss(self, batch: Batch, /) -> dict[str, Tensor]:
        """Losses by name. "loss" carries the gradient; the others are detached parts of it."""

    def weight(self, batch: Batch, /) -> float:
        """What the mean in "loss" is over, such as the number of target tokens."""

    def answer(self, batch: Batch, generation: GenerationConfig, /) -> list[str]:
        """One generated text per row."""

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]: ...

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, nn.Parameter]]: ...

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]: ...

    def modules(self, remove_duplicate: bool = True) -> Iterator[nn.Module]: ...

    def named_modules(
        self,
        memo: set[nn.Module] | None = None,
        prefix: str = "",
        remove_duplicate: bool = True,
    ) -> Iterator[tuple[str, nn.Module]]: ...

    def named_children(self) -> Iterator[tuple[str, nn.Module]]: ...

    def state_dict(self, *, keep_vars: bool = False) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> Any: ...

    def requires_grad_(self, requires_grad: bool = True) -> Self: ...

    def train(self, mode: bool = True) -> Self: ...

    def eval(self) -> Self: ...

    def to(self, device: torch.device | str, /) -> Self: ...


class HasEncoder(TrainableModel, Protocol):
    """A model whose vision encoder can be replaced by a pretrained one.

    Attributes:
        encoder: images [U, C, S, S] -> tokens [U, N, D].
    """

    encoder: nn.Module

    def load_encoder(self, state: Mapping[str, Tensor], /) -> None:
        """Load the weights of a pretrained encoder; all must be present and fit."""


def has_encoder(model: object) -> TypeGuard[HasEncoder]:
    """Whether a model is a `HasEncoder`.

    A function, because `isinstance` with a protocol does not find submodules of an `nn.Module`.
    """
    return isinstance(getattr(model, "encoder", None), nn.Module) and hasattr(model, "load_encoder")


@runtime_checkable
class FeatureModel(Protocol):
    """A model that reads `Batch.features` where they are set."""

    @property
    def reads_features(self) -> bool:
        """False where the images are needed in every step."""

    def encode(self, images: Tensor, /) -> Tensor:
        """The encoder's tokens: uint8 [U, 1, S, S] -> [U, N, D]."""


@runtime_checkable
class CandidateModel(Protocol):
    """A model that keeps the hypotheses of beam search."""

    def candidates(self, batch: Batch, generation: GenerationConfig, /) -> list[list[Candidate]]:
        """The hypotheses of each row, best first; the text of the first is the answer."""


@runtime_checkable
class ScoringModel(Protocol):
    """A model that scores given answers."""

    def log_probability(self, batch: Batch, /) -> Tensor:
        """Log-probability of each row's answer after its prompt, end token included: [B], nats."""


@runtime_checkable
class HasOrigin(Protocol):
    """A model with a part that is pretrained elsewhere."""

    @property
    def origin(self) -> str:
        """One sentence that says where the weights of that part come from."""


@runtime_checkable
class HasLossParts(Protocol):
    """A model whose loss is a sum of named parts, logged as "loss/<part>"."""

    @property
    def loss_parts(self) -> tuple[str, ...]:
        """The names of the parts."""


@runtime_checkable
class LoadsParts(Protocol):
    """A model that takes more than the encoder from the run named by `init_encoder`."""

    @property
    def further_parts(self) -> tuple[str, ...]:
        """The names of these submodules."""

    def load_part(self, part: str, state: Mapping[str, Tensor], /) -> str:
        """Load the weights of one part; returns one sentence for the log."""


@runtime_checkable
class InheritsWeights(Protocol):
    """A model that `init_model` can initialize from a run of another model."""

    @property
    def inherits(self) -> tuple[str, tuple[str, ...]]:
        """The name of that model, and the prefixes of the tensors that are taken."""


@runtime_checkable
class HasShardedParts(Protocol):
    """A model with submodules that FSDP gathers one block at a time."""

    @property
    def sharded_parts(self) -> tuple[str, ...]:
        """Submodules with `blocks` that run exactly once in each `loss`, on every rank."""


@runtime_checkable
class FollowsSteps(Protocol):
    """A model whose loss depends on how far training is."""

    def start_step(self, step: int, /) -> None:
        """Called before each step with the number of finished ones."""
