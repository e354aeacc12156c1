"""Any image-text-to-text model of transformers as a system that answers questions.

    hf:FOLDER | hf:org/name@<40 hex digits>  --open_image_text_model-->  ImageTextAnswerer

    Reference image: <image> Main image: <image> prompt of `assets/prompts` with the question

The prompt states the grammar of the answers. It is a versioned file of this package, so that two
systems get equal words. Only safetensors are read, and no code of a model folder is run. What the
model generates is stored as it is; `lapse evaluate` reads it as the answer of any other system.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module, resources
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from lapse.config import GenerationConfig
from lapse.core import registry
from lapse.core.extras import check_extra
from lapse.core.files import sha256_of
from lapse.core.hub import FORM, parse_hub_id
from lapse.core.types import Sample
from lapse.data.loading.batch_stream import Pixels
from lapse.data.store.store import Store
from lapse.inference.generate import GeneratedAnswer
from lapse.inference.predict_options import PredictOptions
from lapse.training.distributed import pick_device

logger = logging.getLogger(__name__)

SCHEME = "hf:"
PROMPTS = {2: "difference-v1", 1: "question-v1"}  # by number of images
NAMES = {2: ("Reference image:", "Main image:"), 1: ("Image:",)}
# One sample at a time, greedily, unless the options say otherwise.
GENERATION = GenerationConfig(num_beams=1, max_new_tokens=160, batch_size=1)


def prompt_of(sample: Sample) -> str:
    """The text of the prompt, without the images."""
    return prompt_template(PROMPTS[len(sample.images)]).replace("{question}", sample.prompt)


def prompt_template(name: str) -> str:
    """A prompt of the package, with "{question}" where the question belongs."""
    return (resources.files("lapse.assets") / "prompts" / f"{name}.txt").read_text("utf-8").strip()


@dataclass(frozen=True, slots=True)
class ImageTextModel:
    """A loaded model.

    Attributes:
        model: in evaluation mode, on its device.
        processor: of its texts and images, with padding on the left.
        facts: name, weights, precision.
    """

    model: Any
    processor: Any
    facts: Mapping[str, str]


class ImageTextAnswerer:
    """Answers samples with an image-text-to-text model.

    Raises:
        ValueError: a task that is not about questions, or a confidence.
    """

    def __init__(self, loaded: ImageTextModel, options: PredictOptions) -> None:
        self.tasks = options.tasks or ("diff_vqa",)
        others = [name for name in self.tasks if registry.load("tasks", name).records != "pairs"]
        if others:
            raise ValueError(
                f"an image-text-to-text model answers questions, and the task {others[0]!r} has "
                "none: give --tasks diff_vqa, vqa or medical_vqa"
            )
        if options.confidence != "none" or options.guarded:
            raise ValueError(
                "an image-text-to-text model gives no confidence and no guarded answer: remove "
                "--confidence and --guarded"
            )
        self.loaded = loaded
        self.generation = options.generation(GENERATION)
        for name in PROMPTS.values():
            logger.info("prompt %s:", name)
            for line in prompt_template(name).splitlines():
                logger.info("  %s", line)

    @property
    def batch_size(self) -> int:
        """Samples of one batch."""
        return self.generation.batch_size

    @property
    def facts(self) -> dict[str, str]:
        """Model, prompts and generation settings."""
        prompts = {name: prompt_template(name) for name in PROMPTS.values()}
        digest = hashlib.sha256(json.dumps(prompts).encode()).hexdigest()
        return {
            **self.loaded.facts,
            "prompts": f"{', '.join(prompts)}, {digest[:12]}",
            "generation": json.dumps(self.generation.model_dump(mode="json")),
        }

    def check_store(self, store: Store) -> None:
        """Any store: the processor of the model resizes its images."""
        logger.info(
            "images: %d px of the store, resized by the processor of the model", store.info.size
        )

    def prompt_length(self, sample: Sample) -> int:
        """Characters of the prompt."""
        return len(prompt_of(sample))

    def answer(self, samples: Sequence[Sample], pixels: Pixels) -> list[GeneratedAnswer]:
        """The answers of one batch, without surrounding blanks."""
        images = [
            [Image.fromarray(pixels(key), "L").convert("RGB") for key in sample.images]
            for sample in samples
        ]
        processor, model = self.loaded.processor, self.loaded.model
        texts = [self._text(sample) for sample in samples]
        start = processor.tokenizer.bos_token
        has_start = start is not None and all(text.startswith(start) for text in texts)
        inputs = processor(
            text=texts,
            images=images,
            padding=True,
            return_tensors="pt",
            add_special_tokens=not has_start,
        )
        inputs = inputs.to(model.device, model.dtype)  # floating-point tensors only
        with torch.inference_mode():
            tokens = model.generate(
                **inputs,
                do_sample=False,
                num_beams=self.generation.num_beams,
                length_penalty=self.generation.length_penalty,
                max_new_tokens=self.generation.max_new_tokens,
                temperature=None,
                top_p=None,
                top_k=None,
            )
        if not model.config.is_encoder_decoder:
            tokens = tokens[:, inputs["input_ids"].shape[1] :]
        answers = processor.batch_decode(tokens, skip_special_tokens=True)
        return [GeneratedAnswer(text.strip()) for text in answers]

    def _text(self, sample: Sample) -> str:
        """The complete input of one sample, with the placeholders of its images."""
        content: list[dict[str, str]] = []
        for name in NAMES[len(sample.images)]:
            content += [{"type": "text", "text": f"{name}\n"}, {"type": "image"}]
        content.append({"type": "text", "text": f"\n{prompt_of(sample)}"})
        text: str = self.loaded.processor.apply_chat_template(
            [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
        )
        return text


def open_image_text_model(
    source: str, *, device: torch.device | str | None = None, bits: int | None = None
) -> ImageTextModel:
    """Load a model and its processor.

    Args:
        source: a folder of transformers, or "org/name@<40 hex digits>".
        device: None picks a GPU if there is one.
        bits: 8 or 4 quantizes the weights (needs bitsandbytes); None keeps bf16 on a GPU and fp32
            on a CPU.

    Raises:
        ValueError: no such folder, an unpinned hub id, another kind of model, no safetensors, or a
            processor without a chat template.
    """
    check_extra("transformers", ["transformers"], "an image-text-to-text model")
    library = import_module("transformers")  # its loaders are not typed
    device = torch.device(device or pick_device())
    name, options = _location(source)
    dtype = torch.float32 if device.type == "cpu" else torch.bfloat16
    weights: dict[str, Any] = {"dtype": dtype, "use_safetensors": True}
    if bits is not None:
        weights |= {"quantization_config": _quantization(bits), "device_map": {"": device}}
    try:
        processor = library.AutoProcessor.from_pretrained(name, **options)
        model: Any = library.AutoModelForImageTextToText.from_pretrained(name, **options, **weights)
    except (OSError, ValueError, ImportError, KeyError, RuntimeError) as error:
        raise ValueError(
            f"{SCHEME}{source} cannot be read as an image-text-to-text model: "
            f"{' '.join(str(error).split())[:300]}"
        ) from None
    if getattr(processor, "chat_template", None) is None:
        raise ValueError(
            f"{SCHEME}{source} has no chat template, which says where images are in a prompt: use "
            "the instruction-tuned version of the model, or add chat_template.jinja to its folder"
        )
    processor.tokenizer.padding_side = "left"
    if bits is None:
        model.to(device)
    facts = {
        "model": source,
        "weights": options.get("revision") or _folder_hash(Path(source)),
        "architecture": type(model).__name__,
        "precision": str(dtype) if bits is None else f"{bits} bits",
        "device": device.type,
    }
    return ImageTextModel(model.eval(), processor, facts)


def _location(source: str) -> tuple[str, dict[str, Any]]:
    """The name for transformers, and the options of every file that it reads."""
    options: dict[str, Any] = {"trust_remote_code": False}
    if Path(source).is_dir():
        return source, options | {"local_files_only": True}
    hub_id = parse_hub_id(source)
    if hub_id is None:
        raise ValueError(
            f"{SCHEME}{source} is neither a folder nor a hub id with a pinned revision ({FORM})"
        )
    return hub_id[0], options | {"revision": hub_id[1]}


def _quantization(bits: int) -> Any:
    if bits not in (4, 8):
        raise ValueError(f"weights of {bits} bits: 8 or 4")
    if find_spec("bitsandbytes") is None:
        raise ValueError(f"weights of {bits} bits need bitsandbytes: pip install bitsandbytes")
    library = import_module("transformers")
    if bits == 8:
        return library.BitsAndBytesConfig(load_in_8bit=True)
    return library.BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_compute_dtype=torch.bfloat16)


def _folder_hash(folder: Path) -> str:
    """A hash of all files of a folder."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    text = "\n".join(f"{path.name} {sha256_of(path)}" for path in files)
    return hashlib.sha256(text.encode()).hexdigest()
