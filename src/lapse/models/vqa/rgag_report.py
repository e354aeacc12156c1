"""RG-AG's first model (Dalla Serra et al., 2025): reports of one image, or of one with its past.

Legend: B rows  U images  R = 36 regions  H width of the finding head

    image --frozen encoder--> RoIAlign --> finding head --> [R, H], zero where there is no region
    [current; prior] of each region --> language model --> report

The second model, `rgag_published`, takes this one as its frozen report generator.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from lapse.config import GenerationConfig
from lapse.config.vqa import RgagReportConfig
from lapse.core.tokenizer import Tokenizer
from lapse.data.datasets.chest_imagenome import REGION_SETS
from lapse.data.loading.batch import Batch
from lapse.models.backbones.anatomy_writer import AnatomyWriter
from lapse.models.backbones.generative_model import GenerativeModel
from lapse.models.backbones.prefix_decoder import PrefixDecoder
from lapse.models.layers.beam_search import Hypothesis
from lapse.models.layers.finding_classes import CLASS_SETS
from lapse.models.layers.finding_head import FindingHead, load_finding_head, region_vectors
from lapse.models.layers.padding import PaddedTokens, prompts_of
from lapse.models.layers.region_features import regions_of
from lapse.models.layers.token_losses import TokenLosses

NAMES = REGION_SETS["36"]


class RgagReport(GenerativeModel):
    """Writes the report of a main image from its regions and those of a prior image.

    Weights: `load_encoder` and `load_part` replace encoder and finding head; the rest as
    `AnatomyWriter` describes.

    Args:
        config: sizes.
        tokenizer: decides which tokens have a row; decodes the reports.
    """

    config_class = RgagReportConfig
    further_parts = ("finding_head",)
    sharded_parts = ("encoder",)

    def __init__(self, config: RgagReportConfig, tokenizer: Tokenizer) -> None:
        super().__init__(config.encoder, tokenizer, is_encoder_trained=config.train_encoder)
        self.config = config
        head = config.finding_head
        self.finding_head = FindingHead(
            config.encoder.width, head.hidden, len(CLASS_SETS[head.classes])
        )
        self.freeze("finding_head")
        self.generator = AnatomyWriter(head.hidden, len(NAMES), config.language_model, tokenizer)

    def load_part(self, part: str, state: Mapping[str, Tensor]) -> str:
        """Load the finding head of a run of `findings`; one sentence for the log.

        Raises:
            ValueError: that run has another finding head.
        """
        return load_finding_head(self.finding_head, part, state)

    def token_losses(self, batch: Batch) -> TokenLosses:
        """The loss of every token of the reports."""
        text = PaddedTokens(batch.tokens, batch.lengths)
        smoothing = self.config.label_smoothing
        return self._decoder(batch).losses(text, self.target_mask(batch), smoothing)

    def hypotheses(self, batch: Batch, generation: GenerationConfig) -> list[list[Hypothesis]]:
        """The reports that beam search finished; each image is read once."""
        return self._decoder(batch).hypotheses(prompts_of(batch), generation, self.tokenizer.end)

    def anatomy(self, batch: Batch) -> Tensor:
        """The vectors of the regions of each distinct image: [U, R, H], zero where one is missing.

        Raises:
            ValueError: the samples carry no boxes.
        """
        regions = regions_of(batch, NAMES)
        return region_vectors(self.finding_head, self.image_tokens(batch), regions)

    def _decoder(self, batch: Batch) -> PrefixDecoder:
        return self.generator.decoder(*pair_of(self.anatomy(batch), batch.image_index))


def pair_of(anatomy: Tensor, image_index: Tensor) -> tuple[Tensor, Tensor | None]:
    """The vectors of the last image of each row and of the one before, None without one."""
    prior = anatomy[image_index[:, 0]] if image_index.shape[1] == 2 else None
    return anatomy[image_index[:, -1]], prior
