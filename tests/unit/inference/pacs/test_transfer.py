"""Films from a PACS, and reports to it."""

import json

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from dicom_pairs import EARLIER, write_films
from lapse.images.film_facts import FilmFacts
from lapse.inference.pacs.connection import PacsError, PacsOptions, connect
from lapse.inference.pacs.studies import RemoteFilm
from lapse.inference.pacs.transfer import fetch_film, single_part, store_report
from scripted_server import reply, serving

KIND = 'multipart/related; type="application/dicom"; boundary="xyz"'


def message(*parts):
    head = b"--xyz\r\nContent-Type: application/dicom\r\n\r\n"
    return b"\r\n".join([*(head + part for part in parts), b"--xyz--"])


def test_one_part_comes_out_whole():
    part = b"\r\n--xy \r\n\r\n\0\xff"
    assert single_part(KIND, message(part)) == part
    assert single_part(KIND.replace('"xyz"', "xyz"), message(part)) == part
    assert single_part("application/dicom", part) == part


@pytest.mark.parametrize(
    "body", [b"", message(), message(b"a", b"b"), message(b"a")[:-2], b"--xyz\r\n\r\n"]
)
def test_anything_but_one_part_is_refused(body):
    with pytest.raises(PacsError, match="exactly one film"):
        single_part(KIND, body)
    with pytest.raises(PacsError, match="without a boundary"):
        single_part("multipart/related", body)


def fetched(tmp_path, **tags):
    """The result of fetching the earlier film from a server that sends one with these tags."""
    path, _ = write_films(tmp_path, EARLIER | tags)
    uids = (EARLIER[name] for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"))
    facts = FilmFacts(patient=EARLIER["PatientID"])

    def answer(handler):
        reply(handler, message(path.read_bytes()), KIND)

    with serving(answer) as url, connect(PacsOptions(url)) as pacs:
        return fetch_film(pacs, RemoteFilm(*uids, 1, facts)), path


def test_a_film_is_fetched_byte_by_byte(tmp_path):
    film, path = fetched(tmp_path)
    assert film.data == path.read_bytes()
    assert film.header.PatientID == EARLIER["PatientID"]
    assert "A-4711" not in repr(film)


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ({"SOPInstanceUID": "1.2.99"}, "another film than"),
        ({"StudyInstanceUID": "1.2.99"}, "another film than"),
        ({"PatientID": "OTHER"}, "of another patient"),
    ],
)
def test_another_film_than_the_chosen_one_is_refused(tmp_path, tags, message):
    with pytest.raises(PacsError, match=message) as error:
        fetched(tmp_path, **tags)
    assert "OTHER" not in str(error.value) and "1.2.99" not in str(error.value)


def stored(answer):
    report = Dataset()
    report.SOPClassUID, report.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.88.33", "1.2.3.4"
    report.StudyInstanceUID = "1.2.3"
    report.file_meta = FileMetaDataset()
    report.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    body = json.dumps(answer).encode()

    def answer_json(handler):
        reply(handler, body, "application/dicom+json")

    with serving(answer_json) as url, connect(PacsOptions(url)) as pacs:
        store_report(pacs, report)


def _reference(uid, **extra):
    return {"00081155": {"vr": "UI", "Value": [uid]}, **extra}


def test_a_stored_report_is_confirmed_by_its_uid():
    stored({"00081199": {"vr": "SQ", "Value": [_reference("1.2.3.4")]}})


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({}, "reason not stated"),
        ({"00081199": {"vr": "SQ", "Value": [_reference("9.9")]}}, "reason not stated"),
        (
            {
                "00081198": {
                    "vr": "SQ",
                    "Value": [_reference("1.2.3.4", **{"00081197": {"vr": "US", "Value": [272]}})],
                }
            },
            "reason 0110H",
        ),
    ],
)
def test_a_report_that_is_not_stored_is_an_error(answer, message):
    with pytest.raises(PacsError, match=message):
        stored(answer)
