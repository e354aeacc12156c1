"""Own films with days instead of dates, and the keys of dataset.json that concern ids and boxes."""

import json

import pytest

from lapse.data.datasets.plain_info import DatasetInfo, read_dataset_info
from lapse.data.datasets.plain_regions import PlainRegions
from lapse.data.datasets.plain_table import PlainTable
from lapse.data.prepare.prepare import PrepareOptions, prepare
from lapse.data.store.info import INFO
from lapse.data.store.store import open_store
from lapse.data.verify.verify import verify
from own_films import BOXES, SIX_ROWS, write_films, write_table

DAYS = {"S1": "-3", "S2": "0", "S3": "40.5", "S4": "1", "S5": "2", "S6": "3"}


def with_days(text=SIX_ROWS, days=DAYS):
    header, *rows = text.splitlines()
    cells = [row.split(",") for row in rows]
    for row in cells:
        row[3] = days[row[2]]
    return "\n".join([header.replace("order", "days"), *map(",".join, cells)])


def described(folder, **content):
    (folder / "dataset.json").write_text(json.dumps(content), "utf-8")


def test_days_give_true_distances_and_no_date(tmp_path):
    roots = write_films(tmp_path, with_days())
    prepare(roots, tmp_path / "store", PrepareOptions(16))
    store = open_store(tmp_path / "store")
    assert store.info.labels.time == "days"
    days = {pair.id: pair.days for pair in store.pairs}
    assert days == {
        "S2/S1/difference": 3,
        "S3/S1/difference": 43.5,
        "S6/S4/difference": 2,
    }
    assert not verify(roots).defects


@pytest.mark.parametrize(
    ("day", "message"),
    [
        ("soon", "is not a number of days"),
        ("nan", "is not a number of days"),
        ("1e9", "not a number of days up to 100000"),
        ("", "is empty and patient 'H001' has no order"),
    ],
)
def test_a_day_that_cannot_be_used(tmp_path, day, message):
    with pytest.raises(ValueError, match=rf"row 3, column 'days': .*{message}"):
        PlainTable(write_table(tmp_path, with_days(days={**DAYS, "S2": day})))


def test_days_that_fall_make_other_pairs_than_days_that_grow(tmp_path):
    table = PlainTable(write_table(tmp_path, with_days(days={**DAYS, "S2": "50"})))
    with pytest.raises(ValueError, match="prior"):
        PlainTable(write_table(tmp_path, with_days(days={**DAYS, "S1": "90"})))
    pairs = {pair.id for pair in table.pairs({study.id: study for study in table.images})}
    assert "S2/S3/difference" in pairs


def test_one_kind_of_time_per_table(tmp_path):
    text = with_days().replace("days,", "days,order,").replace(",AP,", ",,AP,")
    with pytest.raises(ValueError, match="column 'days' and 'date' or 'order'"):
        PlainTable(write_table(tmp_path, text.replace(",PA,", ",,PA,")))
    rows = SIX_ROWS + "b/4.png,H002,S6,4,PA,test,,,\n"
    with pytest.raises(ValueError, match="a study has one order"):
        PlainTable(write_table(tmp_path, rows))
    days = with_days().rstrip() + "\nb/4.png,H002,S6,4,PA,test,,,\n"
    with pytest.raises(ValueError, match="a study has one days"):
        PlainTable(write_table(tmp_path, days))


def test_a_prefix_keeps_patients_of_two_data_sets_apart(tmp_path):
    roots = write_films(tmp_path)
    described(tmp_path, prefix="ward-7", remark="one reader", labelled=["pneumothorax"])
    with pytest.raises(ValueError, match="'pleural effusion' is not a known finding"):
        prepare(write_table(tmp_path), tmp_path / "store", PrepareOptions(16))
    described(tmp_path, prefix="ward-7", remark="one reader")
    prepare(write_table(tmp_path), tmp_path / "store", PrepareOptions(16))
    store = open_store(tmp_path / "store")
    assert {study.patient for study in store.studies} == {"ward-7:H001", "ward-7:H002"}
    assert store.info.provenance()["remark"] == "one reader"
    assert roots.table.is_file()


def test_boxes_may_be_fractions(tmp_path):
    rows = ["image,region,phrase,x_min,y_min,x_max,y_max", "a/1.png,Pneumothorax,,0.1,0.2,0.5,0.6"]
    with pytest.raises(ValueError, match="box_unit"):
        PlainTable(write_table(tmp_path, boxes="\n".join(rows)))
    described(tmp_path, box_unit="fraction")
    table = PlainTable(write_table(tmp_path, boxes="\n".join(rows)))
    region = PlainRegions().regions("S1", table.boxes_of(table.images[0]), (30, 70))[0]
    assert region.name == "finding: pneumothorax" and region.is_finding
    box = region.box
    assert (box.x_min, box.y_min, box.x_max, box.y_max) == pytest.approx((0.1, 0.2, 0.5, 0.6))
    with pytest.raises(ValueError, match=r"dataset.json says 'box_unit': 'fraction'"):
        PlainTable(write_table(tmp_path, boxes=BOXES))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"prefix": "Ward 7"}, "prefix 'Ward 7' is not a short word"),
        ({"box_unit": "pixels"}, "unknown box_unit 'pixels'; .*did you mean 'pixel'"),
        ({"labelled": ["oedema"]}, "labelled names 'oedema'"),
        ({"labelled": "edema"}, "labelled 'edema' is not a list"),
    ],
)
def test_an_error_in_the_description(content, message, tmp_path):
    described(tmp_path, **content)
    with pytest.raises(ValueError, match=message):
        read_dataset_info(tmp_path / "dataset.json")


def test_a_store_of_an_earlier_version_has_dates(tmp_path):
    prepare(write_films(tmp_path), tmp_path / "store", PrepareOptions(16))
    path = tmp_path / "store" / INFO
    values = json.loads(path.read_text())
    assert values["labels"] == {"time": "order", "remark": "", "labelled": []}
    del values["labels"]
    path.write_text(json.dumps(values))
    labels = open_store(tmp_path / "store").info.labels
    assert (labels.time, labels.remark) == ("dates", "")
    path.write_text(json.dumps({**values, "labels": {"when": "x"}}))
    with pytest.raises(ValueError, match=r"damaged.*run prepare again"):
        open_store(tmp_path / "store")


def test_an_empty_description_is_the_default():
    assert DatasetInfo().patient("12") == "12" and DatasetInfo(prefix="a").patient("12") == "a:12"
