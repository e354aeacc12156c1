"""Errors of the operating system and damaged files are one sentence that names the file."""

import resource
import sys

import pytest

import tiny_model
import tiny_store
from lapse.cli import main as command_line
from lapse.data.loading.batch_stream import BalancedBatchStream
from lapse.training.checkpoint import latest_valid_checkpoint
from lapse.training.run_folder import load_run
from lapse.training.trainer import train

CONFIG = {"train__save_every": 2}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tiny_store.write(tmp_path_factory.mktemp("errors") / "store")


def command(monkeypatch, capsys, *words):
    """Exit code and message of the command line."""
    monkeypatch.setattr(sys, "argv", ["lapse", *map(str, words)])
    with pytest.raises(SystemExit) as stop:
        command_line.main()
    message = capsys.readouterr().err.strip()
    assert "Traceback" not in message
    return stop.value.code, message


def assert_same_run(run, other):
    for name in ("metrics.jsonl", "checkpoints/step-00000008/model.safetensors"):
        assert (run / name).read_bytes() == (other / name).read_bytes()


@pytest.mark.parametrize("limit", [64, 1000, 8000, 60_000])
def test_a_disk_that_is_full_at_any_file_is_one_sentence(data, tmp_path, limit, promise):
    """RLIMIT_FSIZE makes each write beyond it fail, as a full disk does; then the run continues."""
    config = tiny_model.config(**CONFIG)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        with pytest.raises((ValueError, OSError)) as error:
            train(config, data, tmp_path / "run")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    text = str(error.value)
    assert "File too large" in text and str(tmp_path) in text
    assert train(config, data, tmp_path / "run").step == 8
    train(config, data, tmp_path / "straight")
    assert_same_run(tmp_path / "run", tmp_path / "straight")
    promise(10, 1, 1)


@pytest.mark.skipif(sys.platform != "linux", reason="a file system that refuses every write")
def test_a_read_only_output_is_one_sentence(data, monkeypatch, capsys):
    words = ["train", "pretrain-tiny", "--data", data, "--out", "/sys/lapse-run"]
    code, message = command(monkeypatch, capsys, *words)
    assert code == 2 and "/sys/lapse-run" in message and "\n" not in message


def test_an_output_that_cannot_be_a_file_is_refused_at_once(data, tmp_path, monkeypatch, capsys):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    for out, reason in ((tmp_path / "folder", "is a folder"), (tmp_path / "file/x", "is a file")):
        words = ["predict", "packaged", "--data", data, "--out", out]
        code, message = command(monkeypatch, capsys, *words)
        assert code == 2 and reason in message and "\n" not in message


def test_an_error_in_a_worker_is_one_sentence(data, tmp_path, monkeypatch):
    def fail(*_):
        raise ValueError("the file was cut")

    config = tiny_model.config(train__num_workers=1)
    monkeypatch.setattr(BalancedBatchStream, "batches", fail)
    with pytest.raises(ValueError, match=r"^the file was cut$"):
        train(config, data, tmp_path / "run")


@pytest.mark.parametrize("name", ["config.yaml", "vocabulary.json", "run.json"])
@pytest.mark.parametrize("text", [b"", b"\xff\xfe\x00", b"[", b"{", b"[" * 5000, b"7", b'{"a": 1}'])
def test_a_damaged_file_of_a_run_is_named(name, text, data, tmp_path):
    config = tiny_model.config(train__steps=1)
    run = tmp_path / "run"
    train(config, data, run)
    (run / name).write_bytes(text)
    with pytest.raises(ValueError, match=name):
        train(config, data, run)
    if name != "run.json":
        with pytest.raises(ValueError, match=name):
            load_run(run)


@pytest.mark.parametrize("text", ["a: [", "a: {b: 1", "\t- x", "key: 'open"])
def test_a_damaged_preset_or_override_is_one_sentence(text, tmp_path, data, monkeypatch, capsys):
    (tmp_path / "own.yaml").write_text(text, "utf-8")
    words = ["train", "--data", data, "--out", tmp_path / "run"]
    for more in ([tmp_path / "own.yaml"], ["pretrain-tiny", f"train.steps={text}"]):
        code, message = command(monkeypatch, capsys, *words, *more)
        assert code == 2 and "is not YAML" in message and "\n" not in message


def test_weights_that_overflow_in_the_optimizer_are_not_saved(data, tmp_path):
    config = tiny_model.config(train__save_every=1, optim__learning_rate=1e39)
    with pytest.raises(ValueError, match=r"step \d: (weight|optimizer state) .* is not finite"):
        train(config, data, tmp_path / "run")
    assert latest_valid_checkpoint(tmp_path / "run").checkpoint is None
