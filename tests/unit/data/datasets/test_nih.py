"""NIH ChestX-ray14: a simulated tree with the peculiarities of the release gives the truth."""

import csv
import shutil
from itertools import pairwise
from pathlib import Path

import pytest
from PIL import Image

from lapse.core.changes import Change
from lapse.core.grammar import parse
from lapse.core.types import Prediction
from lapse.data.datasets.discovery import find_roots
from lapse.data.datasets.plain_table import PlainTable
from lapse.data.datasets.release import (
    find_release,
    read_records,
    with_experts,
    with_label_map,
)
from lapse.metrics.expert_changes import LABELS as LABELS_OF_EXPERTS
from lapse.metrics.expert_changes import STATES, TASK, read_states
from lapse.phantom.dataset.nih_tree import EXPERTS, LABELS, write_nih_tree
from lapse.phantom.dataset.options import SimulateConfig
from lapse.phantom.dataset.truth import read_states as read_states_of_phantom
from lapse.phantom.patients.findings import levels

OUTSIDE = {"lung opacity", "granuloma"}  # Infiltration and Nodule


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    out = tmp_path_factory.mktemp("nih") / "nih"
    write_nih_tree(out, SimulateConfig(patients=12, seed=5, size=64, visits=(2, 4)))
    return out


@pytest.fixture
def tree(clean, tmp_path):
    """A copy whose tables may be changed; its images are empty files."""
    out = tmp_path / "nih"
    shutil.copytree(clean, out, ignore=shutil.ignore_patterns("*.png", "chexmask"))
    (out / "images").mkdir()
    for path in clean.rglob("*.png"):
        (out / "images" / path.name).touch()
    return out


def table_of(folder, *label_map):
    return PlainTable(with_label_map(find_release([folder]), label_map))


def pairs_of(table):
    pairs = table.pairs({study.id: study for study in table.images})
    return {(pair.reference.study, pair.main.study): parse(pair.answer).changes for pair in pairs}


def edit(path, change):
    """Change the rows of a table, given as lists of cells."""
    with path.open(newline="") as stream:
        header, *rows = csv.reader(stream)
    header, rows = change(header, rows)
    with path.open("w", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows([header, *rows])


def truth(folder, outside):
    """(reference, main) -> changes, from the states of the phantom."""
    series = {}
    for state in read_states_of_phantom(folder):
        seen = {name for name in levels(state.visit) if name in LABELS}
        series.setdefault(state.visit.patient + 1, []).append(seen)
    pairs = {}
    for patient, visits in series.items():
        for index, (old, new) in enumerate(pairwise(visits)):
            if (old ^ new) & outside:
                continue
            changes = {Change(name, "added") for name in new - old - outside}
            changes |= {Change(name, "missing") for name in old - new - outside}
            pairs[f"{patient}_{index}", f"{patient}_{index + 1}"] = frozenset(changes)
    return pairs


def test_the_pairs_equal_the_truth(clean):
    table = table_of(clean)
    pairs = pairs_of(table)
    assert pairs == truth(clean, OUTSIDE) and len(pairs) > 8
    assert table.skipped.counts["no pair: a finding outside the 30 differs"] > 0
    assert table.time == "order" and {study.taken_at for study in table.images} == {None}
    mapped = table_of(clean, "Infiltration=lung opacity")
    assert pairs_of(mapped) == truth(clean, {"granuloma"})
    assert len(pairs_of(mapped)) > len(pairs)
    assert "infiltration read as lung opacity" in mapped.notes


def test_ids_are_those_of_the_release_and_never_mix_with_others(clean):
    table = table_of(clean)
    film = table.images[0]
    assert (film.id, film.study, film.patient) == ("00000001_000.png", "1_0", "nih:1") or (
        film.study == "1_0" and film.patient == "nih:1"
    )
    assert table.image_path(film).is_file() and table.report(film) is None
    assert table.info.labelled and "lung opacity" not in table.info.labelled
    assert "never an evaluation set" in table.info.remark


def test_the_order_is_not_that_of_the_file_names(clean):
    table = table_of(clean)
    numbers = {}
    for film in table.images:
        numbers.setdefault(film.patient, []).append(film.id)
    assert any(names != sorted(names) for names in numbers.values())
    with Image.open(table.image_path(table.images[0])) as image:
        assert image.mode == "RGBA" and image.size == (1024, 1024)


@pytest.mark.parametrize("layout", ["images", "images_004/images", "images_004", "."])
def test_both_layouts_and_flat_folders_are_read(tree, layout):
    folder = tree / layout
    folder.mkdir(parents=True, exist_ok=True)
    for path in list((tree / "images").glob("*.png")):
        path.rename(folder / path.name)
    table = table_of(tree)
    assert all(table.image_path(film).is_file() for film in table.images)


def as_in_2017(header, rows):
    for row in rows:
        row[2] = str(int(row[0][9:12]))
    return header, rows


def too_old(header, rows):
    rows[3][4] = "155"
    return header, rows


def falling_age(header, rows):
    rows[0][4], rows[1][4] = "60", "41"
    return header, rows


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (as_in_2017, "as in 2017"),
        (too_old, "age of 155 years in line 5"),
        (falling_age, "gives patient 1 the age 60 at follow-up 0 and 41 at follow-up 1"),
    ],
)
@pytest.mark.parametrize("name", ["Data_Entry_2017.csv", "Data_Entry_2017_v2020.csv"])
def test_the_numbers_of_2017_are_refused_by_content(tree, change, reason, name):
    edit(tree / "Data_Entry_2017_v2020.csv", change)
    (tree / "Data_Entry_2017_v2020.csv").rename(tree / name)
    with pytest.raises(ValueError, match=f"{name} .*{reason}.*fetch Data_Entry_2017_v2020.csv"):
        table_of(tree)


def test_the_table_of_2017_may_stay_next_to_the_other(tree):
    text = (tree / "Data_Entry_2017_v2020.csv").read_text()
    (tree / "Data_Entry_2017.csv").write_text(text)
    edit(tree / "Data_Entry_2017.csv", as_in_2017)
    assert find_release([tree]).table.name == "Data_Entry_2017_v2020.csv"


def test_other_copies_of_the_header_are_read(tree):
    def trailing_comma(header, rows):
        header[5] = "Patient Sex"
        return [*header, ""], [[*row, ""] for row in rows]

    before = pairs_of(table_of(tree))
    edit(tree / "Data_Entry_2017_v2020.csv", trailing_comma)
    assert pairs_of(table_of(tree)) == before


@pytest.mark.parametrize(
    ("cell", "text", "message"),
    [
        (0, "1.png", "line 2: '1.png' of patient '1'"),
        (0, "00000009_000.png", "00000009_000.png is not a file of patient 1"),
        (1, "Oedema", "line 2: label 'Oedema' is not known; .*did you mean 'Edema'"),
        (2, "1.0", "follow-up '1.0'"),
    ],
)
def test_an_error_of_a_row_names_its_line(tree, cell, text, message):
    def change(header, rows):
        rows[0][cell] = text
        return header, rows

    edit(tree / "Data_Entry_2017_v2020.csv", change)
    with pytest.raises(ValueError, match=message):
        table_of(tree)


def test_boxes_of_findings_have_nine_names_and_six_values(clean):
    text = (clean / "BBox_List_2017.csv").read_text().splitlines()
    assert len(text[0].split(",")) == 9 and len(text[1].split(",")) == 6
    assert any(",Infiltrate," in line for line in text)
    table = table_of(clean)
    boxes = [box for film in table.images for box in table.boxes_of(film)]
    assert len(boxes) == len(text) - 1
    phrases = {box.region: box.phrase for box in boxes}
    assert phrases["finding: infiltration"] == "There is infiltration."
    assert phrases["finding: pneumothorax"] == "There is a pneumothorax."
    mapped = table_of(clean, "Infiltration=lung opacity")
    assert "finding: lung opacity" in mapped.region_names


def test_the_published_split_is_by_patient(clean, tree):
    table = table_of(clean)
    expected = {
        f"nih:{state.visit.patient + 1}": state.split for state in read_states_of_phantom(clean)
    }
    assert any("test_list.txt" in note for note in table.notes)
    is_test = {patient: split == "test" for patient, split in table.splits.items()}
    assert is_test == {patient: split == "test" for patient, split in expected.items()}
    (tree / "train_val_list.txt").unlink()
    with pytest.raises(ValueError, match=r"no train_val_list.txt"):
        table_of(tree)
    (tree / "test_list.txt").unlink()
    assert table_of(tree).notes == ("splits by a hash of the patient (80/10/10)",)


def test_a_split_by_image_is_refused(tree):
    images = [path.name for path in sorted((tree / "images").glob("*.png"))]
    lists = [tree / name for name in ("train_val_list.txt", "test_list.txt")]
    lists[0].write_text("\n".join(images[::2]))
    lists[1].write_text("\n".join(images[1::2]))
    with pytest.raises(ValueError, match=r"12 patients in two parts .*first: 1, 2, 3"):
        table_of(tree)
    lists[0].write_text("\n".join(images[3:]))
    lists[1].write_text("")
    with pytest.raises(ValueError, match="images in none of the parts"):
        table_of(tree)
    lists[0].write_text("\n".join(images))
    lists[1].write_text(images[-1])
    with pytest.raises(ValueError, match="both name"):
        table_of(tree)
    for path in lists:
        path.unlink()
    rows = [f"{name},{('train', 'test')[index % 2]}" for index, name in enumerate(images)]
    (tree / "splits.csv").write_text("\n".join(["Image Index,split", *rows]))
    with pytest.raises(ValueError, match=r"splits.csv .* in two parts"):
        table_of(tree)
    rows = [f"{name},{'test' if name < '00000004' else 'train'}" for name in images]
    (tree / "splits.csv").write_text("\n".join(["Image Index,split", *rows]))
    assert table_of(tree).splits["nih:3"] == "test"


def test_a_release_is_known_by_its_headers(clean, tmp_path):
    with pytest.raises(ValueError, match="no folder"):
        find_release([tmp_path / "missing"])
    assert find_release([tmp_path]) is None
    with pytest.raises(ValueError, match=r"another release .*NIH ChestX-ray14"):
        find_roots([tmp_path])
    shutil.copy(clean / "Data_Entry_2017_v2020.csv", tmp_path / "renamed.csv")
    assert find_release([tmp_path]).table.name == "renamed.csv"
    with pytest.raises(ValueError, match="several data sets: NIH ChestX-ray14 in"):
        find_release([tmp_path, clean])
    (tmp_path / "x" / "medical-diff-vqa").mkdir(parents=True)
    Path(tmp_path / "x" / "medical-diff-vqa" / "mimic_pair_questions.csv").touch()
    with pytest.raises(ValueError, match=r"several data sets: .*MIMIC-CXR in"):
        find_release([tmp_path])


def test_a_label_is_mapped_by_name_only(clean):
    with pytest.raises(ValueError, match="not of the form LABEL=FINDING"):
        table_of(clean, "Infiltration")
    with pytest.raises(ValueError, match="no label 'effusion' outside the findings"):
        table_of(clean, "Effusion=edema")
    with pytest.raises(ValueError, match="did you mean 'lung opacity'"):
        table_of(clean, "Infiltration=lung opacities")


def experts_of(folder, *label_map):
    roots = with_label_map(find_release([folder]), label_map)
    return with_experts(roots, [folder / EXPERTS])


def test_pairs_of_expert_readers_equal_the_truth(clean):
    """Of every second patient, who is then evaluated on and never trained on."""
    table = PlainTable(experts_of(clean))
    pairs = list(table.pairs({study.id: study for study in table.images}))
    stated = {
        (pair.reference.study, pair.main.study): read_states(
            Prediction(pair.id, TASK, "", (pair.answer,))
        )
        for pair in pairs
        if pair.category == TASK
    }
    expected = {}
    series = {}
    for state in read_states_of_phantom(clean):
        series.setdefault(state.visit.patient + 1, []).append(set(levels(state.visit)))
    for patient, visits in series.items():
        for index, ends in enumerate(pairwise(visits) if patient % 2 else ()):
            states = {}
            for label, names in {**LABELS_OF_EXPERTS, "nodule or mass": {"granuloma"}}.items():
                old, new = (bool(seen & names) for seen in ends)
                change = "added" if new else "missing"
                states[label] = "unchanged" if old == new else change
            expected[f"{patient}_{index}", f"{patient}_{index + 1}"] = states
    assert stated == expected and len(stated) > 8
    assert {state for states in stated.values() for state in states.values()} == set(STATES)
    assert {pair.split for pair in pairs if pair.category == TASK} == {"test"}
    patients = {name.partition("_")[0] for name, _ in expected}
    assert {table.splits[f"nih:{patient}"] for patient in patients} == {"test"}
    assert f"{len(stated)} pairs of expert readers, {len(patients)} patients moved to test" in (
        table.notes
    )
    differences = {(pair.reference.study, pair.main.study) for pair in pairs} - stated.keys()
    assert differences and pairs_of(table_of(clean)).keys() >= differences


def test_a_film_without_a_verdict_makes_no_statement(tree):
    path = tree / EXPERTS
    path.parent.mkdir(exist_ok=True)
    names = sorted(path.name for path in (tree / "images").glob("00000002_*.png"))
    rows = [
        f"{name},NO,{value},YES" for name, value in zip(names, ("YES", "HEDGE", "NO"), strict=False)
    ]
    header = "Image Index,Pneumothorax,Airspace opacity,Nodule or mass"
    path.write_text("\n".join([header, *rows]))
    pairs = list(PlainTable(experts_of(tree)).pairs({}))
    assert not pairs  # no image is stored
    records = read_records(experts_of(tree))
    first = next(iter(records.stated.values()))
    assert first.experts.keys() == {"pneumothorax", "nodule or mass"}
    path.write_text("\n".join([header, *rows, f"{names[0]},YES,NO,NO"]))
    with pytest.raises(ValueError, match="twice and differently"):
        read_records(experts_of(tree))
    with pytest.raises(ValueError, match="no column 'Airspace opacity'"):
        with_experts(find_release([tree]), [tree / "Data_Entry_2017_v2020.csv"])
