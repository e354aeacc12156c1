"""Answers in the order of the store, whatever the batches were."""

import pytest

import tiny_model
import tiny_store
from lapse.predict import predict
from lapse.runs import open_run
from lapse.train import train


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("predict")
    data = tiny_store.write(folder / "store")
    train(tiny_model.config(loop__steps=2), data, folder / "run")
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
    run = open_run(made / "run", "cpu")
    options = {"tasks": ("caref", "cap"), "beams": 1}
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
    train(tiny_model.config(loop__steps=1, loop__seed=7), made / "store", made / "other")
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
        ("test", {"beams": 0}, "beams"),
        ("test", {"tasks": ("caption",)}, "'caption'"),
    ],
)
def test_wrong_input_is_an_error(made, split, options, message):
    with pytest.raises(ValueError, match=message):
        list(predict(made / "run", made / "store", split, **options))


def test_a_folder_without_a_whole_checkpoint_is_refused(made, tmp_path):
    with pytest.raises(ValueError, match="is no run folder"):
        open_run(tmp_path)
    for name in ("config.yaml", "vocabulary.json"):
        (tmp_path / name).write_bytes((made / "run" / name).read_bytes())
    with pytest.raises(ValueError, match=r"no whole checkpoint \(none written\)"):
        open_run(tmp_path)
