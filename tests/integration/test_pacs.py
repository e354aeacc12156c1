"""`lapse pacs` against a real Orthanc: studies in, report out, report read back."""

import io
import json
import logging
import os
import shutil
import subprocess
import sys

import highdicom
import pytest
from pydicom import dcmread
from typer.testing import CliRunner

import orthanc
import pacs_films
import tiny_runs
from lapse.cli.main import app

MISSING = orthanc.missing_parts()
pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING)
WIDTH = 176  # columns of the films, so that rows and columns differ


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A PACS with two comparable studies and everything that must not be chosen."""
    films = {
        visit: pacs_films.render_visit(visit)[:, 8 : 8 + WIDTH]
        for visit in (pacs_films.EARLIER, pacs_films.LATER)
    }
    lateral = pacs_films.hand()
    with orthanc.running(tmp_path_factory.mktemp("orthanc")) as running:
        for number, visit in ((1, pacs_films.EARLIER), (2, pacs_films.LATER)):
            image = films[visit]
            running.upload(pacs_films.dicom_of(lateral, number, 1, ViewPosition="LL"))
            raw = {"PresentationIntentType": "FOR PROCESSING"}
            running.upload(pacs_films.dicom_of(lateral, number, 2, **raw))
            running.upload(pacs_films.dicom_of(image, number, 3))
            running.upload(pacs_films.dicom_of(lateral, number, 4, ViewPosition="AP"))
        # the newest study shows a hand, and another patient has a film
        hand = {"BodyPartExamined": "HAND", "ViewPosition": ""}
        running.upload(pacs_films.dicom_of(lateral, 3, 1, **hand))
        other = {"PatientID": "CANARY-OTHER"}
        running.upload(pacs_films.dicom_of(films[pacs_films.LATER], 4, 1, **other))
        yield running


@pytest.fixture
def secret(tmp_path):
    path = tmp_path / "basic"
    path.write_text(f"{orthanc.USER}:{orthanc.PASSWORD}\n")
    return path


def run(server, secret, *arguments):
    command = ["pacs", server.dicomweb, "--basic-file", str(secret), *arguments]
    return CliRunner().invoke(app, command, catch_exceptions=True)


def test_round_trip(server, secret, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    done = run(
        server, secret, "--patient", pacs_films.PATIENT["PatientID"], "--store",
        "--json", str(tmp_path / "answer.json"),
    )  # fmt: skip
    assert done.exit_code == 0, (done.output, done.exception)
    assert "structured report stored in the study of the later film" in done.output
    assert "3 studies in the PACS match" in done.output
    assert "1 newer studies without a frontal radiograph" in done.output
    hits = sum((done.output + caplog.text).count(canary) for canary in pacs_films.CANARIES)
    print(f"ids in the output and the most detailed log: {hits}")
    assert hits == 0
    answer = json.loads((tmp_path / "answer.json").read_text())
    (stored,) = server.files("SR")
    report = highdicom.sr.srread(io.BytesIO(stored))
    (tmp_path / "stored.dcm").write_bytes(stored)
    if checker := shutil.which("dciodvfy"):
        checked = subprocess.run([checker, tmp_path / "stored.dcm"], capture_output=True, text=True)
        assert "Error" not in checked.stdout + checked.stderr

    earlier, later = (f"{pacs_films.ROOT}.{number}" for number in (1, 2))
    assert report.StudyInstanceUID == later
    assert report.PatientID == pacs_films.PATIENT["PatientID"]
    assert report.AccessionNumber == "CANARY-ACC-2"
    (other,) = report.PertinentOtherEvidenceSequence
    assert other.StudyInstanceUID == earlier
    images = {f"{earlier}.1.3": "reference", f"{later}.1.3": "main"}

    groups = report.content.get_planar_roi_measurement_groups()
    read = {}
    for group in groups:
        points = group.roi.value / (WIDTH, pacs_films.SIDE)
        source = group.roi.ContentSequence[0].ReferencedSOPSequence[0]
        key = images[source.ReferencedSOPInstanceUID], group.tracking_identifier
        read[key] = [*points.min(axis=0), *points.max(axis=0)]
    written = {
        (row["image"], row["finding"]): list(row["box"].values())
        for row in answer["regions"]
        if row["box"] is not None
    }
    assert read.keys() == written.keys()
    num_equal = sum(read[key] == pytest.approx(written[key], abs=1e-4) for key in read)
    print(f"boxes equal {num_equal}/{len(read)}")
    assert num_equal == len(read)

    uids = {}
    for group in groups:
        uids.setdefault(group.tracking_identifier, []).append(group.tracking_uid)
    both = {name: set(found) for name, found in uids.items() if len(found) == 2}
    print(
        f"findings on both films {len(both)}, with one tracking UID {sum(map(len, both.values()))}"
    )
    assert both and all(len(found) == 1 for found in both.values())


def test_a_run_folder_answers_without_regions(server, secret, tmp_path):
    stage2 = tiny_runs.write(tmp_path)[1]
    done = run(
        server, secret, "--patient", pacs_films.PATIENT["PatientID"], "--model", str(stage2),
        "--sr", str(tmp_path / "sr.dcm"),
    )  # fmt: skip
    assert done.exit_code == 0, (done.output, done.exception)
    assert "Model trained on: data dddddddd..., not described." in done.output
    report = highdicom.sr.srread(tmp_path / "sr.dcm")
    assert report.StudyInstanceUID == f"{pacs_films.ROOT}.2"
    assert not report.content.get_planar_roi_measurement_groups()
    if checker := shutil.which("dciodvfy"):
        checked = subprocess.run([checker, tmp_path / "sr.dcm"], capture_output=True, text=True)
        assert "Error" not in checked.stdout + checked.stderr


def test_two_accession_numbers_from_standard_input_in_any_order(server, secret, tmp_path):
    program = [sys.executable, "-m", "lapse", "pacs", server.dicomweb]
    arguments = ["--basic-file", str(secret), "--accession", "-", "--sr", str(tmp_path / "sr.dcm")]
    before = len(server.files("SR"))
    done = subprocess.run(
        [*program, *arguments],
        input="CANARY-ACC-2\nCANARY-ACC-1\n",
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    report = dcmread(tmp_path / "sr.dcm")
    assert report.StudyInstanceUID == f"{pacs_films.ROOT}.2"
    assert len(server.files("SR")) == before  # without --store nothing is stored
    hits = sum((done.stdout + done.stderr).count(canary) for canary in pacs_films.CANARIES)
    print(f"ids in the output: {hits}")
    assert hits == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--patient", "CANARY-NOBODY"], "has no study with this PatientID"),
        (["--patient", "CANARY-OTHER"], "1 of 1 studies of this patient have a frontal"),
        (["--accession", "CANARY-ACC-1"], "give two different accession numbers"),
        (
            ["--accession", "CANARY-ACC-1", "--accession", "CANARY-ACC-3"],
            "one of the two studies has no frontal radiograph",
        ),
        (["--accession", "CANARY-ACC-1", "--accession", "CANARY-ACC-4"], "different patients"),
        (["--patient", "CANARY*"], "match several patients"),
    ],
)
def test_refusals_name_no_patient_even_in_the_most_detailed_log(
    server, secret, arguments, message, caplog
):
    caplog.set_level(logging.DEBUG)
    done = run(server, secret, *arguments)
    assert isinstance(done.exception, ValueError) and message in str(done.exception)
    assert done.exception.__cause__ is None
    text = f"{done.output} {done.exception} {caplog.text}"
    hits = sum(text.count(canary) for canary in pacs_films.CANARIES)
    print(f"ids in messages and log: {hits}")
    assert hits == 0


def test_wrong_credentials_are_refused(server, tmp_path):
    wrong = tmp_path / "wrong"
    wrong.write_text("tester:CANARY-PASSWORD")
    done = run(server, wrong, "--patient", "CANARY-4711")
    assert "status 401: check the credentials" in str(done.exception)
    assert "CANARY" not in f"{done.output} {done.exception}"


WRITTEN: list[str] = []
_IS_WATCHED = [False]


def _watch(event, values):
    """An audit hook: every file that the process opens for writing."""
    if _IS_WATCHED[0] and event == "open" and isinstance(values[0], str | bytes):
        mode, flags = values[1] or "", values[2] or 0
        if set(mode) & set("wax+") or flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            WRITTEN.append(os.fsdecode(values[0]))


def test_no_file_is_opened_for_writing(server, secret, tmp_path):
    sys.addaudithook(_watch)
    _IS_WATCHED[0] = True
    try:
        done = run(server, secret, "--patient", pacs_films.PATIENT["PatientID"])
        (tmp_path / "probe").write_text("the hook works")
    finally:
        _IS_WATCHED[0] = False
    assert done.exit_code == 0
    assert [name for name in WRITTEN if name != os.devnull] == [str(tmp_path / "probe")]
