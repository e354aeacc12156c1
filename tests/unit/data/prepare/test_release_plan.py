"""prepare on a public release: the store, what it says about labels, and its options."""

import logging

import numpy as np
import pytest
from typer.testing import CliRunner

from lapse.cli.main import app
from lapse.data.datasets.release import find_release
from lapse.data.prepare.prepare import PrepareOptions, prepare
from lapse.data.store.store import open_store
from lapse.phantom.dataset.nih_tree import write_nih_tree
from lapse.phantom.dataset.options import SimulateConfig


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    out = tmp_path_factory.mktemp("release") / "nih"
    write_nih_tree(out, SimulateConfig(patients=6, seed=3, size=64, visits=(2, 3)))
    return out


def test_the_store_says_what_its_labels_are_worth(tree, tmp_path):
    prepare(find_release([tree]), tmp_path / "store", PrepareOptions(32))
    store = open_store(tmp_path / "store")
    labels = store.info.labels
    assert labels.time == "order" and "pneumothorax" in labels.labelled
    facts = store.info.provenance()
    assert "not confirmed by expert readers" in facts["remark"]
    assert "splits from train_val_list.txt and test_list.txt" in facts["data release"]
    assert facts["data source"].startswith("simulated: Data_Entry_2017_v2020.csv")
    films = list(store.studies)
    assert films[0].patient == "nih:1" and films[0].id.endswith(".png")
    assert all(film.id == film.image and film.taken_at is None for film in films)
    assert all(not region.name.startswith("right") for film in films for region in film.regions)
    assert sum(region.is_finding for film in films for region in film.regions) > 2
    assert len(store.pairs) > 3 and {pair.category for pair in store.pairs} == {"difference"}


def test_films_with_an_alpha_channel_are_not_darker(tree, tmp_path):
    prepare(find_release([tree]), tmp_path / "store", PrepareOptions(32))
    store = open_store(tmp_path / "store")
    means = {film.id: store.pixels(film.id).mean() for film in store.studies}
    first = next(iter(means))
    assert abs(means[first] - np.mean(list(means.values()))) < 20


def test_options_of_releases(tree, tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="lapse")
    arguments = ["prepare", str(tree), str(tmp_path / "store"), "--size", "32", "--workers", "0"]
    done = CliRunner().invoke(app, [*arguments, "--map-label", "Infiltration=lung opacity"])
    assert done.exit_code == 0, done.output
    assert "infiltration read as lung opacity" in caplog.text
    assert "lung opacity" in open_store(tmp_path / "store").info.labels.labelled
    done = CliRunner().invoke(app, [*arguments, "--map-label", "Mass"])
    assert "not of the form" in str(done.exception)
