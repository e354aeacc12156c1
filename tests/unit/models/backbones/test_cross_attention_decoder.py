"""Losses of rows in groups of similar length; beam search from one cache."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lapse.config import DecoderConfig
from lapse.data.loading.batch import ParallelForm
from lapse.models.backbones.cross_attention_decoder import CrossAttentionDecoder, length_groups
from lapse.models.backbones.decoder import TextDecoder
from lapse.models.layers.padding import PaddedTokens

SMALL = DecoderConfig(width=16, layers=2, heads=2, mlp_width=24, max_tokens=64)
LENGTHS = (6, 5, 40, 7, 38)
IMAGE_OF = (1, 0, 0, 1, 1)


def test_groups_of_similar_length():
    assert length_groups([60, 20, 22, 21]) == [[1, 3, 2], [0]]
    assert length_groups([20, 22]) == [[0, 1]]


@given(st.lists(st.integers(1, 448), min_size=1, max_size=40))
def test_groups_hold_each_row_once_and_never_cost_more(lengths):
    groups = length_groups(lengths)
    assert sorted(row for rows in groups for row in rows) == list(range(len(lengths)))
    cost = sum(len(rows) * max(lengths[row] for row in rows) for rows in groups)
    assert cost <= len(lengths) * max(lengths)


@pytest.mark.parametrize("parallel_row", [None, 2])
def test_losses_in_groups_equal_losses_row_by_row(parallel_row):
    torch.manual_seed(0)
    decoder = TextDecoder(SMALL, tuple(range(30)))
    visual = torch.randn(2, 9, 16)
    tokens = torch.randint(0, 30, (5, max(LENGTHS)))
    text = PaddedTokens(tokens, torch.tensor(LENGTHS))
    is_target = text.is_used
    is_target[:, :2] = False
    parallel = torch.zeros(5, dtype=torch.bool)
    if parallel_row is not None:
        parallel[parallel_row] = True
    assert len(length_groups(list(LENGTHS))) == 2

    def losses(rows):
        memory = decoder.memory(visual, torch.tensor([IMAGE_OF[row] for row in rows]))
        part = PaddedTokens(tokens[rows], text.lengths[rows])
        attending = CrossAttentionDecoder(decoder, memory)
        return attending.losses(part, is_target[rows], parallel[rows], 0.1)

    together = losses(list(range(5)))
    together.smoothed.sum().backward()
    gradients = {n: p.grad for n, p in decoder.named_parameters() if p.grad is not None}
    decoder.zero_grad(set_to_none=True)
    for row in range(5):
        alone = losses([row])
        alone.smoothed.sum().backward()
        of_row = together.row == row
        torch.testing.assert_close(together.smoothed[of_row], alone.smoothed)
        torch.testing.assert_close(together.plain[of_row], alone.plain)
    for name, parameter in decoder.named_parameters():
        if parameter.grad is not None:
            torch.testing.assert_close(gradients[name], parameter.grad, rtol=1e-4, atol=1e-5)


def parallel_losses(form, tokens, lengths, *, is_first=True):
    """Losses of a decoder on one image; the first row is parallel, the second causal."""
    torch.manual_seed(0)
    decoder = TextDecoder(SMALL, tuple(range(30))).eval()
    memory = decoder.memory(torch.randn(1, 9, 16), torch.tensor([0, 0]))
    text = PaddedTokens(tokens, torch.tensor(lengths))
    is_target = text.is_used
    is_target[:, :2] = False  # the prefix
    parallel = torch.tensor([is_first, False])
    losses = CrossAttentionDecoder(decoder, memory).losses(
        text, is_target, parallel, 0.0, form=form
    )
    return [losses.plain[losses.row == row] for row in range(2)]


FORMS = [
    ParallelForm(attends=attends, shows_prefix=shows, knows_length=knows)
    for attends in (True, False)
    for shows in (True, False)
    for knows in (True, False)
]


@pytest.mark.parametrize("form", FORMS)
def test_what_a_parallel_row_sees(form):
    """The prefix, the length and the order of the other places, as the form says."""
    torch.manual_seed(1)
    tokens = torch.randint(0, 30, (2, 12))
    base, causal = parallel_losses(form, tokens, (9, 12))

    def is_equal(other_tokens, lengths, places=7):
        other, other_causal = parallel_losses(form, other_tokens, lengths)
        torch.testing.assert_close(other_causal, causal)  # the other row never changes
        return torch.allclose(other[:places], base[:places], atol=1e-6)

    prefix = tokens.clone()
    prefix[0, :2] = (prefix[0, :2] + 1) % 30
    sees_prefix = form.attends and form.shows_prefix
    assert is_equal(prefix, (9, 12)) == (not sees_prefix)
    target = tokens.clone()
    target[0, 8] = (target[0, 8] + 1) % 30
    assert is_equal(target, (9, 12), places=6)  # a hidden place changes its own loss alone
    sees_length = form.attends and form.knows_length
    assert is_equal(tokens, (7, 12), places=5) == (not sees_length)


def test_an_unknown_length_reads_all_places_of_the_decoder(monkeypatch):
    seen = []
    forward = TextDecoder.forward

    def spy(self, rows, memory, is_masked, lengths, **options):
        seen.append((lengths.tolist(), is_masked.sum(dim=1).tolist()))
        return forward(self, rows, memory, is_masked, lengths, **options)

    monkeypatch.setattr(TextDecoder, "forward", spy)
    tokens = torch.ones(2, 12, dtype=torch.long)
    losses = parallel_losses(ParallelForm(knows_length=False), tokens, (9, 12))
    assert sorted(seen) == [([12], [0]), ([64], [62])]  # the prefix of two tokens stays visible
    assert [len(item) for item in losses] == [7, 10]  # no loss behind the end


WINDOW = SMALL.model_copy(update={"bias": False, "tied": False})


def window_losses(lengths, tokens, parallel):
    torch.manual_seed(0)
    decoder = TextDecoder(WINDOW, tuple(range(30)))
    torch.nn.init.normal_(decoder.output)
    visual = torch.randn(2, 9, 16, generator=torch.Generator().manual_seed(4))
    text = PaddedTokens(tokens, torch.tensor(lengths))
    is_target = text.is_used
    is_target[:, :1] = False
    memory = decoder.memory(visual, torch.tensor([0, 1, 0]))
    form = ParallelForm(knows_length=False, shows_prefix=False)
    attending = CrossAttentionDecoder(decoder, memory)
    losses = attending.losses(text, is_target, parallel, 0.0, form=form)
    return decoder, visual, losses


@torch.no_grad()
def test_a_window_hides_the_text_and_its_length():
    """CapPa: one mask id at every place, attention to all places, targets without a shift."""
    tokens = torch.randint(0, 30, (3, 12), generator=torch.Generator().manual_seed(1))
    parallel = torch.tensor([True, False, True])
    decoder, visual, losses = window_losses([12, 9, 5], tokens, parallel)
    for row, length in ((0, 12), (2, 5)):
        x = decoder.tokens.mask + decoder.positions  # [64, D]
        for block in decoder.blocks:
            query, key, value = (
                part.squeeze(0) for part in block.self_attention.project(block.norm_self(x)[None])
            )
            weights = (query @ key.transpose(-1, -2) / 8**0.5).softmax(-1)
            mixed = (weights @ value).transpose(0, 1).flatten(1)
            x = x + block.self_attention.out(mixed)
            pair = block.cross_attention.project(visual[:1])
            query = block.cross_attention.query(block.norm_cross(x)).view(64, 2, 8).transpose(0, 1)
            weights = (query @ pair[0][0].transpose(-1, -2) / 8**0.5).softmax(-1)
            x = x + block.cross_attention.out((weights @ pair[1][0]).transpose(0, 1).flatten(1))
            x = x + block.mlp(block.norm_mlp(x))
        lines = (decoder.norm(x) @ decoder.output.t()).log_softmax(-1)
        expected = torch.stack([-lines[place, tokens[row, place]] for place in range(1, length)])
        torch.testing.assert_close(losses.plain[losses.row == row], expected, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_a_causal_row_is_the_same_beside_a_window_row():
    tokens = torch.randint(0, 30, (3, 12), generator=torch.Generator().manual_seed(1))
    mixed = window_losses([12, 9, 5], tokens, torch.tensor([True, False, True]))[2]
    causal = window_losses([12, 9, 5], tokens, torch.zeros(3, dtype=torch.bool))[2]
    torch.testing.assert_close(mixed.plain[mixed.row == 1], causal.plain[causal.row == 1])
    assert sorted(mixed.row.tolist()) == sorted(causal.row.tolist())


def test_a_decoder_as_cappas_has_no_bias_and_an_output_of_zero():
    decoder = TextDecoder(WINDOW, tuple(range(30)))
    assert not [name for name, _ in decoder.named_parameters() if "bias" in name]
    assert not decoder.output.any()
    assert float(decoder.tokens.weight.detach().std()) == pytest.approx(1.0, rel=0.1)
