"""The benchmarks: ratios, targets, the table, equal peers, and the GPU code on a CPU."""

import json
import logging

import pytest
import torch

from benchmarks import answer_loss, runner
from benchmarks.gpu import GpuOptions, as_json, kernel_kind, run_gpu
from benchmarks.memory import peak_bytes
from benchmarks.row import Check, Ratios, Row, alternate


def test_ratios_alternate_and_have_median_and_minimum():
    order = []
    ratios = alternate(lambda: order.append("ours"), lambda: order.append("peer"), rounds=3)
    assert order == ["ours", "peer", "peer", "ours", "ours", "peer"]
    assert len(ratios.each) == 3
    check = Ratios((1.0, 1.0, 2.0), (3.0, 2.0, 2.0)).check("time", 2.0)
    assert check.value == 2.0 and check.is_met and "minimum 1.00 of 3 rounds" in check.detail


def test_a_target_is_met_or_missed():
    assert Check("memory", 0.5, 0.5, is_at_least=False).is_met
    missed = Check("memory", 0.6, 0.5, is_at_least=False)
    assert missed.line() == "memory: 0.6, target <= 0.5: MISSED"
    assert not Row("r", "a", "b", (missed,), "none").is_met


def test_an_unknown_row_is_named_with_the_nearest():
    with pytest.raises(ValueError, match=r"no benchmark 'beams'.*beam"):
        runner.run_rows(["beams"])


def test_a_row_that_cannot_run_has_a_reason(monkeypatch, tmp_path, caplog):
    def broken():
        raise ValueError("no peer here")

    monkeypatch.setattr("benchmarks.padding.run", broken)
    before = torch.get_num_threads()
    caplog.set_level(logging.INFO, logger="lapse")
    outcomes = runner.run_rows(["padding"])
    torch.set_num_threads(before)
    assert caplog.messages == ["padding: not run: no peer here"] and outcomes[0].row is None
    assert "| padding | not run: no peer here |" in runner.markdown(outcomes)
    runner.write_json(tmp_path / "b.json", outcomes, runner.machine())
    assert json.loads((tmp_path / "b.json").read_text())["rows"][0]["reason"] == "no peer here"


def test_the_answer_loss_equals_its_peer(monkeypatch):
    monkeypatch.setattr(answer_loss, "LENGTH", 60)
    monkeypatch.setattr(answer_loss, "SIZE", 500)
    tensors = answer_loss.build()
    ours, peer = (answer_loss.measure(system, tensors) for system in ("ours", "peer"))
    assert ours[0] == pytest.approx(peer[0], abs=1e-5)
    assert torch.allclose(ours[1], peer[1], atol=1e-6)
    assert torch.allclose(ours[2], peer[2], atol=1e-6)


def test_peak_memory_is_that_of_the_job_alone(tmp_path, monkeypatch):
    (tmp_path / "filling.py").write_text(
        "def job(megabytes):\n    return lambda: (b'x' * (1_000_000 * megabytes)).count(b'y')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    small, large = (peak_bytes("filling", megabytes=size) for size in (10, 60))
    assert 45e6 < large - small < 55e6


def test_a_kernel_has_a_kind():
    assert kernel_kind("flash_fwd_kernel") == "attention"
    assert kernel_kind("FusedAdamMathFunctor") == "optimizer"
    assert kernel_kind("something") == "other"


def test_the_gpu_benchmark_needs_a_gpu():
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(ValueError, match="needs a CUDA device"):
        run_gpu(GpuOptions())


@pytest.mark.slow
def test_the_gpu_benchmark_runs_every_stage_at_a_small_size():
    options = GpuOptions(
        device="cpu",
        steps=1,
        presets=("pretrain-tiny", "diffvqa-tiny"),
        images=1,
        pairs=1,
        overrides=tuple(f"model.encoder.{size}" for size in ("layers=1", "width=24", "heads=2")),
    )
    stages = run_gpu(options)
    assert [stage.unit for stage in stages] == ["sequences", "pairs", "pairs", "answers"]
    assert all(0.99 < sum(stage.profile.values()) < 1.01 for stage in stages)
    assert json.loads(json.dumps(as_json(stages)))[0]["mfu"] is None
