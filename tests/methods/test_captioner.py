"""Stage 1: where the loss is, what it ignores, the paper's size, and that it can overfit."""

import pytest
import torch

from lapse.batch import Batch, collate, encode_sample
from lapse.config import CaptionerConfig, DecodeConfig, DecoderConfig, EncoderConfig, load_config
from lapse.methods.captioner import Captioner
from lapse.text import Tokenizer, trimmed_ids
from lapse.types import Sample

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
    found = []
    for index, image in enumerate("ab"):
        side = ("left", "right")[index]
        box = f"[{index}, 2, {index + 9}, 20]"
        found += [
            sample("cap", image, "", f"Small {side} effusion."),
            sample("aref", image, f"Effusion on the {side}.", box),
            sample("gcap", image, box, f"Effusion on the {side}."),
            sample("caref", image, f"{side} lung:", f"Effusion on the {side}. {box}"),
        ]
    return found


def pixels() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    return {
        key: torch.randint(0, 256, (32, 32), dtype=torch.uint8, generator=generator) for key in "ab"
    }


TOKENIZER = Tokenizer(trimmed_ids([s.prefix + " " + s.given + s.answer for s in samples()]))


def batch(rows=None, *, parallel=(), train_given=True) -> Batch:
    rows = samples() if rows is None else rows
    encoded = [encode_sample(row, TOKENIZER, 48) for row in rows]
    return collate(rows, encoded, pixels(), parallel=parallel, train_given=train_given)


def model() -> Captioner:
    torch.manual_seed(0)
    return Captioner(SMALL, TOKENIZER)


def test_loss_starts_after_the_prefix():
    found = batch()
    for row, one in enumerate(found.samples):
        prefix = len(TOKENIZER.encode(one.prefix))
        assert not found.loss_mask[row, :prefix].any()
        assert found.loss_mask[row, prefix : found.lengths[row]].all()
        assert not found.loss_mask[row, found.lengths[row] :].any()
        assert found.tokens[row, found.lengths[row] - 1] == TOKENIZER.end
    without_given = batch(train_given=False)
    assert without_given.loss_mask.sum() < found.loss_mask.sum()


def test_loss_is_the_plain_cross_entropy_of_all_positions():
    captioner, found = model().eval(), batch()
    memory = captioner._memory(found)
    rows = captioner.decoder.tokens.rows(found.tokens)
    none = torch.zeros_like(found.loss_mask)
    hidden = captioner.decoder(rows, memory, none, found.lengths)
    logits = captioner.decoder.tokens.logits(hidden).log_softmax(-1)
    total, count = 0.0, 0
    for row in range(len(found)):
        for place in range(int(found.prefix_lengths[row]), int(found.lengths[row])):
            total -= logits[row, place - 1, rows[row, place]].item()
            count += 1
    losses = captioner.loss(found)
    assert losses["loss"].item() == pytest.approx(total / count, rel=1e-5)
    assert captioner.weight(found) == count
    assert set(losses) == {"loss", "loss/cap", "loss/aref", "loss/gcap", "loss/caref"}


def test_parallel_captions_do_not_read_themselves():
    captioner = model().eval()
    rows = [s for s in samples() if s.task == "cap"]
    found = batch(rows, parallel=[True, True])
    changed = found.tokens.clone()
    changed[0, 3] = TOKENIZER.encode("x")[0]
    from dataclasses import replace

    mask = found.loss_mask.clone()
    mask[0, 3] = False  # the changed token is no target, but it would be an input
    hidden = replace(found, loss_mask=mask)
    other = replace(hidden, tokens=changed)
    # As an input it is visible now (it is no target), so hide it again by the parallel mask:
    again = replace(found, tokens=changed)
    logits = [_parallel_logits(captioner, b) for b in (found, again)]
    assert torch.equal(*logits)
    assert not torch.equal(_parallel_logits(captioner, hidden), _parallel_logits(captioner, other))


def _parallel_logits(captioner, found):
    memory = captioner._memory(found)
    hidden_by = found.loss_mask & found.parallel[:, None]
    return captioner.decoder(
        captioner.decoder.tokens.rows(found.tokens), memory, hidden_by, found.lengths
    )


def test_a_trimmed_table_changes_only_the_normalisation():
    captioner = model().eval()
    torch.manual_seed(0)
    full = Captioner(SMALL, Tokenizer()).eval()
    state = captioner.state_dict()
    state["decoder.tokens.weight"] = full.state_dict()["decoder.tokens.weight"].clone()
    state["decoder.tokens.weight"][list(TOKENIZER.kept)] = captioner.decoder.tokens.weight.detach()
    full.load_state_dict(state)
    found = batch()
    small = _parallel_logits(captioner, found)
    assert torch.allclose(small, _parallel_logits(full, found), atol=1e-5)


def test_answers_do_not_depend_on_their_neighbours():
    captioner = model().eval()
    decode = DecodeConfig(beams=3, max_tokens=6)
    with torch.no_grad():
        together = captioner.answer(batch(), decode)
        alone = [captioner.answer(batch([row]), decode)[0] for row in samples()]
    assert together == alone


@pytest.mark.parametrize("fraction", [0.0, 1.0])
def test_it_overfits_two_images(fraction):
    captioner = model()
    found = batch(parallel=[s.task == "cap" and fraction == 1.0 for s in samples()])
    optimizer = torch.optim.AdamW(captioner.parameters(), lr=3e-3)
    for _ in range(120):
        optimizer.zero_grad()
        loss = captioner.loss(found)["loss"]
        loss.backward()
        optimizer.step()
    assert loss < 0.1
    if fraction == 0.0:
        with torch.no_grad():
            answers = captioner.eval().answer(batch(), DecodeConfig(beams=2, max_tokens=40))
        assert answers == [s.answer for s in samples()]


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
