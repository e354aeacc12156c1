"""EKAID as published: its nodes, its loss, its parts, and its size."""

from dataclasses import replace

import pytest
import torch

import vqa_systems
from lapse.config import load_config
from lapse.core.word_tokenizer import WordTokenizer
from lapse.models.layers.finding_head import FindingHead
from lapse.models.layers.region_features import regions_of
from lapse.models.vqa.ekaid_published import NAMES
from lapse.training.run_folder import build_model


def nodes_of(system, batch):
    """The nodes and boxes that the graph reads, of reference and main."""
    seen = []
    hook = system.graph.register_forward_pre_hook(lambda _, inputs: seen.append(inputs))
    with torch.no_grad():
        system.token_losses(batch)
    hook.remove()
    return seen


def test_the_nodes_are_26_regions_and_26_findings_at_the_same_boxes():
    assert len(NAMES) == 26
    assert not {"spine", "abdomen", "mediastinum"} & set(NAMES)
    system, batch = vqa_systems.build("ekaid_published").eval(), vqa_systems.batch()
    reference, main = nodes_of(system, batch)
    regions = regions_of(batch, NAMES)
    for (nodes, _), images in zip((reference, main), batch.image_index.t(), strict=True):
        assert nodes.shape == (4, 52, 32)
        absent = ~regions.is_present[images]
        zero = torch.zeros(24)
        with torch.no_grad():
            anatomy, finding = system.anatomy_node(zero), system.finding_node(zero)
        torch.testing.assert_close(nodes[:, :26][absent], anatomy.expand(int(absent.sum()), -1))
        torch.testing.assert_close(nodes[:, 26:][absent], finding.expand(int(absent.sum()), -1))
        assert not torch.allclose(nodes[:, :26][~absent], anatomy)


def test_main_is_the_first_slot_and_reference_the_second():
    system, batch = vqa_systems.build("ekaid_published").eval(), vqa_systems.batch()
    pooled, graphs = [], []
    system.graph.register_forward_hook(lambda _, inputs, out: graphs.append((inputs[0], out)))
    system.pooling.register_forward_pre_hook(lambda _, inputs: pooled.append(inputs))
    with torch.no_grad():
        system.token_losses(batch)
    (main, reference), *_ = pooled
    by_image = {0: graphs[0], 1: graphs[1]}  # columns of image_index: reference, main
    assert torch.equal(reference, by_image[0][1])
    assert torch.equal(main, by_image[1][1])
    same = batch.image_index[0, 1] == batch.image_index[1, 0]  # rows (a, b) and (b, a)
    assert bool(same)
    assert torch.equal(graphs[1][0][0], graphs[0][0][1])


def test_the_penalty_is_the_mean_sum_of_node_weights():
    system, batch = vqa_systems.build("ekaid_published").eval(), vqa_systems.batch()
    losses = {name: value.detach() for name, value in system.loss(batch).items()}
    weights = system._pooled(batch).weights.detach()
    expected = (
        2.5e-3
        * sum(float(weights[row, image].sum()) for row in range(4) for image in range(2))
        / (2 * 4)
    )
    assert float(losses["penalty"]) == pytest.approx(expected, rel=1e-5)
    assert float(losses["loss"]) == pytest.approx(float(losses["nll"]) + expected, rel=1e-5)


def test_encoder_and_finding_head_are_frozen_and_the_rest_learns():
    system, batch = vqa_systems.build("ekaid_published").train(), vqa_systems.batch()
    system.loss(batch)["loss"].backward()
    for name, parameter in system.named_parameters():
        is_frozen = name.startswith(("encoder.", "finding_head."))
        assert parameter.requires_grad is not is_frozen, name
        if not is_frozen:
            assert parameter.grad is not None, name
    assert not system.finding_head.training


def test_the_finding_head_of_another_run_is_taken():
    system = vqa_systems.build("ekaid_published")
    torch.manual_seed(9)
    head = FindingHead(24, 24, 22)
    head.count(torch.ones(1, 22))
    message = system.load_part("finding_head", head.state_dict())
    assert message == "finding_head: 7 tensors of the same run"
    assert torch.equal(system.finding_head.out.weight, head.out.weight)
    assert torch.equal(system.finding_head.counts, head.counts)
    with pytest.raises(ValueError, match=r"does not fit in .* tensors, the first is first.weight"):
        system.load_part("finding_head", FindingHead(25, 24, 22).state_dict())
    assert "random weights" in system.load_part("finding_head", {})


def test_a_row_with_one_image_is_refused():
    system, batch = vqa_systems.build("ekaid_published"), vqa_systems.batch()
    single = replace(
        batch, image_index=batch.image_index[:, :1],
        samples=tuple(replace(s, images=s.images[:1], boxes=s.boxes[:1], reports=())
                      for s in batch.samples),
    )  # fmt: skip
    with pytest.raises(
        ValueError, match="EkaidPublished reads two images for every question, got 1"
    ):
        system.loss(single)


def test_the_published_size():
    """54.7 M are used: 36.9 M graphs, 17.8 M writer. Ours adds the wider features: 1,152 + 1,024
    instead of 1,024 into two linear layers instead of one."""
    config = load_config("diffvqa-ekaid-published")
    with torch.device("meta"):
        model = build_model(config, WordTokenizer([f"word{k}" for k in range(145)]))
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    writer = sum(p.numel() for p in model.writer.parameters())
    assert writer == pytest.approx(17.8e6, rel=0.01)
    wider = (1152 - 1024) * 1024 + (1024 + 1) * 1024
    assert trained - wider == pytest.approx(54.7e6, rel=0.01)
    assert trained == pytest.approx(54.7e6, rel=0.03)
