"""A small model with tied weights."""

import torch
from torch import nn


class Tied(nn.Module):
    """Two names, one tensor, as in a language model whose head is its embedding."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.words = nn.Embedding(7, 4)
        self.head = nn.Linear(4, 7, bias=False)
        self.head.weight = self.words.weight
        self.encoder = nn.Linear(3, 4)
        self.register_buffer("scale", torch.rand(2))
