"""A local token classifier as the remover of priors: words, windows, and refused folders."""

import json
import sys

import pytest

from lapse.data.reports import prior_classifier
from lapse.data.reports.prior_classifier import ClassifierRemover
from lapse.data.reports.prior_removal import prior_remover
from prior_sentences import measure_remover
from tiny_classifier import write_classifier


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_classifier(tmp_path_factory.mktemp("classifier"))


@pytest.fixture(scope="module")
def remover(folder):
    return prior_remover(f"classifier:{folder}")


@pytest.mark.parametrize(
    ("text", "rest", "removed"),
    [
        ("The heart is big. Stable heart.", "The heart is big. Heart.", ("Stable",)),
        ("Effusion of 2.5 cm, unchanged since ___. No edema.", "Effusion of 2.5 cm. No edema.",
         ("unchanged since ___.",)),
        ("Again, the effusion is big.", "The effusion is big.", ("Again,",)),
        ("New. Edema.", "Edema.", ("New.",)),
        ("Since ___ - again.", "", ("Since ___ - again.",)),
        ("The heart is stable and the effusion is new.", "The heart is and the effusion is.",
         ("stable", "new.")),
    ],
)  # fmt: skip
def test_words_are_removed_and_characters_kept(remover, text, rest, removed):
    assert remover.remove(text) == (rest, removed)


def test_a_text_without_removed_words_is_unchanged(remover):
    for text in ("Effusion  of 2.5 cm,\n no edema", "", "   "):
        assert remover.remove(text) == (text, ())


def test_the_majority_of_tokens_decides_on_a_word(remover):
    assert remover.remove("re-seen edema again")[0] == "re-seen edema"
    # comp ##ared: one of two tokens is removed, and the first token breaks the tie
    assert remover.remove("compared edema")[1] == ("compared",)


def test_a_long_sentence_is_read_in_windows(folder, tmp_path):
    text = f"The heart is big {'of 2.5 cm ' * 40}and stable no edema."
    short, long = ClassifierRemover(folder), ClassifierRemover(
        write_classifier(tmp_path, positions=512)
    )  # fmt: skip
    assert short.remove(text) == long.remove(text)
    assert short.remove(text)[1] == ("stable",)


def test_without_windows_the_same_sentence_cannot_be_read(folder, monkeypatch):
    """A single window for the text exceeds the positions of the model."""
    monkeypatch.setattr(prior_classifier, "_limit", lambda tokenizer, model: 4096)
    with pytest.raises((RuntimeError, IndexError)):
        ClassifierRemover(folder).remove(f"The heart is {'of 2.5 cm ' * 40}stable.")


def test_each_sentence_is_read_once_and_memory_is_bounded(folder, monkeypatch):
    remover = ClassifierRemover(folder)
    passes = []
    real = remover._model.forward
    monkeypatch.setattr(
        remover._model, "forward", lambda **kw: (passes.append(len(kw["input_ids"])), real(**kw))[1]
    )
    for _ in range(3):
        assert remover.remove("No edema. New edema. No edema.")[0] == "No edema. Edema. No edema."
    assert passes == [2]
    monkeypatch.setattr(prior_classifier, "MAX_CACHED", 2)
    assert remover.remove("Stable heart. No edema.") == ("Heart. No edema.", ("Stable",))
    assert passes == [2, 2] and len(remover._cache) == 2


def test_many_sentences_make_several_passes(folder, monkeypatch):
    monkeypatch.setattr(prior_classifier, "BATCH", 2)
    text = "New heart. Stable edema. No effusion. The cm. Again. Big effusion."
    few = ClassifierRemover(folder).remove(text)
    monkeypatch.undo()
    assert few == ClassifierRemover(folder).remove(text)
    assert few[0] == "Heart. Edema. No effusion. The cm. Big effusion."


def test_the_name_identifies_the_weights(folder, remover):
    assert remover.name.startswith(f"classifier:{folder.name}@") and len(remover.name[-12:]) == 12
    assert str(folder.parent) not in remover.name


def test_it_is_measured_like_the_rules(remover):
    pairs = (("New edema.", True), ("Big heart.", False), ("The re-seen edema.", True))
    assert measure_remover(remover, pairs) == (1.0, 0.5)


@pytest.mark.parametrize(
    ("labels", "is_fine"),
    [
        (("Keep", "remove"), True),
        (("O", "REMOVE", "OTHER"), True),
        (("KEEP", "DROP"), False),
        (("REMOVE", "remove"), False),
    ],
)
def test_exactly_one_label_is_called_remove(tmp_path, labels, is_fine):
    write_classifier(tmp_path, labels=labels)
    if is_fine:
        assert ClassifierRemover(tmp_path).remove("New edema.") == ("Edema.", ("New",))
        return
    with pytest.raises(ValueError, match=f"{', '.join(labels)}.*exactly one"):
        ClassifierRemover(tmp_path)


def test_weights_other_than_safetensors_are_refused(tmp_path):
    write_classifier(tmp_path)
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(ValueError, match=r"holds no \.safetensors"):
        ClassifierRemover(tmp_path)


def test_damage_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"no config\.json"):
        ClassifierRemover(tmp_path)
    write_classifier(tmp_path)
    weights = tmp_path / "model.safetensors"
    data = weights.read_bytes()
    weights.write_bytes(data[: len(data) // 2])
    with pytest.raises(ValueError, match="cannot be opened as a token classifier"):
        ClassifierRemover(tmp_path)
    weights.write_bytes(data)
    for text in ("{", "[]", '{"id2label": {"x": "REMOVE"}}'):
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(ValueError, match="is not the configuration"):
            ClassifierRemover(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ValueError, match="has the labels none"):
        ClassifierRemover(tmp_path)


def test_code_in_the_folder_is_not_run(tmp_path):
    write_classifier(tmp_path)
    canary = tmp_path / "ran.txt"
    (tmp_path / "evil.py").write_text(f"open({str(canary)!r}, 'w')\nclass Evil: pass\n")
    config = json.loads((tmp_path / "config.json").read_text())
    config |= {"model_type": "evil", "auto_map": {
        "AutoConfig": "evil.Evil", "AutoModelForTokenClassification": "evil.Evil"}}  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="cannot be opened"):
        ClassifierRemover(tmp_path)
    assert not canary.exists()


def test_without_transformers_the_extra_is_named(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ValueError, match=r"needs transformers: pip install"):
        ClassifierRemover(folder)
