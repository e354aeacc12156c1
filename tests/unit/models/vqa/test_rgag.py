"""RG-AG: learns reports, answers from generated ones, and never reads the true ones."""

from dataclasses import replace

import pytest
import torch

from lapse.config import GenerationConfig
from vqa_systems import TOKENIZER, batch, build, samples


def test_generated_reports_are_part_of_the_prompt():
    system, inputs = build("rgag").eval(), batch()
    with torch.no_grad():
        reports = system.reports(inputs)
    assert len(reports) == len(inputs.images)
    ids = [TOKENIZER.encode(f" {text}") for text in reports]
    question = TOKENIZER.encode("what?")
    context = TOKENIZER.decode(system.answer_prompt([ids[0], ids[1]], question))
    assert context.startswith("reference:") and " main:" in context and "what?" in context


def test_the_training_prompt_contains_the_true_reports():
    system, inputs = build("rgag", report_weight=0.0).eval(), batch()
    other = batch([replace(row, reports=("a fracture", "a fracture")) for row in samples()])
    with torch.no_grad():
        assert system.loss(inputs)["nll"] != system.loss(other)["nll"]


def test_the_report_loss_is_added_with_its_weight():
    inputs = batch()
    without, half, full = (
        build("rgag", report_weight=weight).loss(inputs)["loss"].item() for weight in (0, 0.5, 1)
    )
    assert half - without == pytest.approx((full - without) / 2, rel=1e-4)
    assert full > without


def test_without_reports_it_cannot_be_trained_but_answers():
    bare = batch([replace(row, reports=()) for row in samples()])
    system = build("rgag").eval()
    with pytest.raises(ValueError, match="carries no reports to learn from"):
        system.loss(bare)
    with torch.no_grad():
        decode = GenerationConfig(num_beams=1, max_new_tokens=4)
        assert system.answer(bare, decode) == system.answer(batch(), decode)


def test_a_study_without_a_report_adds_no_report_loss():
    silent = batch([replace(row, reports=("", "")) for row in samples()])
    losses = build("rgag").loss(silent)
    assert torch.isfinite(losses["loss"]) and "report_nll" not in losses
