"""EKAID (Hu et al., KDD 2023): graphs of anatomical regions, and the difference between them.

Legend: B rows  U images  R = 29 regions  D width

    image --encoder--> tokens --RoIAlign--> region features --+ question --> nodes [R, D]
    nodes --spatial, semantic, implicit attention--> graph of the reference, graph of the main
    [reference; main - reference; main] --dynamic LSTM (beam search)--> answer

Its abstract names the three relations and the difference of graphs. Their form follows
relation-aware graph attention (Li et al., 2019), and the decoder follows the dynamic speaker of
Park et al. (2019). Boxes come from the scene graph, not from a detector.
docs/explanation/baselines.md lists what differs, docs/explanation/deviations.md what was open.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lapse.config import GenerationConfig
from lapse.config.vqa import EkaidConfig
from lapse.core.annotation_names import REGIONS
from lapse.core.tokenizer import Tokenizer
from lapse.data.loading.batch import Batch
from lapse.models.backbones.generative_model import GenerativeModel
from lapse.models.backbones.lstm_decoder import Graphs, LstmDecoder, QuestionReader
from lapse.models.layers.beam_search import Hypothesis
from lapse.models.layers.padding import answers_of, prompts_of
from lapse.models.layers.region_features import Regions, region_features, regions_of
from lapse.models.layers.region_graph import (
    NUM_SEMANTIC,
    NUM_SPATIAL,
    GeometryBias,
    RelationAttention,
    semantic_labels,
    spatial_labels,
)
from lapse.models.layers.token_losses import TokenLosses
from lapse.models.layers.transformer import normal_parameter


class Ekaid(GenerativeModel):
    """Answers from the region graphs of both images and their difference, by an LSTM.

    Weights: as the submodules describe; region embeddings normal with deviation 0.02.
    """

    config_class = EkaidConfig
    semantic: Tensor

    def __init__(self, config: EkaidConfig, tokenizer: Tokenizer) -> None:
        super().__init__(config.encoder, tokenizer, is_encoder_trained=config.train_encoder)
        self.config = config
        width = config.width
        self.region = nn.Linear(config.encoder.width, width)
        self.region_embeddings = normal_parameter(len(REGIONS), width)
        self.question = QuestionReader(config.words, width)
        self.node = nn.Linear(2 * width, width)
        self.spatial = RelationAttention(width, config.heads, NUM_SPATIAL)
        self.semantics = RelationAttention(width, config.heads, NUM_SEMANTIC)
        self.implicit = RelationAttention(width, config.heads, 2)
        self.geometry = GeometryBias(config.heads)
        self.norm = nn.LayerNorm(width)
        self.decoder = LstmDecoder(width, config.words, tokenizer.kept, config.dropout)
        self.register_buffer("semantic", semantic_labels(REGIONS), persistent=False)

    def token_losses(self, batch: Batch) -> TokenLosses:
        """The loss of every answer token."""
        smoothing = self.config.label_smoothing
        return self.decoder.losses(self._graphs(batch), answers_of(batch), smoothing)

    def hypotheses(self, batch: Batch, generation: GenerationConfig) -> list[list[Hypothesis]]:
        """The answers that beam search finished; each image is read once."""
        return self.decoder.hypotheses(self._graphs(batch), generation, self.tokenizer.end)

    def _graphs(self, batch: Batch) -> Graphs:
        """Graphs of reference, difference and main image, over the regions that both have."""
        self.check_pairs(batch)
        regions = regions_of(batch, REGIONS)
        features = region_features(self.image_tokens(batch), regions)
        features = F.relu(self.region(features))  # [U, R, D]
        questions, table = prompts_of(batch), self.decoder.tokens
        words = table.embed(table.rows(questions.tokens))
        question = self.question(words, questions.lengths)  # [B, D]
        reference, main = (
            self._graph(features, regions, batch.image_index[:, column], question)
            for column in (0, 1)
        )
        is_present = regions.is_present[batch.image_index].all(1)  # [B, R]
        # Where the two images share no region, attend to the regions of either.
        either = regions.is_present[batch.image_index].any(1)
        is_present = torch.where(is_present.any(1, keepdim=True), is_present, either)
        return Graphs(torch.stack([reference, main - reference, main], dim=1), is_present)

    def _graph(
        self, features: Tensor, regions: Regions, image_of: Tensor, question: Tensor
    ) -> Tensor:
        """One image's graph for each row: [B, R, D]."""
        boxes, is_present = regions.boxes[image_of], regions.is_present[image_of]
        questions = question[:, None].expand(-1, len(REGIONS), -1)
        nodes = self.node(torch.cat([features[image_of] + self.region_embeddings, questions], -1))
        edges = is_present[:, None, :] & is_present[:, :, None]
        edges = edges | torch.eye(len(REGIONS), dtype=torch.bool, device=edges.device)
        spatial = self.spatial(nodes, spatial_labels(boxes) * edges)
        semantic = self.semantics(nodes, self.semantic[None] * edges)
        implicit = self.implicit(nodes, edges.long(), self.geometry(boxes))
        out: Tensor = self.norm(nodes + (spatial + semantic + implicit) / 3)
        return out
