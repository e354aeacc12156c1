"""Stage 1: where the loss is, what it ignores, the paper's size, and that it can overfit."""

from dataclasses import replace

import pytest
import torch

from lapse.config import (
    CaptionerConfig,
    DecoderConfig,
    EncoderConfig,
    GenerationConfig,
    load_config,
)
from lapse.core.tokenizer import Tokenizer, trimmed_ids
from lapse.core.types import Sample
from lapse.data.loading.batch import Batch, collate, encode_sample
from lapse.models.pretraining.captioner import Captioner

SMALL = CaptionerConfig(
    encoder=EncoderConfig(
        image_size=32, patch_size=8, channels=1, width=48, layers=2, heads=4, mlp_width=96
    ),
    adapter_width=48,
    decoder=DecoderConfig(width=48, layers=2, heads=4, mlp_width=96, max_tokens=48),
)


def sample(task: str, image: str, given: str, answer: str) -> Sample:
    return Sample(f"{task}/{image}/{given}", task, (image,), "p", f"{task}:", given, f" {answer}")


def samples() -> list[Sample]:
    rows = []
    for index, image in enumerate("ab"):
        laterality = ("left", "right")[index]
        box = f"[{index}, 2, {index + 9}, 20]"
        rows += [
            sample("cap", image, "", f"Small {laterality} effusion."),
            sample("aref", image, f"Effusion on the {laterality}.", box),
            sample("gcap", image, box, f"Effusion on the {laterality}."),
            sample("caref", image, f"{laterality} lung:", f"Effusion on the {laterality}. {box}"),
        ]
    return rows


def pixels() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    return {
        key: torch.randint(0, 256, (32, 32), dtype=torch.uint8, generator=generator) for key in "ab"
    }


TOKENIZER = Tokenizer(trimmed_ids([s.prefix + " " + s.given + s.answer for s in samples()]))


def batch(rows=None, *, parallel=(), loss_on_given=True) -> Batch:
    rows = samples() if rows is None else rows
    encoded = [encode_sample(row, TOKENIZER, 48) for row in rows]
    return collate(rows, encoded, pixels(), parallel=parallel, loss_on_given=loss_on_given)


def model() -> Captioner:
    torch.manual_seed(0)
    return Captioner(SMALL, TOKENIZER)


def test_loss_starts_after_the_prefix():
    inputs = batch()
    for row, one in enumerate(inputs.samples):
        prefix = len(TOKENIZER.encode(one.prefix))
        assert not inputs.loss_mask[row, :prefix].any()
        assert inputs.loss_mask[row, prefix : inputs.lengths[row]].all()
        assert not inputs.loss_mask[row, inputs.lengths[row] :].any()
        assert inputs.tokens[row, inputs.lengths[row] - 1] == TOKENIZER.end
    without_given = batch(loss_on_given=False)
    assert without_given.loss_mask.sum() < inputs.loss_mask.sum()


def test_loss_is_the_plain_cross_entropy_of_all_positions():
    captioner, inputs = model().eval(), batch()
    memory = captioner.cross_attention_decoder(inputs).memory
    rows = captioner.decoder.tokens.rows(inputs.tokens)
    none = torch.zeros_like(inputs.loss_mask)
    hidden = captioner.decoder(rows, memory, none, inputs.lengths)
    logits = captioner.decoder.tokens.logits(hidden).log_softmax(-1)
    total, count = 0.0, 0
    for row in range(len(inputs)):
        for position in range(int(inputs.prefix_lengths[row]), int(inputs.lengths[row])):
            total -= logits[row, position - 1, rows[row, position]].item()
            count += 1
    losses = captioner.loss(inputs)
    assert losses["loss"].item() == pytest.approx(total / count, rel=1e-5)
    assert captioner.weight(inputs) == count
    assert set(losses) == {"loss", "nll", "loss/cap", "loss/aref", "loss/gcap", "loss/caref"}


def hidden_states(captioner, inputs):
    is_masked = inputs.loss_mask & inputs.parallel[:, None]
    rows = captioner.decoder.tokens.rows(inputs.tokens)
    memory = captioner.cross_attention_decoder(inputs).memory
    return captioner.decoder(rows, memory, is_masked, inputs.lengths)


def test_parallel_captions_do_not_read_themselves():
    captioner = model().eval()
    inputs = batch([s for s in samples() if s.task == "cap"], parallel=[True, False])
    position = int(inputs.prefix_lengths[0])
    changed = inputs.tokens.clone()
    changed[:, position] = TOKENIZER.encode("x")[0]
    other = replace(inputs, tokens=changed)
    one, two = hidden_states(captioner, inputs), hidden_states(captioner, other)
    assert torch.equal(one[0], two[0])  # parallel: what was changed is hidden
    assert not torch.equal(one[1], two[1])  # causal: it is read


def test_a_parallel_row_predicts_each_token_from_its_own_place():
    captioner = model().eval()
    inputs = batch([s for s in samples() if s.task == "cap"], parallel=[True, True])
    logits = captioner.decoder.tokens.logits(hidden_states(captioner, inputs)).log_softmax(-1)
    targets = captioner.decoder.tokens.rows(inputs.tokens)
    chosen = logits.gather(2, targets[:, :, None])[:, :, 0][inputs.loss_mask]
    assert captioner.loss(inputs)["loss"].item() == pytest.approx(-chosen.mean().item(), rel=1e-5)


def test_the_loss_does_not_depend_on_the_order_of_the_rows():
    captioner = model().eval()
    rows = samples()
    mixed = [rows[index] for index in (5, 0, 3, 6, 1, 7, 2, 4)]
    one, two = captioner.loss(batch(rows)), captioner.loss(batch(mixed))
    assert one.keys() == two.keys()
    for name, value in one.items():
        assert value.item() == pytest.approx(two[name].item(), rel=1e-5), name


def test_a_trimmed_vocabulary_has_the_loss_of_the_full_one_restricted_to_it():
    captioner, full = model().eval(), Captioner(SMALL, Tokenizer()).eval()
    state = captioner.state_dict()
    kept = torch.tensor(TOKENIZER.kept)
    weight = full.decoder.tokens.weight.detach().clone()
    state["decoder.tokens.weight"] = weight.index_copy(0, kept, state["decoder.tokens.weight"])
    full.load_state_dict(state)
    inputs = batch()
    logits = full.decoder.tokens.logits(hidden_states(full, inputs))
    others = torch.ones(Tokenizer.size, dtype=torch.bool).index_fill(0, kept, False)
    log = logits.masked_fill(others, -torch.inf).log_softmax(-1)[:, :-1]
    chosen = log.gather(2, inputs.tokens[:, 1:, None])[:, :, 0][inputs.loss_mask[:, 1:]]
    assert captioner.loss(inputs)["loss"].item() == pytest.approx(-chosen.mean().item(), rel=1e-5)


def test_under_bf16_the_loss_is_fp32_and_close():
    captioner, inputs = model().eval(), batch()
    exact = captioner.loss(inputs)["loss"]
    with torch.autocast("cpu", torch.bfloat16):
        loss = captioner.loss(inputs)["loss"]
        answers = captioner.answer(inputs, GenerationConfig(num_beams=2, max_new_tokens=3))
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(exact.item(), rel=0.01)
    assert len(answers) == len(inputs)


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize("max_tokens", [6, 60])  # 60 is more than the decoder has positions
def test_answers_do_not_depend_on_their_neighbours(beams, max_tokens):
    captioner = model().eval()
    decode = GenerationConfig(num_beams=beams, max_new_tokens=max_tokens)
    together = captioner.answer(batch(), decode)
    assert together == [captioner.answer(batch([row]), decode)[0] for row in samples()]


def test_a_text_ends_where_the_positions_end():
    captioner = model().eval()

    def written(row, max_tokens):
        return captioner.answer(
            batch([row]), GenerationConfig(num_beams=1, max_new_tokens=max_tokens)
        )[0]

    for row in samples():
        # The last token needs no position: it is written, and never read.
        limit = 48 - int(batch([row]).prompt_lengths) + 1
        assert written(row, 60) == written(row, limit) != written(row, limit - 1)


def test_two_images_per_text_are_refused():
    inputs = batch()
    pair = replace(inputs, image_index=inputs.image_index.expand(-1, 2))
    with pytest.raises(ValueError, match="one image per text, got 2"):
        model().loss(pair)


def test_the_adapter_has_the_width_of_the_config():
    wide = Captioner(SMALL.model_copy(update={"adapter_width": 20}), TOKENIZER)
    assert wide.adapter.first.weight.shape == (20, 48)
    assert wide.adapter.second.weight.shape == (48, 20)
    assert wide.loss(batch())["loss"].isfinite()


def test_the_paper_size_on_the_meta_device():
    config = load_config("pretrain-lapse").model_config_object()
    with torch.device("meta"):
        paper = Captioner(config, Tokenizer())

    def millions(module):
        return sum(p.numel() for p in module.parameters()) / 1e6

    tokens = paper.decoder.tokens.weight.numel() / 1e6
    assert millions(paper.encoder) == pytest.approx(413.3, abs=0.1)
    assert millions(paper.adapter) == pytest.approx(2.2, abs=0.05)
    assert millions(paper.decoder) - tokens == pytest.approx(202.0, abs=0.1)
    assert millions(paper) - tokens == pytest.approx(617.5, abs=0.1)
    assert millions(paper) == pytest.approx(669.0, abs=0.1)
