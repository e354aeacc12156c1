"""EKAID's writer, against a plain computation word by word."""

import pytest
import torch

from lapse.config import GenerationConfig
from lapse.config.vqa import EkaidPublishedConfig
from lapse.models.backbones.ekaid_writer import EkaidWriter
from lapse.models.layers.padding import pad_tokens
from lapse.models.layers.token_embedding import TokenEmbedding

END, START = 0, 1
CONFIG = EkaidPublishedConfig(width=16, writer_width=8, word_width=9, word_kinds=3, dropout=0.0)
ANSWERS = [[3, 4, 5, END], [6, END]]


def writer():
    torch.manual_seed(0)
    return EkaidWriter(CONFIG, TokenEmbedding(9, size=7), START)


def vectors():
    return torch.randn(2, 3, 16, generator=torch.Generator().manual_seed(2))


def cell(lstm, x, hidden, memory):
    """One LSTM step by its formulas."""
    gates = x @ lstm.weight_ih.t() + lstm.bias_ih + hidden @ lstm.weight_hh.t() + lstm.bias_hh
    enter, forget, new, leave = gates.chunk(4)
    memory = torch.sigmoid(forget) * memory + torch.sigmoid(enter) * torch.tanh(new)
    return torch.sigmoid(leave) * torch.tanh(memory), memory


def plain_logits(made, given, words):
    """Logits after each of `words`, for the three vectors of one row."""
    before, difference, after = given
    joined = torch.relu(made.join(torch.cat([before, difference, after])))
    h_a = c_a = h_b = c_b = torch.zeros(8)
    logits = []
    for word in words:
        h_a, c_a = cell(made.first, torch.cat([joined, h_b]), h_a, c_a)
        m = made.mix(h_a).softmax(0)
        mixed = m[0] * before + m[1] * difference + m[2] * after
        kind = made.kind_out(made.kind(torch.relu(made.kind_in(h_b))).softmax(0))
        inner = torch.relu(made.gate_in(torch.cat([h_b, kind, mixed])))
        gate = torch.sigmoid(made.gate(inner))
        x = torch.cat([torch.relu(made.words.weight[word]), gate * mixed])
        h_b, c_b = cell(made.second, x, h_b, c_b)
        logits.append(made.out(h_b))
    return torch.stack(logits)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@torch.no_grad()
def test_losses_equal_a_plain_computation(smoothing):
    made, given = writer(), vectors()
    losses = made.losses(given, pad_tokens(ANSWERS, END, "cpu"), smoothing)
    expected = []
    for row, answer in enumerate(ANSWERS):
        logits = plain_logits(made, given[row], [START, *answer[:-1]])
        for line, target in zip(logits.log_softmax(-1), answer, strict=True):
            expected.append(-(1 - smoothing) * line[target] - smoothing * line.mean())
    torch.testing.assert_close(losses.smoothed, torch.stack(expected))
    assert losses.row.tolist() == [0, 0, 0, 0, 1, 1]


@torch.no_grad()
def test_greedy_words_are_the_most_probable_after_those_before():
    made, given = writer(), vectors()
    texts = made.hypotheses(given, GenerationConfig(num_beams=1, max_new_tokens=6), END)
    for row, (text,) in enumerate(texts):
        words = [START]
        for _ in range(6):
            best = int(plain_logits(made, given[row], words)[-1].argmax())
            if best == END:
                break
            words.append(best)
        assert text.tokens == words[1:]


@torch.no_grad()
def test_a_beam_equals_the_sum_of_its_log_probabilities():
    made, given = writer(), vectors()
    texts = made.hypotheses(given, GenerationConfig(num_beams=3, max_new_tokens=4), END)
    for row, candidates in enumerate(texts):
        for text in candidates:
            steps = [*text.tokens, END][: text.length]
            lines = plain_logits(made, given[row], [START, *steps[:-1]]).log_softmax(-1)
            expected = sum(float(line[word]) for line, word in zip(lines, steps, strict=True))
            assert text.log_probability == pytest.approx(expected, abs=1e-4)
