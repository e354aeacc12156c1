"""PLURAL (Cho et al., 2024): one transformer encoder-decoder, trained in stages.

Legend: B rows  U images  N visual tokens  Q question tokens  P tokens of the past report
        D width  L = 2 N + Q (+ P)

    reference [N] + past --+
    main [N] + present ----+--> transformer encoder [L, D] --cross-attention--> decoder --> answer
    question [Q] ----------+
    (past report [P]) -----+

Stages, each a preset that begins with the weights of the one before (its abstract: step by step):
    1 natural images, where a public backbone is given as the encoder (init_encoder)
    2 reports of one study: diffvqa-plural-report (task cap; the past is an empty slot)
    3 difference questions: diffvqa-plural (init_model = the run of stage 2)

Every slot has a fixed length. Places that hold nothing carry a learned vector, so that an
answer does not depend on its neighbours in a batch. Its vision backbone is a ResNet inside OFA;
here it is the encoder that all compared systems share.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lapse.config import EncoderConfig, GenerationConfig
from lapse.config.vqa import PluralConfig
from lapse.core.tokenizer import Tokenizer
from lapse.data.loading.batch import Batch, normalise
from lapse.models.backbones.cross_attention_decoder import CrossAttentionDecoder
from lapse.models.backbones.encoder_model import EncoderModel
from lapse.models.backbones.vision_encoder import EncoderBlock
from lapse.models.layers.padding import Rows, answers_of, padded, questions_of

PAST, PRESENT, QUESTION, REPORT = 0, 1, 2, 3


class Plural(EncoderModel):
    """Both images and the question in one encoder; a decoder that writes from it.

    Weights: blocks as `VisionEncoder` initialises its own (linear layers PyTorch's default);
    embeddings of kinds, places and empty places normal with deviation 0.02.

    Args:
        config: sizes and choices.
        tokenizer: of the run.
    """

    config_class = PluralConfig

    def __init__(self, config: PluralConfig, tokenizer: Tokenizer) -> None:
        super().__init__(config.encoder, is_trained=config.train_encoder)
        self.config = config
        self.tokenizer = tokenizer
        width = config.decoder.width
        self.project = nn.Linear(config.encoder.width, width)
        longest = max(config.encoder.num_tokens, config.question_tokens, config.report_tokens)
        self.kinds = nn.Parameter(torch.empty(4, width))
        self.places = nn.Parameter(torch.empty(longest, width))
        self.empty = nn.Parameter(torch.empty(width))
        for table in (self.kinds, self.places, self.empty):
            nn.init.normal_(table, std=0.02)
        block = EncoderConfig(
            image_size=config.encoder.image_size,
            patch_size=config.encoder.patch_size,
            width=width,
            heads=config.decoder.heads,
            mlp_width=config.decoder.mlp_width,
        )
        self.blocks = nn.ModuleList(EncoderBlock(block) for _ in range(config.layers))
        self.norm = nn.LayerNorm(width)
        self.writer = CrossAttentionDecoder(config.decoder, tokenizer.kept, tokenizer.end)

    def weight(self, batch: Batch) -> float:
        """What the mean loss is over: the number of answer tokens."""
        return float((batch.lengths - batch.prompt_lengths).sum())

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Mean label-smoothed cross-entropy per answer token."""
        answers = answers_of(batch.tokens, batch.lengths, batch.prompt_lengths)
        losses = self.writer.losses(self._memory(batch), answers, self.config.label_smoothing)
        return losses.named([sample.task for sample in batch.samples])

    def answer(self, batch: Batch, config: GenerationConfig) -> list[str]:
        """Answer each row's question by beam search."""
        written = self.writer.write(self._memory(batch), config)
        return [self.tokenizer.decode(ids) for ids in written]

    def _memory(self, batch: Batch) -> Tensor:
        """What the decoder reads: [B, L, D]."""
        images = self.encode(normalise(batch.images, self.config.encoder.channels))
        seen = self.project(images)[batch.image_index]  # [B, I, N, D]
        nothing = self.empty.expand(len(batch), self.config.encoder.num_tokens, -1)
        past = seen[:, 0] if seen.shape[1] == 2 else nothing
        questions = questions_of(batch.tokens, batch.prompt_lengths)
        parts = [
            self._slot(past, PAST),
            self._slot(seen[:, -1], PRESENT),
            self._slot(self._words(questions, self.config.question_tokens), QUESTION),
        ]
        if self.config.past_report:
            parts.append(self._slot(self._past_report(batch), REPORT))
        x = torch.cat(parts, dim=1)
        for block in self.blocks:
            x = block(x)
        memory: Tensor = self.norm(x)
        return memory

    def _slot(self, x: Tensor, kind: int) -> Tensor:
        return x + self.kinds[kind] + self.places[: x.shape[1]]

    def _words(self, texts: Rows, room: int) -> Tensor:
        """Word embeddings of a text in a slot of fixed length: [B, room, D].

        Raises:
            ValueError: a question is longer than its slot.
        """
        width = texts.tokens.shape[1]
        if width > room:
            raise ValueError(
                f"a question of {width} tokens does not fit into {room}: raise "
                "model.question_tokens"
            )
        table = self.writer.decoder.tokens
        words = table.embed(table.rows(texts.tokens))
        words = torch.where(texts.is_used[..., None], words, self.empty)
        rest = self.empty.expand(len(words), room - width, -1)
        return torch.cat([words, rest], dim=1)

    def _past_report(self, batch: Batch) -> Tensor:
        room = self.config.report_tokens
        texts = []
        for sample in batch.samples:
            if not sample.reports and len(sample.images) == 2:
                raise ValueError(
                    f"sample {sample.id} carries no reports, and model.past_report asks for the "
                    "reference's: use the task diff_vqa_reports"
                )
            report = sample.reports[0] if len(sample.images) == 2 else ""
            texts.append(self.tokenizer.encode(f" {report}")[:room] if report else [])
        return self._words(padded(texts, self.tokenizer.end, batch.tokens.device), room)
