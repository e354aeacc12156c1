"""PLURAL (Cho et al., 2024): one transformer encoder-decoder, trained in stages.

Legend: B rows  U images  I images per row  N visual tokens  Q question tokens
        P tokens of the past report  D width  L = 2 N + Q (+ P)

    reference [N] + past --+
    main [N] + present ----+--> transformer encoder [L, D] --cross-attention--> decoder --> answer
    question [Q] ----------+
    (past report [P]) -----+

Each stage is a preset that starts from the weights of the one before:
    1 natural images, where a public backbone is given as the encoder (init_encoder)
    2 reports of one study: diffvqa-plural-report (task cap; the slot of the past is empty)
    3 difference questions: diffvqa-plural (init_model = the run of stage 2)

Every slot has a fixed length. Unused positions hold a learned vector, so that an answer does not
depend on the other rows of a batch. The publication's vision backbone is a ResNet inside OFA;
here it is the encoder that all compared systems share.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lapse.config import GenerationConfig
from lapse.config.vqa import PluralConfig
from lapse.core.tokenizer import Tokenizer
from lapse.data.loading.batch import Batch
from lapse.models.backbones.cross_attention_decoder import CrossAttentionDecoder
from lapse.models.backbones.decoder import TextDecoder
from lapse.models.backbones.generative_model import GenerativeModel
from lapse.models.layers.beam_search import Hypothesis
from lapse.models.layers.padding import PaddedTokens, answers_of, pad_tokens, prompts_of
from lapse.models.layers.token_losses import TokenLosses
from lapse.models.layers.transformer import PreNormBlock, normal_parameter

PAST, PRESENT, QUESTION, REPORT = 0, 1, 2, 3


class Plural(GenerativeModel):
    """Answers from both images and the question in one encoder, by a decoder that attends to it.

    A text starts with the end token, as GPT-2's own documents do.

    Weights: blocks have PyTorch's linear default; embeddings of slots, positions and unused
    positions normal with deviation 0.02.
    """

    config_class = PluralConfig

    def __init__(self, config: PluralConfig, tokenizer: Tokenizer) -> None:
        super().__init__(config.encoder, tokenizer, is_encoder_trained=config.train_encoder)
        self.config = config
        width = config.decoder.width
        self.project = nn.Linear(config.encoder.width, width)
        longest = max(config.encoder.num_tokens, config.question_tokens, config.report_tokens)
        self.slots = normal_parameter(4, width)
        self.positions = normal_parameter(longest, width)
        self.unused = normal_parameter(width)
        heads, mlp_width = config.decoder.heads, config.decoder.mlp_width
        self.blocks = nn.ModuleList(
            PreNormBlock(width, heads, mlp_width) for _ in range(config.layers)
        )
        self.norm = nn.LayerNorm(width)
        self.decoder = TextDecoder(config.decoder, tokenizer.kept)

    def token_losses(self, batch: Batch) -> TokenLosses:
        """The loss of every answer token, each predicted from those before it."""
        answers = answers_of(batch)
        start = torch.full_like(answers.tokens[:, :1], self.tokenizer.end)
        text = PaddedTokens(torch.cat([start, answers.tokens], dim=1), answers.lengths + 1)
        is_target = text.is_used
        is_target[:, 0] = False
        parallel = torch.zeros_like(batch.parallel)
        decoder = self.cross_attention_decoder(batch)
        return decoder.losses(text, is_target, parallel, self.config.label_smoothing)

    def hypotheses(self, batch: Batch, generation: GenerationConfig) -> list[list[Hypothesis]]:
        """The answers that beam search finished; each image is read once."""
        end = self.tokenizer.end
        prompts = pad_tokens([[end]] * len(batch), end, batch.tokens.device)
        return self.cross_attention_decoder(batch).hypotheses(prompts, generation, end)

    def cross_attention_decoder(self, batch: Batch) -> CrossAttentionDecoder:
        """The decoder, attending to images and question of each row."""
        rows = torch.arange(len(batch), device=batch.tokens.device)
        memory = self.decoder.memory(self.encoded(batch), rows)
        return CrossAttentionDecoder(self.decoder, memory)

    def encoded(self, batch: Batch) -> Tensor:
        """What the decoder attends to: [B, L, D]."""
        images = self.project(self.image_tokens(batch))[batch.image_index]  # [B, I, N, D]
        unused = self.unused.expand(len(batch), self.config.encoder.num_tokens, -1)
        past = images[:, 0] if images.shape[1] == 2 else unused
        parts = [
            self._slot(past, PAST),
            self._slot(images[:, -1], PRESENT),
            self._slot(self._words(prompts_of(batch), self.config.question_tokens), QUESTION),
        ]
        if self.config.past_report:
            parts.append(self._slot(self._past_report(batch), REPORT))
        x = torch.cat(parts, dim=1)
        for block in self.blocks:
            x = block(x)
        encoded: Tensor = self.norm(x)
        return encoded

    def _slot(self, x: Tensor, slot: int) -> Tensor:
        return x + self.slots[slot] + self.positions[: x.shape[1]]

    def _words(self, texts: PaddedTokens, length: int) -> Tensor:
        """Word embeddings of texts in a slot of fixed length: [B, length, D]."""
        width = texts.tokens.shape[1]
        if width > length:
            raise ValueError(
                f"a question of {width} tokens does not fit into {length}: raise "
                "model.question_tokens"
            )
        table = self.decoder.tokens
        words = table.embed(table.rows(texts.tokens))
        words = torch.where(texts.is_used[..., None], words, self.unused)
        rest = self.unused.expand(len(words), length - width, -1)
        return torch.cat([words, rest], dim=1)

    def _past_report(self, batch: Batch) -> Tensor:
        length = self.config.report_tokens
        texts = []
        for sample in batch.samples:
            if not sample.reports and len(sample.images) == 2:
                raise ValueError(
                    f"sample {sample.id} carries no reports, and model.past_report asks for the "
                    "reference's: use the task diff_vqa_reports"
                )
            report = sample.reports[0] if len(sample.images) == 2 else ""
            texts.append(self.tokenizer.encode(f" {report}")[:length] if report else [])
        return self._words(pad_tokens(texts, self.tokenizer.end, batch.tokens.device), length)
