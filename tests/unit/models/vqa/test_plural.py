"""PLURAL: empty slots, the past report as a choice, and training in stages."""

from dataclasses import replace

import pytest
import torch

from lapse.config import GenerationConfig
from lapse.core.types import Sample
from vqa_systems import batch, build, samples


def test_a_single_study_leaves_the_slot_of_the_past_empty():
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
    found = batch()
    other = batch([replace(row, reports=("hernia", row.reports[1])) for row in samples()])
    later = batch([replace(row, reports=(row.reports[0], "hernia")) for row in samples()])
    for asked in (False, True):
        system = build("plural", past_report=asked).eval()
        with torch.no_grad():
            before = system.loss(found)["nll"]
            assert (system.loss(other)["nll"] != before) == asked
            assert system.loss(later)["nll"] == before  # never the main study's
    with pytest.raises(ValueError, match="past_report asks for the reference's"):
        system.loss(batch([replace(row, reports=()) for row in samples()]))


def test_a_question_that_does_not_fit_its_slot_is_refused():
    long = replace(samples()[0], prefix="what has changed in the left lung area? " * 3)
    with pytest.raises(ValueError, match=r"does not fit into 24: raise model\.question_tokens"):
        build("plural").loss(batch([long]))
