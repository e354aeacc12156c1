"""Batches of samples: grouped by images and prompt length, refused where a model cannot answer."""

import numpy as np
import pytest
import torch

from lapse.config import GenerationConfig
from lapse.core.tokenizer import Tokenizer
from lapse.core.types import Candidate, Sample
from lapse.inference.generate import GenerateOptions, check_confidence, generate

WORDS = ("what?", "what has changed?", "what has changed in the left lung area?")


class Recorder(torch.nn.Linear):
    """Answers with the sample's id and records the batches."""

    def __init__(self):
        super().__init__(1, 1)
        self.tokenizer, self.batches = Tokenizer(), []

    def answer(self, batch, generation):
        assert torch.is_inference_mode_enabled()
        self.batches.append(batch)
        return [f" {sample.id} " for sample in batch.samples]


class BeamRecorder(Recorder):
    """Keeps two candidates, the better one first."""

    def candidates(self, batch, generation):
        return [[Candidate(f" {s.id}", -1.0, 2), Candidate("?", -2.0, 2)] for s in batch.samples]


def samples():
    images = [("a",), ("a", "b"), ("b",), ("b", "a"), ("a",), ("a", "b")]
    return [
        Sample(str(index), "vqa", keys, "p", WORDS[index % 3], "", " x")
        for index, keys in enumerate(images)
    ]


def pixels(key):
    return np.full((4, 4), ord(key), np.uint8)


def options(**changes):
    return GenerateOptions(GenerationConfig(batch_size=2), 40, **changes)


def test_every_sample_is_answered_once_in_batches_of_similar_prompts():
    model = Recorder()
    answers = generate(model, samples(), pixels, options())
    assert [answer.text for answer in answers] == [str(index) for index in range(6)]
    assert [len(batch) for batch in model.batches] == [2, 1, 2, 1]
    assert [batch.image_index.shape[1] for batch in model.batches] == [1, 1, 2, 2]
    lengths = [batch.prompt_lengths.tolist() for batch in model.batches]
    assert lengths[0] + lengths[1] == sorted(lengths[0] + lengths[1])
    assert answers[0].candidates == () and answers[0].confidence == {}


def test_candidates_come_with_their_confidence():
    (answer,) = generate(BeamRecorder(), samples()[:1], pixels, options(confidence="beam"))
    assert [candidate.text for candidate in answer.candidates] == [" 0", "?"]
    assert answer.text == "0"
    assert answer.confidence["answer"] == pytest.approx(1 / (1 + np.exp(-1)), abs=1e-5)


def test_a_confidence_that_a_model_cannot_give_is_refused():
    check_confidence(Recorder(), "none")
    with pytest.raises(ValueError, match="Recorder has no candidates, which --confidence beam"):
        check_confidence(Recorder(), "beam")
    with pytest.raises(ValueError, match="BeamRecorder has no log_probability"):
        check_confidence(BeamRecorder(), "clauses")
    with pytest.raises(ValueError, match="no confidence 'both': one of none, beam, clauses"):
        check_confidence(Recorder(), "both")
