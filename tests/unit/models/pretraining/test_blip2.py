"""BLIP-2: each loss against a plain computation, its negatives, writing, freezing, learning."""

import pytest
import torch
import torch.nn.functional as F

from contrastive_samples import ENCODER, REPORTS, TOKENIZER, batch, regions, reports
from lapse.config import GenerationConfig, LanguageModelConfig
from lapse.config.pretraining import Blip2Config, Blip2WriterConfig, QFormerConfig
from lapse.models.layers.padding import PaddedTokens
from lapse.models.pretraining.blip2 import Blip2, hard_negatives
from lapse.models.pretraining.blip2_generative import Blip2Writer

QFORMER = QFormerConfig(
    queries=4, width=24, layers=2, heads=3, mlp_width=48, max_tokens=24, dropout=0.0
)
SMALL = Blip2Config(encoder=ENCODER, qformer=QFORMER, embedding_width=16, label_smoothing=0.0)
WRITER = Blip2WriterConfig(
    encoder=ENCODER,
    qformer=QFORMER,
    language_model=LanguageModelConfig(width=24, layers=2, heads=3, max_positions=40, dropout=0.0),
)


def model(**changes) -> Blip2:
    torch.manual_seed(0)
    return Blip2(SMALL.model_copy(update=changes), TOKENIZER)


@torch.no_grad()
def test_contrast_is_the_mean_of_both_directions():
    method, found = model().eval(), batch(reports())
    seen, texts = method.image_memory(found), method.texts(found)
    queries = method.qformer.run(None, seen, 4, None).hidden
    similar = torch.zeros(4, 4)
    for j in range(4):
        alone = PaddedTokens(texts.tokens[j : j + 1, : texts.lengths[j]], texts.lengths[j : j + 1])
        words = method.text.embed(alone.tokens, is_generated=False)
        y = method.text_head(method.qformer.run(words, None, 1, None).text[0, 0])
        for i in range(4):
            each = [F.cosine_similarity(method.image_head(q), y, dim=0) for q in queries[i]]
            similar[i, j] = max(each)
    torch.testing.assert_close(method.similarity(seen, texts), similar, rtol=1e-4, atol=1e-5)
    rows = -torch.stack([(similar / 0.07)[i].log_softmax(0)[i] for i in range(4)]).mean()
    columns = -torch.stack([(similar / 0.07)[:, i].log_softmax(0)[i] for i in range(4)]).mean()
    expected = ((rows + columns) / 2).item()
    assert method.loss(found)["loss/contrast"].item() == pytest.approx(expected, rel=1e-4)


@torch.no_grad()
def test_matching_is_over_pairs_and_the_likest_strangers():
    method, found = model().eval(), batch(reports())
    seen, texts = method.image_memory(found), method.texts(found)
    similar = method.similarity(seen, texts)
    total, count = 0.0, 0
    for row in range(4):
        others = [other for other in range(4) if REPORTS[other] != REPORTS[row]]
        best_text = max(others, key=lambda other: similar[row, other])
        best_image = max(others, key=lambda other: similar[other, row])
        for image, text, label in ((row, row, 1), (best_image, row, 0), (row, best_text, 0)):
            length = texts.lengths[text : text + 1]
            alone = PaddedTokens(texts.tokens[text : text + 1, : int(length)], length)
            logits = method.match(seen.of(torch.tensor([image])), alone)[0]
            total, count = total - logits.log_softmax(0)[label].item(), count + 1
    assert method.loss(found)["loss/matching"].item() == pytest.approx(total / count, rel=1e-4)


@torch.no_grad()
def test_generation_is_the_cross_entropy_of_each_next_word():
    method, found = model().eval(), batch(reports())
    seen, texts = method.image_memory(found), method.texts(found)
    total, count = 0.0, 0
    for row in range(4):
        past = method.qformer.run(None, seen.of(torch.tensor([row])), 1, None).pairs
        x = method.text.starts[1] + method.text.positions[0]
        for place in range(int(texts.lengths[row])):
            hidden, past = method.qformer.step(x.reshape(1, -1), past)
            wanted = texts.tokens[row, place]
            total -= method.text.logits(hidden)[0].log_softmax(-1)[wanted].item()
            x, count = method.text.embed_at(wanted, place + 1), count + 1
    assert method.loss(found)["loss/generation"].item() == pytest.approx(total / count, rel=1e-4)


def test_the_loss_is_the_sum_of_its_parts():
    losses = model().loss(batch(reports()))
    parts = [losses[f"loss/{name}"] for name in ("contrast", "matching", "generation")]
    torch.testing.assert_close(losses["loss"].detach(), sum(parts))
    assert model().weight(batch(reports())) == 4


def test_a_text_that_reads_the_same_is_never_a_negative():
    likeness = torch.tensor([[9.0, 1.0, 8.0], [1.0, 9.0, 2.0]])
    is_other = torch.tensor([[False, True, False], [True, False, True]])
    assert hard_negatives(likeness, is_other, is_drawn=False).tolist() == [1, 2]
    torch.manual_seed(0)
    drawn = [hard_negatives(likeness, is_other, is_drawn=True).tolist() for _ in range(50)]
    assert {row[0] for row in drawn} == {1} and {row[1] for row in drawn} == {0, 2}
    # Without the guard the same words would be called strangers.
    assert hard_negatives(likeness, torch.tensor([[False, True, True]] * 2),
                          is_drawn=False).tolist()[0] == 2  # fmt: skip


def test_a_batch_of_one_report_still_has_a_loss():
    losses = model().loss(batch(reports()[:1]))
    assert losses["loss"].isfinite()
    same = model().loss(batch([reports()[1], reports()[3]]))  # no stranger among them
    assert same["loss/matching"].isfinite()


def test_a_frozen_encoder_stays_as_it_is():
    method = model(train_encoder=False).train()
    assert not method.encoder.training and method.qformer.training
    method.loss(batch(reports()))["loss"].backward()
    assert all(p.grad is None and not p.requires_grad for p in method.encoder.parameters())
    trained = model().train()
    trained.loss(batch(reports()))["loss"].backward()
    assert all(p.grad is not None for p in trained.encoder.parameters())


def test_evaluation_does_not_depend_on_chance():
    method, found = model().eval(), batch(reports())
    torch.manual_seed(1)
    one = method.loss(found)["loss"]
    torch.manual_seed(2)
    assert torch.equal(one, method.loss(found)["loss"])


def test_under_bf16_the_losses_are_fp32_and_close():
    method, found = model().eval(), batch(reports())
    exact = method.loss(found)
    with torch.autocast("cpu", torch.bfloat16):
        losses = method.loss(found)
        answers = method.answer(found, GenerationConfig(num_beams=2, max_new_tokens=3))
    assert len(answers) == 4
    for name, value in losses.items():
        assert value.dtype == torch.float32
        assert value.item() == pytest.approx(exact[name].item(), rel=0.05), name


def test_a_text_ends_where_the_positions_end():
    method = model().eval()

    def written(max_tokens):
        decode = GenerationConfig(num_beams=1, max_new_tokens=max_tokens)
        return method.answer(batch(reports()[:1]), decode)[0]

    room = QFORMER.max_tokens  # [DEC] takes a place, and the last token needs none
    assert written(60) == written(room) != written(room - 1)


def test_several_texts_of_one_image_are_refused():
    with pytest.raises(ValueError, match="8 texts speak of 4 images: BLIP-2 wants one report"):
        model().loss(batch(regions()))


def trained(method, rows, steps, rate=2e-3):
    found = batch(rows)
    optimizer = torch.optim.AdamW([p for p in method.parameters() if p.requires_grad], lr=rate)
    method.train()
    for _ in range(steps):
        optimizer.zero_grad()
        losses = method.loss(found)
        losses["loss"].backward()
        optimizer.step()
    return losses


def test_it_learns_three_images_by_heart():
    method = model()
    losses = trained(method, reports()[:3], 220)
    assert losses["loss/contrast"] < 0.1 and losses["loss/matching"] < 0.3
    assert losses["loss/generation"] < 0.2
    for beams in (1, 3):
        decode = GenerationConfig(num_beams=beams, max_new_tokens=20)
        answers = method.eval().answer(batch(reports()[:3]), decode)
        assert answers == [sample.answer for sample in reports()[:3]]


def test_the_writer_freezes_what_it_says_and_learns_by_heart():
    torch.manual_seed(0)
    frozen = Blip2Writer(WRITER, TOKENIZER).train()
    assert not frozen.encoder.training and not frozen.language_model.training
    frozen.loss(batch(reports()))["loss"].backward()
    still = [*frozen.encoder.parameters(), *frozen.language_model.parameters()]
    assert all(p.grad is None for p in still)
    assert all(p.grad is not None for p in frozen.qformer.parameters())
    torch.manual_seed(0)
    changes = {"train_encoder": True, "train_language_model": True}
    writer = Blip2Writer(WRITER.model_copy(update=changes), TOKENIZER)
    assert trained(writer, reports()[:3], 120, rate=3e-3)["loss"] < 0.1
    with torch.no_grad():
        answers = writer.eval().answer(
            batch(reports()[:3]), GenerationConfig(num_beams=2, max_new_tokens=20)
        )
    assert answers == [sample.answer for sample in reports()[:3]]
    assert writer.queries(batch(reports())).shape == (4, 4, 24)
