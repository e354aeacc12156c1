"""RG-AG in two models: predicted reports in training, frozen parts, prompts, weights, size."""

from dataclasses import replace

import pytest
import torch

import vqa_systems
from lapse.config import GenerationConfig, load_config
from lapse.config.vqa import RgagReportConfig
from lapse.core.tokenizer import Tokenizer
from lapse.models.layers.padding import pad_tokens
from lapse.models.layers.region_features import regions_of
from lapse.models.vqa.rgag_report import NAMES, RgagReport
from lapse.training.run_folder import build_model
from vqa_systems import TOKENIZER

NAME = "rgag_published"


def generator():
    torch.manual_seed(5)
    config = vqa_systems.SYSTEMS[NAME][1]
    values = {key: getattr(config, key) for key in RgagReportConfig.model_fields}
    return RgagReport(RgagReportConfig(**values), TOKENIZER)


def test_training_and_inference_read_the_predicted_reports():
    """The loss does not depend on the true reports, and equals the loss given the predicted."""
    inputs = vqa_systems.batch()
    other = replace(inputs, samples=tuple(replace(s, reports=("x", "y")) for s in inputs.samples))
    for system in (vqa_systems.build(NAME).train(), vqa_systems.build(NAME).eval()):
        assert torch.equal(system.loss(inputs)["loss"], system.loss(other)["loss"])
    system = vqa_systems.build(NAME).eval()
    with torch.no_grad():
        texts = system._predicted(inputs, system._anatomy(inputs))
        given = system._losses(inputs, system._anatomy(inputs), texts).smoothed.mean()
        assert torch.equal(given, system.token_losses(inputs).smoothed.mean())
        assert [len(row) for row in texts] == [1] * 4


def test_true_reports_are_an_option_of_training_only():
    inputs = vqa_systems.batch()
    system = vqa_systems.build(NAME, train_reports="true")
    other = replace(inputs, samples=tuple(replace(s, reports=("x", "y")) for s in inputs.samples))
    assert not torch.equal(system.train().loss(inputs)["loss"], system.loss(other)["loss"])
    assert torch.equal(system.eval().loss(inputs)["loss"], system.loss(other)["loss"])
    bare = replace(inputs, samples=tuple(replace(s, reports=()) for s in inputs.samples))
    with pytest.raises(ValueError, match="carries no reports"):
        system.train().loss(bare)


def test_the_prompt_holds_the_report_of_main_or_of_both():
    inputs = vqa_systems.batch()
    for reports, labels in (("main", [" main:"]), ("both", [" reference:", " main:"])):
        system = vqa_systems.build(NAME, reports=reports).eval()
        predicted = system._predicted(inputs, system._anatomy(inputs))
        questions = [TOKENIZER.encode(sample.prefix) for sample in inputs.samples]
        prompts = system._prompts(inputs, predicted, questions)
        for row, (prompt, question) in enumerate(zip(prompts, questions, strict=True)):
            expected = []
            for label, report in zip(labels, predicted[row], strict=True):
                expected += [*TOKENIZER.encode(label), *report]
            assert prompt == [*expected, TOKENIZER.end, *question]


def test_a_report_is_generated_once_per_pair_while_training_and_again_in_evaluation():
    inputs, calls = vqa_systems.batch(), []
    system = vqa_systems.build(NAME).train()
    generated = system._generated

    def counted(anatomy, index):
        calls.append(len(index))
        return generated(anatomy, index)

    system._generated = counted
    first, second = system.loss(inputs)["loss"], system.loss(inputs)["loss"]
    assert torch.equal(first, second)
    assert calls == [4]
    system.eval().loss(inputs)
    assert calls == [4, 4]
    changed = replace(inputs, images=255 - inputs.images)  # as validation and probes do
    assert system._predicted(changed, system._anatomy(changed)) is not None
    assert calls == [4, 4, 4]


def test_only_the_answer_generator_learns():
    system = vqa_systems.build(NAME).train()
    system.loss(vqa_systems.batch())["loss"].backward()
    for name, parameter in system.named_parameters():
        assert (parameter.grad is not None) == name.startswith("answerer."), name
    assert not system.generator.training and not system.finding_head.training


def test_it_takes_the_report_generator_of_another_run():
    system, donor = vqa_systems.build(NAME), generator()
    parent, prefixes = system.inherits
    assert parent == "rgag_report"
    names = [name for name in system.state_dict() if name.startswith(prefixes)]
    tensors = {name: donor.state_dict()[name] for name in names}
    assert set(names) == set(donor.state_dict())
    system.load_state_dict(tensors, strict=False)
    inputs = vqa_systems.batch()
    prompt = pad_tokens([TOKENIZER.encode("report:")] * 4, TOKENIZER.end, "cpu")
    rows = [replace(s, prefix="report:") for s in inputs.samples]
    asked = vqa_systems.batch(rows)
    assert torch.equal(asked.tokens[:, : prompt.tokens.shape[1]], prompt.tokens)
    greedy = GenerationConfig(num_beams=1, max_new_tokens=12)
    expected = [[text.strip()] for text in donor.eval().answer(asked, greedy)]
    assert system.eval().reports(inputs) == expected


def test_a_missing_region_is_a_zero_vector_and_a_past_changes_the_report():
    donor, inputs = generator().eval(), vqa_systems.batch()
    anatomy = donor.anatomy(inputs)
    is_present = regions_of(inputs, NAMES).is_present
    assert anatomy.shape == (3, 36, 24)
    assert not anatomy[~is_present].any()
    assert bool(anatomy[is_present].abs().sum(-1).gt(0).all())
    samples = tuple(
        replace(s, images=s.images[1:], boxes=s.boxes[1:], reports=()) for s in inputs.samples
    )
    single = replace(inputs, image_index=inputs.image_index[:, 1:], samples=samples)
    assert not torch.equal(donor.loss(single)["loss"], donor.loss(inputs)["loss"])


def test_a_region_is_fused_with_the_same_region_of_the_past():
    donor = generator().eval()
    current, prior = torch.randn(2, 36, 24), torch.randn(2, 36, 24)
    visual = donor.generator.decoder(current, prior).visual
    for region in (0, 35):
        both = torch.cat([current[1, region], prior[1, region]])
        fuse = donor.generator.fuse
        expected = fuse.second(torch.nn.functional.gelu(fuse.first(both)))
        expected = expected + donor.generator.visual_positions[region]
        torch.testing.assert_close(visual[1, region], expected)
    alone = donor.generator.decoder(current, None).visual
    zero = donor.generator.decoder(current, torch.zeros_like(prior)).visual
    assert torch.equal(alone, zero)


def test_the_published_size():
    config = load_config("rgag-report-published")
    with torch.device("meta"):
        model = build_model(config, Tokenizer())
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert trained == pytest.approx(68e6, rel=0.03)
