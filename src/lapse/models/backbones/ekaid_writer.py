"""EKAID's writer: two LSTMs mix the vectors "before, difference, after" word by word.

Legend: B rows  T words of an answer  D width  W width of the LSTMs  E width of a word  V words

    e   = dropout ReLU(linear_3D->D [y_1; y_d; y_2])
    h_a = LSTM_a [e; h_b]                       m = softmax_3(linear h_a)
    y   = m_1 y_1 + m_2 y_d + m_3 y_2
    p   = linear_16->W softmax(dropout linear_W->16 dropout ReLU(linear h_b))     a word's kind
    g   = sigmoid(linear_2D->D dropout ReLU(linear_2D->2D [h_b; p; y]))
    h_b = LSTM_b [word; g * y]                  logits = linear_W->V dropout h_b

With W = D / 2, [h_b; p; y] has 2 D numbers, as published (512 and 1,024).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lapse.config import GenerationConfig
from lapse.config.vqa import EkaidPublishedConfig
from lapse.models.backbones.lstm_decoder import State, reordered
from lapse.models.layers.beam_search import Hypothesis, search_tokens
from lapse.models.layers.padding import PaddedTokens
from lapse.models.layers.token_embedding import TokenEmbedding
from lapse.models.layers.token_losses import TokenLosses, token_losses


class EkaidWriter(nn.Module):
    """Generates a text from three vectors.

    Weights: PyTorch's defaults; word vectors normal with deviation one.

    Args:
        start: token that comes before the first word.
    """

    def __init__(self, config: EkaidPublishedConfig, table: TokenEmbedding, start: int) -> None:
        super().__init__()
        width, hidden = config.width, config.writer_width
        self.words, self.start = table, start
        nn.init.normal_(table.weight)
        self.join = nn.Linear(3 * width, width)
        self.first = nn.LSTMCell(width + hidden, hidden)
        self.mix = nn.Linear(hidden, 3)
        self.kind_in = nn.Linear(hidden, hidden)
        self.kind = nn.Linear(hidden, config.word_kinds)
        self.kind_out = nn.Linear(config.word_kinds, hidden)
        joined = 2 * hidden + width
        self.gate_in = nn.Linear(joined, joined)
        self.gate = nn.Linear(joined, width)
        self.second = nn.LSTMCell(config.word_width + width, hidden)
        self.out = nn.Linear(hidden, table.num_rows)
        self.dropout = nn.Dropout(config.dropout)

    def losses(self, vectors: Tensor, answers: PaddedTokens, smoothing: float) -> TokenLosses:
        """Loss of every word of the answers, each predicted from those before it.

        Args:
            vectors: [B, 3, D].
            answers: token ids, end token included.
        """
        rows = self.words.rows(answers.tokens.masked_fill(~answers.is_used, self.start))
        state, joined = self._start(vectors), self._joined(vectors)
        word = self._first_word(len(rows), rows.device)
        outputs = []
        for following in rows.unbind(1):
            state = self._step(word, state, vectors, joined)
            outputs.append(self.dropout(state[2]))
            word = following
        row, position = answers.is_used.nonzero(as_tuple=True)
        hidden = torch.stack(outputs, dim=1)[row, position]
        targets, out = rows[row, position], self.out
        return token_losses(hidden, out.weight, targets, row, smoothing, out.bias)

    def hypotheses(
        self, vectors: Tensor, generation: GenerationConfig, end: int
    ) -> list[list[Hypothesis]]:
        """The finished texts of each row, best first."""
        joined = self._joined(vectors)
        state = self._step(
            self._first_word(len(vectors), vectors.device), self._start(vectors), vectors, joined
        )

        def step(tokens: Tensor, order: Tensor) -> Tensor:
            nonlocal state, vectors, joined
            vectors, joined = vectors[order], joined[order]
            state = self._step(tokens, reordered(state, order), vectors, joined)
            return self._logits(state)

        return search_tokens(step, self._logits(state), generation, self.words, end)

    def _logits(self, state: State) -> Tensor:
        logits: Tensor = self.out(self.dropout(state[2])).float()
        return logits

    def _joined(self, vectors: Tensor) -> Tensor:
        joined: Tensor = self.dropout(F.relu(self.join(vectors.flatten(1))))
        return joined

    def _start(self, vectors: Tensor) -> State:
        zero = vectors.new_zeros(len(vectors), self.out.in_features)
        return zero, zero, zero, zero

    def _first_word(self, count: int, device: torch.device) -> Tensor:
        return torch.full((count,), self.words.row(self.start), device=device)

    def _step(self, word: Tensor, state: State, vectors: Tensor, joined: Tensor) -> State:
        """One word of every row: rows of the table [B] -> the next state."""
        before = state[2]
        first = self.first(torch.cat([joined, before], dim=-1), (state[0], state[1]))
        mixture = self.mix(first[0]).softmax(-1)  # [B, 3]
        mixed = (mixture[..., None] * vectors).sum(1)  # [B, D]
        kinds = self.kind(self.dropout(F.relu(self.kind_in(before))))
        kind = self.kind_out(self.dropout(kinds).softmax(-1))
        gate = self.gate_in(torch.cat([before, kind, mixed], dim=-1))
        gate = torch.sigmoid(self.gate(self.dropout(F.relu(gate))))
        vector = self.dropout(F.relu(self.words.embed(word)))
        second = self.second(torch.cat([vector, gate * mixed], dim=-1), (before, state[3]))
        return first[0], first[1], second[0], second[1]
