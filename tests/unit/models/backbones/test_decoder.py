"""The captioning decoder: causality, parallel rows, shared images, cached writing."""

import pytest
import torch

from lapse.config import DecoderConfig
from lapse.models.backbones.cross_attention import RowsByImage
from lapse.models.backbones.decoder import TextDecoder

TINY = DecoderConfig(width=24, layers=2, heads=3, mlp_width=48, max_tokens=20)
KEPT = tuple(range(256))


@pytest.fixture
def decoder() -> TextDecoder:
    torch.manual_seed(0)
    return TextDecoder(TINY, KEPT).eval()


def visual(images: int = 2) -> torch.Tensor:
    return torch.randn(images, 7, 24, generator=torch.Generator().manual_seed(1))


def texts(rows: int = 4, length: int = 9) -> torch.Tensor:
    return torch.randint(0, 256, (rows, length), generator=torch.Generator().manual_seed(2))


def run(decoder, rows, image_of, is_masked=None, lengths=None):
    memory = decoder.memory(visual(), image_of)
    is_masked = torch.zeros_like(rows, dtype=torch.bool) if is_masked is None else is_masked
    lengths = torch.full((len(rows),), rows.shape[1]) if lengths is None else lengths
    return decoder(rows, memory, is_masked, lengths)


def test_token_t_does_not_move_what_stands_before_t(decoder):
    rows, image_of = texts(), torch.tensor([0, 0, 1, 1])
    for position in range(1, rows.shape[1]):
        changed = rows.clone()
        changed[:, position] = (changed[:, position] + 1) % 256
        one, two = run(decoder, rows, image_of), run(decoder, changed, image_of)
        assert torch.allclose(one[:, :position], two[:, :position], atol=1e-6)
        assert not torch.allclose(one[:, position:], two[:, position:], atol=1e-3)


def test_parallel_rows_ignore_their_hidden_tokens_and_see_their_prefix(decoder):
    rows, image_of = texts(), torch.tensor([0, 0, 1, 1])
    hidden = torch.zeros_like(rows, dtype=torch.bool)
    hidden[:2, 2:] = True  # rows 0 and 1 are parallel behind a prefix of two tokens
    changed = rows.clone()
    changed[:2, 2:] = (changed[:2, 2:] + 5) % 256
    one = run(decoder, rows, image_of, hidden)
    assert torch.equal(one, run(decoder, changed, image_of, hidden))
    prefix = rows.clone()
    prefix[0, 0] = (prefix[0, 0] + 1) % 256
    moved = run(decoder, prefix, image_of, hidden)
    assert not torch.allclose(one[0], moved[0], atol=1e-3)
    assert torch.equal(one[1], moved[1])


def test_parallel_rows_attend_to_their_whole_length(decoder):
    rows, image_of = texts(1, 8), torch.tensor([0])
    hidden = torch.zeros_like(rows, dtype=torch.bool)
    hidden[:, 2:] = True
    longer = run(decoder, rows, image_of, hidden, torch.tensor([8]))
    shorter = run(decoder, rows, image_of, hidden, torch.tensor([6]))
    assert not torch.allclose(longer[:, 3], shorter[:, 3], atol=1e-4)


def test_padding_changes_nothing(decoder):
    rows, image_of = texts(2, 6), torch.tensor([0, 1])
    hidden = torch.zeros_like(rows, dtype=torch.bool)
    hidden[1, 1:] = True
    lengths = torch.tensor([6, 6])
    padded = torch.cat([rows, torch.zeros(2, 5, dtype=torch.long)], 1)
    hidden_padded = torch.cat([hidden, torch.zeros(2, 5, dtype=torch.bool)], 1)
    one = run(decoder, rows, image_of, hidden, lengths)
    two = run(decoder, padded, image_of, hidden_padded, lengths)
    assert torch.allclose(one, two[:, :6], atol=1e-6)


@pytest.mark.parametrize(
    ("image_of", "images", "per_image"),
    [
        ([0, 0, 1, 1], 2, 2),  # in order
        ([1, 0, 1, 0], 2, 2),  # in another order
        ([0, 0, 0, 1], 2, 3),  # with unused slots
        ([0, 0, 0, 2], 4, 0),  # too many unused slots: keys and values are copied
    ],
)
def test_sharing_an_image_equals_one_pass_per_row(image_of, images, per_image):
    torch.manual_seed(0)
    decoder = TextDecoder(TINY, KEPT)
    index, rows = torch.tensor(image_of), texts()
    assert RowsByImage.of(index, images).per_image == per_image
    shared_images = visual(images).requires_grad_()
    memory = decoder.memory(shared_images, index)
    none, lengths = torch.zeros_like(rows, dtype=torch.bool), torch.full((4,), 9)
    shared = decoder(rows, memory, none, lengths)
    # Not the sum of squares: behind a norm it is nearly constant, and fp32 rounding weighs more.
    weights = torch.randn(shared.shape, generator=torch.Generator().manual_seed(4))
    (shared * weights).sum().backward()
    gradient = {
        name: p.grad.clone() for name, p in decoder.named_parameters() if p.grad is not None
    }
    decoder.zero_grad()
    own_images = visual(images).requires_grad_()
    each = [
        decoder(
            rows[i : i + 1],
            decoder.memory(own_images[index[i] : index[i] + 1], torch.tensor([0])),
            none[i : i + 1],
            lengths[:1],
        )
        for i in range(4)
    ]
    alone = torch.cat(each)
    (alone * weights).sum().backward()
    assert torch.allclose(shared, alone, atol=1e-6)
    assert relative(shared_images.grad, own_images.grad) < 1e-6
    for name, parameter in decoder.named_parameters():
        if parameter.grad is not None:
            assert relative(parameter.grad, gradient[name]) < 1e-6, name


def relative(one: torch.Tensor, two: torch.Tensor) -> float:
    return float((one - two).norm() / two.norm().clamp(min=1e-3))


def test_a_row_of_no_image_is_refused(decoder):
    with pytest.raises(ValueError, match="a row names image 2, the batch has 2"):
        run(decoder, texts(2), torch.tensor([0, 2]))


def test_a_full_row_is_reported_and_does_not_affect_others(decoder):
    rows = texts(2, 20)
    with torch.no_grad():
        memory = decoder.memory(visual(), torch.tensor([0, 1]))
        _, cache = decoder.start(rows[:, :19], memory, torch.tensor([19, 3]), max_new_tokens=3)
        for step, full in enumerate([[False, False], [True, False], [True, False]]):
            assert decoder.is_full(cache).tolist() == full
            hidden = decoder.step(rows[:, step], cache)
        text = torch.cat([rows[1, :3], rows[1, :3]])
        full = run(decoder, text[None], torch.tensor([1]))
    assert torch.allclose(hidden[1], full[0, -1], atol=1e-5)


def test_cached_writing_equals_reading_the_whole_text(decoder):
    rows, image_of = texts(3, 10), torch.tensor([1, 0, 1])
    prompts = torch.tensor([4, 2, 3])
    with torch.no_grad():
        memory = decoder.memory(visual(), image_of)
        last, cache = decoder.start(rows[:, :4], memory, prompts, max_new_tokens=6)
        for row, length in enumerate(prompts):
            full = run(decoder, rows[row : row + 1, :length], image_of[row : row + 1])
            assert torch.allclose(last[row], full[0, -1], atol=1e-5)
        cache.reorder(torch.tensor([2, 0, 1]))
        order, written = [2, 0, 1], rows[:, 5:8]
        for step in range(3):
            hidden = decoder.step(written[order, step], cache)
        for position, row in enumerate(order):
            text = torch.cat([rows[row, : prompts[row]], written[row]])
            full = run(decoder, text[None], image_of[row : row + 1])
            assert torch.allclose(hidden[position], full[0, -1], atol=1e-5)


def test_too_long_a_text_says_the_limit(decoder):
    with pytest.raises(ValueError, match="21 tokens exceeds the decoder's 20"):
        run(decoder, texts(2, 21), torch.tensor([0, 1]))


def test_the_other_image_gives_other_words(decoder):
    rows = texts(1)
    one, two = run(decoder, rows, torch.tensor([0])), run(decoder, rows, torch.tensor([1]))
    assert not torch.allclose(one, two, atol=1e-4)


def test_keeping_only_the_inputs_of_blocks_changes_no_gradient(decoder):
    rows, image_of = texts(), torch.tensor([0, 0, 1, 1])
    thrifty = TextDecoder(TINY.model_copy(update={"activation_checkpointing": True}), KEPT)
    thrifty.load_state_dict(decoder.state_dict())
    for model in (decoder, thrifty):
        run(model, rows, image_of).square().mean().backward()
    for (name, one), (_, two) in zip(
        decoder.named_parameters(), thrifty.named_parameters(), strict=True
    ):
        assert (one.grad is None) == (two.grad is None), name
        assert one.grad is None or torch.allclose(one.grad, two.grad, atol=1e-7), name
