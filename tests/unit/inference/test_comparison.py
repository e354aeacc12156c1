"""What a comparison says to people and programs: dictionary, page, notebook."""

import json
from dataclasses import replace

import pytest

from comparisons import comparison
from lapse.core.types import Box
from lapse.inference.answer import RESEARCH_USE
from lapse.inference.comparison import zone


def test_the_dictionary_is_json_and_complete():
    values = json.loads(json.dumps(comparison().to_dict(), allow_nan=False))
    assert values["research_use"] == RESEARCH_USE
    assert (values["status"], values["answer"]) == ("changed", "the answer.")
    assert values["changes"][0] == {
        "finding": "edema",
        "kind": "added",
        "before": None,
        "after": None,
        "text": "+ edema (in the main image only)",
        "confidence": "strong agreement of 6 readings",
        "beam_fraction": 0.95,
        "probability": None,
    }
    assert values["unsure"][0]["finding"] == "pneumothorax"
    assert values["unsure"][0]["confidence"] == "weak agreement of 6 readings"
    assert values["reasons"] == ["why"] and values["not_understood"] == ["odd <words>"]
    assert values["regions"] == [
        {
            "image": "main",
            "finding": "edema",
            "anatomy": "right lower lung zone",
            "region": "lower left of the film",
            "box": {"x_min": 0.1, "y_min": 0.6, "x_max": 0.4, "y_max": 0.9},
        },
        {"image": "main", "finding": "hernia", "anatomy": None, "region": None, "box": None},
    ]
    assert values["films"]["main"] == {"file": "<b>main.png", "height": 80, "width": 60}
    assert values["input_checks"] == [
        {"code": "view", "level": "warning", "message": "not frontal"}
    ]
    assert values["calibration"] is None
    assert values["trained_on"] == "drawings" and values["model"] == {"model": "tiny <1>"}


def test_the_page_shows_everything_and_needs_no_other_file():
    text = comparison().page()
    for words in (
        "Research use only",
        "the answer.",
        "edema, right lower lung zone",
        "strong agreement of 6 readings",
        "pneumothorax",
        "Reason: why.",
        "warning: not frontal",
        "Model trained on: drawings.",
        "tiny &lt;1&gt;",
        "odd &lt;words&gt;",
    ):
        assert words in text, words
    assert text.count("data:image/png;base64,") == 2
    assert "http" not in text and "<script" not in text
    assert "main.png" not in text  # names of files can hold names of patients


@pytest.mark.parametrize("name", ["lines", "page"])
def test_no_output_shows_the_beam_as_a_percentage_of_certainty(name):
    output = getattr(comparison(), name)()
    assert "95%" not in str(output) and "% of the beam" not in str(output)


def test_a_notebook_shows_the_page_in_a_frame_without_scripts():
    text = comparison()._repr_html_()
    assert text.startswith("<iframe sandbox srcdoc=") and text.count("<") == 2
    assert "&lt;!doctype html&gt;" in text


def test_boxes_have_the_names_of_anatomical_regions():
    line = "  region of edema in the main image: right lower lung zone (lower left of the film, "
    assert any(text.startswith(line) for text in comparison().lines())
    (outline,) = comparison().outlines()["main"]
    assert outline.label == "edema, right lower lung zone"
    unnamed = replace(comparison(), anatomy={})
    assert unnamed.region_name("main", "edema") == "lower left of the film"
    with pytest.raises(KeyError):
        unnamed.region_name("main", "hernia")


def test_zones_of_a_film():
    assert zone(Box(0.4, 0.4, 0.6, 0.6)) == "middle centre of the film"
    assert zone(Box(0.7, 0.0, 1.0, 0.2)) == "upper right of the film"
