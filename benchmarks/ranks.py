"""Row: the cost of exchanging gradients between two gloo ranks, and that they are right."""

from __future__ import annotations

import json
import multiprocessing
import os
import statistics
import time
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import torch
import torch.distributed as dist
from torch import Tensor, nn

from benchmarks import inputs
from benchmarks.row import Check, Row, at_most, logger
from lapse.config import CaptionerConfig, DecoderConfig, EncoderConfig
from lapse.data.loading.batch import Batch
from lapse.models.pretraining.captioner import Captioner
from lapse.training.distributed import DistributedContext
from lapse.training.parallel import ParallelModel

SIZES = CaptionerConfig(  # of pretrain-tiny
    encoder=EncoderConfig(
        image_size=128, patch_size=16, channels=1, width=192, layers=6, heads=6, mlp_width=768
    ),
    adapter_width=192,
    decoder=DecoderConfig(width=192, layers=3, heads=6, mlp_width=768, max_tokens=96),
)
IMAGES, ROUNDS, STEPS = 16, 9, 2
LENGTHS = (inputs.CAPTION, inputs.REGION, inputs.REGION, inputs.REGION)
TOLERANCE = 1e-6


def build() -> tuple[Captioner, Batch]:
    """The model, and the batch of both ranks together."""
    torch.manual_seed(0)
    tokenizer = inputs.small_tokenizer(800)
    batch = inputs.captions(128, IMAGES, LENGTHS, tokenizer.kept or ())
    return Captioner(SIZES, tokenizer), batch


def rank_batch(batch: Batch, rank: int, num_ranks: int) -> Batch:
    """The images of one rank with their texts."""
    num_images = len(batch.images) // num_ranks
    num_rows = len(batch) // num_ranks
    rows = slice(rank * num_rows, (rank + 1) * num_rows)
    tensors = ("tokens", "lengths", "prompt_lengths", "prefix_lengths", "loss_mask", "parallel")
    return replace(
        batch,
        images=batch.images[rank * num_images : (rank + 1) * num_images],
        image_index=batch.image_index[rows] - rank * num_images,
        samples=batch.samples[rows],
        **{name: getattr(batch, name)[rows] for name in tensors},
    )


def gradients(model: nn.Module) -> Tensor:
    """All gradients in one vector."""
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


def work(rank: int, rendezvous: Path) -> None:
    """One rank: times with and without exchange, and its gradients against one process."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=2)
    model, batch = build()
    parallel = ParallelModel(model, DistributedContext(rank, 2, torch.device("cpu")), "ddp")
    part = rank_batch(batch, rank, 2)

    def steps(count: int, *, is_exchanging: bool) -> float:
        dist.barrier()
        started = time.perf_counter()
        for _ in range(count):
            with parallel.gradient_sync(is_last=is_exchanging):
                parallel.losses(part)["loss"].backward()
        return time.perf_counter() - started

    steps(STEPS, is_exchanging=True)
    model.zero_grad(set_to_none=True)
    steps(1, is_exchanging=True)
    exchanged = gradients(model)
    efficiencies = []
    for turn in range(ROUNDS):
        order = (True, False) if turn % 2 == 0 else (False, True)
        seconds = {exchange: steps(STEPS, is_exchanging=exchange) for exchange in order}
        efficiencies.append(seconds[False] / seconds[True])
    if rank == 0:
        model.zero_grad(set_to_none=True)
        model.loss(batch)["loss"].backward()  # type: ignore[no-untyped-call]
        expected = gradients(model)
        distance = float((exchanged - expected).norm() / expected.norm())
        rendezvous.with_suffix(".json").write_text(
            json.dumps({"efficiencies": efficiencies, "distance": distance})
        )
    dist.barrier()
    dist.destroy_process_group()


def run() -> Row:
    """Efficiency of two ranks, one thread each."""
    rendezvous = inputs.scratch() / "rendezvous"
    logger.info("ranks: measuring two processes with and without exchange")
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=work, args=(rank, rendezvous)) for rank in range(2)]
    # DDP searches for unused parameters, because a batch may have no parallel row, and warns on
    # the C++ side that this one has none.
    with patch.dict(os.environ, {"TORCH_CPP_LOG_LEVEL": "ERROR"}):
        for process in processes:
            process.start()
    for process in processes:
        process.join()
    if any(process.exitcode for process in processes):
        raise ValueError(f"the ranks ended with {[process.exitcode for process in processes]}")
    results = json.loads(rendezvous.with_suffix(".json").read_text("utf-8"))
    efficiencies = results["efficiencies"]
    model, _ = build()
    megabytes = 4 * sum(p.numel() for p in model.parameters()) / 1e6
    detail = f"minimum {min(efficiencies):.2f} of {ROUNDS} rounds"
    return Row(
        "ranks",
        "two gloo ranks of one thread, gradients exchanged every step",
        "the same two processes without exchange",
        (
            Check("efficiency", statistics.median(efficiencies), 0.85, detail=detail),
            at_most("difference of the gradients", results["distance"], TOLERANCE),
        ),
        f"{megabytes:.1f} MB of gradients are exchanged once per step",
    )
