"""Reports: the simulator's state can be read back from the text; layout; phrases; scene graphs."""

import json
import re
from datetime import datetime

import pytest

from lapse.phantom.dataset.scene_graph import ImageRecord, scene_graph
from lapse.phantom.patients.catalogue import FINDING_SPECS
from lapse.phantom.patients.findings import draw_visits, level_of
from lapse.phantom.patients.state import Finding
from lapse.phantom.text.comparisons import WORDINGS, compare
from lapse.phantom.text.phrases import affirm, noun_phrases
from lapse.phantom.text.report import extract_findings, write_report


def reports(count, *, priors=False):
    """(visit, report) of `count` visits of simulated patients."""
    found = []
    patient = 0
    while len(found) < count:
        visits = draw_visits(11, patient, 3, age=40 + patient % 40)
        for one in visits:
            earlier = visits[one.index - 1] if one.index else None
            view = ("PA", "AP")[(patient + one.index) % 2]
            report = write_report(one, view, seed=11, sex="F", previous=earlier if priors else None)
            found.append((one, report))
        patient += 1
    return found[:count]


@pytest.fixture(scope="module")
def written():
    return reports(600)


@pytest.mark.parametrize("priors", [False, True])
def test_the_text_gives_back_exactly_the_state(written, priors):
    for one, report in reports(600, priors=True) if priors else written:
        assert extract_findings(report.text) == {item.name for item in one.findings}, report.text


@pytest.mark.parametrize("spec", FINDING_SPECS, ids=lambda spec: spec.name)
def test_every_wording_of_every_finding_is_read_back(spec):
    wordings = set()
    for number in range(120):
        side = spec.sides[number % len(spec.sides)][0]
        zone = spec.zones[number % len(spec.zones)][0]
        item = Finding(spec.name, side, zone, 0.3, spec.types[0][0], number)
        statement = affirm(item, (0, number))
        wordings.add(statement.text)
        assert extract_findings(statement.text) == {spec.name}
        assert statement.regions
    assert len(wordings) >= 4


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("No pleural effusion or pneumothorax.", set()),
        ("The heart is mildly enlarged. No edema.", {"cardiomegaly"}),
        ("Small effusion without pneumothorax.", {"pleural effusion"}),
        ("The pneumothorax has resolved since the prior study.", set()),
        (" INDICATION:  Evaluate for pneumonia.\n \n FINDINGS:  Mild edema.\n", {"edema"}),
        (" INDICATION:  Pneumonia?\n \n Mild edema.\n", {"edema"}),
    ],
)
def test_negation_and_sections(text, found):
    assert extract_findings(text) == found


def test_layout_headers_and_quirks(written):
    headers = set()
    for _, report in written:
        lines = report.text.split("\n")
        assert lines[0].strip() == "FINAL REPORT"
        assert all(line.startswith(" ") and len(line) <= 78 for line in lines[:-1])
        found = re.findall(r"\n ([A-Z ()/,-]+):\s", report.text)
        assert found
        headers |= set(found)
    assert {
        "EXAMINATION",
        "INDICATION",
        "TECHNIQUE",
        "COMPARISON",
        "FINDINGS",
        "IMPRESSION",
        "HISTORY",
        "CONCLUSION",
        "FINDINGS AND IMPRESSION",
        "CHEST, TWO VIEWS",
    } <= headers
    assert any(" FINDINGS" not in r.text and "IMPRESSION" not in r.text for _, r in written)


def test_levels_sides_and_zones_are_told():
    item = Finding("atelectasis", "left", "basilar", 0.3, "linear", 1)
    for phrase, _ in noun_phrases(item):
        assert phrase.startswith("mild linear") and "left" in phrase and "bas" in phrase


def test_sentences_are_phrases_and_counts_are_like_the_data_set(written):
    num_described = num_abnormal = num_words = 0
    for one, report in written:
        text = " ".join(report.text.split())
        for statements in report.phrases.values():
            for statement in statements:
                assert statement.text in text
        assert not report.denied & {item.name for item in one.findings}
        boxed = {name: items for name, items in report.phrases.items() if "ribs" not in name}
        num_described += len(boxed)
        num_abnormal += sum(any(item.finding for item in items) for items in boxed.values())
        num_words += sum(len(item.text.split()) for item in report.statements)
    assert 8 < num_described / len(written) < 10  # 9 described regions an image
    assert 0.11 < num_abnormal / len(written) / 29 < 0.17  # 14% of boxes abnormal
    assert num_words / len(written) < 40


def test_priors_are_said_only_when_asked_for(written):
    words = re.compile(
        r"\b(prior|previous|interval|again|before|unchanged|stable|resolved|persists|new|newly|now|"
        r"since|from ___|no longer|(increas|worsen|improv)ing|redemonstration|improve)\b",
        re.I,
    )
    assert not any(words.search(item.text) for _, r in written for item in r.statements)
    later = [report for one, report in reports(60, priors=True) if one.index and one.findings]
    for report in later:
        assert any(item.comparison for item in report.statements)
        for item in report.statements:
            assert bool(words.search(item.text)) is bool(item.comparison), item.text


@pytest.mark.parametrize("kind", sorted(WORDINGS))
def test_comparisons_have_many_wordings(kind):
    texts = WORDINGS[kind]
    assert len(set(texts)) == len(texts) >= 8
    assert any("," in text for text in texts) and all("{0}" in t or "{1}" in t for t in texts)


@pytest.mark.parametrize("name", [spec.name for spec in FINDING_SPECS])
def test_no_comparison_says_what_is_not_there(name):
    """Read back alone, a comparison affirms its own finding or none; a resolved one none."""
    for kind, texts in WORDINGS.items():
        for text in texts:
            found = extract_findings(text.format(name.capitalize(), name))
            assert found <= (set() if kind == "gone" else {name}), text


def source(size=(320, 256)):
    visits = draw_visits(11, 4, 2)
    report = write_report(visits[1], "AP", seed=11, sex="F")
    return ImageRecord(
        dicom_id="a-b",
        subject_id=19_000_001,
        study_id=50_000_001,
        view="AP",
        sex="F",
        age=64,
        order=2,
        taken_at=datetime(2150, 3, 4, 5, 6, 7),
        width=size[0],
        height=size[1],
        boxes={
            "right lung": (0.1, 0.2, 0.45, 0.9),
            "left lung": (0.55, 0.2, 0.9, 0.9),
            "cardiac silhouette": (0.4, 0.5, 0.75, 0.85),
            "spine": (-0.2, 0.0, 0.6, 1.3),
            "carina": (1.1, 0.1, 1.3, 0.2),
        },
        report=report,
        comparisons=compare(visits[0], visits[1], (11,)),
        previous_dicom="c-d",
    )


@pytest.mark.parametrize("size", [(320, 256), (256, 320), (300, 300)])
def test_both_frames_of_a_scene_graph_agree(size):
    graph = scene_graph(source(size))
    ratio = 224 / max(size)
    pads = [(224 - int(side * ratio)) // 2 for side in size]
    assert [item["bbox_name"] for item in graph["objects"]] == [
        "right lung",
        "left lung",
        "cardiac silhouette",
        "spine",
    ]
    for item in graph["objects"]:
        assert item["object_id"] == f"a-b_{item['bbox_name']}"
        for axis, side in zip("xy", ("width", "height"), strict=True):  # sizes of the box
            corners = item[f"original_{axis}1"], item[f"original_{axis}2"]
            assert item[f"original_{side}"] == corners[1] - corners[0]
        for axis, pad in zip("xy", pads, strict=True):
            for end in "12":
                back = (item[f"{axis}{end}"] - pad) / ratio
                assert abs(back - item[f"original_{axis}{end}"]) <= 2 / ratio


def test_attributes_are_parallel_lists_and_relationships_point_back():
    graph = scene_graph(source())
    assert json.loads(json.dumps(graph)) == graph
    assert graph["attributes"]
    for item in graph["attributes"]:
        assert item[item["bbox_name"]] is True
        lists = ("attributes", "attributes_ids", "phrase_IDs", "sections", "comparison_cues")
        lists += ("temporal_cues", "severity_cues", "texture_cues")
        assert {len(item[name]) for name in lists} == {len(item["phrases"])}
        assert all(text.count("|") == 2 for group in item["attributes"] for text in group)
    for item in graph["relationships"]:
        assert item["predicate"] in ("['No status change']", "['Improved']", "['Worsened']")
        assert item["object_id"] == f"c-d_{item['bbox_name']}"
        assert item["subject_id"] == f"a-b_{item['bbox_name']}"


def test_comparisons_follow_severity():
    histories = (draw_visits(1, patient, 2) for patient in range(200))
    visits = next(pair for pair in histories if len(pair[0].findings) > 2 < len(pair[1].findings))
    old = {item.name: item.severity for item in visits[0].findings}
    new = {item.name: item.severity for item in visits[1].findings}
    compared = compare(*visits, (1,))
    assert {item.finding.name for item in compared} == {*old, *new}
    for item in compared:
        name = item.finding.name
        if name not in new:
            assert item.direction == "improved"
        elif name not in old:
            assert item.direction == "worsened"
        elif level_of(name, old[name]) == level_of(name, new[name]):
            assert item.direction == "no change"
        else:
            assert item.direction == ("worsened" if new[name] > old[name] else "improved")
