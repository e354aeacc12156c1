"""An LSTM that writes while it weighs three graphs: reference, difference, main.

Legend: B prompts  R rows (beams)  G graphs = 3  K nodes of a graph  D width  V tokens

    word, mean of what is seen --> LSTM 1 --> attention over each graph's nodes --> [R, G, D]
                                         `--> weights of the three graphs (dynamic attention)
    word, what is seen now     --> LSTM 2 --> logits

Source: the "dynamic speaker" of Park et al., 2019, which EKAID uses to write.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lapse.config import GenerationConfig
from lapse.models.layers.beam_search import beam_search
from lapse.models.layers.token_embedding import TokenEmbedding
from lapse.models.layers.token_losses import TokenLosses, token_losses


@dataclass(slots=True)
class _State:
    """Hidden and cell of both LSTMs [R, D], and what the rows look at."""

    first: tuple[Tensor, Tensor]
    second: tuple[Tensor, Tensor]
    graphs: Tensor
    is_there: Tensor

    def rows(self, order: Tensor) -> _State:
        def pick(pair: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
            return pair[0][order], pair[1][order]

        return _State(pick(self.first), pick(self.second), self.graphs[order], self.is_there[order])


class LstmDecoder(nn.Module):
    """Writes a text from three graphs of one pair.

    Weights: PyTorch's defaults; tokens normal with deviation 0.02 (`TokenEmbedding`).

    Args:
        width: D, of nodes and of both LSTMs.
        words: width of the word embeddings, tied with the output.
        kept: GPT-2 ids that have a row; None for all.
        dropout: on words and before the output.
    """

    def __init__(
        self, width: int, words: int, kept: tuple[int, ...] | None, dropout: float
    ) -> None:
        super().__init__()
        self.tokens = TokenEmbedding(words, kept)
        self.first = nn.LSTMCell(words + 2 * width, width)
        self.second = nn.LSTMCell(words + 2 * width, width)
        self.look = nn.Linear(width, width)
        self.weigh = nn.Linear(width, 3)
        self.out = nn.Linear(width, words)
        self.dropout = nn.Dropout(dropout)
        self.begin = nn.Parameter(torch.zeros(words))
        # Tied embeddings are small (0.02); normed, they are as large as an LSTM expects.
        self.norm_word = nn.LayerNorm(words)
        self.norm_out = nn.LayerNorm(words)

    def losses(
        self, graphs: Tensor, is_there: Tensor, answers: Tensor, is_target: Tensor, smoothing: float
    ) -> TokenLosses:
        """Loss of whole answers, each token from those before it.

        Args:
            graphs: [B, 3, K, D].
            is_there: [B, K] bool, nodes to look at.
            answers: [B, A] GPT-2 ids, the end included.
            is_target: [B, A] bool.
            smoothing: label smoothing.
        """
        rows = self.tokens.rows(answers)
        words = self.tokens.embed(rows)
        state = self._start(graphs, is_there)
        word, hidden = self.begin.expand(len(rows), -1), []
        for spoken in words.unbind(1):
            state, out = self._step(word, state)
            hidden.append(out)
            word = spoken
        row, place = is_target.nonzero(as_tuple=True)
        logits = self.tokens.logits(torch.stack(hidden, dim=1)[row, place])
        return token_losses(logits, rows[row, place], row, smoothing)

    def write(
        self, graphs: Tensor, is_there: Tensor, config: GenerationConfig, end: int
    ) -> list[list[int]]:
        """The best text of each pair by beam search; GPT-2 ids without the end."""
        state, out = self._step(self.begin.expand(len(graphs), -1), self._start(graphs, is_there))
        held = [state]

        def step(tokens: Tensor, order: Tensor | None) -> Tensor:
            count = len(held[0].graphs)
            if order is None:
                opened = torch.arange(count, device=tokens.device)
                order = opened.repeat_interleave(tokens.shape[0] // count)
            held[0], found = self._step(self.tokens.embed(tokens), held[0].rows(order))
            return self.tokens.logits(found).float()

        end_row = int(self.tokens.rows(torch.tensor([end], device=graphs.device)))
        written = beam_search(step, self.tokens.logits(out).float(), config, end_row)
        return [self.tokens.ids(found) for found in written]

    def _start(self, graphs: Tensor, is_there: Tensor) -> _State:
        zero = graphs.new_zeros(len(graphs), graphs.shape[-1])
        return _State((zero, zero), (zero, zero), graphs, is_there)

    def _step(self, word: Tensor, state: _State) -> tuple[_State, Tensor]:
        """One word of every row: [R, words] -> the next state and [R, words] before the table."""
        word = self.dropout(self.norm_word(word))
        share = state.is_there.to(word.dtype) / state.is_there.sum(1, keepdim=True)
        mean = torch.einsum("rgkd,rk->rd", state.graphs, share) / 3
        first = self.first(torch.cat([word, mean, state.second[0]], -1), state.first)
        scores = torch.einsum("rgkd,rd->rgk", state.graphs, self.look(first[0]))
        scores = scores / state.graphs.shape[-1] ** 0.5
        lowest = torch.finfo(scores.dtype).min
        scores = scores.masked_fill(~state.is_there[:, None], lowest)
        seen = torch.einsum("rgk,rgkd->rgd", scores.softmax(-1), state.graphs)  # [R, 3, D]
        weights = self.weigh(first[0]).softmax(-1)  # [R, 3]
        now = (weights[..., None] * seen).sum(1)
        second = self.second(torch.cat([word, now, first[0]], -1), state.second)
        out = self.norm_out(self.out(self.dropout(second[0])))
        return _State(first, second, state.graphs, state.is_there), out


class QuestionReader(nn.Module):
    """The last state of a GRU over a question's words.

    Weights: PyTorch's defaults.
    """

    def __init__(self, words: int, width: int) -> None:
        super().__init__()
        self.gru = nn.GRU(words, width, batch_first=True)

    def forward(self, words: Tensor, lengths: Tensor) -> Tensor:
        """[B, P, words], [B] -> [B, D]."""
        hidden, _ = self.gru(words)
        index = torch.arange(len(words), device=words.device)
        last: Tensor = hidden[index, lengths - 1]
        return F.relu(last)
