"""RG-AG in two models (Dalla Serra et al., 2025): predicted reports, then answers from them.

Legend: B rows  U images  R = 36 regions  H width of the finding head

    RG, frozen   [main; reference] of each region | report:                      -> report of main
    AG, trained  [main; reference] of each region | main: report, end, question  -> answer

Training and inference read the same kind of reports: those that RG generates greedily. RG comes
from a run of `rgag_report` (`init_model`). While it trains, the model keeps the reports of the
pairs that it has seen, because RG does not change.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence

import torch
from torch import Tensor

from lapse.config import GenerationConfig
from lapse.config.vqa import RgagPublishedConfig
from lapse.core.tokenizer import Tokenizer
from lapse.data.loading.batch import Batch
from lapse.data.tasks.reports import REPORT_PROMPT
from lapse.models.backbones.anatomy_writer import AnatomyWriter
from lapse.models.backbones.generative_model import GenerativeModel
from lapse.models.layers.beam_search import Hypothesis
from lapse.models.layers.finding_head import FindingHead, region_vectors
from lapse.models.layers.padding import pad_tokens, prompt_and_answer_ids
from lapse.models.layers.region_features import regions_of
from lapse.models.layers.token_losses import TokenLosses
from lapse.models.vqa.rgag import Tokens, labelled_prompt
from lapse.models.vqa.rgag_report import NAMES, pair_of

LABELS = {"main": " main:", "reference": " reference:"}


class RgagPublished(GenerativeModel):
    """Answers from anatomical tokens and generated reports."""

    config_class = RgagPublishedConfig
    inherits = ("rgag_report", ("encoder.", "finding_head.", "generator."))
    further_parts = ("finding_head",)

    def __init__(self, config: RgagPublishedConfig, tokenizer: Tokenizer) -> None:
        super().__init__(config.encoder, tokenizer, is_encoder_trained=config.train_encoder)
        self.config = config
        head, language = config.finding_head, config.language_model
        self.finding_head = FindingHead.of(config.encoder.width, head)
        self.generator = AnatomyWriter(head.hidden, len(NAMES), language, tokenizer)
        self.answerer = AnatomyWriter(head.hidden, len(NAMES), language, tokenizer)
        self.freeze("finding_head")
        self.freeze("generator")
        self.origin = "report generator: random weights, unless init_model names its run"
        self.uses_true_reports = config.train_reports == "true"
        self._kept: dict[tuple[str, ...], array[int]] = {}

    def token_losses(self, batch: Batch) -> TokenLosses:
        """The loss of every answer token, given the predicted reports (`train_reports`).

        Raises:
            ValueError: true reports are asked for and the samples carry none.
        """
        anatomy = self._anatomy(batch)
        if self.uses_true_reports and self.training:
            return self._losses(batch, anatomy, self._true_reports(batch))
        return self._losses(batch, anatomy, self._predicted(batch, anatomy))

    def hypotheses(self, batch: Batch, generation: GenerationConfig) -> list[list[Hypothesis]]:
        """Generate the reports, then the answers by beam search."""
        anatomy = self._anatomy(batch)
        questions = [question for question, _ in prompt_and_answer_ids(batch)]
        prompts = self._prompts(batch, self._predicted(batch, anatomy), questions)
        end = self.tokenizer.end
        decoder = self.answerer.decoder(*pair_of(anatomy, batch.image_index))
        return decoder.hypotheses(pad_tokens(prompts, end, batch.tokens.device), generation, end)

    def reports(self, batch: Batch) -> list[list[str]]:
        """The generated reports of each row as texts, in the order in which its prompt has them."""
        predicted = self._predicted(batch, self._anatomy(batch))
        return [[self.tokenizer.decode(text).strip() for text in row] for row in predicted]

    def _losses(
        self, batch: Batch, anatomy: Tensor, reports: Sequence[Sequence[Tokens]]
    ) -> TokenLosses:
        questions, answers = zip(*prompt_and_answer_ids(batch), strict=True)
        prompts = self._prompts(batch, reports, questions)
        decoder = self.answerer.decoder(*pair_of(anatomy, batch.image_index))
        smoothing = self.config.label_smoothing
        return decoder.answer_losses(prompts, answers, smoothing, self.tokenizer.end)

    def _prompts(
        self, batch: Batch, reports: Sequence[Sequence[Tokens]], questions: Sequence[Tokens]
    ) -> list[list[int]]:
        """The labelled reports of each row, the end token, and its question."""
        labels = [LABELS[label] for label in self._labels(batch)]
        return [
            labelled_prompt(self.tokenizer, labels, row, question)
            for row, question in zip(reports, questions, strict=True)
        ]

    def _labels(self, batch: Batch) -> tuple[str, ...]:
        is_both = self.config.reports == "both" and batch.image_index.shape[1] == 2
        return ("reference", "main") if is_both else ("main",)

    def _predicted(self, batch: Batch, anatomy: Tensor) -> list[list[Tokens]]:
        """The generated reports of each row."""
        columns = [self._predicted_of(batch, anatomy, label) for label in self._labels(batch)]
        return [list(row) for row in zip(*columns, strict=True)]

    def _predicted_of(self, batch: Batch, anatomy: Tensor, label: str) -> Sequence[Tokens]:
        """The report of the main image with its past, or of the reference alone, of each row."""
        index = batch.image_index if label == "main" else batch.image_index[:, :1]
        images = [sample.images[: index.shape[1]] for sample in batch.samples]
        if not self.training:  # probes and validation change the images behind a name
            return self._generated(anatomy, index)
        missing = [row for row, names in enumerate(images) if names not in self._kept]
        if missing:
            texts = self._generated(anatomy, index[missing])
            for row, text in zip(missing, texts, strict=True):
                self._kept[images[row]] = array("H", text)
        return [self._kept[names] for names in images]

    @torch.no_grad()
    def _generated(self, anatomy: Tensor, image_index: Tensor) -> list[list[int]]:
        prompt, limit = self.tokenizer.encode(REPORT_PROMPT), self.config.report_tokens
        decoder = self.generator.decoder(*pair_of(anatomy.detach(), image_index))
        return decoder.greedy_texts(prompt, limit, self.tokenizer.end)

    def _true_reports(self, batch: Batch) -> list[list[Tokens]]:
        """The reports of the studies of each row, cut to `report_tokens`."""
        rows: list[list[Tokens]] = []
        for sample in batch.samples:
            if not sample.reports:
                raise ValueError(
                    f"sample {sample.id} carries no reports, and model.train_reports is 'true': "
                    "use the task medical_vqa_reports"
                )
            texts = sample.reports[-len(self._labels(batch)) :]
            rows.append(
                [self.tokenizer.encode(f" {text}")[: self.config.report_tokens] for text in texts]
            )
        return rows

    def _anatomy(self, batch: Batch) -> Tensor:
        """The vectors of the regions of each distinct image: [U, R, H]."""
        regions = regions_of(batch, NAMES)
        return region_vectors(self.finding_head, self.image_tokens(batch), regions)
