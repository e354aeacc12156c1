"""Chest ImaGenome: boxes as fractions, two frames that agree, clean phrases, counted defects."""

import json
import zipfile

import pytest

import tiny_tree
from lapse.core.annotation_names import FURTHER_REGIONS, REGION_SETS, REGIONS
from lapse.data.datasets.chest_imagenome import ChestImaGenome
from lapse.data.datasets.scene_graph import Frame, remove_marks, strip_headers
from lapse.data.reports.prior_removal import prior_remover

IMAGE = "one"
SIZE = (tiny_tree.HEIGHT, tiny_tree.WIDTH)
box, attribute = tiny_tree.box, tiny_tree.attribute


def read(tmp_path, objects=(), attributes=(), size=SIZE):
    """The loader and the regions of one image with these objects and attributes."""
    tiny_tree.write_graphs(tmp_path, {IMAGE: {"objects": objects, "attributes": attributes}})
    data = ChestImaGenome(tmp_path / "chest-imagenome")
    return data, data.regions(IMAGE, size)


def test_there_are_29_regions_and_7_more():
    assert len(set(REGIONS)) == 29 and len(set(REGIONS + FURTHER_REGIONS)) == 36
    assert {name: len(set(names)) for name, names in REGION_SETS.items()} == {"29": 29, "36": 36}


def test_all_36_regions_can_be_read(tmp_path):
    objects = [box(name, 45, 30, 54, 60) for name in REGION_SETS["36"]]
    attributes = [attribute(name, "Clear.") for name in REGION_SETS["36"]]
    data, regions = read(tmp_path, objects, attributes)
    assert tuple(region.name for region in regions) == REGIONS
    assert data.noted.counts == {
        "box of a region that is not requested": 7,
        "phrases of a region that is not requested": 7,
    }
    data = ChestImaGenome(tmp_path / "chest-imagenome", names=REGION_SETS["36"])
    regions = data.regions(IMAGE, SIZE)
    assert tuple(region.name for region in regions) == REGION_SETS["36"]
    assert all(region.phrases and region.box for region in regions)
    assert data.skipped.total == data.noted.total == 0


def test_boxes_are_fractions_of_the_original(tmp_path):
    data, regions = read(
        tmp_path, [box("carina", 45, 30, 54, 60), box("right lung", 9, 12, 45, 90)]
    )
    assert [region.name for region in regions] == ["right lung", "carina"]
    carina = regions[1].box
    assert (carina.x_min, carina.y_min, carina.x_max, carina.y_max) == (0.5, 0.25, 0.6, 0.5)
    assert data.skipped.total == 0
    assert data.noted.counts == {"region without a box": 27, "box without phrases": 2}


def test_defects_are_clipped_dropped_and_counted(tmp_path):
    data, regions = read(
        tmp_path,
        [
            box("right lung", -9, 12, 45, 130),
            box("left lung", 50, 12, 50, 90),
            box("trachea", 60, 40, 50, 30),
            box("spine", 100, 10, 120, 90),
            box("carina", 45, 30, 54, 60),
            box("carina", 40, 30, 54, 60),
            box("abdomen", 45, 30, 54, 60, original_x1=None),
            box("svc", 45, 30, 54, 60, original_x1=float("nan")),
            box("left cardiac silhouette", 45, 30, 54, 60),
            box("left arm", 45, 30, 54, 60),
        ],
        [attribute("left lung", "Clear.")],
    )
    assert [(region.name, region.box is None) for region in regions] == [
        ("right lung", False),
        ("left lung", True),
        ("carina", False),
    ]
    lung = regions[0].box
    assert (lung.x_min, lung.y_max) == (0.0, 1.0)
    assert regions[2].box.x_min == 0.5
    assert data.skipped.counts == {
        "box without area": 3,
        "second box of one region": 1,
        "box without coordinates": 2,
        "box with a name outside the known regions": 1,
    }
    assert data.noted.counts["box clipped to its image"] == 1
    assert data.noted.counts["box of a region that is not requested"] == 1


@pytest.mark.parametrize(("height", "width"), [(120, 90), (2544, 3056), (3056, 2544), (224, 224)])
def test_both_frames_agree_within_rounding(height, width):
    frame = Frame(height, width)
    original = (width * 0.21, height * 0.32, width * 0.64, height * 0.83)
    left = (224 - int(width * frame.scale)) // 2
    top = (224 - int(height * frame.scale)) // 2
    small = [round(v * frame.scale) + pad for v, pad in zip(original, [left, top] * 2, strict=True)]
    item = dict(zip(("x1", "y1", "x2", "y2"), small, strict=True))
    assert frame.agrees(item, original)
    item["x2"] += 4
    assert not frame.agrees(item, original)


def test_an_image_whose_frames_disagree_is_noted_once(tmp_path):
    objects = [box(name, 45, 30, 54, 60) | {"x1": 3} for name in ("carina", "spine")]
    data, regions = read(tmp_path, objects)
    assert len(regions) == 2
    assert data.noted.counts["image whose two box frames disagree"] == 1
    # a squash instead of a letterbox shifts boxes, which is detected too
    squashed = [box("carina", 9, 30, 18, 60) | {"x1": 9 * 224 // 90, "x2": 18 * 224 // 90}]
    data, _ = read(tmp_path, squashed)
    assert data.noted.counts["image whose two box frames disagree"] == 1


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        (" IMPRESSION:  1. There is no\n pneumothorax.", "There is no pneumothorax."),
        ("2) FINDINGS: Clear.", "Clear."),
        ("A nodule of 2.5 cm.", "A nodule of 2.5 cm."),
        ("2.5 cm nodule.", "2.5 cm nodule."),
        ("- \n ", ""),
        ("CHEST, TWO VIEWS:  Clear.", "Clear."),
        ("FINDINGS AND IMPRESSION: (1) Clear.", "Clear."),
        ("WET READ: Clear.", "WET READ: Clear."),  # may be the name of a line or tube
        ("PICC: ends in the SVC.", "PICC: ends in the SVC."),
        ("___", ""),
        ("( ___ ), ___ .", ""),
        ("___ year old with edema.", "year old with edema."),
        ("The line, ___, ends in the SVC.", "The line, ends in the SVC."),
        ("Edema since ___.", "Edema since."),
        ("Told to Dr. ___ (___) of 2.5 cm.", "Told to Dr. of 2.5 cm."),
        ("One, two , three.", "One, two , three."),  # unchanged, because there is no mark
        ("FINDINGS:", ""),
    ],
)
def test_phrases_are_cleaned(text, cleaned):
    assert remove_marks(strip_headers(text)) == cleaned


def test_phrases_are_kept_once_in_order(tmp_path):
    attributes = [
        attribute("carina", "Tube above.", "FINDINGS: tube above.", "..."),
        attribute("carina", "No edema.", "Tube above."),
        attribute("right arm", "Raised."),
        attribute("left cardiac silhouette", "Big."),
        {"bbox_name": "spine"},
    ]
    data, regions = read(tmp_path, [box("carina", 45, 30, 54, 60)], attributes)
    assert [(region.name, region.phrases) for region in regions] == [
        ("carina", ("Tube above.", "No edema.")),
        ("right arm", ("Raised.",)),
    ]
    assert data.skipped.counts == {
        "phrase repeated in its region": 2,
        "phrase without words": 1,
        "attribute without a region or phrases": 1,
    }
    assert data.noted.counts["phrases under a name outside the known regions"] == 1
    assert data.noted.counts["phrases of a region that is not requested"] == 1


def test_described_and_undescribed_regions_are_counted(tmp_path):
    """Phrases without a box, boxes without phrases and attributes without phrases are counted."""
    objects = [box(name, 45, 30, 54, 60) for name in ("carina", "svc", "spine")]
    attributes = [
        attribute("carina", "Tube above."),
        attribute("trachea", "In the middle."),
        attribute("right arm", "Raised."),
        attribute("spine"),
        attribute("svc", "___", "..."),
    ]
    data, regions = read(tmp_path, objects, attributes)
    assert [region.name for region in regions] == ["trachea", "spine", "svc", "carina", "right arm"]
    assert data.noted.counts == {
        "region without a box": 26,
        "described region without a box": 1,
        "box without phrases": 2,
        "region without phrases": 2,
        "phrases under a name outside the known regions": 1,
    }
    assert data.noted.examples["described region without a box"] == ["one trachea"]
    assert data.skipped.counts == {"phrase without words": 2}
    # without these defects there are no counts
    objects = [box(name, 45, 30, 54, 60) for name in REGIONS]
    data, _ = read(tmp_path, objects, [attribute(name, "Clear.") for name in REGIONS])
    assert data.noted.total == data.skipped.total == 0


def test_lists_that_are_not_parallel_are_counted(tmp_path):
    fine = attribute("carina", "One.", "Two.") | {"sections": ["a", "b"], "severity_cues": [[], []]}
    short = attribute("svc", "One.", "Two.") | {"sections": ["a"]}
    data, regions = read(tmp_path, [], [fine])
    assert "attribute whose lists differ in length" not in data.noted.counts
    data, regions = read(tmp_path, [], [fine, short])
    assert data.noted.counts["attribute whose lists differ in length"] == 1
    assert data.noted.examples["attribute whose lists differ in length"] == ["one svc"]
    assert [region.phrases for region in regions] == [("One.", "Two.")] * 2


def test_an_original_size_of_zero_is_noted(tmp_path):
    data, regions = read(tmp_path, [box("svc", 45, 30, 54, 60, original_width=0)])
    assert regions[0].box.x_min == 0.5  # only the corners are used
    assert data.noted.counts["box with original size 0"] == 1


@pytest.mark.parametrize("odd", [None, 3, "text", {"a": 1}, [], [None], [3], ["x"], [[]], True])
def test_odd_json_is_skipped_and_counted(tmp_path, odd):
    for graph in (
        {"objects": odd, "attributes": []},
        {"objects": [], "attributes": odd},
        {"objects": [box("svc", 45, 30, 54, 60) | {"bbox_name": odd}], "attributes": []},
        {"objects": [box("svc", 45, 30, 54, 60, original_y2=odd)], "attributes": []},
        {"objects": [], "attributes": [{"bbox_name": "svc", "phrases": odd}]},
        {"objects": [], "attributes": [{"bbox_name": odd, "phrases": ["Clear."]}]},
        {"objects": [], "attributes": [attribute("svc", "Clear.") | {"sections": odd}]},
    ):
        tiny_tree.write_graphs(tmp_path, {IMAGE: graph})
        data = ChestImaGenome(tmp_path / "chest-imagenome")
        data.regions(IMAGE, SIZE)
        noted = set(data.noted.counts) - {"region without a box", "described region without a box"}
        is_valid = odd in ([], None) or "sections" in str(graph) or odd == "text" or odd == ["x"]
        assert data.skipped.total or noted or is_valid


@pytest.mark.parametrize("value", [10**400, -1e300, "12", float("inf")])
def test_coordinates_that_are_not_numbers_of_pixels(tmp_path, value):
    data, regions = read(tmp_path, [box("svc", 45, 30, 54, 60, original_x2=value)])
    assert regions == () and data.skipped.counts == {"box without coordinates": 1}


def test_priors_are_removed_before_the_marks(tmp_path):
    attributes = [attribute("svc", "Line, larger than on ___.", "New since ___.", "Ends at ___.")]
    tiny_tree.write_graphs(tmp_path, {IMAGE: {"objects": [], "attributes": attributes}})
    root = tmp_path / "chest-imagenome"
    data = ChestImaGenome(root, remover=prior_remover("rules"))
    assert [region.phrases for region in data.regions(IMAGE, SIZE)] == [("Ends at.",)]
    assert data.noted.counts["priors: sentence or clause removed"] == 2
    assert data.skipped.counts == {"phrase that only refers to an earlier examination": 2}
    (region,) = ChestImaGenome(root).regions(IMAGE, SIZE)
    assert region.phrases == ("Line, larger than on.", "New since.", "Ends at.")


def test_a_folder_works_like_the_archive(tmp_path):
    _, from_archive = read(tmp_path, [box("carina", 45, 30, 54, 60)])
    silver = tmp_path / "chest-imagenome/silver_dataset"
    with zipfile.ZipFile(silver / "scene_graph.zip") as archive:
        archive.extractall(silver)
    (silver / "scene_graph.zip").unlink()
    data = ChestImaGenome(tmp_path / "chest-imagenome")
    assert data.regions(IMAGE, SIZE) == from_archive
    assert data.regions("other", SIZE) == ()
    assert data.noted.counts["image without a scene graph"] == 1


def test_an_image_of_unknown_size_keeps_its_phrases_only(tmp_path):
    data, regions = read(
        tmp_path, [box("carina", 45, 30, 54, 60)], [attribute("carina", "Clear.")], size=None
    )
    assert [(region.name, region.box) for region in regions] == [("carina", None)]
    assert data.skipped.counts == {"boxes of an image of unknown size": 1}


def test_splits_and_images_to_avoid(tmp_path):
    tiny_tree.write_tree(tmp_path)
    avoid = tmp_path / "chest-imagenome/silver_dataset/splits/images_to_avoid.csv"
    header = ["", "subject_id", "dicom_id"]
    tiny_tree.write_csv(
        avoid, header, [{"subject_id": tiny_tree.patient(2), "dicom_id": tiny_tree.dicom(2, 1)}]
    )
    data = ChestImaGenome(tmp_path / "chest-imagenome")
    assert data.split_of[tiny_tree.dicom(2, 1)] == "test"
    assert data.split_of[tiny_tree.dicom(2, 2)] == "train"
    assert (str(tiny_tree.patient(2)), "test") in set(data.patient_splits())
    # the real table has no index column
    header = ["subject_id", "study_id", "dicom_id", "path", "ViewPosition"]
    row = {"subject_id": tiny_tree.patient(1), "dicom_id": tiny_tree.dicom(1, 1), "study_id": 1}
    tiny_tree.write_csv(avoid, header, [row])
    data = ChestImaGenome(tmp_path / "chest-imagenome")
    assert data.split_of[tiny_tree.dicom(1, 1)] == "test" and data.noted.total == 0
    assert data.split_of[tiny_tree.dicom(1, 2)] == data.split_of[tiny_tree.dicom(2, 1)] == "train"
    (avoid.parent / "valid.csv").unlink()
    with pytest.raises(ValueError, match=r"no valid\.csv"):
        list(ChestImaGenome(tmp_path / "chest-imagenome").patient_splits())


def test_damaged_archives_and_graphs(tmp_path):
    silver = tmp_path / "silver_dataset"
    silver.mkdir()
    with pytest.raises(ValueError, match=r"neither scene_graph\.zip nor"):
        ChestImaGenome(tmp_path)
    (silver / "scene_graph.zip").write_bytes(b"no archive")
    with pytest.raises(ValueError, match=r"scene_graph\.zip is damaged"):
        ChestImaGenome(tmp_path).regions(IMAGE, SIZE)
    (silver / "scene_graph.zip").unlink()
    (silver / "scene_graph").mkdir()
    graph = silver / "scene_graph" / f"{IMAGE}_SceneGraph.json"
    for text, message in (
        ("{", "is damaged"),
        ("[" * 100_000, "is damaged"),
        (json.dumps([1]), "is a list"),
    ):
        graph.write_text(text)
        with pytest.raises(ValueError, match=message):
            ChestImaGenome(tmp_path).regions(IMAGE, SIZE)


@pytest.mark.parametrize("packing", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_damaged_member_of_the_archive_is_an_error(tmp_path, packing):
    path = tmp_path / "silver_dataset/scene_graph.zip"
    path.parent.mkdir()
    graph = json.dumps({"objects": [box(name, 45, 30, 54, 60) for name in REGIONS] * 3})
    with zipfile.ZipFile(path, "w", packing) as archive:
        archive.writestr(f"scene_graph/{IMAGE}_SceneGraph.json", graph)
    assert ChestImaGenome(tmp_path).regions(IMAGE, SIZE)
    intact = path.read_bytes()
    for position in range(80, len(intact) - 200, len(intact) // 20):
        path.write_bytes(intact[:position] + bytes([intact[position] ^ 4]) + intact[position + 1 :])
        with pytest.raises(ValueError, match="damaged"):
            ChestImaGenome(tmp_path).regions(IMAGE, SIZE)


def test_regions_are_read_without_unpacking(tmp_path):
    read(tmp_path, [box("carina", 45, 30, 54, 60)])
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["scene_graph.zip"]


def test_findings_of_a_region_are_what_is_stated_as_present(tmp_path):
    described = attribute("carina", "There is edema.", "No pneumonia.")
    described["attributes"] = [
        ["anatomicalfinding|yes|pulmonary edema/hazy opacity", "nlp|yes|abnormal"],
        ["disease|no|pneumonia", "tubesandlines|yes|endotracheal tube", 7, "broken"],
        "not a list",
    ]
    objects = [box("carina", 45, 30, 54, 60), box("right lung", 9, 12, 45, 90)]
    _, regions = read(tmp_path, objects, [described, attribute("right lung", "Clear.")])
    findings = {region.name: region.findings for region in regions}
    assert findings == {
        "carina": ("pulmonary edema/hazy opacity", "endotracheal tube"),
        "right lung": (),
    }
