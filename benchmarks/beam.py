"""Row: beam search of 10 beams after one shared prefix, against transformers' `generate`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks import inputs
from benchmarks.memory import memory_check
from benchmarks.peers import gpt2
from benchmarks.row import Check, Job, Row, alternate, logger
from lapse.config import EncoderConfig, GenerationConfig, LanguageModelConfig, PrefixLMConfig
from lapse.data.loading.batch import Batch
from lapse.models.vqa.prefix_lm import PrefixLM

PATCH, VOCABULARY, BEAMS, NEW_TOKENS = 4, 2600, 10, 16
GRIDS = {512: 16, 1058: 23, 2048: 32}  # visual tokens of a pair -> patches per side of an image
TARGETS = {512: 2.3, 1058: 3.3, 2048: 5.0}  # visual tokens -> ratio of times
PROMPTS = {512: 6, 1058: 4, 2048: 2}  # visual tokens -> prompts whose answers are compared
SIZES = LanguageModelConfig(width=256, layers=4, heads=4, max_positions=64, dropout=0.0)


@dataclass(frozen=True)
class Prompt:
    """One prompt for our system, and as embeddings for transformers' model of equal weights."""

    system: PrefixLM
    batch: Batch
    peer: Any
    embeddings: Tensor
    end: int

    def our_answer(self) -> list[int]:
        """Tokens of our answer, in rows of the token table."""
        generation = GenerationConfig(num_beams=BEAMS, max_new_tokens=NEW_TOKENS)
        with torch.no_grad():
            tokens = self.system.hypotheses(self.batch, generation)[0][0].tokens
        rows = self.system.language_model.tokens.rows(torch.tensor(tokens, dtype=torch.long))
        return [int(row) for row in rows]

    def peer_answer(self) -> list[int]:
        """Tokens of transformers' answer."""
        with torch.no_grad():
            tokens: list[int] = self.peer.generate(
                inputs_embeds=self.embeddings,
                attention_mask=torch.ones(self.embeddings.shape[:2], dtype=torch.long),
                num_beams=BEAMS,
                do_sample=False,
                max_new_tokens=NEW_TOKENS,
                length_penalty=1.0,
                early_stopping=False,
                eos_token_id=self.end,
                pad_token_id=self.end,
            )[0].tolist()
        return tokens[: tokens.index(self.end)] if self.end in tokens else tokens


def build(num_visual: int, seed: int = 0) -> Prompt:
    """A prompt with that many visual tokens."""
    torch.manual_seed(seed)
    tokenizer = inputs.small_tokenizer(VOCABULARY)
    image_size = PATCH * GRIDS[num_visual]
    encoder = EncoderConfig(
        image_size=image_size,
        patch_size=PATCH,
        channels=1,
        width=64,
        layers=1,
        heads=2,
        mlp_width=64,
    )
    system = PrefixLM(PrefixLMConfig(encoder=encoder, language_model=SIZES), tokenizer).eval()
    question = inputs.QUESTION
    batch = inputs.pairs(
        image_size, 1, tokenizer.kept or (), question=question, answer=1, seed=seed
    )
    model = system.language_model
    with torch.no_grad():
        model.tokens.weight.mul_(8.0)  # otherwise random weights repeat one token
        batch = replace(batch, features=system.encode(batch.images))
        rows = model.tokens.rows(batch.tokens[:, :question])
        end = model.tokens.row(tokenizer.end)
        decoder = system.prefix_decoder(batch)
        text = model.tokens.embed(rows) + decoder.text_positions[:question]
        sequence = torch.cat([decoder.visual, text], dim=1)
        assert system.visual_positions is not None
        positions = torch.cat([system.visual_positions, model.positions])
        peer = gpt2(model, positions).eval()
        embeddings = sequence - positions[: sequence.shape[1]]
    return Prompt(system, batch, peer, embeddings, end)


def job(system: str, num_visual: int) -> Job:
    """One answer."""
    prompt = build(num_visual)
    return prompt.our_answer if system == "ours" else prompt.peer_answer


def run() -> Row:
    """Time at three lengths of the prefix, identical tokens of twelve prompts, and memory."""
    checks = []
    num_equal = num_ended = 0
    for num_visual, target in TARGETS.items():
        prompts = [build(num_visual, seed) for seed in range(PROMPTS[num_visual])]
        for prompt in prompts:
            answer = prompt.our_answer()
            num_equal += answer == prompt.peer_answer()
            num_ended += len(answer) < NEW_TOKENS
        logger.info("beam: measuring %d visual tokens", num_visual)
        ratios = alternate(partial(prompt.our_answer), partial(prompt.peer_answer))
        checks.append(ratios.check(f"time, {num_visual} visual tokens", target))
    num_prompts = sum(PROMPTS.values())
    detail = f"{num_equal} of {num_prompts}, {num_ended} of them end before {NEW_TOKENS} tokens"
    checks.append(
        Check("fraction of identical answers, fp32", num_equal / num_prompts, 1.0, detail=detail)
    )
    checks.append(memory_check(__name__, 0.2, " at 2,048", num_visual=2048))
    prefix_bytes = 2 * SIZES.layers * (2048 + inputs.QUESTION) * SIZES.width * 4
    return Row(
        "beam",
        "10 beams, keys and values of the prefix stored once",
        "transformers generate, same weights",
        tuple(checks),
        f"keys and values of the prefix of 2,048 tokens take {prefix_bytes / 1e6:.0f} MB once and "
        f"{BEAMS * prefix_bytes / 1e6:.0f} MB for every beam",
    )
