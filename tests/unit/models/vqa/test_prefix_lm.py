"""Stage 2: frozen stays frozen, order of the images counts, the loss is on the answer only."""

from dataclasses import replace

import pytest
import torch

from lapse.config import (
    EncoderConfig,
    GenerationConfig,
    LanguageModelConfig,
    PrefixLMConfig,
    load_config,
)
from lapse.core.tokenizer import Tokenizer, trimmed_ids
from lapse.core.types import Sample
from lapse.data.loading.batch import Batch, collate, encode_sample
from lapse.models.vqa.prefix_lm import PrefixLM

SMALL = PrefixLMConfig(
    encoder=EncoderConfig(
        image_size=32, patch_size=8, channels=1, width=24, layers=1, heads=2, mlp_width=48
    ),
    language_model=LanguageModelConfig(width=32, layers=2, heads=2, max_positions=40, dropout=0.1),
)


def samples() -> list[Sample]:
    words = ["edema", "hernia", "fracture", "nothing"]
    questions = ["what has changed?", "what has changed in the left lung area?"]
    images = [("a", "b"), ("b", "a"), ("a", "c"), ("c", "b")]
    return [
        Sample(f"diff_vqa/{i}", "diff_vqa", images[i], "p", questions[i % 2], "", f" {words[i]}.")
        for i in range(4)
    ]


TOKENIZER = Tokenizer(trimmed_ids([s.prefix + s.answer for s in samples()]))


def batch(rows=None) -> Batch:
    rows = samples() if rows is None else rows
    generator = torch.Generator().manual_seed(3)
    pixels = {
        key: torch.randint(0, 256, (32, 32), dtype=torch.uint8, generator=generator)
        for key in "abc"
    }
    return collate(rows, [encode_sample(row, TOKENIZER, 40) for row in rows], pixels)


def model(**options) -> PrefixLM:
    torch.manual_seed(0)
    return PrefixLM(SMALL.model_copy(update=options), TOKENIZER)


def hidden_answers(system: PrefixLM, inputs: Batch) -> torch.Tensor:
    """Hidden states of the text, by the parts of the decoder."""
    decoder, table = system.prefix_decoder(inputs), system.language_model.tokens
    length = inputs.tokens.shape[1]
    text = table.embed(table.rows(inputs.tokens)) + decoder.text_positions[:length]
    x = torch.cat([decoder.visual, text], dim=1)
    return system.language_model(x)[:, -length:]


@pytest.mark.parametrize("temporal", ["token", "image"])
@pytest.mark.parametrize("visual_positions", ["extend", "interpolate", "learned"])
def test_swapping_reference_and_main_changes_the_logits(temporal, visual_positions):
    system = model(temporal=temporal, visual_positions=visual_positions).eval()
    one = samples()[0]
    swapped = Sample(one.id, one.task, one.images[::-1], one.patient, one.prefix, "", one.answer)
    with torch.no_grad():
        first, second = (hidden_answers(system, batch([row])) for row in (one, swapped))
    assert not torch.allclose(first, second, atol=1e-4)


def test_loss_is_on_the_answer_only_and_smoothed():
    system, inputs = model().eval(), batch()
    logits = system.language_model.tokens.logits(hidden_answers(system, inputs)).log_softmax(-1)
    rows = system.language_model.tokens.rows(inputs.tokens)
    plain, smooth, count = 0.0, 0.0, 0
    for row in range(len(inputs)):
        for position in range(int(inputs.prompt_lengths[row]), int(inputs.lengths[row])):
            scores = logits[row, position - 1]
            plain -= scores[rows[row, position]].item()
            smooth -= (0.89 * scores[rows[row, position]] + 0.11 * scores.mean()).item()
            count += 1
    losses = system.loss(inputs)
    assert system.weight(inputs) == count
    assert losses["nll"].item() == pytest.approx(plain / count, rel=1e-5)
    assert losses["loss"].item() == pytest.approx(smooth / count, rel=1e-5)
    assert losses["loss/diff_vqa"].item() == losses["nll"].item()


def test_text_is_causal_after_the_images():
    system, inputs = model().eval(), batch()
    position = 6
    changed = inputs.tokens.clone()
    changed[:, position] = TOKENIZER.encode("x")[0]
    with torch.no_grad():
        one = hidden_answers(system, inputs)
        two = hidden_answers(system, replace(inputs, tokens=changed))
    assert torch.allclose(one[:, :position], two[:, :position], atol=1e-6)
    assert not torch.allclose(one[:, position:], two[:, position:], atol=1e-3)


def test_image_blind_baselines_ignore_the_hidden_images():
    inputs = batch([samples()[0]])
    for images, hidden in (("none", (0, 1)), ("main", (0,)), ("reference", (1,))):
        system = model(images=images).eval()
        for column in (0, 1):
            other = inputs.images.clone()
            other[inputs.image_index[0, column]] = 255 - other[inputs.image_index[0, column]]
            with torch.no_grad():
                same = torch.equal(
                    hidden_answers(system, inputs),
                    hidden_answers(system, replace(inputs, images=other)),
                )
            assert same == (column in hidden), (images, column)


@pytest.mark.parametrize("visual_positions", ["extend", "interpolate", "learned"])
@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize("max_tokens", [5, 60])  # 60 is more than there are text positions
def test_batched_answers_equal_answers_one_by_one(visual_positions, beams, max_tokens):
    system = model(visual_positions=visual_positions).eval()
    decode = GenerationConfig(num_beams=beams, max_new_tokens=max_tokens)
    with torch.no_grad():
        together = system.answer(batch(), decode)
        alone = [system.answer(batch([row]), decode)[0] for row in samples()]
    assert together == alone


def test_an_answer_ends_where_the_text_positions_end():
    system = model().eval()

    def written(row, max_tokens):
        return system.answer(
            batch([row]), GenerationConfig(num_beams=1, max_new_tokens=max_tokens)
        )[0]

    for row in samples():
        # The last token needs no position: it is written, and never read.
        limit = 40 - int(batch([row]).prompt_lengths) + 1
        assert written(row, 60) == written(row, limit) != written(row, limit - 1)


def test_a_single_image_question_is_about_the_main_image():
    row = Sample("1", "diff_vqa", ("a",), "p", "is there edema?", "", " yes")
    system = model().eval()
    assert system.prefix_decoder(batch([row])).visual.shape[1] == system.num_visual
    assert system.answer(batch([row]), GenerationConfig(num_beams=2, max_new_tokens=3))


@pytest.mark.parametrize("visual_positions", ["extend", "interpolate", "learned"])
def test_difference_tokens_follow_the_tokens_of_both_images(visual_positions):
    plain = model(visual_positions=visual_positions).eval()
    system = model(visual_positions=visual_positions, difference_tokens=True).eval()
    state = {k: v for k, v in plain.state_dict().items() if k != "visual_positions"}
    system.load_state_dict(state, strict=False)
    with torch.no_grad():
        visual = system.prefix_decoder(batch()).visual
        images = system.image_tokens(batch())
        table = system._position_table()
    num = system.num_visual
    assert visual.shape[1] == 3 * num == 3 * plain.prefix_decoder(batch()).visual.shape[1] // 2
    row = batch().image_index[0]
    difference = images[row[1]] - images[row[0]] + system.temporal[1] - system.temporal[0]
    expected = system.adapter(difference) + table[2 * num : 3 * num]
    assert torch.allclose(visual[0, 2 * num :], expected, atol=1e-5)
    assert torch.isfinite(system.loss(batch())["loss"])
    single = Sample("1", "diff_vqa", ("a",), "p", "is there edema?", "", " yes")
    assert system.prefix_decoder(batch([single])).visual.shape[1] == num


def test_difference_tokens_need_both_images():
    with pytest.raises(ValueError, match=r"needs model.images=both, got 'main'"):
        PrefixLMConfig(difference_tokens=True, images="main")


def test_pooling_and_its_limit():
    assert model(pool=2).num_visual == 4
    assert torch.isfinite(model(pool=2).loss(batch())["loss"])
    with pytest.raises(ValueError, match="pool 3 does not divide the 4 x 4"):
        model(pool=3)


def test_gpt2_medium_on_the_meta_device():
    config = load_config("diffvqa-lapse").model_config_object()
    with torch.device("meta"):
        paper = PrefixLM(config, Tokenizer())
    gpt2 = sum(p.numel() for p in paper.language_model.parameters()) / 1e6
    assert gpt2 == pytest.approx(354.8, abs=0.05)
    trained = sum(p.numel() for p in paper.parameters() if p.requires_grad) / 1e6
    assert trained == pytest.approx(354.8 + 2.2 + 2.1 + 2.4, abs=0.5)
