"""The text decoder with cross-attention on the images of one batch: losses and beam search.

Legend: B rows  T text tokens  D width

The captioner reads the tokens of one image per row; PLURAL reads both images and the question.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from lapse.config import GenerationConfig
from lapse.data.loading.batch import ParallelForm
from lapse.models.backbones.cross_attention import Memory
from lapse.models.backbones.decoder import TextDecoder
from lapse.models.layers.beam_search import Hypothesis, end_where, search_tokens
from lapse.models.layers.padding import PaddedTokens
from lapse.models.layers.token_losses import TokenLosses, token_losses

GROUP_COST = 16  # tokens of padding that one more group of rows may cost


@dataclass(frozen=True, slots=True)
class CrossAttentionDecoder:
    """A decoder and the cross-attention keys and values of one batch.

    Attributes:
        memory: keys and values, from `TextDecoder.memory`.
    """

    decoder: TextDecoder
    memory: Memory

    def losses(
        self,
        text: PaddedTokens,
        is_target: Tensor,
        parallel: Tensor,
        smoothing: float,
        *,
        form: ParallelForm | None = None,
    ) -> TokenLosses:
        """Loss of the target tokens.

        Args:
            is_target: [B, T] bool.
            parallel: [B] bool, rows whose targets are predicted all at once from their own
                positions; the others predict each token from those before it.
            form: how parallel rows are read; None for the form of the paper.
        """
        form = form or ParallelForm()
        table = self.decoder.tokens
        places = text.lengths
        if not form.knows_length:
            window = self.decoder.config.max_tokens
            places = torch.where(parallel, window, places)
            padding = (0, max(0, int(places.max()) - text.tokens.shape[1]))
            text = PaddedTokens(F.pad(text.tokens, padding), text.lengths)
            is_target = F.pad(is_target, padding)
        targets, states, rows = [], [], []
        counts: list[int] = places.tolist()
        for group in length_groups(counts):
            chosen = torch.tensor(group, device=places.device)
            is_all = group == list(range(len(places)))
            memory = self.memory if is_all else self.memory.for_rows(chosen)
            lengths, is_parallel = places[chosen], parallel[chosen]
            width = max(counts[row] for row in group)
            tokens = table.rows(text.tokens[chosen, :width])
            is_of_group = is_target[chosen, :width]
            index = torch.arange(width, device=places.device)
            is_hidden = is_of_group | (index >= text.lengths[chosen, None])
            if not form.shows_prefix:
                is_hidden = is_hidden | (index >= 0)
            is_masked = is_hidden & is_parallel[:, None]
            hidden = self.decoder(  # [rows of group, T, D]
                tokens, memory, is_masked, lengths, attends=form.attends
            )
            row, position = is_of_group.nonzero(as_tuple=True)
            source = position - (~is_parallel[row]).long()  # a causal row predicts one ahead
            targets.append(tokens[row, position])
            states.append(hidden[row, source])
            rows.append(chosen[row])
        output = self.decoder.output_table
        return token_losses(
            torch.cat(states), output, torch.cat(targets), torch.cat(rows), smoothing
        )

    def hypotheses(
        self, prompts: PaddedTokens, generation: GenerationConfig, end: int
    ) -> list[list[Hypothesis]]:
        """Continue each prompt by beam search; each prompt is read once for all beams.

        Args:
            end: GPT-2 id of the end token.
        """
        decoder, table = self.decoder, self.decoder.tokens
        tokens = table.rows(prompts.tokens)
        last, cache = decoder.start(tokens, self.memory, prompts.lengths, generation.max_new_tokens)
        end_row = table.row(end)

        def step(tokens: Tensor, order: Tensor) -> Tensor:
            cache.reorder(order)
            is_full = decoder.is_full(cache)
            logits = decoder.logits(decoder.step(tokens, cache)).float()
            return end_where(is_full, logits, end_row)

        return search_tokens(step, decoder.logits(last).float(), generation, table, end)


def length_groups(lengths: list[int]) -> list[list[int]]:
    """Group rows of similar length, so that little is computed for padding.

    Captions are about three times as long as the texts of regions; in one group, more than half
    of the decoder's work would be padding. Of all ways to cut the rows, sorted by length, the
    cheapest is taken. A group costs its rows times its longest text, plus `GROUP_COST`.

    >>> length_groups([60, 20, 22, 21])
    [[1, 3, 2], [0]]
    >>> length_groups([20, 22])
    [[0, 1]]
    """
    order = sorted(range(len(lengths)), key=lambda row: lengths[row])
    best, starts = [0], [0]  # of the first n rows: the cost, and the start of their last group
    for stop in range(1, len(order) + 1):
        longest = lengths[order[stop - 1]]
        cost, start = min(
            (best[start] + (stop - start) * longest + GROUP_COST, start) for start in range(stop)
        )
        best.append(cost)
        starts.append(start)
    groups: list[list[int]] = []
    stop = len(order)
    while stop:
        groups.insert(0, order[starts[stop] : stop])
        stop = starts[stop]
    return groups if len(groups) > 1 else [list(range(len(lengths)))]
