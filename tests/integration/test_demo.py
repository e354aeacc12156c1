"""The demo ends with a model that uses its images, and resumes under another thread count."""

import pytest
import torch

from lapse.evaluation.scores_file import read_scores
from lapse.workflows.demo.run import DemoConfig, run_demo

SIZES = DemoConfig(
    num_patients=40,
    pretrain_steps=2,
    finetune_steps=2,
    num_answers=30,
    num_regions=20,
    num_probes=4,
    use_java=False,
)


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_the_demo_beats_every_image_blind_baseline(tmp_path, threads):
    report = run_demo(tmp_path, SIZES)
    assert "The model is above every image-blind baseline." in report.read_text()
    (path,) = (tmp_path / "scores").glob("lapse-continued-on-*.json")
    values = read_scores(path, None)
    model = values["scores"]["diff_vqa"]["change F1"]["value"]
    for name, scores in values["comparisons"].items():
        if "packaged" not in name:
            assert model > (scores["diff_vqa"]["change F1"]["value"] or 0.0), name
    torch.set_num_threads(3)
    (tmp_path / "report.html").unlink()
    assert run_demo(tmp_path, SIZES).is_file()
