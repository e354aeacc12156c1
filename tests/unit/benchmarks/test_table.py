"""The bench itself: ratios, targets, the table, equal peers, and the GPU's code on a CPU."""

import json

import pytest
import torch

from benchmarks import answer_loss, table
from benchmarks.gpu import as_json, kind_of, run_gpu
from benchmarks.memory import peak_bytes
from benchmarks.row import Check, Ratios, Row, alternate


def test_ratios_alternate_and_say_median_and_minimum():
    order = []
    found = alternate(lambda: order.append("ours"), lambda: order.append("peer"), rounds=3)
    assert order == ["ours", "peer", "peer", "ours", "ours", "peer"]
    assert len(found.each) == 3
    check = Ratios((1.0, 1.0, 2.0), (3.0, 2.0, 2.0)).check("time", 2.0)
    assert check.value == 2.0 and check.is_met and "minimum 1.00 of 3 rounds" in check.detail


def test_a_target_is_met_or_missed():
    assert Check("memory", 0.5, 0.5, is_at_least=False).is_met
    missed = Check("memory", 0.6, 0.5, is_at_least=False)
    assert missed.line() == "memory: 0.6, target <= 0.5: MISSED"
    assert not Row("r", "a", "b", (missed,), "none").is_met


def test_an_unknown_row_is_named_with_the_nearest():
    with pytest.raises(ValueError, match=r"no bench 'beams'.*beam"):
        table.run_rows(["beams"], lambda _: None)


def test_a_row_that_cannot_run_says_why(monkeypatch, tmp_path):
    def broken(say):
        raise ValueError("no peer here")

    monkeypatch.setattr("benchmarks.padding.run", broken)
    before = torch.get_num_threads()
    said = []
    found = table.run_rows(["padding"], said.append)
    torch.set_num_threads(before)
    assert said == ["padding: not run: no peer here"] and found[0].row is None
    assert "| padding | not run: no peer here |" in table.markdown(found)
    table.write_json(tmp_path / "b.json", found, table.machine())
    assert json.loads((tmp_path / "b.json").read_text())["rows"][0]["reason"] == "no peer here"


def test_the_answer_loss_equals_its_peer(monkeypatch):
    monkeypatch.setattr(answer_loss, "LENGTH", 60)
    monkeypatch.setattr(answer_loss, "SIZE", 500)
    made = answer_loss.build()
    ours, peer = answer_loss.measure("ours", *made), answer_loss.measure("peer", *made)
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
    assert kind_of("flash_fwd_kernel") == "attention"
    assert kind_of("FusedAdamMathFunctor") == "optimizer"
    assert kind_of("something") == "other"


def test_without_a_gpu_the_gpu_bench_says_so():
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(ValueError, match="needs a CUDA device"):
        run_gpu(lambda _: None)


@pytest.mark.slow
def test_the_gpu_bench_runs_every_stage_at_a_small_size():
    found = run_gpu(
        lambda _: None,
        device="cpu",
        steps=1,
        presets=("pretrain-tiny", "diffvqa-tiny"),
        images=1,
        pairs=1,
        overrides=[f"model.encoder.{size}" for size in ("layers=1", "width=24", "heads=2")],
    )
    assert [stage.unit for stage in found] == ["sequences", "pairs", "pairs", "answers"]
    assert all(0.99 < sum(stage.profile.values()) < 1.01 for stage in found)
    assert json.loads(json.dumps(as_json(found)))[0]["mfu"] is None
