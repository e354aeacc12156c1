"""Ranks of the paper's models over gloo: `python rank_trials.py MODE DIR` of test_ranks.py.

Every rank is a fork of this process, so that torch is imported once. Prints one JSON object.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import torch
import torch.distributed as dist

import tiny_models
import tiny_store
from lapse.config import RunConfig, check_config
from lapse.data.loading.batch_stream import BalancedBatchStream
from lapse.models.interface import HasShardedParts
from lapse.training import checkpoint, weight_files
from lapse.training import trainer as train
from lapse.training.distributed import DistributedContext
from lapse.training.parallel import ParallelModel
from lapse.training.trainer import Callbacks

ENCODER = {
    "image_size": 32,
    "patch_size": 8,
    "channels": 1,
    "width": 24,
    "layers": 2,
    "heads": 3,
    "mlp_width": 48,
}
DECODER = {"width": 24, "layers": 2, "heads": 3, "mlp_width": 48, "max_tokens": 96}
GPT2 = {"width": 24, "layers": 2, "heads": 3, "max_positions": 96, "dropout": 0.0}


def config(stage: str, **changes: object) -> RunConfig:
    """Four steps of the real captioner or prefix_lm; `changes` are "group__key" = value."""
    is_first = stage == "pretrain"
    values: dict = {
        "name": "ranks",
        "stage": stage,
        "model_type": "captioner" if is_first else "prefix_lm",
        "model": {"encoder": dict(ENCODER)}
        | (
            {"adapter_width": 24, "decoder": dict(DECODER)}
            if is_first
            else {"language_model": dict(GPT2)}
        ),
        "data": {
            "tasks": ["cap", "aref", "gcap", "caref"] if is_first else ["diff_vqa"],
            "max_tokens": 96,
            "vocabulary": "trimmed",
        },
        "optim": {"learning_rate": 0.003, "warmup_steps": 1},
        "train": {
            "precision": "fp32",
            "batch_size": 16 if is_first else 6,
            "steps": 4,
            "save_every": 2,
            "eval_every": 4,
            "eval_samples": 8,
            "log_every": 1,
        },
    }
    for name, value in changes.items():
        *groups, key = name.split("__")
        node = values
        for group in groups:
            node = node[group]
        node[key] = value
    return check_config(values)


def forked(job: Callable[[], object]) -> int:
    """Start a job in a child; its process id."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            job()
            code = 0
        except SystemExit as stop:
            code = int(stop.code or 0)
        except Exception:
            traceback.print_exc()
        finally:
            os._exit(code)
    return pid


def ended(*pids: int) -> list[int]:
    return [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]


def run(folder: Path, name: str, run_config: RunConfig, size: int, **options) -> list[int]:
    """Train with `size` ranks into folder/name; the exit codes."""
    data, callbacks = folder / "store", Callbacks(**options)
    if size == 1:
        return ended(
            forked(lambda: train.train(run_config, data, folder / name, callbacks=callbacks))
        )
    rendezvous = folder / f"{name}.rendezvous"
    rendezvous.unlink(missing_ok=True)

    def run_rank(rank: int) -> None:
        dist.init_process_group(
            "gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=size
        )
        train.train(run_config, data, folder / name, callbacks=callbacks)
        dist.destroy_process_group()

    return ended(*(forked(lambda rank=rank: run_rank(rank)) for rank in range(size)))


def result(folder: Path, name: str) -> dict[str, object]:
    """The log and the checkpoint of a run: names, shapes, and one flat list of weights."""
    lines = (folder / name / "metrics.jsonl").read_text("utf-8").splitlines()
    newest = checkpoint.latest_valid_checkpoint(folder / name).checkpoint
    tensors = weight_files.read_tensors(newest.folder / checkpoint.MODEL)
    moments = newest.optimizer()
    return {
        "log": [json.loads(line) for line in lines],
        "layout": {key: list(value.shape) for key, value in sorted(tensors.items())},
        "moments": {key: list(value.shape) for key, value in sorted(moments.items())},
        "weights": torch.cat([tensors[key].flatten() for key in sorted(tensors)]).tolist(),
    }


def equal(folder: Path, stage: str) -> dict[str, object]:
    """The same run by one process and by two ranks of each kind."""
    kinds: dict[str, tuple[int, dict[str, object]]] = {
        "one": (1, {}),
        "ddp": (2, {}),
        "fsdp": (
            2,
            {
                "train__parallel": "fsdp",
                "train__gradient_accumulation_steps": 2 if stage == "pretrain" else 1,
            },
        ),
    }
    codes = {
        name: run(folder, name, config(stage, **changes), size)
        for name, (size, changes) in kinds.items()
    }
    found = {"codes": codes, **{name: result(folder, name) for name in kinds}}
    if stage == "pretrain":  # without the exchange of gradients
        real = ParallelModel.gradient_sync
        ParallelModel.gradient_sync = lambda model, *, is_last: real(model, is_last=False)
        run(folder, "apart", config(stage), 2)
        found["apart"] = result(folder, "apart")
    return found


def order(folder: Path) -> dict[str, object]:
    """The samples of each step: two ranks without a stop, and 2 -> 1 -> 2 ranks, sharded."""
    run_config = config("pretrain", train__parallel="fsdp", train__steps=6, train__eval_every=6)

    def reading(name: str, until: int | None, size: int) -> list[int]:
        real = BalancedBatchStream.batches

        def recorded(stream, step, rank=0, world_size=1):
            batches = real(stream, step, rank, world_size)
            ids = [sample.id for batch in batches for sample in batch.samples]
            with (folder / f"{name}.{step}.{rank}.{world_size}").open("w") as file:
                json.dump(ids, file)
            return batches

        BalancedBatchStream.batches = recorded
        stop = (lambda done: os._exit(9) if done == until else None) if until else lambda _: None
        codes = run(folder, name, run_config, size, on_step=stop)
        BalancedBatchStream.batches = real
        return codes

    codes = [reading("straight", None, 2)]
    codes += [reading("mixed", 2, 2), reading("mixed", 4, 1), reading("mixed", None, 2)]

    def samples(name: str) -> list[list[str]]:
        steps: dict[int, dict[str, list[str]]] = {}
        for path in folder.glob(f"{name}.[0-9].[0-9].[0-9]"):
            _, step, rank, world = path.name.rsplit(".", 3)
            steps.setdefault(int(step), {}).setdefault(world, []).append((rank, path))
        found = []
        for step in sorted(steps):
            worlds = [
                [name for _, path in sorted(parts) for name in json.loads(path.read_text())]
                for parts in steps[step].values()
            ]
            assert all(part == worlds[0] for part in worlds)
            found.append(worlds[0])
        return found

    worlds = sorted(
        {path.name.rsplit(".", 1)[1] for path in folder.glob("mixed.[0-9].[0-9].[0-9]")}
    )
    return {
        "codes": codes,
        "straight": samples("straight"),
        "mixed": samples("mixed"),
        "worlds": worlds,
        "weights": [result(folder, name)["weights"] for name in ("straight", "mixed")],
    }


def slurm(folder: Path) -> dict[str, object]:
    """Two processes with the environment variables of two tasks of srun."""

    def task(rank: int) -> None:
        os.environ |= {
            "SLURM_STEP_NUM_TASKS": "2",
            "SLURM_PROCID": str(rank),
            "SLURM_LOCALID": str(rank),
            "SLURM_STEP_NODELIST": "localhost",
            "SLURM_JOB_ID": str(os.getppid()),
        }
        train.train(config("pretrain", train__steps=2), folder / "store", folder / "slurm")

    codes = ended(*(forked(lambda rank=rank: task(rank)) for rank in range(2)))
    facts = json.loads((folder / "slurm" / "run.json").read_text("utf-8"))
    return {"codes": codes, "ranks": facts["ranks"]}


def shards(folder: Path) -> dict[str, object]:
    """Every model on two ranks, sharded: whether the gathered weights are those before, and the
    largest part of the parameters on a rank."""

    def tensors(model) -> dict[str, torch.Tensor]:
        return {**dict(model.named_parameters()), **dict(model.named_buffers())}

    def check(rank: int) -> None:
        dist.init_process_group(
            "gloo", init_method=f"file://{folder / 'rendezvous'}", rank=rank, world_size=2
        )
        results = {}
        for table, name in tiny_models.TINY:
            _, model, _ = tiny_models.build(table, name)
            has_scalars = any(value.dim() == 0 for value in model.parameters())
            if has_scalars or not isinstance(model, HasShardedParts):
                continue
            before = {key: value.detach().clone() for key, value in tensors(model).items()}
            context = DistributedContext(rank, 2, torch.device("cpu"))
            parallel = ParallelModel(model, context, "fsdp")
            local = sum(value.to_local().numel() for value in model.parameters())
            total = sum(value.numel() for value in model.parameters())
            with parallel.full_state() as full:
                is_equal = [torch.equal(value, before[key]) for key, value in tensors(full).items()]
            buffers = [torch.equal(value, before[key]) for key, value in model.named_buffers()]
            results[name] = [all(is_equal), all(buffers), local / total]
        (folder / f"shards-{rank}.json").write_text(json.dumps(results), "utf-8")
        dist.destroy_process_group()

    codes = ended(*(forked(lambda rank=rank: check(rank)) for rank in range(2)))
    return {
        "codes": codes,
        "ranks": [json.loads((folder / f"shards-{rank}.json").read_text()) for rank in range(2)],
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    mode, folder = sys.argv[1], Path(sys.argv[2])
    tiny_store.write(folder / "store")
    modes = {"order": order, "slurm": slurm, "shards": shards}
    found = modes[mode](folder) if mode in modes else equal(folder, mode)
    sys.stdout.write(json.dumps(found))
