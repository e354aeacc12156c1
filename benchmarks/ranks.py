"""Row: what exchanging gradients between two gloo ranks costs, and that they are right."""

from __future__ import annotations

import json
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch
import torch.distributed as dist

from benchmarks import material
from benchmarks.row import Check, Row
from lapse.config import CaptionerConfig, DecoderConfig, EncoderConfig
from lapse.data.loading.batch import Batch
from lapse.models.pretraining.captioner import Captioner
from lapse.training.distributed import DistributedContext
from lapse.training.parallel import ParallelModel

SIZES = CaptionerConfig(
    encoder=EncoderConfig(
        image_size=128, patch_size=16, channels=1, width=192, layers=6, heads=6, mlp_width=768
    ),
    adapter_width=192,
    decoder=DecoderConfig(width=192, layers=3, heads=6, mlp_width=768, max_tokens=96),
)
IMAGES, ROUNDS, STEPS = 16, 9, 2
LENGTHS = (material.CAPTION, material.REGION, material.REGION, material.REGION)
TOLERANCE = 1e-6


def build() -> tuple[Captioner, Batch]:
    """The sizes of `pretrain-tiny`, and a batch of both ranks."""
    torch.manual_seed(0)
    tokenizer = material.small_tokenizer(800)
    return Captioner(SIZES, tokenizer), material.captions(
        128, IMAGES, LENGTHS, tokenizer.kept or ()
    )


def part(batch: Batch, rank: int, size: int) -> Batch:
    """The images of one rank with their texts."""
    images = len(batch.images) // size
    rows = len(batch) // size
    chosen = slice(rank * rows, (rank + 1) * rows)
    tensors = ("tokens", "lengths", "prompt_lengths", "prefix_lengths", "loss_mask", "parallel")
    return replace(
        batch,
        images=batch.images[rank * images : (rank + 1) * images],
        image_index=batch.image_index[chosen] - rank * images,
        samples=batch.samples[chosen],
        **{name: getattr(batch, name)[chosen] for name in tensors},
    )


def work(rank: int, meeting: Path) -> None:
    """One rank: times with and without the exchange, and the gradients against one process."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=2)
    model, batch = build()
    spread = ParallelModel(model, DistributedContext(rank, 2, torch.device("cpu")), "ddp")
    mine = part(batch, rank, 2)

    def steps(is_exchanging: bool) -> float:
        dist.barrier()
        started = time.perf_counter()
        for _ in range(STEPS):
            with spread.gathering(is_last=is_exchanging):
                spread.losses(mine)["loss"].backward()
        return time.perf_counter() - started

    steps(True)
    model.zero_grad(set_to_none=True)
    with spread.gathering(is_last=True):
        spread.losses(mine)["loss"].backward()
    found = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
    both = []
    for turn in range(ROUNDS):
        first = turn % 2 == 0
        pair = {first: steps(first), not first: steps(not first)}
        both.append(pair[False] / pair[True])
    if rank == 0:
        model.zero_grad(set_to_none=True)
        model.loss(batch)["loss"].backward()  # type: ignore[no-untyped-call]
        alone = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
        distance = float((found - alone).norm() / alone.norm())
        meeting.with_suffix(".json").write_text(json.dumps({"each": both, "distance": distance}))
    dist.barrier()
    dist.destroy_process_group()


@contextmanager
def _errors_only() -> Iterator[None]:
    """Ranks that begin here keep torch's C++ warnings to themselves.

    DDP looks for unused parameters for the sake of batches without a parallel row, and warns
    that this batch has none.
    """
    name = "TORCH_CPP_LOG_LEVEL"
    before = os.environ.get(name)
    os.environ[name] = "ERROR"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def run(say: Callable[[str], None]) -> Row:
    """Efficiency of two ranks, one thread each."""
    meeting = material.scratch() / "meeting"
    for old in (meeting, meeting.with_suffix(".json")):
        old.unlink(missing_ok=True)
    say("ranks: two processes, with and without exchange, alternating")
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=work, args=(rank, meeting)) for rank in range(2)]
    with _errors_only():
        for process in processes:
            process.start()
    for process in processes:
        process.join()
    if any(process.exitcode for process in processes):
        raise ValueError(f"a rank ended with {[process.exitcode for process in processes]}")
    found = json.loads(meeting.with_suffix(".json").read_text("utf-8"))
    model, _ = build()
    megabytes = 4 * sum(p.numel() for p in model.parameters()) / 1e6
    each = sorted(found["each"])
    return Row(
        "ranks",
        "two gloo ranks of one thread, gradients exchanged every step",
        "the same two processes without exchange",
        (
            Check(
                "efficiency",
                each[len(each) // 2],
                0.85,
                detail=f"minimum {each[0]:.2f} of {len(each)} rounds",
            ),
            Check("difference of the gradients", found["distance"], TOLERANCE, is_at_least=False),
        ),
        f"{megabytes:.1f} MB of gradients cross once a step",
    )
