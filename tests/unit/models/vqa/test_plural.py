"""PLURAL: unused slots, the optional past report, limits of the question."""

from dataclasses import replace

import pytest
import torch

from lapse.config import GenerationConfig
from lapse.core.types import Sample
from vqa_systems import batch, build, samples


def test_a_single_study_has_an_unused_slot_for_the_past():
    row = Sample("cap/1", "cap", ("a",), "p", "cap:", "", " edema.")
    system = build("plural").eval()
    one = batch([row])
    with torch.no_grad():
        memory = system.encoded(one)
        pair = system.encoded(batch([samples()[0]]))
        system.unused.add_(1.0)
        assert not torch.allclose(system.encoded(one), memory)
    assert memory.shape == pair.shape
    assert torch.isfinite(system.loss(one)["loss/cap"])
    assert system.answer(one, GenerationConfig(num_beams=2, max_new_tokens=4))


def test_the_past_report_is_read_only_when_asked_for():
    inputs = batch()
    other = batch([replace(row, reports=("hernia", row.reports[1])) for row in samples()])
    later = batch([replace(row, reports=(row.reports[0], "hernia")) for row in samples()])
    for is_read in (False, True):
        system = build("plural", past_report=is_read).eval()
        with torch.no_grad():
            before = system.loss(inputs)["nll"]
            assert (system.loss(other)["nll"] != before) == is_read
            assert system.loss(later)["nll"] == before  # never the main study's
    with pytest.raises(ValueError, match="past_report asks for the reference's"):
        system.loss(batch([replace(row, reports=()) for row in samples()]))


def test_a_question_that_does_not_fit_its_slot_is_refused():
    long = replace(samples()[0], prefix="what has changed in the left lung area? " * 3)
    with pytest.raises(ValueError, match=r"does not fit into 24: raise model\.question_tokens"):
        build("plural").loss(batch([long]))
