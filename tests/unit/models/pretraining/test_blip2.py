"""BLIP-2: each loss against a plain computation, negatives, generation, frozen parts."""

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from contrastive_samples import ENCODER, REPORTS, TOKENIZER, batch, regions, reports
from lapse.config import GenerationConfig, LanguageModelConfig, load_config
from lapse.config.pretraining import Blip2Config, Blip2WriterConfig, QFormerConfig
from lapse.core.word_tokenizer import WordPieceTokenizer
from lapse.models.layers.padding import PaddedTokens
from lapse.models.pretraining.blip2 import Blip2, hard_negatives
from lapse.models.pretraining.blip2_generative import Blip2Writer
from lapse.training.run_folder import build_model

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
    method, inputs = model().eval(), batch(reports())
    memory, texts = method.image_memory(inputs), method.texts(inputs)
    queries = method.qformer.run(None, memory, 4, None).hidden
    similarity = torch.zeros(4, 4)
    for j in range(4):
        alone = PaddedTokens(texts.tokens[j : j + 1, : texts.lengths[j]], texts.lengths[j : j + 1])
        words = method.text.embed(alone.tokens, is_generated=False)
        y = method.text_head(method.qformer.run(words, None, 1, None).text[0, 0])
        for i in range(4):
            each = [F.cosine_similarity(method.image_head(q), y, dim=0) for q in queries[i]]
            similarity[i, j] = max(each)
    torch.testing.assert_close(method.similarity(memory, texts), similarity, rtol=1e-4, atol=1e-5)
    rows = -torch.stack([(similarity / 0.07)[i].log_softmax(0)[i] for i in range(4)]).mean()
    columns = -torch.stack([(similarity / 0.07)[:, i].log_softmax(0)[i] for i in range(4)]).mean()
    expected = ((rows + columns) / 2).item()
    assert method.loss(inputs)["loss/contrast"].item() == pytest.approx(expected, rel=1e-4)


@torch.no_grad()
def test_matching_is_over_pairs_and_the_most_similar_negatives():
    method, inputs = model().eval(), batch(reports())
    memory, texts = method.image_memory(inputs), method.texts(inputs)
    similarity = method.similarity(memory, texts)
    total, count = 0.0, 0
    for row in range(4):
        others = [other for other in range(4) if REPORTS[other] != REPORTS[row]]
        best_text = max(others, key=lambda other: similarity[row, other])
        best_image = max(others, key=lambda other: similarity[other, row])
        for image, text, label in ((row, row, 1), (best_image, row, 0), (row, best_text, 0)):
            length = texts.lengths[text : text + 1]
            alone = PaddedTokens(texts.tokens[text : text + 1, : int(length)], length)
            logits = method.match(memory.of(torch.tensor([image])), alone)[0]
            total, count = total - logits.log_softmax(0)[label].item(), count + 1
    assert method.loss(inputs)["loss/matching"].item() == pytest.approx(total / count, rel=1e-4)


@torch.no_grad()
def test_generation_is_the_cross_entropy_of_each_next_word():
    method, inputs = model().eval(), batch(reports())
    memory, texts = method.image_memory(inputs), method.texts(inputs)
    total, count = 0.0, 0
    for row in range(4):
        past = method.qformer.run(None, memory.of(torch.tensor([row])), 1, None).pairs
        x = method.text.starts[1] + method.text.positions[0]
        for position in range(int(texts.lengths[row])):
            hidden, past = method.qformer.step(x.reshape(1, -1), past)
            target = texts.tokens[row, position]
            total -= method.text.logits(hidden)[0].log_softmax(-1)[target].item()
            x, count = method.text.embed_at(target, position + 1), count + 1
    assert method.loss(inputs)["loss/generation"].item() == pytest.approx(total / count, rel=1e-4)


def test_the_loss_is_the_sum_of_its_parts():
    losses = model().loss(batch(reports()))
    parts = [losses[f"loss/{name}"] for name in ("contrast", "matching", "generation")]
    torch.testing.assert_close(losses["loss"].detach(), sum(parts))
    assert model().weight(batch(reports())) == 4


def test_an_identical_text_is_never_a_negative():
    logits = torch.tensor([[9.0, 1.0, 8.0], [1.0, 9.0, 2.0]])
    is_negative = torch.tensor([[False, True, False], [True, False, True]])
    assert hard_negatives(logits, is_negative, is_drawn=False).tolist() == [1, 2]
    torch.manual_seed(0)
    drawn = [hard_negatives(logits, is_negative, is_drawn=True).tolist() for _ in range(50)]
    assert {row[0] for row in drawn} == {1} and {row[1] for row in drawn} == {0, 2}
    # Without the mask, an identical text would be a negative.
    assert hard_negatives(logits, torch.tensor([[False, True, True]] * 2),
                          is_drawn=False).tolist()[0] == 2  # fmt: skip


def test_a_batch_of_one_report_still_has_a_loss():
    losses = model().loss(batch(reports()[:1]))
    assert losses["loss"].isfinite()
    same = model().loss(batch([reports()[1], reports()[3]]))  # no negative among them
    assert same["loss/matching"].isfinite()


def test_a_frozen_encoder_stays_as_it_is():
    method = model(train_encoder=False).train()
    assert not method.encoder.training and method.qformer.training
    method.loss(batch(reports()))["loss"].backward()
    assert all(p.grad is None and not p.requires_grad for p in method.encoder.parameters())
    trained = model().train()
    trained.loss(batch(reports()))["loss"].backward()
    assert all(p.grad is not None for p in trained.encoder.parameters())


def test_evaluation_is_deterministic():
    method, inputs = model().eval(), batch(reports())
    torch.manual_seed(1)
    one = method.loss(inputs)["loss"]
    torch.manual_seed(2)
    assert torch.equal(one, method.loss(inputs)["loss"])


def test_under_bf16_the_losses_are_fp32_and_close():
    method, inputs = model().eval(), batch(reports())
    exact = method.loss(inputs)
    with torch.autocast("cpu", torch.bfloat16):
        losses = method.loss(inputs)
        answers = method.answer(inputs, GenerationConfig(num_beams=2, max_new_tokens=3))
    assert len(answers) == 4
    for name, value in losses.items():
        assert value.dtype == torch.float32
        assert value.item() == pytest.approx(exact[name].item(), rel=0.05), name


def test_a_text_ends_where_the_positions_end():
    method = model().eval()

    def written(max_tokens):
        decode = GenerationConfig(num_beams=1, max_new_tokens=max_tokens)
        return method.answer(batch(reports()[:1]), decode)[0]

    limit = QFORMER.max_tokens  # [DEC] takes a position, and the last token needs none
    assert written(60) == written(limit) != written(limit - 1)


def test_several_texts_of_one_image_are_refused():
    with pytest.raises(ValueError, match="8 texts describe 4 images: BLIP-2 needs one report"):
        model().loss(batch(regions()))


def test_the_second_stage_freezes_encoder_and_language_model():
    torch.manual_seed(0)
    writer = Blip2Writer(WRITER, TOKENIZER).train()
    assert not writer.encoder.training and not writer.language_model.training
    writer.loss(batch(reports()))["loss"].backward()
    frozen = [*writer.encoder.parameters(), *writer.language_model.parameters()]
    assert all(p.grad is None for p in frozen)
    assert all(p.grad is not None for p in writer.qformer.parameters())
    assert writer.queries(batch(reports())).shape == (4, 4, 24)


def bert(folder, vocabulary=9, layers=2):
    """A folder as transformers writes it, from random tensors."""
    generator = torch.Generator().manual_seed(3)
    made = {}

    def add(name, *shape):
        made[f"bert.{name}"] = torch.randn(*shape, generator=generator)

    add("embeddings.word_embeddings.weight", vocabulary, 24)
    add("embeddings.position_embeddings.weight", 40, 24)
    for kind in ("gamma", "beta"):
        add(f"embeddings.LayerNorm.{kind}", 24)
    for layer in range(layers):
        start = f"encoder.layer.{layer}."
        for name in ("query", "key", "value"):
            add(f"{start}attention.self.{name}.weight", 24, 24)
            add(f"{start}attention.self.{name}.bias", 24)
        for name, rows, columns in (
            ("attention.output.dense", 24, 24), ("intermediate.dense", 48, 24),
            ("output.dense", 24, 48),
        ):  # fmt: skip
            add(f"{start}{name}.weight", rows, columns)
            add(f"{start}{name}.bias", rows)
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            add(f"{start}{name}.weight", 24)
            add(f"{start}{name}.bias", 24)
    for name, *shape in (
        ("transform.dense.weight", 24, 24), ("transform.dense.bias", 24),
        ("transform.LayerNorm.weight", 24), ("transform.LayerNorm.bias", 24), ("bias", vocabulary),
    ):  # fmt: skip
        made[f"cls.predictions.{name}"] = torch.randn(*shape, generator=generator)
    folder.mkdir(exist_ok=True)
    save_file(made, folder / "model.safetensors")
    return {name.removeprefix("bert."): tensor for name, tensor in made.items()}


PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "no", "edema", ".", "is", "##s"]


def test_bert_is_loaded_and_its_feed_forward_layers_are_copied(tmp_path):
    state = bert(tmp_path / "bert")
    qformer = QFORMER.model_copy(update={"weights": str(tmp_path / "bert")})
    method = Blip2(SMALL.model_copy(update={"qformer": qformer}), WordPieceTokenizer(PIECES))
    assert "copied for the queries" in method.origin
    text, blocks = method.text, method.qformer.blocks
    assert torch.equal(text.tokens.weight, state["embeddings.word_embeddings.weight"])
    assert torch.equal(text.positions, state["embeddings.position_embeddings.weight"][:24])
    assert torch.equal(text.starts[0], state["embeddings.word_embeddings.weight"][2])
    assert torch.equal(text.bias, state["cls.predictions.bias"])
    assert torch.equal(method.qformer.norm.bias, state["embeddings.LayerNorm.beta"])
    layer = "encoder.layer.1."
    fused = blocks[1].attention.query_key_value.weight
    assert torch.equal(fused[24:48], state[f"{layer}attention.self.key.weight"])
    for mlp in (blocks[1].mlp_text, blocks[1].mlp_query):
        assert torch.equal(mlp.up.weight, state[f"{layer}intermediate.dense.weight"])
        assert torch.equal(mlp.norm.weight, state[f"{layer}output.LayerNorm.weight"])


@pytest.mark.parametrize(
    ("made", "message"),
    [
        ({"vocabulary": 8}, "tokens.weight is"),
        ({"layers": 1}, r"lack encoder\.layer\.1\.attention\.self\.query\.weight"),
    ],
)
def test_another_bert_is_refused(tmp_path, made, message):
    bert(tmp_path / "bert", **made)
    qformer = QFORMER.model_copy(update={"weights": str(tmp_path / "bert")})
    with pytest.raises(ValueError, match=message):
        Blip2(SMALL.model_copy(update={"qformer": qformer}), WordPieceTokenizer(PIECES))


def test_the_norm_behind_a_frozen_encoder_is_trained():
    qformer = QFORMER.model_copy(update={"norm_image": True})
    method = model(qformer=qformer, train_encoder=False).train()
    method.loss(batch(reports()))["loss"].backward()
    assert method.qformer.norm_image.weight.grad is not None
    tokens = torch.randn(2, 4, 24)
    plain = QFORMER.model_copy()
    torch.manual_seed(0)
    other = model(qformer=plain)
    other.qformer.load_state_dict(method.qformer.state_dict(), strict=False)
    memory = method.qformer.image_memory(tokens)
    normed = other.qformer.image_memory(method.qformer.norm_image(tokens))
    torch.testing.assert_close(memory.pairs[0], normed.pairs[0])


def test_the_published_size():
    """188 M with EVA-CLIP's 1,408 wide tokens; six layers read ours of 1,152 instead."""
    config = load_config("pretrain-blip2-published")
    pieces = [*PIECES, *(f"piece{k}" for k in range(30_522 - len(PIECES)))]
    with torch.device("meta"):
        method = build_model(config, WordPieceTokenizer(pieces))
    parts = [method.qformer, method.text, method.image_head, method.text_head, method.match_head]
    total = sum(p.numel() for part in parts for p in part.parameters())
    wider = 6 * 2 * (1408 - 1152) * 768
    assert total + wider == pytest.approx(188e6, rel=0.01)
    assert total == pytest.approx(188e6, rel=0.03)
