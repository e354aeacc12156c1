"""The finding head on a frozen encoder: loss and counts against loops, and its answers."""

import math
from dataclasses import replace

import pytest
import torch

import tiny_models
from lapse.config import GenerationConfig
from lapse.models.pretraining.findings import NAMES


def build():
    _, model, batch = tiny_models.build("pretraining", "findings")
    named = (
        (("carina", ("lung opacity", "unlisted")), ("right lung", ())),
        (("carina", ()), ("right lung", ("pneumonia", "edema of no class"))),
    )
    samples = tuple(
        replace(sample, findings=(findings,))
        for sample, findings in zip(batch.samples, named, strict=True)
    )
    return model, replace(batch, samples=samples)


def labels_of(batch, classes):
    for sample in batch.samples:
        for region, _ in sample.boxes[0]:
            names = dict(sample.findings[0])[region]
            yield [any(name in members for name in names) for members in classes.values()]


def test_the_loss_is_the_mean_over_regions_and_classes(caplog):
    model, batch = build()
    regions, logits = model._logits(batch)
    shown = logits[regions.is_present].detach()
    order = [sorted(sample.boxes[0], key=lambda item: NAMES.index(item[0]))
             for sample in batch.samples]  # fmt: skip
    sorted_samples = tuple(
        replace(sample, boxes=(tuple(boxes),))
        for sample, boxes in zip(batch.samples, order, strict=True)
    )
    labels = list(labels_of(replace(batch, samples=sorted_samples), model.classes))
    terms = [
        math.log1p(math.exp(-z)) if is_shown else math.log1p(math.exp(z))
        for line, row in zip(shown.tolist(), labels, strict=True)
        for z, is_shown in zip(line, row, strict=True)
    ]
    loss = model.train().loss(batch)["loss"].detach()
    assert float(loss) == pytest.approx(sum(terms) / len(terms), rel=1e-5)
    assert model.weight(batch) == 4.0
    images = [
        [any(column) for column in zip(*labels[start : start + 2], strict=True)] for start in (0, 2)
    ]
    expected = [[sum(a[i] and a[j] for a in images) for j in range(22)] for i in range(22)]
    assert model.finding_head.counts.tolist() == expected
    names = {record.args[0] for record in caplog.records}
    assert names == {"unlisted", "edema of no class"}


def test_evaluation_does_not_count():
    model, batch = build()
    model.eval().loss(batch)
    assert not model.finding_head.counts.any()


def test_answers_name_the_findings_above_one_half():
    model, batch = build()
    with torch.no_grad():
        model.finding_head.out.weight.zero_()
        model.finding_head.out.bias.fill_(-1.0)
        assert model.answer(batch, GenerationConfig()) == ["none", "none"]
        model.finding_head.out.bias[list(model.classes).index("edema")] = 1.0
    assert model.answer(batch, GenerationConfig())[0] == "right lung: edema; carina: edema"


def test_samples_without_findings_are_refused():
    model, batch = build()
    bare = tuple(replace(sample, findings=()) for sample in batch.samples)
    with pytest.raises(ValueError, match="carries no findings"):
        model.loss(replace(batch, samples=bare))
