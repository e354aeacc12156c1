"""EKAID as its program is (Hu et al., KDD 2023): 52 nodes, three relations, gates, a writer.

Legend: B rows  U images  R = 26 regions  N = 2 R nodes  D_v, D widths of encoder and graph

    image --frozen encoder--> RoIAlign --+--> 26 anatomical nodes [R, D_v] --linear--.
                                         '--> finding head --> 26 finding nodes -----+--> x [N, D]
    x, question --relations--> graph --gates and weights--> y_1 (main), y_2 (reference), y_2 - y_1
    two LSTMs --> words

Only graphs and writer are trained. The encoder and a finding head, trained by the method
`findings`, stand in for the two detectors (docs/explanation/baselines.md).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lapse.config import GenerationConfig
from lapse.config.vqa import EkaidPublishedConfig
from lapse.core.annotation_names import REGIONS
from lapse.core.tokenizer import Tokenizer
from lapse.data.loading.batch import Batch
from lapse.models.backbones.ekaid_writer import EkaidWriter
from lapse.models.backbones.generative_model import GenerativeModel
from lapse.models.backbones.question_attention import QuestionAttention
from lapse.models.layers.beam_search import Hypothesis
from lapse.models.layers.ekaid_graph import GRAPHS, Relations
from lapse.models.layers.ekaid_labels import geometry_embedding, semantic_labels, spatial_labels
from lapse.models.layers.finding_classes import CLASS_SETS
from lapse.models.layers.finding_head import FindingHead
from lapse.models.layers.gated_pooling import GatedPooling, PooledPair
from lapse.models.layers.padding import answers_of, prompts_of
from lapse.models.layers.region_features import region_features, regions_of
from lapse.models.layers.token_embedding import TokenEmbedding
from lapse.models.layers.token_losses import TokenLosses

NAMES = tuple(name for name in REGIONS if name not in {"spine", "abdomen", "mediastinum"})


class EkaidPublished(GenerativeModel):
    """Answers from the graphs of main and reference image.

    Weights: `load_encoder` and `load_part` replace encoder and finding head; the rest as the
    submodules describe.
    """

    config_class = EkaidPublishedConfig
    further_parts = ("finding_head",)

    def __init__(self, config: EkaidPublishedConfig, tokenizer: Tokenizer) -> None:
        super().__init__(config.encoder, tokenizer, is_encoder_trained=config.train_encoder)
        self.config = config
        width, head = config.width, config.finding_head
        self.classes = tuple(CLASS_SETS[head.classes])
        self.finding_head = FindingHead(config.encoder.width, head.hidden, len(self.classes))
        self.freeze("finding_head")
        self.anatomy_node = nn.Linear(config.encoder.width, width)
        self.finding_node = nn.Linear(head.hidden, width)
        table = TokenEmbedding(config.word_width, tokenizer.kept, size=tokenizer.size)
        self.question = QuestionAttention(config, table.num_rows)
        self.graph = GRAPHS[config.graph](config)
        self.pooling = GatedPooling(width, config.pooling_width, config.dropout)
        self.writer = EkaidWriter(config, table, tokenizer.start)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Mean cross-entropy per word, plus a penalty on the weights of the nodes.

        Returns:
            as `GenerativeModel.loss`, and the detached "penalty".
        """
        pooled = self._pooled(batch)
        losses = self._word_losses(batch, pooled).by_task(batch.samples)
        penalty = self.config.attention_penalty * pooled.weights.sum() / (2 * len(batch))
        return {**losses, "loss": losses["loss"] + penalty, "penalty": penalty.detach()}

    def token_losses(self, batch: Batch) -> TokenLosses:
        """The loss of every answer word, without the penalty."""
        return self._word_losses(batch, self._pooled(batch))

    def hypotheses(self, batch: Batch, generation: GenerationConfig) -> list[list[Hypothesis]]:
        """The answers that beam search finished; each image is read once."""
        vectors = self._pooled(batch).vectors
        return self.writer.hypotheses(vectors, generation, self.tokenizer.end)

    def _word_losses(self, batch: Batch, pooled: PooledPair) -> TokenLosses:
        answers = answers_of(batch)
        return self.writer.losses(pooled.vectors, answers, self.config.label_smoothing)

    def _pooled(self, batch: Batch) -> PooledPair:
        """The vectors of both images of each row."""
        self.check_pairs(batch)
        regions = regions_of(batch, NAMES)
        is_present = regions.is_present
        features = region_features(self.image_tokens(batch), regions)  # [U, R, D_v]
        shown = self.finding_head.features(features)
        finding = self.finding_head.out(shown).argmax(-1)
        shown = shown * is_present[..., None]
        finding = finding.masked_fill(~is_present, len(self.classes))
        nodes = torch.cat([self.anatomy_node(features), self.finding_node(shown)], dim=1)
        boxes = (regions.boxes * is_present[..., None]).repeat(1, 2, 1)  # [U, N, 4]
        question = self.question(prompts_of(batch), self.writer.words)
        counts = self.finding_head.counts
        semantic = semantic_labels(NAMES, self.classes, finding, counts)
        labels = semantic, spatial_labels(boxes), geometry_embedding(boxes)
        reference, main = (
            self.graph(nodes[image], Relations(question, *(part[image] for part in labels)))
            for image in batch.image_index.unbind(1)
        )
        pooled: PooledPair = self.pooling(main, reference)
        return pooled
