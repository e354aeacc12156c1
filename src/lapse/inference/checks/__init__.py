"""Input checks: facts of headers, pixels, questions. What a model is not made for is refused.

issues        InputIssue, UnusualInputError
fact_rules    contradictions between facts
pixel_check   a score from pixels, fitted at `lapse export`
questions     known questions, phrases and region names
checker       all checks of films in one place
"""

from lapse.images.film_facts import FilmFacts
from lapse.inference.checks.checker import CheckedFilm, InputChecker
from lapse.inference.checks.issues import InputIssue, UnusualInputError

__all__ = ["CheckedFilm", "FilmFacts", "InputChecker", "InputIssue", "UnusualInputError"]
