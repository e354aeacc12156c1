"""Patients, acquisitions and visits that the tests of the picture share."""

from datetime import datetime

from lapse.phantom.patients.acquisition import draw_acquisition
from lapse.phantom.patients.patient import draw_patient
from lapse.phantom.patients.state import Visit


def at_visit(*findings, devices=(), mimics=()):
    return Visit(7, 0, datetime(2150, 1, 1), findings, devices, mimics)


def exposures(seed, count, nuisance=1.0):
    """Patient, visit without findings, acquisition: as different as the population is."""
    for index in range(count):
        taken = draw_acquisition(seed, index, 0, 0, nuisance=nuisance)
        yield draw_patient(seed, index), at_visit(), taken
