"""Tiny image-text-to-text models of transformers with random weights, made without a network.

Each folder holds weights, configuration, a tokenizer of single characters, an image processor and
a chat template, as `AutoModelForImageTextToText` and `AutoProcessor` read them.
"""

from __future__ import annotations

import string
from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import (
    CLIPVisionConfig,
    Gemma3Config,
    Gemma3ForConditionalGeneration,
    Gemma3Processor,
    Gemma3TextConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
    SiglipVisionConfig,
)
from transformers.models.gemma3.image_processing_pil_gemma3 import Gemma3ImageProcessorPil
from transformers.models.llava.image_processing_pil_llava import LlavaImageProcessorPil

SIDE, PATCH = 28, 14
SPECIAL = ["<pad>", "<eos>", "<bos>", "<unk>", "<image>", "<start>", "<end>"]
TEXT = {
    "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
    "num_key_value_heads": 1, "head_dim": 8, "max_position_embeddings": 4096,
}  # fmt: skip
VISION = {
    "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
    "image_size": SIDE, "patch_size": PATCH,
}  # fmt: skip
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{{ message['role'] }}: "
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}IMAGE{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %} {% endfor %}{% if add_generation_prompt %}assistant: {% endif %}"
)


def tokenizer() -> PreTrainedTokenizerFast:
    """One token per printable character."""
    words = [*SPECIAL, *dict.fromkeys(string.printable)]
    model = models.WordLevel({word: index for index, word in enumerate(words)}, "<unk>")
    plain = Tokenizer(model)
    plain.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    plain.decoder = decoders.Fuse()
    plain.post_processor = processors.TemplateProcessing(
        single="<bos> $A", special_tokens=[("<bos>", words.index("<bos>"))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=plain, pad_token="<pad>", eos_token="<eos>", bos_token="<bos>",
        unk_token="<unk>",
        extra_special_tokens={
            "image_token": "<image>", "boi_token": "<start>", "eoi_token": "<end>",
        },
    )  # fmt: skip


def write_gemma3(folder: Path) -> Path:
    """The architecture of MedGemma: SigLIP and Gemma 3."""
    words = tokenizer()
    ids = words.convert_tokens_to_ids
    config = Gemma3Config(
        text_config=Gemma3TextConfig(
            **TEXT, vocab_size=len(words), pad_token_id=0, eos_token_id=1, bos_token_id=2,
            sliding_window=64,
        ),
        vision_config=SiglipVisionConfig(**VISION),
        mm_tokens_per_image=4, image_token_index=ids("<image>"), boi_token_index=ids("<start>"),
        eoi_token_index=ids("<end>"),
    )  # fmt: skip
    torch.manual_seed(0)
    Gemma3ForConditionalGeneration(config).save_pretrained(folder)
    images = Gemma3ImageProcessorPil(
        size={"height": SIDE, "width": SIDE}, image_mean=[0.5] * 3, image_std=[0.5] * 3
    )
    template = TEMPLATE.replace("IMAGE", "<start>")
    Gemma3Processor(images, words, chat_template=template, image_seq_length=4).save_pretrained(
        folder
    )
    return folder


def write_llava(folder: Path) -> Path:
    """CLIP and Llama."""
    words = tokenizer()
    config = LlavaConfig(
        text_config=LlamaConfig(
            **TEXT, vocab_size=len(words), pad_token_id=0, eos_token_id=1, bos_token_id=2
        ),
        vision_config=CLIPVisionConfig(**VISION, projection_dim=16),
        image_token_index=words.convert_tokens_to_ids("<image>"), image_seq_length=4,
    )  # fmt: skip
    torch.manual_seed(1)
    LlavaForConditionalGeneration(config).save_pretrained(folder)
    images = LlavaImageProcessorPil(
        size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}
    )
    template = TEMPLATE.replace("IMAGE", "<image>")
    LlavaProcessor(
        images, words, chat_template=template, patch_size=PATCH,
        vision_feature_select_strategy="default", num_additional_image_tokens=1,
    ).save_pretrained(folder)  # fmt: skip
    return folder
