"""OFA's encoder and decoder: order, types, padding, and generation with a cache."""

import torch
from torch import nn

from lapse.config.vqa import OfaConfig
from lapse.models.backbones.ofa import Encoded, Images, OfaDecoder, OfaEncoder
from lapse.models.layers.padding import pad_tokens

CONFIG = OfaConfig(width=12, layers=2, heads=2, mlp_width=20, side=4, max_tokens=9, dropout=0.0,
                   drop_path=0.0)  # fmt: skip


def randomised(module):
    """Relative biases start at zero; tests need others."""
    for name, parameter in module.named_parameters():
        if "bias.table" in name or "gain" in name:
            nn.init.normal_(parameter)
    return module.eval()


def encoder():
    torch.manual_seed(0)
    return randomised(OfaEncoder(CONFIG, 5))


def images(num_images=2, num_patches=3):
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randn(2, num_images, num_patches, 5, generator=generator)
    places = torch.stack(
        [torch.randperm(16, generator=generator)[:num_patches] for _ in range(2 * num_images)]
    )
    return Images(tokens, places.view(2, num_images, num_patches))


def words(length=4):
    return torch.randn(2, length, 12, generator=torch.Generator().manual_seed(2))


def plain_encoded(made, seen, text, lengths):
    """The encoder by loops over tokens; returns the used states of each row."""
    results = []
    for row, length in enumerate(lengths):
        tokens, positions, segments = [], [], []
        num_images = seen.tokens.shape[1]
        for index in range(num_images):
            kind = 1 if index == 0 and num_images == 2 else 0
            for token, place in zip(seen.tokens[row, index], seen.places[row, index], strict=True):
                tokens.append(made.norm_image(made.project(token) + made.types[kind]))
                positions.append(made.norm_image_position(made.image_positions[place + 1]))
                segments.append((index, int(place)))
        for index in range(length):
            tokens.append(made.norm_text(text[row, index] + made.types[0]))
            positions.append(made.norm_text_position(made.text_positions[index]))
            segments.append(("text", index))
        x = torch.stack(tokens)
        count = len(tokens)
        query = made.absolute.query(torch.stack(positions))
        key = made.absolute.key(torch.stack(positions))
        for block in made.blocks:
            bias = torch.zeros(2, count, count)
            for head in range(2):
                part = slice(6 * head, 6 * head + 6)
                for i in range(count):
                    for j in range(count):
                        bias[head, i, j] = query[i, part] @ key[j, part] / 12**0.5
                        if segments[i][0] != segments[j][0]:
                            continue
                        one, two = segments[i][1], segments[j][1]
                        if segments[i][0] == "text":
                            bias[head, i, j] += block.text_bias.table[two - one + 255, head]
                        else:
                            down, right = two // 4 - one // 4 + 3, two % 4 - one % 4 + 3
                            bias[head, i, j] += block.image_bias.table[down * 7 + right, head]
            normed = block.norm_attention(x)[None]
            x = x + block.attention(normed, block.attention.project(normed), bias[None])[0]
            x = x + block.mlp(block.norm_mlp(x))
        results.append(made.norm(x))
    return results


@torch.no_grad()
def test_the_encoder_equals_a_loop_with_and_without_a_prior_image():
    made = encoder()
    for num_images in (1, 2):
        seen, lengths = images(num_images), [4, 2]
        text = pad_tokens([[0] * length for length in lengths], 0, "cpu")
        encoded = made(seen, words(), text)
        plain = plain_encoded(made, seen, words(), lengths)
        for row, expected in enumerate(plain):
            used = encoded.states[row][encoded.is_used[row]]
            torch.testing.assert_close(used, expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_a_text_read_token_by_token_has_the_states_of_the_whole():
    torch.manual_seed(0)
    decoder, text = randomised(OfaDecoder(CONFIG)), words(5)
    used = torch.ones(2, 6, dtype=torch.bool)
    used[1, 4:] = False
    encoded = Encoded(torch.randn(2, 6, 12), torch.randn(2, 6, 12), used)
    whole = decoder.read(text, decoder.start(encoded, 5))
    state = decoder.start(encoded, 9)
    parts = [decoder.read(text[:, index : index + 1], state) for index in range(5)]
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_a_later_word_and_padding_change_nothing_before():
    torch.manual_seed(0)
    decoder, text = randomised(OfaDecoder(CONFIG)), words(5)
    used = torch.ones(2, 6, dtype=torch.bool)
    used[:, 4:] = False
    states, positions = torch.randn(2, 2, 6, 12)
    changed = torch.where(used[..., None], states, 7.0)
    other = text.clone()
    other[:, 3:] += 1
    one, two = (
        decoder.read(words_in, decoder.start(Encoded(memory, positions, used), 5))
        for words_in, memory in ((text, states), (other, changed))
    )
    torch.testing.assert_close(one[:, :3], two[:, :3])
    assert not torch.allclose(one[:, 3:], two[:, 3:])
