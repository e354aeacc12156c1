"""Gold boxes and sentences: layouts of the files, and counted defects."""

import csv

import pytest

from lapse.data.datasets.chest_imagenome_gold import BOXES, NUMBERS, PHRASES, ChestImaGenomeGold
from lapse.data.reports.prior_removal import prior_remover

SIZES = {"one": (224, 224), "two": (448, 224)}
BOX_HEADER = ["image_id", "bbox_name", *NUMBERS, "annotator"]
PHRASE_HEADER = ["patient_id", "image_id", "bbox", "relation", "sentence", "label_name"]


def box(image, name, x1, y1, x2, y2):
    row = {"image_id": f"{image}.dcm", "bbox_name": name, "annotator": "a"}
    for frame in ("", "original_"):
        corners = zip(("x1", "y1", "x2", "y2"), (x1, y1, x2, y2), strict=True)
        row |= {f"{frame}{corner}": value for corner, value in corners}
    return row


def sentence_row(image, name, sentence, label="edema", patient="19000001", relation="1"):
    values = (patient, f"{image}.dcm", name, relation, sentence, label)
    return dict(zip(PHRASE_HEADER, values, strict=True))


def write(path, header, rows, *, delimiter=",", encoding="utf-8"):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding=encoding, newline="") as stream:
        writer = csv.DictWriter(stream, header, delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)


def gold(root, boxes, phrases=(), header=PHRASE_HEADER, encoding="utf-8", **options):
    write(root / "gold_dataset" / BOXES, BOX_HEADER, boxes, encoding=encoding)
    path = root / "gold_dataset" / PHRASES
    write(path, header, phrases, delimiter="\t", encoding=encoding)
    return ChestImaGenomeGold(root, **options)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_boxes_and_sentences_are_joined(tmp_path, encoding):
    boxes = [box("one", "svc", 56, 112, 112, 168), box("one", "carina", 0, 0, 224, 112.0)]
    phrases = [
        sentence_row("one", "svc", "Line ends here."),
        sentence_row("one", "svc", "Line ends here.", label="line"),  # one row for each attribute
        sentence_row("one", "svc", "No\tedema,\n none."),
        sentence_row("two", "svc", "Other image."),
    ]
    data = gold(tmp_path, boxes, phrases, encoding=encoding)
    svc, carina = data.regions("one", SIZES["one"])
    assert (svc.name, svc.phrases) == ("svc", ("Line ends here.", "No edema, none."))
    assert (svc.box.x_min, svc.box.y_min, svc.box.x_max, svc.box.y_max) == (0.25, 0.5, 0.5, 0.75)
    assert (carina.name, carina.phrases, carina.box.y_max) == ("carina", (), 0.5)
    assert data.images == ("one",) and list(data.patient_splits()) == [("19000001", "test")]
    assert data.skipped.total == 0
    assert data.noted.counts == {"region without a box": 24, "box without phrases": 1}


def test_defects_are_counted(tmp_path):
    boxes = [
        box("one", "svc", "", "", "", ""),
        box("one", "carina", 10, 10, 10, 30),
        box("one", "trachea", -5, 10, 20, 30),
        box("one", "left lung", 0, 0, 50, 50) | {"x1": 30},
        box("one", "left lung", 0, 0, 60, 60),
        box("one", "spine", 0, 0, 50, 50),
        box("one", "tail", 0, 0, 50, 50),
        box("three", "svc", 0, 0, 50, 50),
    ]
    phrases = [
        sentence_row("one", "svc", "Clear."),
        sentence_row("one", "", "x"),
        sentence_row("one", "carina", "___"),
    ]
    data = gold(tmp_path, boxes, phrases)
    assert [region.name for region in data.regions("one", SIZES["one"])] == [
        "left lung",
        "trachea",
        "svc",
    ]
    assert [region.name for region in data.regions("three", None)] == []
    assert data.regions("four", None) == ()
    assert data.skipped.counts == {
        "box without coordinates": 1,
        "box without area": 1,
        "second box of one region": 1,
        "box with a name outside the known regions": 1,
        "boxes of an image of unknown size": 1,
        "sentence without a region": 1,
        "phrase without words": 1,
    }
    assert data.noted.counts == {
        "box clipped to its image": 1,
        "image whose two box frames disagree": 1,
        "box of a region that is not requested": 1,
        "described region without a box": 1,
        "region without phrases": 1,
        "region without a box": 24 + 26,
        "box without phrases": 2,
        "image without gold boxes": 1,
    }


def test_a_rejected_relation_makes_no_phrase_and_is_counted(tmp_path):
    phrases = [
        sentence_row("one", "svc", "Line in the SVC."),
        sentence_row(
            "one", "svc", "Line in the SVC.", label="edema", relation="0"
        ),  # affirmed above
        sentence_row("one", "svc", "Clear lungs.", relation="0"),
        sentence_row("one", "carina", "No edema.", relation="1.0"),  # denied, but of this region
        sentence_row("one", "carina", "Odd.", relation="perhaps"),
        sentence_row("one", "carina", "Blank.", relation=""),
    ]
    boxes = [box("one", "svc", 0, 0, 50, 50), box("one", "carina", 0, 0, 50, 50)]
    data = gold(tmp_path, boxes, phrases)
    phrases_of = {region.name: region.phrases for region in data.regions("one", SIZES["one"])}
    assert phrases_of == {"svc": ("Line in the SVC.",), "carina": ("No edema.",)}
    assert data.skipped.counts == {"row with a negative relation": 2, "row of unknown relation": 2}
    without = [{key: row[key] for key in row if key != "relation"} for row in phrases]
    header = [name for name in PHRASE_HEADER if name != "relation"]
    data = gold(tmp_path, boxes, without, header)  # without the column all rows are read
    assert sum(len(region.phrases) for region in data.regions("one", SIZES["one"])) == 5
    assert data.noted.counts["gold without a column of relations (all rows are read)"] == 1


def test_both_frames_are_those_of_a_letterbox(tmp_path):
    tall = {"x1": 84, "y1": 56, "x2": 112, "y2": 112}  # left border of 56
    good = box("two", "svc", 56, 112, 112, 224) | tall
    data = gold(tmp_path, [good])
    data.regions("two", SIZES["two"])
    assert "image whose two box frames disagree" not in data.noted.counts
    squashed = good | {"x1": 56, "x2": 112}
    data = gold(tmp_path, [squashed])
    data.regions("two", SIZES["two"])
    assert data.noted.counts["image whose two box frames disagree"] == 1


def test_other_names_of_columns(tmp_path):
    header = ["image_id", "bbox_name", "phrase"]
    rows = [{"image_id": "one.dcm", "bbox_name": "svc", "phrase": "Clear."}]
    data = gold(tmp_path, [box("one", "svc", 0, 0, 50, 50)], rows, header)
    assert data.regions("one", SIZES["one"])[0].phrases == ("Clear.",)
    assert list(data.patient_splits()) == []
    assert data.noted.counts["gold without a column of patients"] == 1
    for missing, message in (
        (["bbox", "sentence"], "no column image_id: found bbox, sentence"),
        (["image_id", "sentence"], "no column bbox or bbox_name: found image_id, sentence"),
        (["image_id", "bbox"], "no column sentence or phrase: found image_id, bbox"),
    ):
        data = gold(tmp_path, [box("one", "svc", 0, 0, 50, 50)], (), missing)
        with pytest.raises(ValueError, match=message):
            data.regions("one", SIZES["one"])


def test_rows_of_another_length_and_damage(tmp_path):
    data = gold(tmp_path, [box("one", "svc", 0, 0, 50, 50)], [sentence_row("one", "svc", "Clear.")])
    path = tmp_path / "gold_dataset" / PHRASES
    path.write_text(path.read_text() + "19000001\tone.dcm\tsvc\n\n", encoding="utf-8")
    with (tmp_path / "gold_dataset" / BOXES).open("a") as stream:
        stream.write("one.dcm,svc\n")
    data = ChestImaGenomeGold(tmp_path)
    assert data.regions("one", SIZES["one"])[0].phrases == ("Clear.",)
    assert data.skipped.counts == {"row with a wrong number of fields": 2}
    path.write_bytes(path.read_bytes() + b"\xff\xfe")
    with pytest.raises(ValueError, match="is damaged"):
        ChestImaGenomeGold(tmp_path).regions("one", SIZES["one"])
    path.write_bytes(b"")
    with pytest.raises(ValueError, match="found nothing"):
        ChestImaGenomeGold(tmp_path).regions("one", SIZES["one"])


def test_missing_files(tmp_path):
    assert not ChestImaGenomeGold.is_in(tmp_path)
    with pytest.raises(ValueError, match=f"holds no {BOXES}"):
        ChestImaGenomeGold(tmp_path)
    gold(tmp_path, [])
    assert ChestImaGenomeGold.is_in(tmp_path)
    (tmp_path / "gold_dataset" / PHRASES).unlink()
    with pytest.raises(ValueError, match=f"holds no {PHRASES}"):
        ChestImaGenomeGold(tmp_path)


def test_priors_leave_its_phrases_too(tmp_path):
    phrases = [
        sentence_row("one", "svc", "Line, unchanged since ___."),
        sentence_row("one", "svc", "Stable."),
    ]
    data = gold(
        tmp_path, [box("one", "svc", 0, 0, 50, 50)], phrases, remover=prior_remover("rules")
    )
    assert data.regions("one", SIZES["one"])[0].phrases == ()
    data = gold(tmp_path, [box("one", "svc", 0, 0, 50, 50)], phrases)
    assert data.regions("one", SIZES["one"])[0].phrases == ("Line, unchanged since.", "Stable.")
