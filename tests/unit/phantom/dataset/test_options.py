"""Options of a simulation: limits, and what the description of the files records."""

import pytest

from lapse.phantom.dataset.cohort import assign_cohort
from lapse.phantom.dataset.history import draw_history, patient_anatomy
from lapse.phantom.dataset.options import SimulateConfig
from lapse.phantom.dataset.truth import study_states


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"visits": (3, 2)}, "visits 3-2"),
        ({"size": 8}, "image size 8"),
        ({"confound": 2.0}, "confound 2.0"),
        ({"nuisance": -1.0}, "nuisance -1.0"),
        ({"processes": 0}, "processes 0"),
        ({"tier": "corse"}, "did you mean 'coarse'"),
        ({"images": "tiff"}, "no images 'tiff'"),
        ({"split": "tests"}, "no split 'tests'; .*'test'"),
        ({"counterfactual_fraction": -0.1}, "counterfactual_fraction -0.1"),
        ({"anatomy": "detail"}, "did you mean 'detailed'"),
        ({"portable_fraction": 1.5}, "portable_fraction 1.5"),
        ({"ood_fraction": 1.1}, "ood_fraction 1.1"),
        (
            {"counterfactual_fraction": 0.7, "ood_fraction": 0.7},
            "counterfactual_fraction 0.7 and ood_fraction 0.7 add up to more than all",
        ),
    ],
)
def test_invalid_options_are_rejected(options, message):
    with pytest.raises(ValueError, match=message):
        SimulateConfig(**{"patients": 2, "seed": 0, "size": 96, **options})


def test_the_number_of_processes_and_options_that_are_not_set_are_not_recorded():
    config = SimulateConfig(patients=2, seed=0, size=96, processes=2)
    assert not {"processes", "split", "portable_fraction", "anatomy"} & set(config.recorded)
    portable = SimulateConfig(patients=2, seed=0, size=96, portable_fraction=0.25)
    assert portable.recorded["portable_fraction"] == 0.25
    detailed = SimulateConfig(patients=2, seed=0, size=96, anatomy="detailed")
    assert detailed.recorded["anatomy"] == "detailed"


def test_a_mixed_anatomy_is_one_of_the_two_for_each_patient() -> None:
    config = SimulateConfig(patients=40, seed=3, size=96, anatomy="mixed")
    anatomies = [patient_anatomy(config, patient) for patient in range(40)]
    assert set(anatomies) == {"plain", "detailed"}
    assert anatomies == [patient_anatomy(config, patient) for patient in range(40)]
    history = draw_history(config, 7, assign_cohort(config)[7])
    assert {state.anatomy for state in study_states(config, history)} == {anatomies[7]}
    assert bool(history.person.details) == (anatomies[7] == "detailed")
    assert SimulateConfig(patients=2, seed=0, size=96, split="test").recorded["split"] == "test"
