"""Nothing of a patient in answers, errors, logs or files: canaries in every tag and header."""

import io
import json
import re
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.datadict import DicomDictionary

import phantom_films
from running_service import RunningService

pytestmark = pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="needs /proc")
CANARY, DATE, TIME, UID = "KANARI3N", "18991231", "235959.987654", "1.2.840.99999.4711.4711"
TEXTS = {"LO", "SH", "PN", "ST", "LT", "UT", "UC", "CS", "AE"}
# tags that decide whether and how the film is read, and the checks of the films
KEPT = {
    "SOPClassUID", "MediaStorageSOPClassUID", "TransferSyntaxUID", "SpecificCharacterSet",
    "PhotometricInterpretation", "Modality", "ViewPosition", "BodyPartExamined",
    "PatientOrientation", "PresentationIntentType", "VOILUTFunction", "LossyImageCompression",
    "PresentationLUTShape", "RescaleType",
}  # fmt: skip


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with RunningService(tmp_path_factory.mktemp("service")) as running:
        yield running


def with_canaries(film: bytes) -> tuple[bytes, int]:
    """A film with a canary in every text, date, time and UID tag, and in a private tag."""
    data = dcmread(io.BytesIO(film))
    values = {"DA": DATE, "TM": TIME, "DT": DATE + TIME, "UI": UID} | dict.fromkeys(TEXTS, CANARY)
    count = 0
    for tag, (representation, _, _, _, name) in DicomDictionary.items():
        group = tag >> 16
        is_free = group >= 8 and group not in {0x28, 0x7FE0} and name and name not in KEPT
        if is_free and representation in values:
            data.add_new(tag, representation, values[representation])
            count += 1
    block = data.private_block(0x000B, CANARY, create=True)
    block.add_new(1, "LO", CANARY)
    data.preamble = (CANARY * 16).encode()[:128]
    buffer = io.BytesIO()
    data.save_as(buffer)
    return buffer.getvalue(), count


def written_bytes(pid: int) -> int:
    text = Path(f"/proc/{pid}/io").read_text()
    return int(re.search(r"^write_bytes: (\d+)", text, re.MULTILINE).group(1))


def test_nothing_of_a_patient_comes_back_or_stays(service):
    film, num_tags = with_canaries(phantom_films.films()[0])
    other, _ = with_canaries(phantom_films.films()[1])
    headers = {
        "user_agent": CANARY, "referer": f"http://{CANARY}", "cookie": f"a={CANARY}",
        "x_forwarded_for": CANARY, "authorization": f"Bearer {CANARY}", f"x_{CANARY}": "1",
        "content_disposition": f'attachment; filename="{CANARY}.dcm"',
    }  # fmt: skip
    children = [pid for ids in service.children().values() for pid in ids]
    processes = [service.process.pid, *children]
    before = {pid: written_bytes(pid) for pid in processes}
    shared = set(Path("/dev/shm").glob("*"))  # of other programs
    replies = [service.request("POST", "/api/films", data, **headers) for data in (film, other)]
    names = [reply.json["id"] for reply in replies]
    for values in ({}, {"allow_unusual": True}, {"question": f"is {CANARY} there?"}):
        replies.append(service.compare(*names, **values))
    replies.append(
        service.request("POST", "/api/reports", {"film": names[0], "allow_unusual": True})
    )
    replies.append(service.request("POST", "/api/timelines", {"films": names}))
    replies.append(service.request("GET", f"/api/films/{names[0]}/picture", **headers))
    # damaged in every part
    for position in range(200, len(film), len(film) // 25):
        replies.append(service.request("POST", "/api/films", film[:position], **headers))
    for position in range(140, len(film), len(film) // 25):
        damaged = film[:position] + CANARY.encode() + film[position + len(CANARY) :]
        replies.append(service.request("POST", "/api/films", damaged))
    # paths, methods, and bodies that are wrong
    replies.append(service.request("GET", f"/{CANARY}", **headers))
    replies.append(service.request(CANARY, "/api/films"))
    replies.append(service.request("GET", f"/api/films/{CANARY}/picture"))
    replies.append(service.request("POST", "/api/comparisons", {CANARY: CANARY}))
    replies.append(service.request("POST", "/api/films", CANARY.encode() * 50))
    statuses = {reply.status for reply in replies}
    assert {200, 201, 400, 404, 405, 422} <= statuses and 500 not in statuses
    patterns = [text.encode() for text in (CANARY, CANARY.lower(), DATE, TIME, UID)]

    def hits(data: bytes) -> int:
        return sum(data.count(pattern) for pattern in patterns)

    assert hits(film) > num_tags > 1000
    bodies = [reply.body + json.dumps(reply.headers).encode() for reply in replies]
    log = service.log.encode()
    files = [path for path in (service.folder / "tmp").rglob("*") if path.is_file()]
    files += [path for path in Path("/dev/shm").glob("*") if path not in shared and path.is_file()]
    contents = [path.read_bytes() for path in files]
    written = {
        pid: written_bytes(pid) - before[pid] for pid in before if Path(f"/proc/{pid}").exists()
    }
    log_bytes = written.pop(service.process.pid)
    print(
        f"canaries in {num_tags} tags: {sum(map(hits, bodies))} hits in {len(bodies)} replies, "
        f"{hits(log)} in {len(log)} bytes of log, {sum(map(hits, contents))} in {len(files)} "
        f"files; {sum(written.values())} bytes written by {len(written)} processes"
    )
    assert sum(map(hits, bodies)) == hits(log) == sum(map(hits, contents)) == 0
    assert not any(written.values()) and log_bytes <= 4096 * (1 + len(log) // 4096 + len(replies))
    assert not files


def test_the_canaries_are_seen_where_they_are(service):
    """The search of the test above sees a canary in an answer."""
    picture = phantom_films.pictures()[0]
    name = service.send(picture)
    assert picture[:8] in service.request("GET", f"/api/films/{name}/picture").body
