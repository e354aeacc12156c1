"""Stage 1 of the paper (3.1, 3.2): an encoder learns by writing text from its image.

    images [U] --encoder (once per image)--> adapter --> cross-attention of every row of text

Ours and CapPa are this class with other presets: the tasks and the share of captions that is
predicted in parallel decide (Tschannen et al., 2023; Wan et al., 2024).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lapse.batch import Batch, normalise
from lapse.config import CaptionerConfig, DecodeConfig
from lapse.models.adapter import Adapter
from lapse.models.beam import beam_search
from lapse.models.decoder import DecoderCache, Memory, TextDecoder
from lapse.models.encoder import VisionEncoder
from lapse.text import Tokenizer


class Captioner(nn.Module):
    """Encoder, two-layer adapter and decoder, trained together from random weights.

    Args:
        config: sizes of the parts.
        tokenizer: decides which tokens have a row; writes the answers.
    """

    config_class = CaptionerConfig

    def __init__(self, config: CaptionerConfig, tokenizer: Tokenizer) -> None:
        super().__init__()
        self.config = config
        self.tokenizer = tokenizer
        self.encoder = VisionEncoder(config.encoder)
        self.adapter = Adapter(config.encoder.width, config.decoder.width, config.adapter_width)
        self.decoder = TextDecoder(config.decoder, tokenizer.kept)

    def weight(self, batch: Batch) -> float:
        """What the mean loss is over: the number of target tokens."""
        return float(batch.loss_mask.sum())

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Mean cross-entropy per target token (equation 1).

        Returns:
            "loss", and detached "loss/<task>" for each task in the batch.
        """
        memory = self._memory(batch)
        rows = self.decoder.tokens.rows(batch.tokens)
        hidden_by = batch.loss_mask & batch.parallel[:, None]
        hidden = self.decoder(rows, memory, hidden_by, batch.lengths)  # [B, T, D]
        row, position = batch.loss_mask.nonzero(as_tuple=True)
        source = position - (~batch.parallel[row]).long()  # a causal row predicts one ahead
        logits = self.decoder.tokens.logits(hidden[row, source]).float()  # [targets, V]
        losses = F.cross_entropy(logits, rows[row, position], reduction="none")
        found = {"loss": losses.mean()}
        names = [sample.task for sample in batch.samples]
        for name in dict.fromkeys(names):
            of_task = torch.tensor([name == other for other in names], device=row.device)[row]
            found[f"loss/{name}"] = losses.detach().where(of_task, 0.0).sum() / of_task.sum()
        return found

    @torch.no_grad()
    def answer(self, batch: Batch, config: DecodeConfig) -> list[str]:
        """Continue each row after its prompt, by beam search.

        Each image is encoded once and each prompt is read once, whatever the number of beams.
        A text ends where the decoder's positions do, whatever its neighbours need.
        """
        memory = self._memory(batch)
        width = int(batch.prompt_lengths.max())
        table = self.decoder.tokens
        rows = table.rows(batch.tokens[:, :width])
        last, cache = self.decoder.start(rows, memory, batch.prompt_lengths, config.max_tokens)
        end = int(table.rows(torch.tensor([self.tokenizer.end], device=rows.device)))
        may_fill = width + config.max_tokens > self.config.decoder.max_tokens
        writer = _Writer(self.decoder, cache, end if may_fill else None)
        written = beam_search(writer.step, table.logits(last).float(), config, end)
        return [self.tokenizer.decode(table.ids(found)) for found in written]

    def _memory(self, batch: Batch) -> Memory:
        if batch.image_index.shape[1] != 1:
            raise ValueError(
                f"the captioner reads one image per text, got {batch.image_index.shape[1]}: "
                "pretrain on cap, aref, gcap or caref"
            )
        images = normalise(batch.images, self.config.encoder.channels)
        visual = self.adapter(self.encoder(images))
        return self.decoder.memory(visual, batch.image_index[:, 0])


class _Writer:
    """The step of beam search over a decoder cache.

    Args:
        decoder, cache: who writes, and what has been read.
        end: the token that full rows are made to write; None where no row can fill up.
    """

    def __init__(self, decoder: TextDecoder, cache: DecoderCache, end: int | None) -> None:
        self.decoder = decoder
        self.cache = cache
        self.end = end

    def step(self, tokens: Tensor, order: Tensor | None) -> Tensor:
        """Reorder the cache, consume one token per row, return the next logits [R, V]."""
        if order is None:
            opened = self.cache.filled.shape[0]
            per_row = tokens.shape[0] // opened
            order = torch.arange(opened, device=tokens.device).repeat_interleave(per_row)
        self.cache.reorder(order)
        is_full = self.decoder.is_full(self.cache)
        logits = self.decoder.tokens.logits(self.decoder.step(tokens, self.cache)).float()
        if self.end is not None:
            only_end = torch.full_like(logits[0], -torch.inf)
            only_end[self.end] = 0.0
            logits = torch.where(is_full[:, None], only_end, logits)
        return logits
