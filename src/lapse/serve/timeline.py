"""The order of one patient's films in time, and the days between neighbours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise

from lapse.inference.checks.fact_rules import common_times


@dataclass(frozen=True, slots=True)
class Timeline:
    """Films from the earliest to the latest.

    Attributes:
        order: positions in the input.
        days: between a film and the next; None where a date is not a day of the calendar.
        is_dated: whether all films have a date; if not, the order is that of the input.
    """

    order: tuple[int, ...]
    days: tuple[int | None, ...]
    is_dated: bool


def order_films(dates: Sequence[Mapping[str, str]]) -> Timeline:
    """Order films by the most exact date that all of them have.

    Args:
        dates: of each film: name of a DICOM tag -> digits "YYYYMMDD" or "YYYYMMDDHHMMSS".
    """
    num_films = len(dates)
    _, times = common_times(dates)
    if not times:
        return Timeline(tuple(range(num_films)), (None,) * (num_films - 1), False)
    order = sorted(range(num_films), key=times.__getitem__)
    days = [_days(times[a], times[b]) for a, b in pairwise(order)]
    return Timeline(tuple(order), tuple(days), True)


def _days(earlier: str, later: str) -> int | None:
    try:
        first, second = (date.fromisoformat(text[:8]) for text in (earlier, later))
    except ValueError:
        return None
    return (second - first).days
