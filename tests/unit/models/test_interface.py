"""Every registered model satisfies the protocols that training and inference rely on."""

import pytest
import torch

from lapse.config import load_config
from lapse.core import registry
from lapse.core.tokenizer import Tokenizer, trimmed_ids
from lapse.models.interface import (
    CandidateModel,
    FeatureModel,
    HasLossParts,
    HasOrigin,
    HasShardedParts,
    InheritsWeights,
    LoadsParts,
    ScoringModel,
    TrainableModel,
    has_encoder,
)

PRESETS = {
    "captioner": "pretrain-tiny",
    "global_contrastive": "pretrain-global-tiny",
    "regional_contrastive": "pretrain-regional-tiny",
    "blip2": "pretrain-blip2-tiny",
    "blip2_writer": "pretrain-blip2-writer-tiny",
    "prefix_lm": "diffvqa-tiny",
    "blip2 (vqa)": "diffvqa-blip2-tiny",
    "real": "diffvqa-real-tiny",
    "plural": "diffvqa-plural-tiny",
    "rgag": "diffvqa-rgag-tiny",
    "ekaid": "diffvqa-ekaid-tiny",
    "rgag_report": "rgag-report-published-tiny",
    "rgag_published": "diffvqa-rgag-published-tiny",
    "findings": "pretrain-findings-tiny",
    "plural_published": "diffvqa-plural-published-tiny",
    "ekaid_published": "diffvqa-ekaid-published-tiny",
    "blind": "diffvqa-constant",
}
WITHOUT_DECODER = {"global_contrastive", "regional_contrastive", "findings", "blind"}


def build(preset):
    config = load_config(preset)
    tokenizer = Tokenizer(trimmed_ids(["edema"]))
    with torch.device("meta"):
        kind = registry.load(config.table, config.model_type)
        return kind(config.model_config_object(), tokenizer)


def test_every_registered_model_is_checked():
    registered = [*registry.names("pretraining"), *registry.names("vqa")]
    assert sorted(name.removesuffix(" (vqa)") for name in PRESETS) == sorted(registered)


@pytest.mark.parametrize("name", PRESETS)
def test_a_registered_model_satisfies_the_protocols(name):
    model = build(PRESETS[name])
    assert isinstance(model, TrainableModel)
    assert has_encoder(model) == isinstance(model, FeatureModel) == (name != "blind")
    assert isinstance(model, CandidateModel) == (name not in WITHOUT_DECODER)
    assert isinstance(model, ScoringModel) == (name not in WITHOUT_DECODER)
    if isinstance(model, HasShardedParts):
        for part in model.sharded_parts:
            assert len(model.get_submodule(part).blocks) > 0
    if isinstance(model, LoadsParts):
        assert all(model.get_submodule(part) is not None for part in model.further_parts)


def test_optional_capabilities_are_found():
    captioner, blip2, writer = (build(PRESETS[n]) for n in ("captioner", "blip2", "blip2_writer"))
    assert isinstance(blip2, HasLossParts) and not isinstance(captioner, HasLossParts)
    assert isinstance(writer, HasOrigin) and not isinstance(captioner, HasOrigin)
    assert isinstance(writer, InheritsWeights) and not isinstance(blip2, InheritsWeights)
    assert isinstance(build(PRESETS["blip2 (vqa)"]), LoadsParts)
