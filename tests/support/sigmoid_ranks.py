"""Gloo ranks for test_sigmoid_loss_ranks.py: `python sigmoid_ranks.py DIR` prints JSON.

Every rank is a fork of this process, so that torch is imported once.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import torch
import torch._dynamo  # DDP imports it late: once here, not in every child
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

import tiny_store
from lapse.config import load_config
from lapse.models.layers import sigmoid_loss
from lapse.training import checkpoint, weight_files
from lapse.training.trainer import train

COUNT, WIDTH = 7, 5
SMALL = (
    "model.encoder={image_size: 32, patch_size: 16, channels: 1, width: 16, layers: 1, heads: 2, "
    "mlp_width: 32}",
    "model.text={width: 16, layers: 1, heads: 2, mlp_width: 32, max_tokens: 64}",
    "train.batch_size=5",
    "train.precision=fp32",
    "train.steps=3",
    "train.eval_samples=4",
    "optim.warmup_fraction=null",
    "optim.warmup_steps=0",
)


class Towers(torch.nn.Module):
    """Two linear maps and the loss: what a gradient has to reach."""

    def __init__(self, ignores: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.left, self.right = torch.nn.Linear(WIDTH, WIDTH), torch.nn.Linear(WIDTH, WIDTH)
        self.loss = sigmoid_loss.SigmoidLoss(10.0, -2.0, ignores_identical=ignores)

    def forward(self, x: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
        unit = torch.nn.functional.normalize
        return self.loss(unit(self.left(x), dim=-1), unit(self.right(x), dim=-1), keys)


def numbers(model: Towers, loss: float) -> list[float]:
    parts = [part.grad.flatten() for part in model.parameters()]
    return [loss, *torch.cat(parts).tolist()]


def contrast(rank: int, size: int, ignores: bool) -> list[float]:
    """Loss and gradients of the whole batch, weighted as by the trainer."""
    x = torch.randn(COUNT, WIDTH, generator=torch.Generator().manual_seed(1))
    keys = torch.tensor([3, 4, 3, 5, 4, 6, 3])
    rows = slice(COUNT * rank // size, COUNT * (rank + 1) // size)  # unequal parts
    model = Towers(ignores)
    wrapped = DistributedDataParallel(model) if size > 1 else model
    loss = wrapped(x[rows], keys[rows])
    fraction = (rows.stop - rows.start) / COUNT
    (loss * fraction * size).backward()
    total = loss.detach() * fraction
    if size > 1:
        dist.all_reduce(total)
    return numbers(model, float(total))


def forked(jobs: list[Callable[[], object]], out: Path) -> list[object]:
    """Run jobs at the same time in child processes; their results."""
    pids = []
    for index, job in enumerate(jobs):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                (out / f"{index}.json").write_text(json.dumps(job()))
                code = 0
            finally:
                os._exit(code)
        pids.append(pid)
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    assert codes == [0] * len(jobs), codes
    return [json.loads((out / f"{index}.json").read_text()) for index in range(len(jobs))]


def on_ranks(size: int, job: Callable[[int], object], out: Path, name: str) -> object:
    def run_rank(rank: int) -> object:
        if size > 1:
            dist.init_process_group(
                "gloo", init_method=f"file://{out / name}.rendezvous", rank=rank, world_size=size
            )
        return job(rank)

    return forked([lambda rank=rank: run_rank(rank) for rank in range(size)], out)[0]


def trained(data: Path, out: Path, name: str, size: int) -> list[float]:
    """The weights after three steps of the real loop."""
    config = load_config("pretrain-global-tiny", SMALL)
    on_ranks(size, lambda rank: train(config, data, out / name).step, out, name)
    newest = checkpoint.latest_valid_checkpoint(out / name).checkpoint
    tensors = weight_files.read_tensors(newest.folder / checkpoint.MODEL)
    return torch.cat([tensors[key].flatten() for key in sorted(tensors)]).tolist()


def main(out: Path) -> dict[str, object]:
    results: dict[str, object] = {}
    for name, size, ignores in (
        ("one", 1, False),
        ("two", 2, False),
        ("three", 3, False),
        ("one ignoring", 1, True),
        ("two ignoring", 2, True),
    ):
        job = lambda rank, size=size, ignores=ignores: contrast(rank, size, ignores)  # noqa: E731
        results[name] = on_ranks(size, job, out, name)

    def alone(rank: int) -> list[float]:
        sigmoid_loss._counts = lambda count, device: [count]
        sigmoid_loss.dist.get_rank = lambda: 0
        return contrast(rank, 2, False)

    results["two alone"] = on_ranks(2, alone, out, "two alone")
    data = tiny_store.write(out / "store")
    results["trained"] = [trained(data, out, f"trained {size}", size) for size in (1, 2)]
    return results


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.stdout.write(json.dumps(main(Path(sys.argv[1]))))
