"""EKAID's question: attention over the states of all words, padding included."""

import pytest
import torch

from lapse.config.vqa import EkaidPublishedConfig
from lapse.models.backbones.question_attention import QuestionAttention
from lapse.models.layers.padding import pad_tokens
from lapse.models.layers.token_embedding import TokenEmbedding

TABLE = TokenEmbedding(8, size=9)
CONFIG = EkaidPublishedConfig(width=12, word_width=8, question_words=5, graph_dropout=0.0)


def reader():
    torch.manual_seed(0)
    return QuestionAttention(CONFIG, 9)


@torch.no_grad()
def test_a_question_equals_a_loop_over_its_words():
    made = reader()
    questions = [[3, 4, 5, 6], [7, 8]]
    result = made(pad_tokens(questions, 0, "cpu"), TABLE)
    for row, question in enumerate(questions):
        padded = question + [0] * (5 - len(question))
        words = torch.stack([torch.cat([made.learned[k], made.fixed[k]]) for k in padded])
        states = made.gru(words[None])[0][0]
        scores = torch.stack([made.outer(torch.tanh(made.inner(state)))[0] for state in states])
        expected = sum(
            weight * state for weight, state in zip(scores.softmax(0), states, strict=True)
        )
        torch.testing.assert_close(result[row], expected)


@torch.no_grad()
def test_a_question_does_not_depend_on_the_others():
    made = reader()
    alone = made(pad_tokens([[7, 8]], 3, "cpu"), TABLE)
    together = made(pad_tokens([[7, 8], [3, 4, 5]], 3, "cpu"), TABLE)
    torch.testing.assert_close(alone[0], together[0])


def test_half_of_a_word_is_fixed():
    names = [name for name, _ in reader().named_parameters()]
    assert "learned" in names
    assert "fixed" not in names
    assert "fixed" in reader().state_dict()


def test_a_longer_question_is_refused():
    with pytest.raises(ValueError, match="6 words exceeds the 5 that are read"):
        reader()(pad_tokens([[3] * 6], 0, "cpu"), TABLE)
