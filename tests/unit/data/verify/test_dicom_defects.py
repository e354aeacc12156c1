"""Defects of image files in trees of DICOMs, and of DICOMs and JPEGs: verify and prepare."""

import shutil

import pytest

from defect_codes import IMAGES
from lapse.data.prepare.prepare import PrepareOptions, find_roots, prepare
from lapse.data.verify.verify import verify
from lapse.phantom.dataset.writer import SimulateConfig, simulate
from lapse.phantom.defects.inject import inject

RATE = 0.1
CODES = (*IMAGES, "empty-file")
# How prepare counts these defects; it stops at a missing image.
SKIPPED = {"undecodable-image": "mimic_cxr: unreadable image"}
NOTED = {
    "image-size": "mimic_cxr: image size differs from the metadata",
    "unreadable-size": "mimic_cxr: Rows or Columns unreadable",
    "view-disagrees": "mimic_cxr: view tables disagree (ViewPosition is used)",
}


@pytest.fixture(scope="module", params=["dicom", "both"])
def clean(request, tmp_path_factory):
    """A tree and its report."""
    out = tmp_path_factory.mktemp(request.param) / "raw"
    config = SimulateConfig(patients=4, seed=3, size=64, visits=(2, 2), images=request.param)
    simulate(out, config)
    return out, verify(find_roots([out]), pixels=True)


def test_clean_trees_have_no_defect(clean):
    assert clean[1].num_defects("error") == clean[1].num_defects("warning") == 0
    assert any(clean[0].rglob("*.dcm"))


@pytest.mark.parametrize("code", CODES)
def test_every_defect_type_is_detected_by_id_and_nothing_else(clean, tmp_path, code):
    out = shutil.copytree(clean[0], tmp_path / "raw")
    truth = inject(out, RATE, 1, [code])[code]
    report = verify(find_roots([out]), pixels=True)
    assert truth and sorted(report.ids(code)) == sorted(truth)
    assert {defect.type.code for defect in report.defects} == {code}
    shutil.rmtree(out)


def test_prepare_counts_them(clean, tmp_path):
    for code in ("missing-image", *SKIPPED, *NOTED):
        out = shutil.copytree(clean[0], tmp_path / "raw")
        truth = inject(out, RATE, 0, [code])[code]
        store = tmp_path / f"store {code}"
        if code == "missing-image":
            with pytest.raises(ValueError, match=f"{len(truth)} of 8 images are missing"):
                prepare(find_roots([out]), store, PrepareOptions(16))
        else:
            report = prepare(find_roots([out]), store, PrepareOptions(16))
            counts, reason = report.noted.counts, NOTED.get(code)
            if reason is None:
                counts, reason = report.skipped.counts, SKIPPED[code]
            assert counts[reason] == len(truth)
        shutil.rmtree(out)
