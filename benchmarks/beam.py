"""Row: beam search of 10 behind one shared prefix, against transformers' `generate`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor

from benchmarks import material
from benchmarks.memory import peak_bytes
from benchmarks.peers import gpt2
from benchmarks.row import Check, Job, Row, alternate
from lapse.config import EncoderConfig, GenerationConfig, LanguageModelConfig, PrefixLMConfig
from lapse.data.loading.batch import Batch
from lapse.models.vqa.prefix_lm import PrefixLM

PATCH, VOCABULARY, BEAMS, WRITTEN = 4, 2600, 10, 16
SIDES = {512: 16, 1058: 23, 2048: 32}  # visual tokens of a pair -> tokens a side of one image
TARGETS = {512: 2.3, 1058: 3.3, 2048: 5.0}
PROMPTS = {512: 6, 1058: 4, 2048: 2}  # of which the tokens are compared


def build(visual: int, seed: int = 0) -> tuple[PrefixLM, Batch, Any, Tensor, int]:
    """Our system and a prompt; transformers' model and the same prompt as embeddings."""
    torch.manual_seed(seed)
    tokenizer = material.small_tokenizer(VOCABULARY)
    size = PATCH * SIDES[visual]
    config = PrefixLMConfig(
        encoder=EncoderConfig(
            image_size=size, patch_size=PATCH, channels=1, width=64, layers=1, heads=2, mlp_width=64
        ),
        language_model=LanguageModelConfig(
            width=256, layers=4, heads=4, max_positions=64, dropout=0.0
        ),
    )
    system = PrefixLM(config, tokenizer).eval()
    question = material.QUESTION
    batch = material.pairs(size, 1, tokenizer.kept or (), question=question, answer=1, seed=seed)
    model = system.language_model
    with torch.no_grad():
        model.tokens.weight.mul_(8.0)  # random weights repeat one token otherwise
        batch = replace(batch, features=system.encode(batch.images))
        rows = model.tokens.rows(batch.tokens[:, :question])
        end = int(model.tokens.rows(torch.tensor([tokenizer.end])))
        joined = system._join(system._visual(batch), model.tokens.embed(rows))
        assert system.visual_positions is not None
        table = torch.cat([system.visual_positions, model.positions])
        peer = gpt2(model, table).eval()
        prompt = joined - table[: joined.shape[1]]
    return system, batch, peer, prompt, end


def ours(system: PrefixLM, batch: Batch) -> list[int]:
    """Tokens of our answer."""
    found: list[list[int]] = []
    table = system.language_model.tokens
    real = table.ids

    def noted(rows: Sequence[int]) -> list[int]:
        found.append(list(rows))
        return real(rows)

    with patch.object(table, "ids", noted), torch.no_grad():
        system.answer(batch, GenerationConfig(num_beams=BEAMS, max_new_tokens=WRITTEN))
    return found[0]


def theirs(peer: Any, prompt: Tensor, end: int) -> list[int]:
    """Tokens of transformers' answer."""
    with torch.no_grad():
        written: list[int] = peer.generate(
            inputs_embeds=prompt,
            attention_mask=torch.ones(prompt.shape[:2], dtype=torch.long),
            num_beams=BEAMS,
            do_sample=False,
            max_new_tokens=WRITTEN,
            length_penalty=1.0,
            early_stopping=False,
            eos_token_id=end,
            pad_token_id=end,
        )[0].tolist()
    return written[: written.index(end)] if end in written else written


def job(who: str, visual: int) -> Job:
    """One answer."""
    system, batch, peer, prompt, end = build(visual)
    if who == "ours":
        return lambda: ours(system, batch)
    return lambda: theirs(peer, prompt, end)


def run(say: Callable[[str], None]) -> Row:
    """Time at three prefixes, identical tokens of twelve prompts, memory at the longest."""
    checks = []
    equal = ended = compared = 0
    for visual, target in TARGETS.items():
        for seed in range(PROMPTS[visual]):
            system, batch, peer, prompt, end = build(visual, seed)
            pair = ours(system, batch), theirs(peer, prompt, end)
            equal, compared = equal + (pair[0] == pair[1]), compared + 1
            ended += len(pair[0]) < WRITTEN
        say(f"beam: {visual} visual tokens, alternating")
        ratios = alternate(
            lambda: ours(system, batch),  # noqa: B023 (called in this turn)
            lambda: theirs(peer, prompt, end),  # noqa: B023
        )
        checks.append(ratios.check(f"time, {visual} visual tokens", target))
    memory = [peak_bytes(__name__, who=who, visual=2048) for who in ("ours", "peer")]
    detail = f"{memory[0] / 1e6:.0f} MB against {memory[1] / 1e6:.0f} MB at 2,048"
    same = f"{equal} of {compared}, {ended} of them end before {WRITTEN} tokens"
    checks.append(Check("share of identical answers, fp32", equal / compared, 1.0, detail=same))
    checks.append(Check("memory, ours over peer", memory[0] / memory[1], 0.2, False, detail))
    sizes = LanguageModelConfig(width=256, layers=4, heads=4)
    once = 2 * sizes.layers * (2048 + material.QUESTION) * sizes.width * 4
    return Row(
        "beam",
        "10 beams, keys and values of the prefix once",
        "transformers generate, same weights",
        tuple(checks),
        f"keys and values of the 2,048 prefix {once / 1e6:.0f} MB once, {BEAMS * once / 1e6:.0f} "
        "MB a beam each; the prefix is read once instead of 10 times",
    )
