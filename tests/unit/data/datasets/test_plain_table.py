"""Own films: the cells, the studies, the questions; every error names row, column and fix."""

import csv
import logging
from collections import Counter

import pytest

from lapse.core.changes import UNCHANGED, Change, render
from lapse.core.findings import FINDINGS, LEVELS
from lapse.core.grammar import parse
from lapse.core.registry import load
from lapse.core.seeding import derive_index
from lapse.data.datasets.discovery import find_table_roots
from lapse.data.datasets.plain_pairs import changes_between
from lapse.data.datasets.plain_regions import PlainRegions
from lapse.data.datasets.plain_rows import read_films
from lapse.data.datasets.plain_studies import split_of
from lapse.data.datasets.plain_table import PlainTable
from lapse.data.reports.prior_removal import prior_remover
from own_films import BOXES, SIX_ROWS, write_table

HEADER = "image,patient,study,order,date,view,split,findings,prior\n"


def table_of(folder, text=SIX_ROWS, boxes=""):
    return PlainTable(write_table(folder, text, boxes))


def pairs_of(table):
    return {pair.id: pair for pair in table.pairs({study.id: study for study in table.images})}


def test_the_table_is_registered():
    assert load("datasets", "plain_table") is PlainTable


def test_six_rows_give_the_questions_of_the_grammar(tmp_path):
    table = table_of(tmp_path)
    pairs = pairs_of(table)
    assert {name: parse(pair.answer).changes for name, pair in pairs.items()} == {
        "S2/S1/difference": {
            Change("pleural effusion", "level", "small", "moderate"),
            Change("atelectasis", "added"),
            Change("cardiomegaly", "missing"),
        },
        "S3/S1/difference": {
            Change("pleural effusion", "missing"),
            Change("cardiomegaly", "missing"),
        },
        "S6/S4/difference": frozenset(),
    }
    assert pairs["S6/S4/difference"].answer == UNCHANGED
    first = pairs["S2/S1/difference"]
    assert (first.main.study, first.reference.study, first.split) == ("S2", "S1", "train")
    assert first.category == "difference" and first.days is None
    assert table.skipped.lines() == ["1 x no pair: the main study is not labelled (S4 -> S5)"]


def test_an_unlabelled_reference_is_counted_with_the_remedy(tmp_path):
    table = table_of(tmp_path, SIX_ROWS.replace(",S4,A small", ",,A small"))
    assert "S6/S5/difference" not in pairs_of(table)
    assert any("'prior'" in line and "S5 -> S6" in line for line in table.skipped.lines())


@pytest.mark.parametrize("seed", range(20))
def test_every_generated_answer_parses_to_the_changes(seed):
    def draw(part):
        findings = {}
        for name in FINDINGS:
            if derive_index(4, seed, part, name) == 0:
                levels = ("", *LEVELS)
                findings[name] = levels[derive_index(len(levels), seed, part, name, "level")]
        return findings

    reference, main = draw("reference"), draw("main")
    changes = changes_between(reference, main)
    parsed = parse(render(changes))
    assert parsed.is_parsed and parsed.changes == changes
    assert {change.finding for change in changes if change.kind == "added"} == set(main) - set(
        reference
    )


def test_dates_order_the_studies_and_ties_give_no_pair(tmp_path):
    text = HEADER + (
        "3.png,A,S3,,2024-03-01T12:00,PA,,none,\n"
        "1.png,A,S1,,2023-12-31,PA,,edema,\n"
        "2.png,A,S2,,2024-03-01T07:30,PA,,edema=mild,\n"
        "4.png,B,T1,,2024-01-01,PA,,none,\n"
        "5.png,B,T2,,2024-01-01,PA,,edema,\n"
        "6.png,B,T3,,2024-01-02,PA,,edema,\n"
    )
    table = table_of(tmp_path, text)
    pairs = pairs_of(table)
    assert set(pairs) == {"S3/S2/difference", "S2/S1/difference"}
    assert pairs["S2/S1/difference"].days == pytest.approx(61 + 7.5 / 24)
    assert pairs["S2/S1/difference"].answer == UNCHANGED  # only one side gives a level
    assert (
        table.skipped.counts[
            "no pair: two studies of the patient at one time (give 'order' or 'prior')"
        ]
        == 1
    )


def test_an_order_replaces_missing_dates(tmp_path):
    text = HEADER + "1.png,A,S1,-2,2024-01-01,PA,,none,\n2.png,A,S2,1,,PA,,edema,\n"
    table = table_of(tmp_path, text)
    assert set(pairs_of(table)) == {"S2/S1/difference"}
    assert [study.taken_at is None for study in table.images] == [False, True]


def test_the_first_frontal_image_represents_a_study(tmp_path):
    text = HEADER + (
        "l.png,A,S1,1,,LL,,none,\n"
        "p.png,A,S1,1,,PA,,,\n"
        "q.png,A,S1,1,,AP,,,\n"
        "x.png,A,S2,2,,LATERAL,,edema,\n"
        "y.png,A,S3,3,,,,edema,\n"
    )
    table = table_of(tmp_path, text)
    assert [(study.id, table.image_name(study)) for study in table.images] == [
        ("S1", "p.png"),
        ("S3", "y.png"),
    ]
    assert table.skipped.counts == {
        "image that is neither PA nor AP": 2,
        "further frontal image of a study": 1,
    }
    assert "study without a frontal image" in table.noted.counts
    assert "image without a view (taken as frontal)" in table.noted.counts
    assert set(pairs_of(table)) == {"S3/S1/difference"}
    every = PlainTable(table.roots, frontals="all")
    assert [study.id for study in every.images] == ["S1", "S1-2", "S3"]


def test_splits_are_made_by_a_hash_of_the_patient(tmp_path):
    counts = Counter(split_of(f"patient {number}") for number in range(20_000))
    assert counts["train"] == pytest.approx(14_000, rel=0.03)
    assert counts["validate"] == pytest.approx(3_000, rel=0.07)
    assert counts["test"] == pytest.approx(3_000, rel=0.07)
    assert [split_of(name) for name in ("H001", "H002", "H003")] == [
        split_of(name) for name in ("H001", "H002", "H003")
    ]
    rows = [f"{number}.png,P{number % 40},S{number},{number},,PA,,none,\n" for number in range(80)]
    table = table_of(tmp_path, HEADER + "".join(rows))
    assert table.splits == {f"P{number}": split_of(f"P{number}") for number in range(40)}
    assert all(study.split == table.splits[study.patient] for study in table.images)


@pytest.mark.parametrize(
    ("report", "text"),
    [
        ('"FINDINGS: Clear lungs.\nIMPRESSION: Normal."', "Clear lungs. Normal."),
        ('"The lungs\nare clear."', "The lungs are clear."),
        ("", ""),
    ],
)
def test_a_report_with_or_without_headers(report, text, tmp_path):
    table = table_of(tmp_path, f"image,patient,study,order,report\n1.png,A,S1,1,{report}\n")
    assert table.report(table.images[0]) == text


def test_sections_in_columns_are_joined(tmp_path):
    table = table_of(
        tmp_path,
        "image;patient;study;order;report:impression;report:findings\n"
        "1.png;A;S1;1;Normal, all.;Clear lungs.\n",
    )
    assert table.report(table.images[0]) == "Clear lungs. Normal, all."


def test_boxes_become_regions_and_second_boxes_are_numbered(tmp_path):
    table = PlainTable(write_table(tmp_path, boxes=BOXES))
    reader = PlainRegions(prior_remover("rules"))
    films = {study.id: study for study in table.images}

    def regions(name, size):
        return reader.regions(name, table.boxes_of(films[name]), size)

    silhouette = regions("S1", (100, 96))[1]
    assert silhouette.name == "cardiac silhouette"
    assert silhouette.phrases == ("The heart is large.", "The heart is wide.")
    assert silhouette.box.x_min == pytest.approx(30 / 96)
    assert silhouette.box.y_min == pytest.approx(40 / 100)
    names = [region.name for region in regions("S4", (96, 96))]
    assert names == ["right lung", "right lung 2"]
    assert regions("S6", (96, 96)) == ()
    regions("S4", (18, 30))
    skipped, noted = reader.take_logs()
    assert skipped.counts == {"box outside its image": 1}
    assert noted.counts["box clipped to its image"] == 1


def test_unused_columns_and_missing_labels_are_warned_about(tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="lapse")
    table = table_of(tmp_path, "image,patient,study,order,finding\n1.png,A,S1,1,edema\n")
    assert not pairs_of(table)
    text = "\n".join(caplog.messages)
    assert "column 'finding' is not used" in text and "did you mean 'findings'" in text
    assert "no study is labelled" in text and "none of 1 patients is in" in text


def test_answers_without_a_change_are_warned_about(tmp_path, caplog):
    text = HEADER + "1.png,A,S1,1,,PA,,edema,\n2.png,A,S2,2,,PA,,edema,\n"
    pairs_of(table_of(tmp_path, text))
    assert any("there is no change to learn" in message for message in caplog.messages)


ROW = "1.png,A,S1,1,,PA,,none,\n"


@pytest.mark.parametrize(
    ("rows", "parts"),
    [
        ("1.png,A,S1,1,,PA,,edma,\n", ["row 2", "'findings'", "'edma'", "did you mean 'edema'"]),
        ("1.png,A,S1,1,,PA,,edema=mid,\n", ["row 2", "'edema=mid'", "did you mean 'mild'"]),
        ("1.png,A,S1,1,,PA,,edema=,\n", ["row 2", "'edema='", "remove the '='"]),
        ("1.png,A,S1,1,,PA,,edema|edema,\n", ["row 2", "'edema' twice"]),
        ("1.png,A,S1,1,,PA,,effusion|pleural effusion,\n", ["'pleural effusion' twice"]),
        ("1.png,A,S1,1,,PA,,No Finding,\n", ["'No Finding'", "write 'none'", "leave the cell"]),
        ("1.png,A,S1,,01/03/2024,PA,,none,\n", ["'date'", "day/month", "2024-03-01"]),
        ("1.png,A,S1,,45352.5,PA,,none,\n", ["'date'", "'45352.5'", "2024-03-01"]),
        ("1.png,A,S1,,2024-03-01T07:30+02:00,PA,,none,\n", ["'date'", "time zone"]),
        ("1.png,A,S1,first,,PA,,none,\n", ["'order'", "'first'", "1, 2, 3"]),
        ("1.png,A,S1,,,PA,,none,\n", ["row 2", "'date'", "no order", "1, 2, 3"]),
        (ROW + "2.png,A,S2,,2024-01-01,PA,,none,\n", ["row 3", "'order'", "fill in all"]),
        (
            "1.png,A,S1,1,2024-02-01,PA,,none,\n2.png,A,S2,2,2024-01-01,PA,,none,\n",
            ["row 3", "'2024-01-01'", "before 2024-02-01", "grows with time"],
        ),
        ("1.png,1.23E+38,S1,1,,PA,,none,\n", ["'1.23E+38'", "spreadsheet", "as text"]),
        ("1.png,,S1,1,,PA,,none,\n", ["row 2", "'patient'", "is empty"]),
        ("1.png,A,S/1,1,,PA,,none,\n", ["'study'", "'S/1'", "without them"]),
        (ROW + "2.png,0012,S2,1,,PA,,none,\n3.png,12,S3,1,,PA,,none,\n", ["'0012'", "'12'"]),
        (ROW + "2.png,a,S2,1,,PA,,none,\n", ["row 3", "'patient'", "case, zeros or prefix"]),
        (ROW + "1.png,A,S2,2,,PA,,none,\n", ["row 3", "'image'", "in row 2 already"]),
        (ROW + "2.png,B,S1,1,,PA,,none,\n", ["row 3", "'study'", "'A' and 'B'"]),
        (ROW + "2.png,A,S1,2,,AP,,,\n", ["row 3", "'order'", "one order"]),
        (ROW + "2.png,A,S1,1,,AP,,edema,\n", ["row 3", "'findings'", "differs from row 2"]),
        ("../1.png,A,S1,1,,PA,,none,\n", ["'image'", "outside the folder"]),
        ("a\\1.png,A,S1,1,,PA,,none,\n", ["'image'", "write '/'"]),
        (",A,S1,1,,PA,,none,\n", ["row 2", "'image'", "is empty"]),
        ("1.png,A,S1,1,,PA,dev,none,\n", ["'split'", "'dev'", "train, validate or test"]),
        (
            "1.png,A,S1,1,,PA,train,none,\n2.png,A,S2,2,,PA,,none,\n",
            ["row 3", "'split'", "all rows, or none"],
        ),
        (
            "1.png,A,S1,1,,PA,train,none,\n2.png,A,S2,2,,PA,test,none,\n",
            ["row 3", "'test'", "two splits: A", "one split"],
        ),
        ("1.png,A,S1,1,,PA,,none,S9\n", ["'prior'", "'S9'", "is not a study"]),
        (ROW + "2.png,B,T1,1,,PA,,none,S1\n", ["row 3", "'prior'", "patient 'A'"]),
        ("1.png,A,S1,1,,PA,,none,S2\n2.png,A,S2,2,,PA,,none,\n", ["'prior'", "not earlier"]),
        ("1.png,A,S1,1,,PA,,none\n", ["row 2 has 8 cells", "quotation marks"]),
        ("", ["no row below its header"]),
    ],
)
def test_an_error_names_row_column_value_and_fix(rows, parts, tmp_path):
    with pytest.raises(ValueError) as raised:
        table_of(tmp_path, HEADER + rows)
    message = str(raised.value)
    assert message.startswith("films.csv")
    for part in parts:
        assert part in message


@pytest.mark.parametrize(
    ("row", "parts"),
    [
        ("a/9.png,carina,x,1,2,3,4", ["row 2", "'a/9.png'", "not in films.csv", "its column"]),
        ("a/1.png,,x,1,2,3,4", ["'region'", "is empty"]),
        ("a/1.png,left/lung,x,1,2,3,4", ["'region'", "without them"]),
        ("a/1.png,carina,x,.1,.2,.3,.4", ["is a fraction", "in pixels"]),
        ("a/1.png,carina,x,50,60,20,70", ["'x_max'", "'20'", "not width and height"]),
        ("a/1.png,carina,x,-3,60,20,70", ["'x_min'", "'-3'", "from 0 on"]),
        ("a/1.png,carina,x,three,60,20,70", ["'x_min'", "'three'"]),
    ],
)
def test_an_error_of_a_box_names_row_column_value_and_fix(row, parts, tmp_path):
    with pytest.raises(ValueError) as raised:
        table_of(tmp_path, boxes=BOXES.splitlines()[0] + f"\n{row}\n")
    for part in ("boxes.csv", *parts):
        assert part in str(raised.value)


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        (b"image,patient,order\n", "films.csv", "no column 'study'"),
        (b"image,patient,study\n", "films.csv", "neither a column 'date' nor 'order'"),
        (b"image,patient,study,order,order\n", "films.csv", "two columns 'order'"),
        (b"image,patient,study,order,report,report:findings\n", "films.csv", "keep either"),
        (b"image,patient,study,order\n\xe9,A,S,1\n", "films.csv", "is not UTF-8"),
        (b"", "films.csv", "no column 'patient'"),
        (b"PK", "films.xlsx", "save it as 'CSV UTF-8'"),
        (b'image,patient,study,order\n"1.png"x,A,S,1\n', "films.csv", "not a valid CSV"),
    ],
)
def test_a_file_that_is_not_such_a_table(content, name, message, tmp_path):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        PlainTable(find_table_roots(path, tmp_path))


def test_missing_files_are_named(tmp_path):
    with pytest.raises(ValueError, match="no table"):
        find_table_roots(tmp_path / "films.csv", tmp_path)
    (tmp_path / "films.csv").write_text(SIX_ROWS, "utf-8")
    with pytest.raises(ValueError, match="--images"):
        find_table_roots(tmp_path / "films.csv", tmp_path / "nowhere")


def test_reading_a_table_does_not_change_the_cell_limit_of_other_readers(tmp_path):
    before = csv.field_size_limit()
    table = tmp_path / "films.csv"
    table.write_text("image,patient,study\n", encoding="utf-8")
    with pytest.raises(ValueError, match="date"):
        read_films(table)
    assert csv.field_size_limit() == before
