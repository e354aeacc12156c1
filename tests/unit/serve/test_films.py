import pytest

from lapse.serve.errors import ServiceError
from lapse.serve.films import FilmStore, StoredFilm, checked_film
from lapse.serve.limits import Limits
from lapse.serve.messages import Message

FILM = StoredFilm("sha", 4, 5, picture=bytes(100))
LIMITS = Limits(films=3, films_bytes=250, films_seconds=60)


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_a_film_expires_after_its_last_use():
    clock = Clock()
    store = FilmStore(LIMITS, clock)
    name = store.add(FILM)
    clock.now = 50
    assert store.get(name) is FILM
    clock.now = 105
    assert store.get(name) is FILM
    clock.now = 166
    with pytest.raises(ServiceError, match="unknown-film"):
        store.get(name)
    assert len(store) == 0


def test_a_full_store_refuses_and_keeps_what_it_has():
    clock = Clock()
    store = FilmStore(LIMITS, clock)
    names = [store.add(FILM), store.add(FILM)]
    clock.now = 10
    with pytest.raises(ServiceError) as refused:
        store.add(FILM)
    assert refused.value.code == "memory-full"
    assert refused.value.headers == {"Retry-After": "50"}
    assert [store.get(name) for name in names] == [FILM, FILM]
    store.remove(names[0])
    assert store.get(store.add(FILM)) is FILM


def test_the_number_of_films_is_limited():
    store = FilmStore(Limits(films=2))
    for _ in range(2):
        store.add(StoredFilm("sha", 1, 1))
    with pytest.raises(ServiceError, match="memory-full"):
        store.check()


def test_names_cannot_be_guessed_and_facts_are_not_shown():
    store = FilmStore(Limits(films=1000))
    names = {store.add(StoredFilm("sha", 1, 1)) for _ in range(500)}
    assert len(names) == 500 and all(len(name) == 24 for name in names)
    assert "CANARY" not in repr(StoredFilm("sha", 1, 1, facts={"patient": "CANARY"}))


GOOD = {"height": 4, "width": 5, "notes": ["n"], "facts": {"patient": "P"}}
PARTS = (bytes(4), b"\x89PNG...")


def test_the_answer_of_a_decoder_becomes_a_film():
    film = checked_film("sha", Message(GOOD, PARTS), 2)
    assert (film.height, film.notes, film.pixels, film.facts) == (
        4,
        ("n",),
        bytes(4),
        GOOD["facts"],
    )


@pytest.mark.parametrize(
    ("values", "parts", "code"),
    [
        ({"refused": "blank"}, (), "blank"),
        ({"refused": "<script>"}, (), "decoder-failed"),
        ({"refused": ["blank"]}, (), "decoder-failed"),
        ({}, PARTS, "decoder-failed"),
        ({**GOOD, "height": "4"}, PARTS, "decoder-failed"),
        ({**GOOD, "facts": []}, PARTS, "decoder-failed"),
        ({**GOOD, "notes": "n"}, PARTS, "decoder-failed"),
        (GOOD, (), "decoder-failed"),
        (GOOD, (bytes(5), PARTS[1]), "decoder-failed"),
        (GOOD, (bytes(4), b"<svg onload=x>"), "decoder-failed"),
    ],
)
def test_another_answer_is_an_error(values, parts, code):
    with pytest.raises(ServiceError) as refused:
        checked_film("sha", Message(dict(values), parts), 2)
    assert refused.value.code == code
