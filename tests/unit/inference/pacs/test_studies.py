"""Which studies and films are chosen, from metadata alone."""

import json

import pytest

from lapse.images.film_facts import FilmFacts
from lapse.inference.pacs.connection import PacsError, PacsOptions, connect
from lapse.inference.pacs.studies import (
    MAX_STUDIES,
    RemoteFilm,
    films_of_accessions,
    films_of_patient,
    preferred,
)
from scripted_server import reply, serving


def film(name, view="PA", intent="FOR PRESENTATION", time="20200405101112", number=1, **facts):
    values = {"body_part": "CHEST", "modality": "DX", **facts}
    dates = {"StudyDate": time}
    return RemoteFilm(
        "1.2", "1.3", name, number, FilmFacts(view=view, intent=intent, dates=dates, **values)
    )


def test_frontal_films_for_presentation_are_preferred_in_a_fixed_order():
    films = [
        film("unnamed", view=""),
        film("ap axial", view="AP AXIAL"),
        film("ap", view="AP"),
        film("pa unmarked", intent=""),
        film("pa late", time="20200405120000"),
        film("pa second", number=2),
        film("pa"),
    ]
    order = []
    while films:
        best = preferred(films)
        order.append(best.instance)
        films.remove(best)
    assert order == [
        "pa", "pa second", "pa late", "pa unmarked", "ap", "ap axial", "unnamed",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "other",
    [
        film("x", view="LL"),
        film("x", intent="FOR PROCESSING"),
        film("x", body_part="HAND"),
        film("x", modality="CT"),
        film("x", orientation="A\\F", view=""),
    ],
)
def test_films_that_cannot_be_compared_are_left_out(other):
    assert preferred([other]) is None
    assert preferred([other, film("ap", view="AP")]).instance == "ap"


def row(study, patient="P", accession="A", date="20200101", time="101112"):
    values = {
        "0020000D": study, "00100020": patient, "00080050": accession,
        "00080020": date, "00080030": time,
    }  # fmt: skip
    return {tag: {"vr": "LO", "Value": [value]} for tag, value in values.items()}


def pacs_with(rows):
    """A server that returns the same studies for every search, and no series."""

    def answer(handler):
        is_series = handler.path.partition("?")[0].endswith("/series")
        reply(handler, json.dumps([] if is_series else rows).encode(), "application/dicom+json")

    return serving(answer)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([row("1.2"), row("1.3", patient="Q")], "studies of another PatientID"),
        ([row("1.2", date="")], "no StudyDate"),
        ([row("1.2"), row("1.3")], "0 of 2 studies of this patient"),
        ([row(f"1.2.{n}") for n in range(MAX_STUDIES + 1)], f"more than {MAX_STUDIES} studies"),
    ],
)
def test_answers_that_do_not_fit_the_search_are_refused(rows, message):
    with (
        pacs_with(rows) as url,
        connect(PacsOptions(url)) as pacs,
        pytest.raises(PacsError, match=message),
    ):
        films_of_patient(pacs, "P")


def test_an_accession_number_must_name_one_study():
    with pacs_with([row("1.2"), row("1.3")]) as url, connect(PacsOptions(url)) as pacs:
        with pytest.raises(PacsError, match="accession number 1 names 2 studies"):
            films_of_accessions(pacs, ["A", "B"])
        for numbers in ([], ["A"], ["A", "A"], ["A", "B", "C"]):
            with pytest.raises(PacsError, match="two different accession numbers"):
                films_of_accessions(pacs, numbers)


@pytest.mark.parametrize("value", ["", " ", "*", "P?", "P\\Q", "x" * 65])
def test_ids_that_match_several_patients_are_refused_before_a_request(value):
    with pytest.raises(PacsError, match="match several patients"):
        films_of_patient(connect(PacsOptions("http://127.0.0.1:9/x")), value)
