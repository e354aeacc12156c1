"""RG-AG (Dalla Serra et al., 2025): generate both reports first, then answer from them.

Legend: B rows  U images  R = 29 regions  D_v, D widths of encoder and language model

    image --encoder--> tokens --RoIAlign--> anatomical tokens [R, D_v]
    longitudinal projection: [main; reference] of each region -> one joint token [R, D]

    RG   [joint(image, nothing)]  report:                             -> report of that image
    AG   [joint(main, reference)] reference: ... main: ... question   -> answer

One language model generates reports (RG) and answers (AG). In training, the prompt of AG contains
the true reports and RG learns to generate them. At inference, both reports are generated greedily
and the true ones are not read. The publication's language model has about 68 M parameters; here
it is the GPT-2 that all systems share.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import torch
from torch import Tensor, nn

from lapse.config import GenerationConfig
from lapse.config.vqa import RgagConfig
from lapse.core.annotation_names import REGIONS
from lapse.core.tokenizer import Tokenizer
from lapse.data.loading.batch import Batch
from lapse.data.tasks.reports import REPORT_PROMPT
from lapse.models.backbones.generative_model import GenerativeModel
from lapse.models.backbones.gpt2 import GPT2
from lapse.models.backbones.gpt2_weights import load_gpt2
from lapse.models.backbones.prefix_decoder import PrefixDecoder
from lapse.models.layers.beam_search import Hypothesis
from lapse.models.layers.padding import pad_tokens, prompt_and_answer_ids
from lapse.models.layers.region_features import region_features, regions_of
from lapse.models.layers.token_losses import TokenLosses
from lapse.models.layers.transformer import normal_parameter

LABELS = ("reference:", " main:")
Tokens = Sequence[int]


class RGAG(GenerativeModel):
    """Answers from anatomical tokens and the generated reports of both images.

    Weights: `load_encoder` replaces the encoder; GPT-2's as `load_gpt2` describes; the vectors of
    missing regions, the embeddings of regions and visual positions normal with deviation 0.02.
    """

    config_class = RgagConfig

    def __init__(self, config: RgagConfig, tokenizer: Tokenizer) -> None:
        super().__init__(config.encoder, tokenizer, is_encoder_trained=config.train_encoder)
        self.config = config
        width, language = config.encoder.width, config.language_model
        self.missing = normal_parameter(len(REGIONS), width)
        self.region_embeddings = normal_parameter(len(REGIONS), language.width)
        self.joint = nn.Linear(2 * width, language.width)
        self.language_model = GPT2(language, tokenizer.kept)
        self.visual_positions = normal_parameter(len(REGIONS), language.width)
        self.origin = load_gpt2(self.language_model, language.weights)

    def token_losses(self, batch: Batch) -> TokenLosses:
        """The loss of every answer token, given the true reports.

        Raises:
            ValueError: the samples carry no reports.
        """
        return self._answer_losses(batch, self._anatomy(batch), self._true_reports(batch))

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Answer loss given the true reports, plus the loss of the reports.

        Returns:
            as `GenerativeModel.loss`, and detached "report_nll" where there are reports.

        Raises:
            ValueError: the samples carry no reports.
        """
        anatomy = self._anatomy(batch)  # [U, R, D_v]
        reports = self._true_reports(batch)
        losses = self._answer_losses(batch, anatomy, reports).by_task(batch.samples)
        described = [image for image, report in enumerate(reports) if report]
        if described and self.config.report_weight:
            prompt = self.tokenizer.encode(REPORT_PROMPT)
            texts = [[*reports[image], self.tokenizer.end] for image in described]
            decoder = self._decoder(self._single(anatomy[described]))
            prompts, end = [prompt] * len(texts), self.tokenizer.end
            report_losses = decoder.answer_losses(prompts, texts, self.config.label_smoothing, end)
            losses["loss"] = (
                losses["loss"] + self.config.report_weight * report_losses.smoothed.mean()
            )
            losses["report_nll"] = report_losses.plain.mean()
        return losses

    @torch.no_grad()
    def log_probability(self, batch: Batch) -> Tensor:
        """Log-probability of each row's answer, given the generated reports: [B], in nats."""
        anatomy = self._anatomy(batch)
        losses = self._answer_losses(batch, anatomy, self._generate_reports(anatomy))
        return losses.log_probability(len(batch))

    def hypotheses(self, batch: Batch, generation: GenerationConfig) -> list[list[Hypothesis]]:
        """Generate the report of each distinct image, then the answers by beam search."""
        anatomy = self._anatomy(batch)
        questions = [question for question, _ in prompt_and_answer_ids(batch)]
        prompts = self._answer_prompts(batch, self._generate_reports(anatomy), questions)
        decoder = self._decoder(self._pair(anatomy, batch.image_index))
        end = self.tokenizer.end
        padded = pad_tokens(prompts, end, batch.tokens.device)
        return decoder.hypotheses(padded, generation, end)

    def reports(self, batch: Batch) -> list[str]:
        """The generated report of each distinct image of the batch."""
        reports = self._generate_reports(self._anatomy(batch))
        return [self.tokenizer.decode(report).strip() for report in reports]

    def _generate_reports(self, anatomy: Tensor) -> list[list[int]]:
        prompt, limit = self.tokenizer.encode(REPORT_PROMPT), self.config.report_tokens
        decoder = self._decoder(self._single(anatomy))
        return decoder.greedy_texts(prompt, limit, self.tokenizer.end)

    def _answer_losses(
        self, batch: Batch, anatomy: Tensor, reports: Sequence[Tokens]
    ) -> TokenLosses:
        questions, answers = zip(*prompt_and_answer_ids(batch), strict=True)
        decoder = self._decoder(self._pair(anatomy, batch.image_index))
        prompts = self._answer_prompts(batch, reports, questions)
        smoothing = self.config.label_smoothing
        return decoder.answer_losses(prompts, answers, smoothing, self.tokenizer.end)

    def _answer_prompts(
        self, batch: Batch, reports: Sequence[Tokens], questions: Sequence[Tokens]
    ) -> list[list[int]]:
        """Both reports (or the main image's) and the question of each row."""
        return [
            self.answer_prompt([reports[image] for image in images], question)
            for images, question in zip(batch.image_index.tolist(), questions, strict=True)
        ]

    def answer_prompt(self, reports: Sequence[Tokens], question: Tokens) -> list[int]:
        """Both labelled reports (or the main image's), the end token and the question."""
        return labelled_prompt(self.tokenizer, LABELS[-len(reports) :], reports, question)

    def _anatomy(self, batch: Batch) -> Tensor:
        """Anatomical tokens of each distinct image: [U, R, D_v]."""
        regions = regions_of(batch, REGIONS)
        features = region_features(self.image_tokens(batch), regions)
        return torch.where(regions.is_present[..., None], features, self.missing)

    def _single(self, anatomy: Tensor) -> Tensor:
        """One image without a past: [U, R, D_v] -> [U, R, D]."""
        return self._joined(anatomy, torch.zeros_like(anatomy))

    def _pair(self, anatomy: Tensor, image_index: Tensor) -> Tensor:
        """Main image and reference, joined region by region: [B, R, D]."""
        if image_index.shape[1] == 1:
            return self._single(anatomy[image_index[:, 0]])
        return self._joined(anatomy[image_index[:, 1]], anatomy[image_index[:, 0]])

    def _joined(self, current: Tensor, prior: Tensor) -> Tensor:
        joint: Tensor = self.joint(torch.cat([current, prior], -1))
        return joint + self.region_embeddings

    def _decoder(self, visual: Tensor) -> PrefixDecoder:
        positions = self.language_model.positions
        return PrefixDecoder(self.language_model, visual + self.visual_positions, positions)

    def _true_reports(self, batch: Batch) -> list[Tokens]:
        """The report of each distinct image; empty where a study has none."""
        reports: list[Tokens] = [[] for _ in range(len(batch.images))]
        for sample, images in zip(batch.samples, batch.image_index.tolist(), strict=True):
            if not sample.reports:
                raise ValueError(
                    f"sample {sample.id} carries no reports to learn from: train RG-AG with "
                    "data.tasks=[diff_vqa_reports]"
                )
            for image, report in zip(images, sample.reports, strict=True):
                tokens = self.tokenizer.encode(f" {report}") if report else []
                reports[image] = tokens[: self.config.report_tokens]
        return reports


def labelled_prompt(
    tokenizer: Tokenizer, labels: Sequence[str], reports: Sequence[Tokens], question: Tokens
) -> list[int]:
    """The ids of each label and its report, the end token, and the question."""
    labelled = zip(labels, reports, strict=True)
    parts = ([*tokenizer.encode(label), *report] for label, report in labelled)
    return [*chain.from_iterable(parts), tokenizer.end, *question]
