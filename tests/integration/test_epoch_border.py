"""A contrastive batch with records of two epochs may have an image twice."""

from lapse.config import load_config
from lapse.training.trainer import train
from tiny_store import write


def test_a_batch_of_two_epochs_may_have_an_image_twice(tmp_path):
    # 16 training images and 14 rows a step: the second step reaches into the second epoch.
    small = "image_size: 32, patch_size: 16, channels: 1, width: 16, layers: 1, heads: 2"
    text = "width: 16, layers: 1, heads: 2, mlp_width: 32, max_tokens: 164"
    config = load_config(
        "pretrain-global-tiny",
        [f"model.encoder={{{small}, mlp_width: 32}}", f"model.text={{{text}}}",
         "train.batch_size=14",
         "train.precision=fp32", "train.steps=4", "train.eval_samples=4", "train.seed=3"],
    )  # fmt: skip
    report = train(config, write(tmp_path / "store"), tmp_path / "run")
    assert report.step == 4
