"""Visits and exposures of patients for the tests of rendering."""

from datetime import datetime

from lapse.phantom.patients.acquisition import draw_acquisition
from lapse.phantom.patients.patient import draw_patient
from lapse.phantom.patients.portable import make_portable
from lapse.phantom.patients.state import Visit


def visit_with(*findings, devices=(), mimics=()):
    """A visit with these findings, devices and mimics."""
    return Visit(7, 0, datetime(2150, 1, 1), findings, devices, mimics)


def exposures(seed, count, nuisance=1.0, *, is_portable=False):
    """(patient, visit without findings, acquisition) of random patients."""
    for index in range(count):
        acquisition = draw_acquisition(seed, index, 0, 0, nuisance=nuisance)
        if is_portable:
            acquisition = make_portable(acquisition, nuisance, (seed, index))
        yield draw_patient(seed, index), visit_with(), acquisition
