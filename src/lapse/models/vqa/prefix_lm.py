"""Stage 2 of the paper (3.4): both images' tokens stand before the question; GPT-2 answers.

Legend: U images  B rows  I images per row  N visual tokens  M visual tokens of a row = I * N
        T text tokens  D width of the language model  V tokens of the table

    reference --+                                                   question | answer
                +-> frozen encoder -> + temporal -> adapter -> [ref; main; text] -> GPT-2
    main -------+   (each image once)  (equation 2)  (3)         (4)        loss on the answer (5)

`config.images` = "none", "main" or "reference" gives the blind rows: the same system, the same
training, fewer images.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lapse.config import GenerationConfig, PrefixLMConfig
from lapse.core.tokenizer import Tokenizer
from lapse.core.types import Candidate
from lapse.data.loading.batch import Batch, normalise
from lapse.models.backbones.build_encoder import build_encoder
from lapse.models.backbones.gpt2 import GPT2, PrefixCache, stretched
from lapse.models.backbones.gpt2_weights import load_gpt2
from lapse.models.layers.adapter import Adapter
from lapse.models.layers.beam_search import beam_hypotheses, end_where
from lapse.models.layers.chunked_cross_entropy import token_losses

SLOTS = {"both": (0, 1), "reference": (0,), "main": (1,), "none": ()}
INTERPOLATED_TEXT = 256  # text positions behind the visual ones when one table is stretched


class PrefixLM(nn.Module):
    """Frozen encoder, temporal embeddings, two-layer adapter and GPT-2.

    Weights: the encoder is handed over by `load_encoder`; GPT-2's come from
    `config.language_model.weights` or are random (`origin` says which); temporal and visual
    position embeddings normal with deviation 0.02.

    Args:
        config: sizes and choices.
        tokenizer: decides which tokens have a row; writes the answers.
    """

    config_class = PrefixLMConfig
    reads_features = True  # takes `Batch.features` instead of encoding its images

    def __init__(self, config: PrefixLMConfig, tokenizer: Tokenizer) -> None:
        super().__init__()
        self.config = config
        self.tokenizer = tokenizer
        self.encoder = build_encoder(config.encoder)
        side = config.encoder.image_size // config.encoder.patch_size
        if side % config.pool:
            raise ValueError(
                f"pool {config.pool} does not divide the {side} x {side} grid of visual tokens"
            )
        self.side = side
        self.num_visual = (side // config.pool) ** 2
        temporal = config.encoder.num_tokens if config.temporal == "token" else 1
        self.temporal = nn.Parameter(torch.empty(2, temporal, config.encoder.width))
        self.adapter = Adapter(config.encoder.width, config.language_model.width)
        self.language_model = GPT2(config.language_model, tokenizer.kept)
        self.visual_positions: nn.Parameter | None = None
        total = 2 * self.num_visual
        if config.visual_positions == "learned":
            total += config.language_model.max_positions
        if config.visual_positions != "interpolate":
            self.visual_positions = nn.Parameter(torch.empty(total, config.language_model.width))
            nn.init.normal_(self.visual_positions, std=0.02)
        nn.init.normal_(self.temporal, std=0.02)
        self.origin = load_gpt2(self.language_model, config.language_model.weights)
        self.encoder.requires_grad_(config.train_encoder)
        if config.visual_positions == "learned":
            self.language_model.positions.requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> PrefixLM:
        """As nn.Module, but a frozen encoder stays in evaluation mode."""
        super().train(mode)
        if not self.config.train_encoder:
            self.encoder.eval()
        return self

    def load_encoder(self, state: Mapping[str, Tensor]) -> None:
        """Take stage 1's encoder; every weight must be there and fit."""
        self.encoder.load_state_dict(dict(state))

    def encode(self, images: Tensor) -> Tensor:
        """uint8 [U, 1, S, S] -> the encoder's tokens [U, N, D_v]; no gradient when frozen."""
        pixels = normalise(images, self.config.encoder.channels)
        with torch.set_grad_enabled(self.config.train_encoder and torch.is_grad_enabled()):
            tokens: Tensor = self.encoder(pixels)
        return tokens

    def weight(self, batch: Batch) -> float:
        """What the mean loss is over: the number of answer tokens."""
        return float(self._targets(batch).sum())

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Mean label-smoothed cross-entropy per answer token (equation 5).

        Returns:
            "loss", and detached "nll" (without smoothing) and "loss/<task>" (likewise).
        """
        table = self.language_model.tokens
        rows = table.rows(batch.tokens)
        visual = self._visual(batch)
        hidden = self.language_model(self._join(visual, table.embed(rows)))  # [B, M + T, D]
        row, position = self._targets(batch).nonzero(as_tuple=True)
        source = position - 1 + visual.shape[1]
        smoothing = self.config.label_smoothing
        costs = token_losses(
            hidden[row, source], table.weight, rows[row, position], smoothing=smoothing
        )
        losses = costs.plain
        found = {"loss": costs.smoothed.mean(), "nll": losses.mean()}
        names = [sample.task for sample in batch.samples]
        for name in dict.fromkeys(names):
            of_task = torch.tensor([name == other for other in names], device=row.device)[row]
            if bool(of_task.any()):
                found[f"loss/{name}"] = losses[of_task].mean()
        return found

    def answer(self, batch: Batch, config: GenerationConfig) -> list[str]:
        """Answer each row's question by beam search: the first of `candidates`, text only."""
        return [found[0].text for found in self.candidates(batch, config)]

    @torch.no_grad()
    def log_probability(self, batch: Batch) -> Tensor:
        """How likely each row's answer is after its prompt, end token included: [B], in nats."""
        table = self.language_model.tokens
        rows = table.rows(batch.tokens)
        visual = self._visual(batch)
        hidden = self.language_model(self._join(visual, table.embed(rows)))  # [B, M + T, D]
        row, position = self._targets(batch).nonzero(as_tuple=True)
        logits = table.logits(hidden[row, position - 1 + visual.shape[1]]).float()
        each = F.cross_entropy(logits, rows[row, position], reduction="none")
        return torch.zeros(len(batch), device=each.device).index_add(0, row, -each)

    def candidates(self, batch: Batch, config: GenerationConfig) -> list[list[Candidate]]:
        """What beam search found for each row, best first; images and prompts are read once.

        An answer ends where the text positions do, whatever its neighbours need.
        """
        width = int(batch.prompt_lengths.max())
        table = self.language_model.tokens
        rows = table.rows(batch.tokens[:, :width])
        visual = self._visual(batch)
        x = self._join(visual, table.embed(rows))
        index = torch.arange(x.shape[1], device=x.device)
        is_prefix = index < (batch.prompt_lengths + visual.shape[1])[:, None]  # [B, M + T]
        last, cache = self.language_model.start(x, is_prefix)
        if width >= self.text_room:
            raise ValueError(
                f"a question of {width} tokens leaves no room for an answer within the "
                f"{self.text_room} text positions of the language model"
            )
        end = int(table.rows(torch.tensor([self.tokenizer.end], device=rows.device)))
        writer = _Writer(self, cache, batch.prompt_lengths, visual.shape[1], end)
        written = beam_hypotheses(writer.step, table.logits(last).float(), config, end)
        return [
            [
                Candidate(
                    self.tokenizer.decode(table.ids(one.tokens)), one.log_probability, one.length
                )
                for one in found
            ]
            for found in written
        ]

    def text_positions(self, positions: Tensor, num_visual: int) -> Tensor:
        """Position embeddings of text tokens: 0-based places in the text -> [..., D]."""
        if self.config.visual_positions == "extend":
            return self.language_model.positions[positions]
        return self._one_table()[positions + num_visual]

    def _targets(self, batch: Batch) -> Tensor:
        index = torch.arange(batch.tokens.shape[1], device=batch.tokens.device)
        return batch.loss_mask & (index >= batch.prompt_lengths[:, None])

    def _visual(self, batch: Batch) -> Tensor:
        """The visual tokens of each row with their positions: [B, M, D]."""
        slots = SLOTS[self.config.images]
        given = batch.image_index.shape[1]
        if given == 1:  # a single-image question speaks of the main image
            slots = tuple(slot for slot in slots if slot == 1)
        if not slots:
            width = self.config.language_model.width
            return self.temporal.new_zeros(len(batch), 0, width)
        cached = batch.features
        tokens = self.encode(batch.images) if cached is None else cached  # [U, N, D_v]
        parts = []
        for place, slot in enumerate(slots):
            column = slot if given > 1 else 0
            x = tokens[batch.image_index[:, column]] + self.temporal[slot]
            x = self.adapter(self._pooled(x))
            parts.append(x + self._slot_positions(slot, place))
        return torch.cat(parts, dim=1)

    def _pooled(self, tokens: Tensor) -> Tensor:
        if self.config.pool == 1:
            return tokens
        grid = tokens.transpose(1, 2).reshape(len(tokens), -1, self.side, self.side)
        return F.avg_pool2d(grid, self.config.pool).flatten(2).transpose(1, 2)

    def _slot_positions(self, slot: int, place: int) -> Tensor:
        # An own table keeps reference and main apart by slot; one table counts what is there.
        first = slot if self.config.visual_positions == "extend" else place
        table = self._one_table()
        return table[first * self.num_visual : (first + 1) * self.num_visual]

    def _one_table(self) -> Tensor:
        if self.visual_positions is not None:
            return self.visual_positions
        return stretched(self.language_model.positions, 2 * self.num_visual + self.text_room)

    @property
    def text_room(self) -> int:
        """How many text tokens have a position."""
        positions = self.config.language_model.max_positions
        if self.config.visual_positions == "interpolate":
            return min(positions, INTERPOLATED_TEXT)
        return positions

    def _join(self, visual: Tensor, text: Tensor) -> Tensor:
        length = text.shape[1]
        if length > self.text_room:
            raise ValueError(
                f"a text of {length} tokens exceeds the {self.text_room} text positions: "
                "lower data.max_tokens or raise language_model.max_positions"
            )
        places = torch.arange(length, device=text.device)
        placed = text + self.text_positions(places, visual.shape[1])
        return torch.cat([visual.to(placed.dtype), placed], dim=1)


class _Writer:
    """The step of beam search behind a shared prefix; full rows are made to write `end`."""

    def __init__(
        self,
        system: PrefixLM,
        cache: PrefixCache,
        prompt_lengths: Tensor,
        num_visual: int,
        end: int,
    ) -> None:
        self.system = system
        self.cache = cache
        self.prompt_lengths = prompt_lengths
        self.num_visual = num_visual
        self.end = end

    def step(self, tokens: Tensor, order: Tensor | None) -> Tensor:
        """Reorder the written parts, consume one token per beam, return the next logits."""
        if order is not None:
            self.cache.reorder(order)
        model = self.system.language_model
        beams = tokens.shape[0] // self.prompt_lengths.shape[0]
        places = self.prompt_lengths.repeat_interleave(beams) + self.cache.written
        last = self.system.text_room - 1
        held = places.clamp(max=last)  # what is written past the last place means nothing
        x = model.tokens.embed(tokens) + self.system.text_positions(held, self.num_visual)
        logits = model.tokens.logits(model.step(x, self.cache)).float()
        return end_where(places > last, logits, self.end)
