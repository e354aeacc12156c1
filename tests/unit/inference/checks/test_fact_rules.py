"""Facts of headers that contradict a comparison: refused or warned about, never shown."""

import numpy as np
import pytest

from lapse.images.film_facts import NO_FACTS, FilmFacts, facts_of_file
from lapse.inference.checks.checker import SAME_PICTURE, InputChecker
from lapse.inference.checks.fact_rules import all_fact_issues
from lapse.inference.checks.issues import CODES, UnusualInputError, refuse_unusual
from small_dicom import FIRST, write

SECRETS = ("DOE^JANE", "A-4711", "19610203", "1.2.826.99", "WRIST", "LEFTLAT", "20200405")
SECOND = {**FIRST, "StudyInstanceUID": "1.2.826.99.2", "StudyDate": "20210607"}


def issues(tmp_path, first, second):
    roles = ("reference image", "main image")
    paths = [write(tmp_path / f"{n}.dcm", tags) for n, tags in enumerate((first, second))]
    return all_fact_issues(dict(zip(roles, map(facts_of_file, paths), strict=True)))


def test_two_films_of_one_patient_have_no_issue(tmp_path):
    assert issues(tmp_path, FIRST, SECOND) == []


@pytest.mark.parametrize(
    ("changed", "code", "level", "tag"),
    [
        ({"PatientID": "B-1"}, "patient", "refused", "PatientID"),
        ({"PatientBirthDate": "19700101"}, "patient", "warning", "PatientBirthDate"),
        ({"PatientSex": "M"}, "patient", "warning", "PatientSex"),
        ({"StudyDate": "20190101"}, "order", "refused", "StudyDate"),
        ({"ViewPosition": "LL"}, "view", "refused", "ViewPosition"),
        ({"ViewPosition": "LEFTLAT"}, "view", "refused", "ViewPosition"),
        ({"PatientOrientation": ["P", "F"]}, "view", "refused", "PatientOrientation"),
        ({"BodyPartExamined": "HAND"}, "body-part", "refused", "BodyPartExamined"),
        ({"BodyPartExamined": "WRIST"}, "body-part", "refused", "BodyPartExamined"),
        ({"Modality": "CT"}, "modality", "refused", "Modality"),
        ({"Modality": "OT"}, "modality", "warning", "Modality"),
        ({"PresentationIntentType": "FOR PROCESSING"}, "intent", "warning", "PresentationIntent"),
        ({"StudyInstanceUID": "1.2.826.99.1"}, "same-study", "warning", "StudyInstanceUID"),
    ],
)
def test_each_contradiction(tmp_path, changed, code, level, tag):
    (issue,) = issues(tmp_path, FIRST, {**SECOND, **changed})
    assert (issue.code, issue.level) == (code, level) and issue.code in CODES
    assert tag in issue.message
    assert not any(secret in issue.message for secret in (*SECRETS, *map(str, changed.values())))
    # the same file in the role of the reference film, where the rule is about one film
    if code in {"view", "body-part", "modality", "intent"}:
        (issue,) = issues(tmp_path, {**FIRST, **changed}, SECOND)
        assert "reference image" in issue.message


def test_times_decide_where_both_films_have_them(tmp_path):
    morning = {**FIRST, "StudyTime": "080000.5", "StudyInstanceUID": "1.2.826.99.3"}
    evening = {**FIRST, "StudyTime": "190000"}
    assert issues(tmp_path, morning, evening) == []
    (issue,) = issues(tmp_path, evening, morning)
    assert issue.code == "order"
    assert issues(tmp_path, {**evening, "AcquisitionDate": "20200404"}, morning)[0].code == "order"
    exact = {"AcquisitionDateTime": "20200405120000.000000+0100"}
    assert issues(tmp_path, {**evening, **exact}, {**morning, **exact}) == []


def test_missing_or_odd_values_are_not_contradictions(tmp_path):
    assert issues(tmp_path, {"Modality": "CR"}, {"Modality": "DX"}) == []
    odd = {**SECOND, "StudyDate": "", "BodyPartExamined": "", "ViewPosition": ""}
    assert issues(tmp_path, FIRST, odd) == []
    padded = {**SECOND, "PatientID": " a-4711 ", "BodyPartExamined": "PORT CHEST"}
    assert issues(tmp_path, FIRST, padded) == []


def test_ids_of_different_issuers_prove_nothing(tmp_path):
    first, second = (
        {**tags, "IssuerOfPatientID": name} for tags, name in ((FIRST, "X"), (SECOND, "Y"))
    )
    (issue,) = issues(tmp_path, first, second)
    assert (issue.code, issue.level) == ("patient", "warning") and "Issuer" in issue.message


def test_jpeg_and_png_have_no_facts(tmp_path):
    for name, start in (("a.jpg", b"\xff\xd8\xff"), ("a.png", b"\x89PNG\r\n")):
        (tmp_path / name).write_bytes(start + b"DICM" * 50)
        assert facts_of_file(tmp_path / name) == NO_FACTS
    (tmp_path / "noise").write_bytes(b"\x08\x00" * 500)
    assert isinstance(facts_of_file(tmp_path / "noise"), FilmFacts)


def test_facts_do_not_print_who_the_patient_is(tmp_path):
    text = repr(facts_of_file(write(tmp_path / "a.dcm", FIRST)))
    assert "A-4711" not in text and "19610203" not in text and "20200405" not in text


def test_refusals_become_warnings_where_the_caller_allows_them(tmp_path):
    reversed_films = issues(tmp_path, SECOND, FIRST)
    with pytest.raises(UnusualInputError, match=r"later than the main image.*--allow-unusual"):
        refuse_unusual(reversed_films, allow_unusual=False)
    refuse_unusual(reversed_films, allow_unusual=True)
    assert reversed_films[0].line().startswith("warning: ")
    refuse_unusual(
        [issue for issue in reversed_films if issue.level != "refused"], allow_unusual=False
    )


def test_the_same_picture_twice_is_a_warning():
    image = np.arange(64, dtype=np.uint8).reshape(8, 8)
    facts = {"reference image": NO_FACTS, "main image": NO_FACTS}
    assert SAME_PICTURE.level == "warning"
    assert SAME_PICTURE in InputChecker().issues(facts, [image, image.copy()])
    assert SAME_PICTURE not in InputChecker().issues(facts, [image, image + 1])
