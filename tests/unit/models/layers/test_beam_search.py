"""Beam search writes the same tokens as transformers' generate, early ends included."""

import math

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from lapse.config import GenerationConfig
from lapse.models.layers.beam_search import beam_search

END = 0


class Oracle:
    """transformers' GPT-2 without a cache, behind our step function."""

    def __init__(self, seed: int, end_bias: float) -> None:
        torch.manual_seed(seed)
        config = GPT2Config(
            n_embd=32, n_layer=2, n_head=2, n_positions=64, vocab_size=23,
            bos_token_id=END, eos_token_id=END, pad_token_id=END, initializer_range=0.5,
        )  # fmt: skip
        self.model = GPT2LMHeadModel(config).eval()
        self.end_bias = end_bias
        self.model.register_forward_hook(self._bias)

    def _bias(self, _module, _inputs, output):
        output.logits[..., END] += self.end_bias
        return output

    def search(self, prompts: torch.Tensor, config: GenerationConfig) -> list:
        texts = prompts

        def step(tokens, order):
            nonlocal texts
            texts = torch.cat([texts[order], tokens[:, None]], dim=1)
            return self.model(texts).logits[:, -1]

        with torch.no_grad():
            return beam_search(step, self.model(prompts).logits[:, -1], config, END)

    def score(self, prompt: torch.Tensor, written: list[int]) -> float:
        """Log-probability of a continuation, one forward pass."""
        text = torch.cat([prompt, torch.tensor(written)])
        with torch.no_grad():
            each = self.model(text[None]).logits[0].log_softmax(-1)
        return sum(each[len(prompt) - 1 + n, t].item() for n, t in enumerate(written))

    def generate(self, prompts: torch.Tensor, config: GenerationConfig) -> list[list[int]]:
        out = self.model.generate(
            prompts,
            attention_mask=torch.ones_like(prompts),
            num_beams=config.num_beams,
            max_new_tokens=config.max_new_tokens,
            length_penalty=config.length_penalty,
            do_sample=False,
            early_stopping=False,
        )
        rows = out[:, prompts.shape[1] :].tolist()
        return [row[: row.index(END)] if END in row else row for row in rows]


def best(hypotheses: list) -> list[list[int]]:
    """The tokens of the first hypothesis of each prompt."""
    return [row[0].tokens for row in hypotheses]


@pytest.mark.parametrize("beams", [1, 2, 4, 10])
@pytest.mark.parametrize("end_bias", [0.0, 4.0])
@pytest.mark.parametrize("length_penalty", [1.0, 0.6])
def test_identical_to_generate(beams, end_bias, length_penalty):
    config = GenerationConfig(num_beams=beams, max_new_tokens=12, length_penalty=length_penalty)
    equal, ended = 0, 0
    for seed in range(3):
        oracle = Oracle(seed, end_bias)
        prompts = torch.randint(1, 23, (4, 5), generator=torch.Generator().manual_seed(seed))
        ours, peer = best(oracle.search(prompts, config)), oracle.generate(prompts, config)
        equal += sum(one == two for one, two in zip(ours, peer, strict=True))
        ended += sum(len(text) < 12 for text in peer)
    assert equal == 12, f"{equal}/12 equal"
    assert ended > 0 if end_bias else True


def test_one_beam_is_greedy():
    oracle = Oracle(5, 0.0)
    prompts = torch.randint(1, 23, (3, 4))
    text = prompts
    with torch.no_grad():
        for _ in range(6):
            text = torch.cat([text, oracle.model(text).logits[:, -1].argmax(-1)[:, None]], 1)
    expected = [row[: row.index(END)] if END in row else row for row in text[:, 4:].tolist()]
    config = GenerationConfig(num_beams=1, max_new_tokens=6)
    assert best(oracle.search(prompts, config)) == expected


def test_a_wide_beam_finds_the_best_text_of_a_small_table():
    # Two steps, three tokens: every text can be listed; greedy starts wrong on purpose.
    first = torch.tensor([[0.30, 0.36, 0.34]]).log()
    then = {1: [0.34, 0.33, 0.33], 2: [0.05, 0.90, 0.05]}

    def step(tokens, _order):
        return torch.tensor([then.get(int(t), [1 / 3] * 3) for t in tokens]).log()

    config = GenerationConfig(num_beams=3, max_new_tokens=2)
    assert best(beam_search(step, first, config, end=9)) == [[2, 1]]


def test_hypotheses_carry_their_probability():
    """Against a plain forward pass: summed over tokens and end, best first, all different."""
    oracle, config = Oracle(1, 2.0), GenerationConfig(num_beams=5, max_new_tokens=6)
    prompts = torch.randint(1, 23, (3, 4), generator=torch.Generator().manual_seed(1))
    cut = 0
    for row, found in enumerate(oracle.search(prompts, config)):
        assert len({tuple(one.tokens) for one in found}) == len(found) == 5
        scores = [one.log_probability / one.length for one in found]
        assert scores == sorted(scores, reverse=True)
        assert sum(math.exp(one.log_probability) for one in found) < 1.0
        for one in found:
            written = [*one.tokens, END][:6]
            assert one.length == len(written)
            cut += len(one.tokens) == 6
            assert one.log_probability == pytest.approx(
                oracle.score(prompts[row], written), abs=1e-4
            )
    assert cut > 0  # texts without an end are among them


def test_a_greedy_text_carries_its_probability():
    oracle, config = Oracle(1, 2.0), GenerationConfig(num_beams=1, max_new_tokens=6)
    prompts = torch.randint(1, 23, (4, 4), generator=torch.Generator().manual_seed(2))
    for row, found in enumerate(oracle.search(prompts, config)):
        written = [*found[0].tokens, END][:6]
        assert len(found) == 1 and found[0].length == len(written)
        assert found[0].log_probability == pytest.approx(
            oracle.score(prompts[row], written), abs=1e-4
        )
