from lapse.serve.timeline import order_films


def dated(*days, tag="StudyDate"):
    return [{tag: day} for day in days]


def test_films_are_ordered_by_date_with_the_days_between():
    timeline = order_films(dated("20210301", "20200229", "20200310"))
    assert (timeline.order, timeline.days, timeline.is_dated) == ((1, 2, 0), (10, 356), True)


def test_times_order_films_of_one_day():
    timeline = order_films(dated("20210301120000", "20210301080000"))
    assert (timeline.order, timeline.days) == ((1, 0), (0,))
    assert order_films(dated("20210301120000", "20210301")).order == (0, 1)


def test_one_tag_that_all_films_have_is_used():
    films = [{"AcquisitionDate": "20220101", "StudyDate": "20190101"}, {"StudyDate": "20180101"}]
    assert order_films(films).order == (1, 0)


def test_films_without_a_common_date_keep_their_order():
    timeline = order_films([{"StudyDate": "20180101"}, {}, {}])
    assert (timeline.order, timeline.days, timeline.is_dated) == ((0, 1, 2), (None, None), False)


def test_a_day_that_does_not_exist_has_no_distance():
    assert order_films(dated("20210230", "20210301")).days == (None,)


def test_one_film_has_no_neighbours():
    assert order_films([{}]).days == ()
