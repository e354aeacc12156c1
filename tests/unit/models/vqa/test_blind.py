"""Image-blind baselines as a system: answers come from training answers, not from images."""

import pytest
import torch

from lapse.config import load_config
from lapse.config.vqa import BlindConfig
from lapse.core.seeding import derive_index
from lapse.core.tokenizer import Tokenizer, trimmed_ids
from lapse.core.types import Sample
from lapse.data.loading.batch import collate, encode_sample
from lapse.data.store.store import open_store
from lapse.evaluation.blind_baselines import CONSTANT, blind_baselines
from lapse.inference.comparison_model import open_model
from lapse.inference.predict import predict
from lapse.models.vqa.blind import BlindBaseline
from lapse.training.trainer import train
from tiny_store import write

WORDS = ["edema", "hernia", "fracture"]
TOKENIZER = Tokenizer(trimmed_ids([f"what changed? {word}." for word in WORDS]))


def batch(words, number=0, task="diff_vqa"):
    rows = [
        Sample(f"{task}/{number + i}", task, ("a",), "p", "what changed?", "", f" {word}.")
        for i, word in enumerate(words)
    ]
    texts = [encode_sample(row, TOKENIZER, 32) for row in rows]
    return collate(rows, texts, {"a": torch.zeros(4, 4, dtype=torch.uint8)})


def test_it_keeps_training_answers_only():
    system = BlindBaseline(BlindConfig(strategy="constant"), TOKENIZER)
    with pytest.raises(ValueError, match="has seen no training answer"):
        system.answer(batch(["edema"]), None)
    system.eval().loss(batch(["hernia"]))
    assert system.kept_answers("diff_vqa") == []
    system.train().loss(batch(["edema", "fracture", "edema"]))
    assert system.kept_answers("diff_vqa") == ["edema.", "fracture.", "edema."]
    assert system.answer(batch(["hernia", "hernia"]), None) == ["edema."] * 2


def test_a_random_answer_belongs_to_its_sample():
    system = BlindBaseline(BlindConfig(strategy="random"), TOKENIZER)
    system.loss(batch(["edema", "fracture", "edema", "hernia"]))
    answers = system.answer(batch(["edema"] * 40), None)
    assert answers == system.answer(batch(["hernia"] * 40), None)
    assert set(answers) == {"edema.", "fracture.", "hernia."}
    assert answers[3:5] == system.answer(batch(["edema"] * 2, number=3), None)


@pytest.mark.parametrize("strategy", ["random", "constant"])
def test_a_sample_is_answered_from_its_own_task(strategy):
    system = BlindBaseline(BlindConfig(strategy=strategy), TOKENIZER)
    system.loss(batch(["edema", "edema"]))
    with pytest.raises(ValueError, match="no training answer of gcap"):
        system.answer(batch(["hernia"], task="gcap"), None)
    system.loss(batch(["hernia"], task="gcap"))
    assert set(system.answer(batch(["edema"] * 20), None)) == {"edema."}
    assert set(system.answer(batch(["edema"] * 20, task="gcap"), None)) == {"hernia."}


def test_beyond_its_limit_it_keeps_a_fair_sample():
    system = BlindBaseline(BlindConfig(strategy="random", max_answers=200), TOKENIZER)
    for index in range(60):
        system.loss(batch([WORDS[0] if index < 30 else WORDS[1]] * 20))
    assert int(system.seen) == 1200
    early = system.kept_answers("diff_vqa").count("edema.")
    assert len(system.kept_answers("diff_vqa")) == 200 and 70 < early < 130
    assert derive_index(1200, "reservoir", 1199) < 1200


def test_the_loss_is_the_entropy_of_the_tokens():
    system = BlindBaseline(BlindConfig(strategy="constant"), TOKENIZER)
    inputs = batch(["edema", "hernia"])
    logits = system.frequencies.weight[:, 0].log_softmax(0)
    plain, count = 0.0, 0
    for row in range(2):
        for position in range(int(inputs.prompt_lengths[row]), int(inputs.lengths[row])):
            plain -= logits[system.frequencies.rows(inputs.tokens[row, position])].item()
            count += 1
    assert system.weight(inputs) == count
    assert system.loss(inputs)["loss"].item() == pytest.approx(plain / count, rel=1e-5)


def test_the_trained_constant_equals_the_constant_baseline(tmp_path):
    data = write(tmp_path / "store")
    config = load_config("diffvqa-constant", ["train.batch_size=4", "train.eval_every=100"])
    train(config, data, tmp_path / "run")
    answers = list(predict(tmp_path / "run", data, "test"))
    rows = blind_baselines(open_store(data), answers)
    assert [item.prediction for item in answers] == [item.prediction for item in rows[CONSTANT]]
    with pytest.raises(ValueError, match="'blind', which reads no image"):
        open_model(str(tmp_path / "run"))
