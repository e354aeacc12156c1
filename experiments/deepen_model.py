"""Add blocks to the encoder and the language model of a model folder, without changing its answers.

    python experiments/deepen_model.py MODEL OUT [--encoder-layers 4] [--language-layers 4]

The output projections of a new block are 0, so that it adds nothing until it is trained: training
(`init_model=OUT`, with the same numbers of layers) starts from the answers of MODEL. Input check,
guard and calibration are not copied; `lapse export` fits them to the trained model.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import torch

from lapse.config import RunConfig
from lapse.core.tokenizer import Tokenizer
from lapse.inference.pretrained.export import ModelParts, read_folder, write_folder
from lapse.inference.pretrained.model_card import model_card
from lapse.models.interface import TrainableModel, has_encoder
from lapse.training import run_folder

LAST_LAYERS = ("attention.out", "mlp.down")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--encoder-layers", type=int, default=4)
    parser.add_argument("--language-layers", type=int, default=4)
    options = parser.parse_args()
    parts = deepen(read_folder(options.model), options.encoder_layers, options.language_layers)
    write_folder(options.out, parts, model_card(parts))


def deepen(parts: ModelParts, encoder_layers: int, language_layers: int) -> ModelParts:
    """The same models with more blocks after the last ones; the new ones add 0."""
    pretrain = with_layers(parts.pretrain, {"encoder": encoder_layers})
    diffvqa = with_layers(
        parts.diffvqa, {"encoder": encoder_layers, "language_model": language_layers}
    )
    captioner, answerer = (
        deeper_model(model, config)
        for model, config in ((parts.captioner, pretrain), (parts.answerer, diffvqa))
    )
    assert has_encoder(captioner) and has_encoder(answerer)
    answerer.encoder.load_state_dict(captioner.encoder.state_dict())
    facts = {**parts.facts, "deepened": f"encoder {encoder_layers}, language {language_layers}"}
    return replace(
        parts,
        captioner=captioner,
        answerer=answerer,
        pretrain=pretrain,
        diffvqa=diffvqa,
        facts=facts,
        pixel_check=None,
        guard=None,
        calibration=None,
    )


def with_layers(config: RunConfig, layers: dict[str, int]) -> RunConfig:
    """The configuration with other numbers of layers of some parts of the model."""
    values = config.model_dump(mode="json")
    for part, count in layers.items():
        values["model"][part]["layers"] = count
    return RunConfig.model_validate(values)


def deeper_model(model: TrainableModel, config: RunConfig) -> TrainableModel:
    """A model of `config` with the weights of `model`; its other blocks add 0.

    Raises:
        ValueError: a tensor of `model` is not one of `config`.
    """
    assert isinstance(model.tokenizer, Tokenizer)
    torch.manual_seed(config.train.seed)
    deeper = run_folder.build_model(config, model.tokenizer)
    report = deeper.load_state_dict(model.state_dict(), strict=False)
    if report.unexpected_keys:
        raise ValueError(f"no such tensors: {', '.join(report.unexpected_keys)}")
    parameters = dict(deeper.named_parameters())
    for name in report.missing_keys:
        if name.rsplit(".", 1)[0].endswith(LAST_LAYERS):
            torch.nn.init.zeros_(parameters[name])
    return deeper.eval()


if __name__ == "__main__":
    main()
