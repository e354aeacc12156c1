"""BLIP-2: queries of each image, the Q-Former of stage 1, a frozen language model."""

import pytest
import torch

from lapse.models.backbones.qformer import QFormer
from vqa_systems import ENCODER, QFORMER, batch, build


def test_the_language_model_reads_only_the_queries():
    system = build("blip2").eval()
    with torch.no_grad():
        assert system.prefix_decoder(batch()).visual.shape == (4, 2 * QFORMER.queries, 32)


def test_it_loads_the_q_former_of_stage_one_without_its_text_part():
    donor, system = QFormer(QFORMER, ENCODER.width, has_text=True), build("blip2")
    message = system.load_part("qformer", donor.state_dict())
    assert "tensors of the same run" in message
    assert torch.equal(system.qformer.queries, donor.queries)
    assert "random weights" in system.load_part("qformer", {})
    other = QFormer(QFORMER.model_copy(update={"queries": 7}), ENCODER.width, has_text=True)
    with pytest.raises(ValueError, match="does not fit in 1 tensors, the first is queries"):
        system.load_part("qformer", other.state_dict())


def test_a_frozen_language_model_stays_in_eval_and_gets_no_gradient():
    system = build("blip2", train_language_model=False).train()
    assert not system.language_model.training and system.qformer.training
    system.loss(batch())["loss"].backward()
    assert all(p.grad is None for p in system.language_model.parameters())
    assert all(p.grad is not None for p in system.qformer.parameters())
