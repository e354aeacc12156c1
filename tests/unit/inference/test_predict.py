"""Answers in the order of the store, whatever the batches were."""

from dataclasses import replace

import pytest

import tiny_model
import tiny_store
from lapse.config import check_config
from lapse.core.grammar import Change, render
from lapse.data.store.store import open_store
from lapse.data.store.writer import Origin, write_store
from lapse.evaluation.evaluate import read_predictions, write_predictions
from lapse.inference.predict import predict
from lapse.inference.probes import PROBES
from lapse.training.run_folder import load_run
from lapse.training.trainer import train


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("predict")
    data = tiny_store.write(folder / "store")
    train(tiny_model.config(train__steps=2), data, folder / "run")
    return folder


def test_every_sample_of_the_split_once_and_in_order(made):
    found = list(predict(made / "run", made / "store", "test"))
    assert len(found) == 4 * 13
    assert [item.task for item in found] == ["cap"] * 4 + ["aref"] * 16 + ["gcap"] * 16 + [
        "caref"
    ] * 16
    images = [item.id.split("/")[1] for item in found if item.task == "gcap"]
    assert images == sorted(images)
    assert {item.patient for item in found} == {"10000005", "10000011"}
    first = next(item for item in found if item.task == "caref")
    assert first.prompt == "caref: carina:"
    assert first.references == ("There is edema. [0, 0, 12, 19]",)
    assert all(item.prediction == item.prediction.strip() for item in found)


def test_batches_change_no_answer(made):
    run = load_run(made / "run", "cpu")
    options = {"tasks": ("caref", "cap"), "num_beams": 1}
    whole = list(predict(run, made / "store", "test", **options))
    single = list(predict(run, made / "store", "test", **options, batch_size=1))
    assert whole == single and len(whole) == 20
    assert len({item.prediction for item in whole}) > 1


def test_limit_is_shared_by_the_tasks_and_equal_for_every_run(made):
    seen = []
    found = list(
        predict(
            made / "run",
            made / "store",
            "test",
            tasks=("cap", "gcap"),
            limit=5,
            progress=lambda done, total: seen.append((done, total)),
        )
    )
    assert [item.task for item in found] == ["cap"] * 3 + ["gcap"] * 2
    assert seen[-1] == (5, 5)
    train(tiny_model.config(train__steps=1, train__seed=7), made / "store", made / "other")
    again = predict(made / "other", made / "store", "test", tasks=("cap", "gcap"), limit=5)
    assert [item.id for item in again] == [item.id for item in found]


def test_another_image_side_is_refused(made, tmp_path, monkeypatch):
    monkeypatch.setattr(tiny_store, "SIDE", 16)
    other = tiny_store.write(tmp_path / "store")
    with pytest.raises(ValueError, match="holds 16 px images"):
        next(predict(made / "run", other, "test"))


@pytest.mark.parametrize(
    ("split", "options", "message"),
    [
        ("nowhere", {}, "no split 'nowhere'"),
        ("test", {"num_beams": 0}, "num_beams"),
        ("test", {"tasks": ("caption",)}, "'caption'"),
    ],
)
def test_wrong_input_is_an_error(made, split, options, message):
    with pytest.raises(ValueError, match=message):
        list(predict(made / "run", made / "store", split, **options))


def test_a_folder_without_a_whole_checkpoint_is_refused(made, tmp_path):
    with pytest.raises(ValueError, match="is no run folder"):
        load_run(tmp_path)
    for name in ("config.yaml", "vocabulary.json"):
        (tmp_path / name).write_bytes((made / "run" / name).read_bytes())
    with pytest.raises(ValueError, match=r"no whole checkpoint \(none written\)"):
        load_run(tmp_path)


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """A trained stage-2 system on pairs whose answers the grammar can read."""
    folder = tmp_path_factory.mktemp("compare")
    data = folder / "store"
    studies = tiny_store.studies()
    changed = ("edema", "hernia", "fracture")
    pairs = [
        replace(pair, answer=render([Change(changed[int(pair.main.study) % 3], "added")]))
        for pair in tiny_store.pairs(studies)
    ]
    write_store(
        data,
        [(study, tiny_store.pixels(study.image)) for study in studies],
        pairs,
        size=tiny_store.SIDE,
        origin=Origin("patient-safe", "0" * 16, "invented", "none", "random pixels"),
    )
    values = tiny_model.config("diffvqa", train__steps=2).model_dump(mode="json")
    encoder = {"image_size": 32, "patch_size": 16, "channels": 1, "width": 16, "layers": 1}
    language = {"width": 16, "layers": 1, "heads": 2, "max_positions": 96}
    values |= {
        "model_type": "prefix_lm",
        "model": {
            "encoder": {**encoder, "heads": 2, "mlp_width": 32},
            "language_model": language,
        },
        "generation": {"num_beams": 3, "max_new_tokens": 8, "batch_size": 3},
    }
    train(check_config(values), data, folder / "run")
    return folder


@pytest.mark.parametrize("probe", PROBES)
def test_a_probe_answers_the_same_samples(compared, probe):
    plain = list(predict(compared / "run", compared / "store", "test"))
    found = list(predict(compared / "run", compared / "store", "test", probe=probe))
    assert [item.id for item in found] == [f"{item.id}#{probe}" for item in plain]
    assert [item.patient for item in found] == [item.patient for item in plain]
    if probe == "identity":
        assert {item.references for item in found} == {("nothing has changed.",)}
    if probe == "swap":
        assert all("is missing the finding of" in item.references[0] for item in found)
    if probe in {"acquisition", "shuffled", "blank"}:
        assert [item.references for item in found] == [item.references for item in plain]


def test_swapping_by_a_probe_is_swapping_the_pair(compared):
    """Every pair of the store is there in both orders: the probe's answer is the other's own."""
    plain = {
        item.id: item.prediction for item in predict(compared / "run", compared / "store", "test")
    }
    for item in predict(compared / "run", compared / "store", "test", probe="swap"):
        first, second = item.id.removesuffix("#swap").removeprefix("diff_vqa/").split("-")
        assert item.prediction == plain[f"diff_vqa/{second}-{first}"]


def test_another_exposure_may_come_from_outside(compared):
    def again(key):
        return open_store(compared / "store").pixels(key)

    plain = list(predict(compared / "run", compared / "store", "test"))
    options = {"probe": "acquisition", "again": again}
    same = list(predict(compared / "run", compared / "store", "test", **options))
    assert [item.prediction for item in same] == [item.prediction for item in plain]


def test_confidence_changes_no_answer_and_survives_its_file(compared, tmp_path):
    plain = list(predict(compared / "run", compared / "store", "test"))
    for confidence in ("beam", "clauses"):
        options = {"confidence": confidence}
        sure = list(predict(compared / "run", compared / "store", "test", **options))
        assert [item.prediction for item in sure] == [item.prediction for item in plain]
        assert all(item.confidence["log_probability"] < 0 for item in sure)
        assert all(0 < item.confidence["beam_mass"] <= 1 for item in sure)
        write_predictions(tmp_path / "p.jsonl", sure)
        assert read_predictions(tmp_path / "p.jsonl") == sure
    assert all(not item.confidence for item in plain)
    write_predictions(tmp_path / "p.jsonl", plain)
    assert "confidence" not in (tmp_path / "p.jsonl").read_text("utf-8")


def test_a_stage_one_run_has_no_probe_and_no_hypotheses(made):
    told = []
    with pytest.raises(ValueError, match="no sample to answer under the probe 'swap'"):
        list(predict(made / "run", made / "store", "test", probe="swap", say=told.append))
    assert told[0] == "probe swap: 4 of 4 left out: sample about one image"
    with pytest.raises(ValueError, match="has no candidates, which --confidence beam needs"):
        list(predict(made / "run", made / "store", "test", confidence="beam"))
    with pytest.raises(ValueError, match="no probe 'swpa'"):
        list(predict(made / "run", made / "store", "test", probe="swpa"))
