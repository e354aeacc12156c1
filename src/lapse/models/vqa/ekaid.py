"""EKAID (Hu et al., KDD 2023): graphs of anatomical regions, and the difference between them.

Legend: B rows  U images  R = 29 regions  D width

    image --encoder--> tokens --RoIAlign--> region features --+ question --> nodes [R, D]
    nodes --spatial, semantic, implicit attention--> graph of the reference, graph of the main
    [reference; main - reference; main] --dynamic LSTM (beam search)--> answer

The three relations and the difference of graphs are what its abstract names; their form follows
relation-aware graph attention (Li et al., 2019), the writer the dynamic speaker of Park et al.
(2019). Boxes are the scene graph's instead of those of its own detector.
docs/explanation/baselines.md lists what differs, docs/explanation/deviations.md what was open.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lapse.config import GenerationConfig
from lapse.config.vqa import EkaidConfig
from lapse.core.tokenizer import Tokenizer
from lapse.data.datasets.chest_imagenome import REGIONS
from lapse.data.loading.batch import Batch, normalise
from lapse.models.backbones.encoder_model import EncoderModel
from lapse.models.backbones.lstm_decoder import LstmDecoder, QuestionReader
from lapse.models.layers.padding import Rows, answers_of, questions_of
from lapse.models.layers.region_features import Regions, named_boxes, region_features, regions_of
from lapse.models.layers.region_graph import (
    NUM_SEMANTIC,
    NUM_SPATIAL,
    GeometryBias,
    RelationAttention,
    semantic_labels,
    spatial_labels,
)


class Ekaid(EncoderModel):
    """Region graphs of both images, their difference, and an LSTM that writes from them.

    Weights: as the parts say; region embeddings normal with deviation 0.02.

    Args:
        config: sizes.
        tokenizer: of the run.
    """

    config_class = EkaidConfig
    semantic: Tensor

    def __init__(self, config: EkaidConfig, tokenizer: Tokenizer) -> None:
        super().__init__(config.encoder, is_trained=config.train_encoder)
        self.config = config
        self.tokenizer = tokenizer
        width = config.width
        self.region = nn.Linear(config.encoder.width, width)
        self.names = nn.Parameter(torch.empty(len(REGIONS), width))
        nn.init.normal_(self.names, std=0.02)
        self.question = QuestionReader(config.words, width)
        self.node = nn.Linear(2 * width, width)
        self.spatial = RelationAttention(width, config.heads, NUM_SPATIAL)
        self.semantics = RelationAttention(width, config.heads, NUM_SEMANTIC)
        self.implicit = RelationAttention(width, config.heads, 2)
        self.geometry = GeometryBias(config.heads)
        self.norm = nn.LayerNorm(width)
        self.writer = LstmDecoder(width, config.words, tokenizer.kept, config.dropout)
        self.register_buffer("semantic", semantic_labels(REGIONS), persistent=False)

    def weight(self, batch: Batch) -> float:
        """What the mean loss is over: the number of answer tokens."""
        return float((batch.lengths - batch.prompt_lengths).sum())

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Mean label-smoothed cross-entropy per answer token."""
        graphs, is_there = self._graphs(batch)
        answers = answers_of(batch.tokens, batch.lengths, batch.prompt_lengths)
        losses = self.writer.losses(
            graphs, is_there, answers.tokens, answers.is_used, self.config.label_smoothing
        )
        return losses.named([sample.task for sample in batch.samples])

    def answer(self, batch: Batch, config: GenerationConfig) -> list[str]:
        """Answer each row's question by beam search."""
        graphs, is_there = self._graphs(batch)
        written = self.writer.write(graphs, is_there, config, self.tokenizer.end)
        return [self.tokenizer.decode(ids) for ids in written]

    def _graphs(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """[B, 3, R, D]: reference, difference, main; and the regions that both have [B, R].

        Raises:
            ValueError: a row without two images.
        """
        if batch.image_index.shape[1] != 2:
            raise ValueError(
                f"EKAID compares two images, got {batch.image_index.shape[1]} per question"
            )
        boxes = named_boxes(batch.samples, batch.image_index)
        regions = regions_of(boxes, REGIONS, batch.images.device)
        tokens = self.encode(normalise(batch.images, self.config.encoder.channels))
        features = F.relu(self.region(region_features(tokens, regions)))  # [U, R, D]
        question = self._question(questions_of(batch.tokens, batch.prompt_lengths))
        sides = [
            self._graph(features, regions, batch.image_index[:, column], question)
            for column in (0, 1)
        ]
        both = regions.is_there[batch.image_index].all(1)  # [B, R]
        # Where the two images share no region, look at whatever either has.
        either = regions.is_there[batch.image_index].any(1)
        both = torch.where(both.any(1, keepdim=True), both, either)
        return torch.stack([sides[0], sides[1] - sides[0], sides[1]], dim=1), both

    def _graph(
        self, features: Tensor, regions: Regions, image_of: Tensor, question: Tensor
    ) -> Tensor:
        """One image's graph for each row: [B, R, D]."""
        boxes, is_there = regions.boxes[image_of], regions.is_there[image_of]
        asked = question[:, None].expand(-1, len(REGIONS), -1)
        nodes = self.node(torch.cat([features[image_of] + self.names, asked], -1))
        edges = is_there[:, None, :] & is_there[:, :, None]
        here = torch.eye(len(REGIONS), dtype=torch.bool, device=edges.device)
        edges = edges | here
        spatial = self.spatial(nodes, spatial_labels(boxes) * edges)
        semantic = self.semantics(nodes, self.semantic[None] * edges)
        implicit = self.implicit(nodes, edges.long(), self.geometry(boxes))
        out: Tensor = self.norm(nodes + (spatial + semantic + implicit) / 3)
        return out

    def _question(self, questions: Rows) -> Tensor:
        table = self.writer.tokens
        words = table.embed(table.rows(questions.tokens))
        read: Tensor = self.question(words, questions.lengths)
        return read
