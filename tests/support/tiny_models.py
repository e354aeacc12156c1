"""Every registered model at its smallest, with a batch of two rows."""

import torch

from lapse.config import load_config
from lapse.core import registry
from lapse.core.tokenizer import Tokenizer, trimmed_ids
from lapse.core.types import Box, Sample
from lapse.data.loading.batch import collate, encode_sample

ENCODER = (
    "model.encoder={image_size: 32, patch_size: 16, channels: 1, width: 16, layers: 1, heads: 2, "
    "mlp_width: 32}"
)
GPT2 = "model.language_model={width: 16, layers: 1, heads: 2, max_positions: 96, dropout: 0.0}"
DECODER = "model.decoder={width: 16, layers: 1, heads: 2, mlp_width: 32, max_tokens: 48}"
TEXT = "model.text={width: 16, layers: 1, heads: 2, mlp_width: 32, max_tokens: 48}"
QFORMER = (
    "model.qformer={queries: 3, width: 16, layers: 2, heads: 2, mlp_width: 32, max_tokens: 48, "
    "dropout: 0.0}"
)
# The preset that builds each model, and what makes it small.
TINY = {
    ("pretraining", "captioner"): ("pretrain-tiny", [ENCODER, "model.adapter_width=16", DECODER]),
    ("pretraining", "global_contrastive"): ("pretrain-global-tiny", [ENCODER, TEXT]),
    ("pretraining", "regional_contrastive"): ("pretrain-regional-tiny", [ENCODER, TEXT]),
    ("pretraining", "blip2"): (
        "pretrain-blip2-tiny",
        [ENCODER, QFORMER, "model.embedding_width=8"],
    ),
    ("pretraining", "blip2_writer"): ("pretrain-blip2-writer-tiny", [ENCODER, QFORMER, GPT2]),
    ("vqa", "prefix_lm"): ("diffvqa-tiny", [ENCODER, GPT2]),
    ("vqa", "blip2"): (
        "diffvqa-blip2-tiny",
        [
            ENCODER,
            GPT2,
            "model.qformer={queries: 3, width: 16, layers: 2, heads: 2, mlp_width: 32}",
        ],
    ),
    ("vqa", "real"): (
        "diffvqa-real-tiny",
        [ENCODER, ENCODER.replace("model.encoder", "model.residual"), GPT2],
    ),
    ("vqa", "plural"): ("diffvqa-plural-tiny", [ENCODER, DECODER, "model.layers=1"]),
    ("vqa", "rgag"): ("diffvqa-rgag-tiny", [ENCODER, GPT2, "model.report_tokens=16"]),
    ("vqa", "ekaid"): (
        "diffvqa-ekaid-tiny",
        [ENCODER, "model.width=16", "model.heads=2", "model.words=16"],
    ),
    ("pretraining", "findings"): (
        "pretrain-findings-tiny",
        [ENCODER, "model.finding_head.hidden=16"],
    ),
    ("vqa", "ekaid_published"): (
        "diffvqa-ekaid-published-tiny",
        [
            ENCODER,
            "model.finding_head.hidden=16",
            "model.width=16",
            "model.word_width=16",
            "model.pooling_width=8",
            "model.writer_width=8",
            "model.graph_dropout=0",
            "model.dropout=0",
        ],
    ),
    ("vqa", "plural_published"): (
        "diffvqa-plural-published-tiny",
        [
            ENCODER,
            "model.ofa={width: 16, layers: 1, heads: 2, mlp_width: 32, side: 2, max_tokens: 48}",
        ],
    ),
    ("vqa", "rgag_report"): (
        "rgag-report-published-tiny",
        [ENCODER, GPT2, "model.finding_head.hidden=16"],
    ),
    ("vqa", "rgag_published"): (
        "diffvqa-rgag-published-tiny",
        [ENCODER, GPT2, "model.finding_head.hidden=16", "model.report_tokens=16"],
    ),
    ("vqa", "blind"): ("diffvqa-constant", []),
}
PLACES = (("carina", Box(0.4, 0.4, 0.6, 0.6)), ("right lung", Box(0.1, 0.1, 0.5, 0.9)))


def build(table, name):
    preset, changes = TINY[table, name]
    config = load_config(preset, changes)
    images = (("a",), ("b",)) if table == "pretraining" else (("a", "b"),) * 2
    task = "cap" if table == "pretraining" else "diff_vqa"
    samples = [
        Sample(
            f"{task}/{i}", task, images[i], "p", "what changed?", "", f" word {i}.",
            PLACES[i][1], boxes=(PLACES,) * len(images[i]), reports=("a report",) * len(images[i]),
            findings=((("carina", ("lung opacity",)),),) * len(images[i]),
        )
        for i in range(2)
    ]  # fmt: skip
    tokenizer = Tokenizer(trimmed_ids([s.prefix + s.answer for s in samples]))
    torch.manual_seed(0)
    model = registry.load(table, name)(config.model_config_object(), tokenizer)
    texts = [encode_sample(sample, tokenizer, 48) for sample in samples]
    # Not periodic: the shift between the two images has one best value on every device.
    grey = torch.arange(32 * 32).mul(37).remainder(1021).div(4).to(torch.uint8).reshape(32, 32)
    batch = collate(samples, texts, {"a": grey, "b": grey.flip(0)})
    return config, model, batch
