import pytest

from lapse.serve.errors import ServiceError
from lapse.serve.films import FilmStore, StoredFilm
from lapse.serve.limits import Limits

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
