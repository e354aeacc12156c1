"""GPT-2 behind a visual prefix: losses against a plain computation, limits of the positions."""

import pytest
import torch

from lapse.config import GenerationConfig, LanguageModelConfig
from lapse.models.backbones.gpt2 import GPT2
from lapse.models.backbones.prefix_decoder import PrefixDecoder
from lapse.models.layers.padding import PaddedTokens

TINY = LanguageModelConfig(width=16, layers=2, heads=2, max_positions=12, dropout=0.0)
END = 29


def decoder() -> PrefixDecoder:
    torch.manual_seed(0)
    model = GPT2(TINY, tuple(range(30))).eval()
    return PrefixDecoder(model, torch.randn(2, 5, 16), model.positions)


def texts(length: int) -> PaddedTokens:
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randint(0, 29, (2, length), generator=generator)
    return PaddedTokens(tokens, torch.tensor([length, length - 2]))


def test_losses_are_the_cross_entropy_of_the_targets_after_the_prefix():
    prefixed, text = decoder(), texts(8)
    is_target = text.is_used
    is_target[:, :3] = False
    losses = prefixed.losses(text, is_target, 0.0)
    model, expected = prefixed.language_model, []
    for row in range(2):
        for position in range(3, int(text.lengths[row])):
            read = text.tokens[row, :position]
            x = model.tokens.embed(read) + model.positions[:position]
            hidden = model(torch.cat([prefixed.visual[row], x])[None])[0, -1]
            logits = model.tokens.logits(hidden).log_softmax(-1)
            expected.append(-logits[text.tokens[row, position]])
    torch.testing.assert_close(losses.plain, torch.stack(expected), rtol=1e-4, atol=1e-5)
    assert losses.row.tolist() == [0] * 5 + [1] * 3


def test_a_text_longer_than_the_positions_is_refused():
    text = texts(13)
    with pytest.raises(ValueError, match="text of 13 tokens exceeds the 12 text positions"):
        decoder().losses(text, text.is_used, 0.0)


def test_a_prompt_that_fills_the_positions_is_refused():
    with pytest.raises(ValueError, match="prompt of 12 tokens leaves no room for an answer"):
        decoder().hypotheses(texts(12), GenerationConfig(), END)


@torch.no_grad()
def test_a_row_without_positions_ends():
    found = decoder().hypotheses(texts(8), GenerationConfig(num_beams=3, max_new_tokens=50), END)
    # The token at the last position is read, and one more is generated from it.
    assert max(len(text.tokens) for text in found[0]) <= 12 - 8 + 1
    assert max(len(text.tokens) for text in found[1]) <= 12 - 6 + 1
