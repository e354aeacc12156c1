"""`lapse predict hf:FOLDER` with tiny random models of two architectures."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import tiny_store
import tiny_vlm
from lapse.cli.main import app
from lapse.core.findings import FINDINGS, LEVELS
from lapse.core.grammar import parse
from lapse.core.types import Sample
from lapse.data.store.store import open_store
from lapse.evaluation.evaluate import EvaluateOptions, evaluate
from lapse.evaluation.predictions.jsonl import read_predictions
from lapse.inference.answerers import Answerer, open_answerer
from lapse.inference.image_text_model import (
    ImageTextAnswerer,
    open_image_text_model,
    prompt_template,
)
from lapse.inference.predict import PredictOptions, predict

ROOT = Path(__file__).parents[2]
WRITERS = {"gemma3": tiny_vlm.write_gemma3, "llava": tiny_vlm.write_llava}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tiny_store.write(tmp_path_factory.mktemp("image-text") / "store")


@pytest.fixture(scope="module", params=list(WRITERS))
def folder(request, tmp_path_factory):
    return WRITERS[request.param](tmp_path_factory.mktemp(request.param) / "model")


def sample(images=("a", "b"), question="what has changed?"):
    return Sample("diff_vqa/1", "diff_vqa", images, "p", question, "", " nothing has changed.")


def grey(key):
    return np.full((32, 32), {"a": 20, "b": 220}[key], np.uint8)


def answer(folder, *samples, pixels=grey, **options):
    answerer = open_answerer(f"hf:{folder}", PredictOptions(max_new_tokens=6, **options))
    assert isinstance(answerer, Answerer)
    return [item.text for item in answerer.answer(samples, pixels)]


def test_the_command_answers_a_store_and_its_text_is_evaluated(folder, data, tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="lapse")
    out = tmp_path / "predictions.jsonl"
    arguments = ["predict", f"hf:{folder}", "--data", str(data), "--out", str(out)]
    done = CliRunner().invoke(
        app, [*arguments, "--max-new-tokens", "5", "--limit", "3"], catch_exceptions=False
    )
    assert done.exit_code == 0, done.output
    predictions = read_predictions(out)
    questions = {f"diff_vqa/{pair.id}": pair.question for pair in open_store(data).pairs}
    assert len(predictions) == 3
    assert all(item.prompt == questions[item.id] and item.prediction for item in predictions)
    scores = evaluate(predictions, EvaluateOptions(use_java=False))
    details = scores["diff_vqa"]["exact match"].details  # random characters
    assert details["withheld"] == "3 of 3 answers unread"
    assert "prompt difference-v1:" in caplog.text and FINDINGS[0] in caplog.text


def test_greedy_answers_and_beams_are_those_of_transformers(folder):
    """Both images in order, every word of the prompt, and the tokens behind the prompt only."""
    loaded = open_image_text_model(str(folder), device="cpu")
    answerer = ImageTextAnswerer(loaded, PredictOptions(max_new_tokens=6, num_beams=2))
    text = answerer._text(sample())
    assert text.index("Reference image:") < text.index("Main image:") < text.index("Question: what")
    seen = []
    call = type(loaded.processor).__call__

    class Spy(type(loaded.processor)):
        def __call__(self, *args, **kwargs):
            seen.append(kwargs["images"])
            return call(self, *args, **kwargs)

    loaded.processor.__class__ = Spy
    (first,) = answerer.answer([sample()], grey)
    ((images,),) = seen
    assert [image.getpixel((0, 0)) for image in images] == [(20,) * 3, (220,) * 3]
    inputs = loaded.processor(text=[text], images=[images], return_tensors="pt",
                              add_special_tokens=False)  # fmt: skip
    assert inputs["input_ids"][0].tolist().count(loaded.processor.tokenizer.bos_token_id) == 1
    with torch.no_grad():
        tokens = loaded.model.generate(**inputs, num_beams=2, do_sample=False, max_new_tokens=6)
    new = tokens[0, inputs["input_ids"].shape[1] :]
    assert first.text == loaded.processor.tokenizer.decode(new, skip_special_tokens=True).strip()


def test_a_batch_gives_the_answers_of_single_samples(folder):
    """Prompts of different lengths are padded on the left."""
    samples = [sample(), sample(question="what has changed compared to the reference image?")]
    single = [answer(folder, item)[0] for item in samples]
    assert answer(folder, *samples, batch_size=2) == single


def test_one_image_and_facts(folder):
    (text,) = answer(folder, sample(images=("a",)))
    assert isinstance(text, str)
    facts = open_answerer(f"hf:{folder}", PredictOptions()).facts
    assert len(facts["weights"]) == 64 and facts["prompts"].startswith("difference-v1, question-v1")
    path = folder / "generation_config.json"
    before = path.read_text("utf-8")
    path.write_text(json.dumps(json.loads(before) | {"pad_token_id": 0}, indent=3), "utf-8")
    changed = open_answerer(f"hf:{folder}", PredictOptions()).facts
    path.write_text(before, "utf-8")
    assert changed["weights"] != facts["weights"]


def test_predict_reads_the_images_of_the_store(folder, data):
    options = PredictOptions(limit=2, max_new_tokens=4)
    one = list(predict(f"hf:{folder}", data, "test", options))
    two = list(predict(f"hf:{folder}", data, "test", options))
    assert [item.prediction for item in one] == [item.prediction for item in two]


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ("hf:nowhere", {}, "hf:nowhere is neither a folder nor a hub id with a pinned revision"),
        ("hf:google/medgemma-4b-it", {}, "neither a folder nor a hub id with a pinned revision"),
        ("FOLDER", {"tasks": ("cap",)}, "the task 'cap' has none"),
        ("FOLDER", {"confidence": "beam"}, "gives no confidence and no guarded answer"),
        ("FOLDER", {"guarded": True}, "gives no confidence and no guarded answer"),
        ("FOLDER", {"bits": 3}, "weights of 3 bits: 8 or 4"),
        ("FOLDER", {"bits": 8}, "need bitsandbytes: pip install bitsandbytes"),
        ("packaged", {"bits": 8}, "--bits is for models of transformers"),
    ],
)
def test_wrong_input_is_one_sentence(source, options, message, folder):
    if options.get("bits") == 8 and source == "FOLDER":
        from importlib.util import find_spec

        if find_spec("bitsandbytes") is not None:
            pytest.skip("bitsandbytes is installed")
    with pytest.raises(ValueError, match=message):
        open_answerer(source.replace("FOLDER", f"hf:{folder}"), PredictOptions(**options))


def test_folders_that_are_not_such_models(folder, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="cannot be read as an image-text-to-text model"):
        open_answerer(f"hf:{tmp_path / 'empty'}")
    plain = tmp_path / "plain"
    plain.mkdir()
    for path in folder.iterdir():
        if path.name != "chat_template.jinja":
            (plain / path.name).write_bytes(path.read_bytes())
    with pytest.raises(ValueError, match="has no chat template"):
        open_answerer(f"hf:{plain}")
    (plain / "model.safetensors").rename(plain / "pytorch_model.bin")
    with pytest.raises(ValueError, match="cannot be read as an image-text-to-text model"):
        open_answerer(f"hf:{plain}")


def test_the_prompt_asks_for_the_grammar():
    """Every form of the prompt is read by the parser; the page on chat models has the same text."""
    text = prompt_template("difference-v1")
    lines = [
        line for line in text.splitlines() if line.startswith(("the level", "the main", "noth"))
    ]
    assert len(lines) == 8
    for line in lines:
        filled = line.replace("FINDING, and FINDING", "edema, and pneumonia")
        filled = filled.replace("FINDING", "edema").replace("from LEVEL", "from mild")
        parsed = parse(filled.replace("to LEVEL", "to severe"))
        assert not parsed.leftover, line
        assert bool(parsed.changes) == (line != "nothing has changed.")
    (findings,) = (line for line in text.splitlines() if line.startswith("FINDING is one of"))
    assert findings == f"FINDING is one of: {', '.join(FINDINGS)}."
    (levels,) = (line for line in text.splitlines() if line.startswith("LEVEL is one of: "))
    assert set(levels.removeprefix("LEVEL is one of: ").rstrip(".").split(", ")) <= set(LEVELS)
    page = (ROOT / "docs" / "how-to" / "chat-models.md").read_text("utf-8")
    assert text.removesuffix("Question: {question}").strip() in page
