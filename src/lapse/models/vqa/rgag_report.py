"""RG-AG's first model (Dalla Serra et al., 2025): reports of one image, or of one with its past.

Legend: B rows  U images  R = 36 regions  H width of the finding head

    image --frozen encoder--> RoIAlign --> finding head --> [R, H], zero where there is no region
    [current; prior] of each region --> language model --> report

The second model, `rgag_published`, takes this one as its frozen report generator.
"""

from __future__ import annotations

from torch import Tensor

from lapse.config.vqa import RgagReportConfig
from lapse.core.annotation_names import REGION_SETS
from lapse.core.tokenizer import Tokenizer
from lapse.data.loading.batch import Batch
from lapse.models.backbones.anatomy_writer import AnatomyWriter
from lapse.models.backbones.prefix_decoder import PrefixDecoder, PrefixModel
from lapse.models.layers.finding_head import FindingHead, region_vectors
from lapse.models.layers.region_features import regions_of

NAMES = REGION_SETS["36"]


class RgagReport(PrefixModel):
    """Writes the report of a main image from its regions and those of a prior image.

    Weights: `load_encoder` and `load_part` replace encoder and finding head; the rest as
    `AnatomyWriter` describes.
    """

    config_class = RgagReportConfig
    further_parts = ("finding_head",)
    sharded_parts = ("encoder",)

    def __init__(self, config: RgagReportConfig, tokenizer: Tokenizer) -> None:
        super().__init__(config.encoder, tokenizer, is_encoder_trained=config.train_encoder)
        self.config = config
        self.label_smoothing = config.label_smoothing
        head = config.finding_head
        self.finding_head = FindingHead.of(config.encoder.width, head)
        self.freeze("finding_head")
        self.generator = AnatomyWriter(head.hidden, len(NAMES), config.language_model, tokenizer)

    def anatomy(self, batch: Batch) -> Tensor:
        """The vectors of the regions of each distinct image: [U, R, H], zero for missing ones.

        Raises:
            ValueError: the samples carry no boxes.
        """
        regions = regions_of(batch, NAMES)
        return region_vectors(self.finding_head, self.image_tokens(batch), regions)

    def prefix_decoder(self, batch: Batch) -> PrefixDecoder:
        """The language model behind the regions of the image of each row and of the one before."""
        return self.generator.decoder(*pair_of(self.anatomy(batch), batch.image_index))


def pair_of(anatomy: Tensor, image_index: Tensor) -> tuple[Tensor, Tensor | None]:
    """The vectors of the last image of each row and of the one before, None without one."""
    prior = anatomy[image_index[:, 0]] if image_index.shape[1] == 2 else None
    return anatomy[image_index[:, -1]], prior
