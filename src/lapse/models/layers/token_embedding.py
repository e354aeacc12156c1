"""Token embeddings with a tied output, for all of GPT-2's tokens or only those in use.

Outside, tokens are GPT-2 ids; `rows` and `ids` convert them to rows of a trimmed table and back.
Trimmed tables are for small CPU models, where 50,257 logits cost more than the network.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lapse.core.tokenizer import SIZE
from lapse.models.layers.transformer import normal_parameter


class TokenEmbedding(nn.Module):
    """Embedding and tied output layer.

    Weights: normal, deviation 0.02 (GPT-2).

    Args:
        width: D.
        kept: sorted GPT-2 ids that have a row; None for all ids.
        size: number of ids of the vocabulary; GPT-2's by default.
        with_mask: adds the learned mask token of parallel prediction, outside the vocabulary.

    Raises:
        ValueError: `kept` is empty, not sorted, or holds an id that GPT-2 does not have.
    """

    row_of: Tensor
    id_of: Tensor

    def __init__(
        self,
        width: int,
        kept: Sequence[int] | None = None,
        *,
        size: int = SIZE,
        with_mask: bool = False,
    ) -> None:
        super().__init__()
        if kept is not None:
            _check_kept(kept)
        ids = torch.arange(size) if kept is None else torch.tensor(list(kept), dtype=torch.long)
        rows = torch.full((size,), -1, dtype=torch.long)
        rows[ids] = torch.arange(len(ids))
        self.is_trimmed = kept is not None
        self.register_buffer("id_of", ids, persistent=False)
        self.register_buffer("row_of", rows, persistent=False)
        self.weight = normal_parameter(len(ids), width)
        if with_mask:
            self.mask = normal_parameter(width)

    @property
    def num_rows(self) -> int:
        """V, the number of tokens that can be generated."""
        return self.weight.shape[0]

    def rows(self, ids: Tensor) -> Tensor:
        """GPT-2 ids -> rows of the table, same shape.

        Raises:
            ValueError: an id has no row; the text was encoded with another tokenizer.
        """
        if not self.is_trimmed:
            return ids
        rows = self.row_of[ids]
        if bool((rows < 0).any()):
            missing = int(ids[rows < 0][0])
            raise ValueError(
                f"token {missing} is not among the {self.num_rows} kept ones: encode the text "
                "with the tokenizer of the run"
            )
        return rows

    def row(self, token: int) -> int:
        """One GPT-2 id -> its row of the table."""
        return int(self.rows(torch.tensor(token, device=self.weight.device)))

    def ids(self, rows: Sequence[int]) -> list[int]:
        """Rows of the table -> GPT-2 ids."""
        ids: list[int] = self.id_of[torch.tensor(list(rows), dtype=torch.long)].tolist()
        return ids

    def embed(self, rows: Tensor) -> Tensor:
        """Rows [...] -> [..., D]."""
        return F.embedding(rows, self.weight)

    def logits(self, hidden: Tensor) -> Tensor:
        """[..., D] -> [..., V], tied with the embedding."""
        return F.linear(hidden, self.weight)


def _check_kept(kept: Sequence[int]) -> None:
    if not kept or any(low >= high for low, high in pairwise(kept)):
        raise ValueError(f"{len(kept)} kept ids: give at least one, sorted and each once")
    if kept[0] < 0 or kept[-1] >= SIZE:
        raise ValueError(f"kept ids run from {kept[0]} to {kept[-1]}, GPT-2's from 0 to {SIZE - 1}")
