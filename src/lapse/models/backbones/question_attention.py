"""EKAID's question: a GRU over its words, padding included, and attention over the states.

Legend: B rows  T words  W width of a word  D width

    word = [learned; fixed random] --GRU--> h_t    a = softmax_t(v tanh(U h_t))    q = sum a_t h_t
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lapse.config.vqa import EkaidPublishedConfig
from lapse.models.layers.ekaid_graph import normed_linear
from lapse.models.layers.padding import PaddedTokens
from lapse.models.layers.token_embedding import TokenEmbedding
from lapse.models.layers.transformer import normal_parameter

WORD_DEVIATION = 0.3  # not published


class QuestionAttention(nn.Module):
    """Reads a question of at most `question_words` words; shorter ones are padded to them.

    Each half of a word vector has `word_width` numbers.

    Weights: learned and fixed word vectors normal with deviation 0.3; PyTorch's defaults.
    """

    fixed: Tensor

    def __init__(self, config: EkaidPublishedConfig, num_words: int) -> None:
        super().__init__()
        self.max_words = config.question_words
        width, word_width = config.width, config.word_width
        self.learned = normal_parameter(num_words, word_width, std=WORD_DEVIATION)
        fixed = torch.empty(num_words, word_width)
        self.register_buffer("fixed", nn.init.normal_(fixed, std=WORD_DEVIATION))
        self.gru = nn.GRU(2 * word_width, width, batch_first=True)
        self.inner = normed_linear(width, width)
        self.outer = normed_linear(width, 1)
        self.dropout = nn.Dropout(config.graph_dropout)

    def forward(self, questions: PaddedTokens, table: TokenEmbedding) -> Tensor:
        """Questions -> [B, D].

        Raises:
            ValueError: a question has more words than are read.
        """
        length = questions.tokens.shape[1]
        if length > self.max_words:
            raise ValueError(
                f"a question of {length} words exceeds the {self.max_words} that are read: raise "
                "model.question_words"
            )
        rows = table.rows(questions.tokens).masked_fill(~questions.is_used, 0)
        rows = nn.functional.pad(rows, (0, self.max_words - length))
        words = torch.cat([self.learned[rows], self.fixed[rows]], dim=-1)
        states, _ = self.gru(words)  # [B, T, D]
        weights = self.outer(torch.tanh(self.inner(states))).softmax(dim=1)
        question: Tensor = self.dropout((weights * states).sum(1))
        return question
