"""prepare on a public release: the store, what it says about labels, and its options."""

import logging
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from lapse.cli.main import app
from lapse.cli.raw_data import with_release_options
from lapse.data.datasets.discovery import DatasetRoots
from lapse.data.datasets.release import find_release
from lapse.data.prepare.prepare import PrepareOptions, prepare
from lapse.data.store.store import open_store
from lapse.data.tasks.regions import Aref, Caref
from lapse.data.tasks.reports import located_regions
from lapse.phantom.dataset.history import draw_person
from lapse.phantom.dataset.mask_table import MASK_HEADER
from lapse.phantom.dataset.nih_tree import write_nih_tree
from lapse.phantom.dataset.options import SimulateConfig
from lapse.phantom.dataset.truth import read_states
from lapse.phantom.rendering.render import render
from own_films import write_table


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


def test_chexmask_gives_regions(tree, tmp_path):
    """Boxes of the anatomy, which are inputs of EKAID; boxes of findings are not."""
    masks = tree / "chexmask" / "OriginalResolution" / "ChestX-Ray8.csv"
    prepare(replace(find_release([tree]), masks=masks), tmp_path / "store", PrepareOptions(32))
    store = open_store(tmp_path / "store")
    state = next(state for state in read_states(tree) if state.visit.patient == 0)
    person = draw_person(state.seed, 0, state.tail)
    rendered = render(person, state.visit, state.acquisition, state.size)
    first = next(film for film in store.studies if film.study == "1_0")
    located = dict(located_regions(first))
    assert set(located) == {"right lung", "left lung", "cardiac silhouette"}
    for name, box in located.items():
        expected = rendered.boxes[name]
        assert [box.x_min, box.y_min, box.x_max, box.y_max] == pytest.approx(expected, abs=1e-3)
    samples = [sample for film in store.studies for sample in Caref(100).samples(film)]
    assert not samples  # lungs have no phrases, and a box of a finding would name the answer
    assert any(list(Aref(100).samples(film)) for film in store.studies)


def test_a_file_of_masks_of_another_data_set_is_refused(tree, tmp_path):
    masks = tmp_path / "Padchest.csv"
    masks.write_text(f"{MASK_HEADER}\n")
    with pytest.raises(ValueError, match="images with boxes of CheXmask: 0 of"):
        prepare(replace(find_release([tree]), masks=masks), tmp_path / "store", PrepareOptions(32))


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


def test_options_that_do_not_fit_the_data(tree, tmp_path):
    """Each is refused before any work, with the data for which it is meant."""
    own = write_table(tmp_path / "own")
    mimic = DatasetRoots(tmp_path, tmp_path, tmp_path, tmp_path)
    with pytest.raises(ValueError, match="--map-label goes with a release"):
        with_release_options(own, label_map=["Mass=edema"])
    with pytest.raises(ValueError, match="--experts goes with a release"):
        with_release_options(own, experts=[tmp_path / "x.csv"])
    with pytest.raises(ValueError, match="boxes of MIMIC-CXR are those of Chest ImaGenome"):
        with_release_options(mimic, masks=tmp_path / "x.csv")
    with pytest.raises(ValueError, match=r"no file .*x\.csv"):
        with_release_options(own, masks=tmp_path / "x.csv")
    assert with_release_options(own) is own


def test_a_layout_of_another_release_is_simulated(tmp_path):
    out = tmp_path / "nih"
    arguments = ["simulate", str(out), "--layout", "nih", "--patients", "4", "--size", "64"]
    done = CliRunner().invoke(app, [*arguments, "--visits", "2-2"])
    assert done.exit_code == 0 and find_release([out]).name == "nih"
    done = CliRunner().invoke(app, arguments)
    assert "is not empty" in str(done.exception)
    done = CliRunner().invoke(app, [*arguments, "--defect-rate", "0.1"])
    assert "--layout goes without" in str(done.exception)
    done = CliRunner().invoke(app, ["simulate", str(tmp_path / "x"), "--layout", "nhi"])
    assert "did you mean 'nih'" in str(done.exception)
