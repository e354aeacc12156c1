"""Each compared system overfits 8 pairs at its tiny preset. Minutes long, so marked slow.

The predictions are of training samples: the tests show that all gradients are used, not that a
system generalizes. The encoder has random weights (no stage 1).
"""

import pytest

from lapse.config import load_config
from lapse.data.prepare.prepare import PrepareOptions, find_roots, prepare
from lapse.data.store.store import open_store
from lapse.data.tasks.plain_text import plain_text
from lapse.inference.predict import PredictOptions, predict
from lapse.phantom.dataset.writer import SimulateConfig, simulate
from lapse.training.trainer import train

COUNT = 8
LONG = [  # reports are longer than answers
    "data.second_tasks=[]",
    "data.max_tokens=320",
    "model.language_model.max_positions=400",
    "generation.max_new_tokens=320",
]
# preset -> steps that are enough, and what else differs from the preset
SYSTEMS = {
    "diffvqa-tiny": (250, []),
    "diffvqa-blip2-tiny": (300, []),
    "diffvqa-ekaid-tiny": (250, []),
    "diffvqa-plural-tiny": (300, []),
    "diffvqa-real-tiny": (250, []),
    "diffvqa-rgag-tiny": (400, []),
    "diffvqa-ekaid-published-tiny": (
        300,
        ["data.tasks=[diff_vqa_boxes]", "model.dropout=0", "model.graph_dropout=0"],
    ),
    "diffvqa-plural-published-tiny": (300, []),
    "diffvqa-blip2-published-tiny": (300, []),
    "diffvqa-real-published-tiny": (250, []),
    "rgag-report-published-tiny": (300, LONG),
    "diffvqa-rgag-published-tiny": (300, ["data.tasks=[diff_vqa_reports]"]),
}
STRIPPED = {"diffvqa-plural-published-tiny"}  # trained without punctuation
WORDS = {"diffvqa-ekaid-published-tiny": lambda text: " ".join(text.lower().split())}
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("overfit-systems")
    simulate(folder / "raw", SimulateConfig(patients=30, seed=5, size=160))
    prepare(find_roots([folder / "raw"]), folder / "store", PrepareOptions(128))
    return folder / "store"


@pytest.mark.parametrize("preset", list(SYSTEMS))
def test_a_system_overfits_8_pairs(preset, store):
    steps, changes = SYSTEMS[preset]
    config = load_config(
        preset,
        [
            f"data.max_records={COUNT}",
            "train.precision=fp32",
            f"train.steps={steps}",
            f"train.eval_every={steps}",
            f"train.save_every={steps}",
            f"train.batch_size={COUNT}",
            *changes,
        ],
    )
    out = store.parent / preset
    train(config, store, out)
    pairs = [pair for pair in open_store(store).pairs_of("train") if pair.category == "difference"]
    learned = {pair.id for pair in pairs[:COUNT]}
    predictions = predict(out, store, "train", PredictOptions(num_beams=2))
    trained = [item for item in predictions if item.id.split("/", 1)[1] in learned]
    assert len(trained) == COUNT
    form = plain_text if preset in STRIPPED else WORDS.get(preset, str)
    num_exact = sum(form(item.prediction) == form(item.references[0]) for item in trained)
    print(f"{preset}: {num_exact} of {COUNT} answers exact after {steps} steps")
    assert num_exact == COUNT
