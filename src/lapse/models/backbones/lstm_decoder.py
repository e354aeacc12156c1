"""An LSTM decoder that attends to three graphs: reference, difference, main.

Legend: B pairs  R rows (beams)  K nodes of a graph  A tokens of an answer  D width  V tokens

    word, mean of all nodes --> LSTM 1 --> attention over each graph's nodes --> [R, 3, D]
                                       `--> weights of the three graphs (dynamic attention)
    word, attended features --> LSTM 2 --> logits

Source: the "dynamic speaker" of Park et al., 2019, which EKAID uses as its decoder.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lapse.config import GenerationConfig
from lapse.models.layers.beam_search import Hypothesis, search_tokens
from lapse.models.layers.padding import PaddedTokens
from lapse.models.layers.token_embedding import TokenEmbedding
from lapse.models.layers.token_losses import TokenLosses, token_losses

State = tuple[Tensor, Tensor, Tensor, Tensor]  # hidden and cell of LSTM 1, then of LSTM 2


def reordered(state: State, rows: Tensor) -> State:
    """The state of these rows (also repeated)."""
    return state[0][rows], state[1][rows], state[2][rows], state[3][rows]


@dataclass(frozen=True, slots=True)
class Graphs:
    """The three graphs of each row.

    Attributes:
        nodes: [B, 3, K, D].
        is_present: [B, K] bool, the nodes to attend to; at least one in every row.
    """

    nodes: Tensor
    is_present: Tensor

    def reorder(self, rows: Tensor) -> Graphs:
        """The graphs of these rows (also repeated)."""
        return Graphs(self.nodes[rows], self.is_present[rows])


class LstmDecoder(nn.Module):
    """Generates a text from three graphs.

    Weights: PyTorch's defaults; tokens normal with deviation 0.02 (`TokenEmbedding`).

    Args:
        width: D, of nodes and of both LSTMs.
        word_width: width of the word embeddings, tied with the output.
        kept: GPT-2 ids that have a row; None for all.
        dropout: on words and before the output.
    """

    def __init__(
        self, width: int, word_width: int, kept: tuple[int, ...] | None, dropout: float
    ) -> None:
        super().__init__()
        self.tokens = TokenEmbedding(word_width, kept)
        self.first = nn.LSTMCell(word_width + 2 * width, width)
        self.second = nn.LSTMCell(word_width + 2 * width, width)
        self.query = nn.Linear(width, width)
        self.graph_weights = nn.Linear(width, 3)
        self.out = nn.Linear(width, word_width)
        self.dropout = nn.Dropout(dropout)
        self.start = nn.Parameter(torch.zeros(word_width))
        # Tied embeddings are small (0.02); the norms scale them to what an LSTM expects.
        self.norm_word = nn.LayerNorm(word_width)
        self.norm_out = nn.LayerNorm(word_width)

    def losses(self, graphs: Graphs, answers: PaddedTokens, smoothing: float) -> TokenLosses:
        """Loss of every answer token, each predicted from those before it.

        Args:
            answers: B answers, end token included.
        """
        tokens = self.tokens.rows(answers.tokens)
        state, word, outputs = self._start(graphs), self.start.expand(len(tokens), -1), []
        for next_word in self.tokens.embed(tokens).unbind(1):
            state, out = self._step(word, state, graphs)
            outputs.append(out)
            word = next_word
        row, position = answers.is_used.nonzero(as_tuple=True)
        hidden = torch.stack(outputs, dim=1)[row, position]
        return token_losses(hidden, self.tokens.weight, tokens[row, position], row, smoothing)

    def hypotheses(
        self, graphs: Graphs, generation: GenerationConfig, end: int
    ) -> list[list[Hypothesis]]:
        """The finished texts of each row by beam search, best first, in GPT-2 ids."""
        start = self.start.expand(len(graphs.nodes), -1)
        state, out = self._step(start, self._start(graphs), graphs)

        def step(tokens: Tensor, order: Tensor) -> Tensor:
            nonlocal state, graphs
            graphs = graphs.reorder(order)
            state, out = self._step(self.tokens.embed(tokens), reordered(state, order), graphs)
            return self.tokens.logits(out).float()

        return search_tokens(step, self.tokens.logits(out).float(), generation, self.tokens, end)

    def _start(self, graphs: Graphs) -> State:
        zero = graphs.nodes.new_zeros(len(graphs.nodes), graphs.nodes.shape[-1])
        return zero, zero, zero, zero

    def _step(self, word: Tensor, state: State, graphs: Graphs) -> tuple[State, Tensor]:
        """One word of every row: [R, words] -> the next state, and the output [R, words]."""
        nodes, is_present = graphs.nodes, graphs.is_present
        word = self.dropout(self.norm_word(word))
        fractions = is_present.to(word.dtype) / is_present.sum(1, keepdim=True)
        mean = torch.einsum("rgkd,rk->rd", nodes, fractions) / 3
        first = self.first(torch.cat([word, mean, state[2]], -1), state[:2])
        scores = torch.einsum("rgkd,rd->rgk", nodes, self.query(first[0]))
        scores = scores / nodes.shape[-1] ** 0.5
        lowest = torch.finfo(scores.dtype).min
        scores = scores.masked_fill(~is_present[:, None], lowest)
        attended = torch.einsum("rgk,rgkd->rgd", scores.softmax(-1), nodes)  # [R, 3, D]
        weights = self.graph_weights(first[0]).softmax(-1)  # [R, 3]
        context = (weights[..., None] * attended).sum(1)
        second = self.second(torch.cat([word, context, first[0]], -1), state[2:])
        out = self.norm_out(self.out(self.dropout(second[0])))
        return (first[0], first[1], second[0], second[1]), out


class QuestionReader(nn.Module):
    """The last state of a GRU over a question's words.

    Weights: PyTorch's defaults.
    """

    def __init__(self, word_width: int, width: int) -> None:
        super().__init__()
        self.gru = nn.GRU(word_width, width, batch_first=True)

    def forward(self, words: Tensor, lengths: Tensor) -> Tensor:
        """Words [B, T, word_width] and lengths [B] -> [B, D]."""
        hidden, _ = self.gru(words)
        index = torch.arange(len(words), device=words.device)
        last: Tensor = hidden[index, lengths - 1]
        return F.relu(last)
