"""RG-AG (Dalla Serra et al., 2025): write the reports first, then answer with them in view.

Legend: B rows  U images  R = 29 regions  D_v, D widths of encoder and language model

    image --encoder--> tokens --RoIAlign--> anatomical tokens [R, D_v]
    longitudinal projection: [main; reference] of each region -> one joint token [R, D]

    RG   [joint(image, nothing)]  report:                             -> report of that image
    AG   [joint(main, reference)] reference: ... main: ... question   -> answer

Report generation (RG) and answer generation (AG) are one language model here. In training the
true reports stand in the prompt of AG and RG learns to write them; when it answers, both reports
are its own, written greedily, and the true ones are never read (tested).
Its language model has about 68 M parameters; here it is the GPT-2 that all systems share.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lapse.config import GenerationConfig
from lapse.config.vqa import RgagConfig
from lapse.core.tokenizer import Tokenizer
from lapse.data.datasets.chest_imagenome import REGIONS
from lapse.data.loading.batch import Batch, normalise
from lapse.models.backbones.encoder_model import EncoderModel
from lapse.models.backbones.gpt2_weights import load_gpt2
from lapse.models.backbones.prefix_decoder import PrefixDecoder
from lapse.models.layers.padding import padded
from lapse.models.layers.region_features import named_boxes, region_features, regions_of
from lapse.models.layers.token_losses import TokenLosses

ASK, OF_REFERENCE, OF_MAIN = "report:", "reference:", " main:"


class RGAG(EncoderModel):
    """Anatomical tokens, their joint projection, and a language model that writes both texts.

    Weights: the encoder is handed over; GPT-2's as `load_gpt2` says; the vector of a missing
    region and the embeddings of regions normal with deviation 0.02.

    Args:
        config: sizes and choices.
        tokenizer: of the run.
    """

    config_class = RgagConfig

    def __init__(self, config: RgagConfig, tokenizer: Tokenizer) -> None:
        super().__init__(config.encoder, is_trained=config.train_encoder)
        self.config = config
        self.tokenizer = tokenizer
        width, text_width = config.encoder.width, config.language_model.width
        self.missing = nn.Parameter(torch.empty(len(REGIONS), width))
        self.names = nn.Parameter(torch.empty(len(REGIONS), text_width))
        nn.init.normal_(self.missing, std=0.02)
        nn.init.normal_(self.names, std=0.02)
        self.joint = nn.Linear(2 * width, text_width)
        self.writer = PrefixDecoder(config.language_model, tokenizer.kept, len(REGIONS))
        self.origin = load_gpt2(self.writer.language_model, config.language_model.weights)

    def weight(self, batch: Batch) -> float:
        """What the mean loss is over: the number of answer tokens."""
        return float((batch.lengths - batch.prompt_lengths).sum())

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Answer loss with the true reports in view, plus the loss of writing the reports.

        Raises:
            ValueError: the samples carry no reports.
        """
        anatomy = self._anatomy(batch)  # [U, R, D_v]
        reports = self._true_reports(batch)
        given = [
            self._context([reports[image] for image in row], question)
            for row, question in zip(batch.image_index.tolist(), _questions(batch), strict=True)
        ]
        answers = zip(batch.tokens.tolist(), batch.prompt_lengths, batch.lengths, strict=True)
        whole = [
            [*before, *ids[int(start) : int(stop)]]
            for before, (ids, start, stop) in zip(given, answers, strict=True)
        ]
        found = self._losses(self._pair(anatomy, batch.image_index), whole, [*map(len, given)])
        named = found.named([sample.task for sample in batch.samples])
        described = [image for image, report in enumerate(reports) if report]
        if described and self.config.report_weight:
            prompt = self.tokenizer.encode(ASK)
            texts = [[*prompt, *reports[image], self.tokenizer.end] for image in described]
            single = self._single(anatomy[described])
            wrote = self._losses(single, texts, [len(prompt)] * len(texts))
            named["loss"] = named["loss"] + self.config.report_weight * wrote.loss
            named["report_nll"] = wrote.each.mean()
        return named

    def answer(self, batch: Batch, config: GenerationConfig) -> list[str]:
        """Write the report of each distinct image, then answer each row by beam search."""
        anatomy = self._anatomy(batch)
        reports = self._write_reports(anatomy)
        given = [
            self._context([reports[image] for image in row], question)
            for row, question in zip(batch.image_index.tolist(), _questions(batch), strict=True)
        ]
        prompts = padded(given, self.tokenizer.end, batch.tokens.device)
        visual = self._pair(anatomy, batch.image_index)
        written = self.writer.write(visual, prompts, config, self.tokenizer.end)
        return [self.tokenizer.decode(ids) for ids in written]

    def reports(self, batch: Batch) -> list[str]:
        """The generated report of each distinct image of the batch."""
        written = self._write_reports(self._anatomy(batch))
        return [self.tokenizer.decode(ids).strip() for ids in written]

    def _write_reports(self, anatomy: Tensor) -> list[list[int]]:
        prompt = self.tokenizer.encode(ASK)
        rows = padded([prompt] * len(anatomy), self.tokenizer.end, anatomy.device)
        greedy = GenerationConfig(num_beams=1, max_new_tokens=self.config.report_tokens)
        return self.writer.write(self._single(anatomy), rows, greedy, self.tokenizer.end)

    def _context(self, reports: list[list[int]], question: list[int]) -> list[int]:
        """What stands before an answer: both reports (or the main one) and the question."""
        labels = (OF_REFERENCE, OF_MAIN)[-len(reports) :]
        parts = [
            [*self.tokenizer.encode(label), *report]
            for label, report in zip(labels, reports, strict=True)
        ]
        return [*(token for part in parts for token in part), self.tokenizer.end, *question]

    def _losses(self, visual: Tensor, texts: list[list[int]], starts: list[int]) -> TokenLosses:
        rows = padded(texts, self.tokenizer.end, visual.device)
        index = torch.arange(rows.tokens.shape[1], device=visual.device)
        is_target = rows.is_used & (index >= torch.tensor(starts, device=visual.device)[:, None])
        return self.writer.losses(visual, rows, is_target, self.config.label_smoothing)

    def _anatomy(self, batch: Batch) -> Tensor:
        """Anatomical tokens of each distinct image: [U, R, D_v]."""
        boxes = named_boxes(batch.samples, batch.image_index)
        regions = regions_of(boxes, REGIONS, batch.images.device)
        tokens = self.encode(normalise(batch.images, self.config.encoder.channels))
        found = region_features(tokens, regions)
        return torch.where(regions.is_there[..., None], found, self.missing)

    def _single(self, anatomy: Tensor) -> Tensor:
        """One image without a past: [U, R, D_v] -> [U, R, D]."""
        joint: Tensor = self.joint(torch.cat([anatomy, torch.zeros_like(anatomy)], -1))
        return joint + self.names

    def _pair(self, anatomy: Tensor, image_index: Tensor) -> Tensor:
        """Main beside reference, region by region: [B, R, D]."""
        if image_index.shape[1] == 1:
            return self._single(anatomy[image_index[:, 0]])
        both = torch.cat([anatomy[image_index[:, 1]], anatomy[image_index[:, 0]]], -1)
        joint: Tensor = self.joint(both)
        return joint + self.names

    def _true_reports(self, batch: Batch) -> list[list[int]]:
        found: list[list[int]] = [[] for _ in range(len(batch.images))]
        for sample, images in zip(batch.samples, batch.image_index.tolist(), strict=True):
            if not sample.reports:
                raise ValueError(
                    f"sample {sample.id} carries no reports to learn from: train RG-AG with "
                    "data.tasks=[diff_vqa_reports]"
                )
            for image, report in zip(images, sample.reports, strict=True):
                ids = self.tokenizer.encode(f" {report}") if report else []
                found[image] = ids[: self.config.report_tokens]
        return found


def _questions(batch: Batch) -> list[list[int]]:
    lengths = batch.prompt_lengths.tolist()
    return [ids[:length] for ids, length in zip(batch.tokens.tolist(), lengths, strict=True)]
