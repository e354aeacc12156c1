"""Ask a trained model: what changed, where, and what does it see?

>>> model = lapse.load()                                            # doctest: +SKIP
>>> model.compare("2021.png", "2023.png").text                      # doctest: +SKIP
'the main image has an additional finding of edema than the reference image.'
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import ModelHubMixin, snapshot_download
from torch import nn

from lapse.config import GenerationConfig
from lapse.core.grammar import QUESTION_CHANGED, Change
from lapse.core.tokenizer import without_box
from lapse.core.types import Box, Region, Sample
from lapse.data.loading.batch import collate, encode_sample
from lapse.inference.answer import RESEARCH_USE, Answer, answer_images
from lapse.inference.pretrained.export import Parts, read_folder, write_folder
from lapse.inference.pretrained.image_input import ModelImage, Source, load_model_image
from lapse.inference.pretrained.model_card import model_card
from lapse.models.backbones.siglip_format import export_encoder
from lapse.training.distributed import pick_device
from lapse.training.exported_model import CARD, CONFIG, DEFAULT, WEIGHTS

REVISION = re.compile(r"[0-9a-f]{40}")
SIDES = ("reference", "main")


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a model says about two radiographs of one patient.

    Attributes:
        answer: the sentence, its parsed changes, and words that could not be read.
        boxes: side ("reference", "main") -> finding -> where the captioner sees it; a finding
            stands on the sides where the answer says it is present, None for a malformed box.
        notice: research use only.
    """

    answer: Answer
    boxes: Mapping[str, Mapping[str, Box | None]]
    notice: str = RESEARCH_USE

    @property
    def text(self) -> str:
        """The answer as written."""
        return self.answer.text

    @property
    def confidence(self) -> Mapping[str, float]:
        """How much of the beam says the same: of the answer, and of each change."""
        return self.answer.confidence

    @property
    def changes(self) -> tuple[Change, ...]:
        """What the grammar reads in the answer."""
        return self.answer.changes

    def lines(self) -> list[str]:
        """The answer and its boxes for a terminal, the safety sentence last."""
        *told, notice = self.answer.lines()
        for side, found in self.boxes.items():
            for finding, box in found.items():
                told.append(f"  {finding} in the {side} image: {_place(box)}")
        return [*told, notice]


class Lapse(nn.Module, ModelHubMixin):
    """Captioner and answerer around one encoder; made by `load`, `from_pretrained` or of runs."""

    # Our own config.json says everything. Left to itself the mixin keeps a deep copy of the parts,
    # weights and tokenizers included.
    _hub_mixin_config: dict[str, Any] | None = {}  # noqa: RUF012

    def __init__(self, parts: Parts) -> None:
        super().__init__()
        self.parts = parts
        self.captioner, self.answerer = parts.captioner, parts.answerer
        self.eval()

    @property
    def side(self) -> int:
        """Pixels of a side at which images are read."""
        return int(self.parts.pretrain.model_config_object().encoder.image_size)

    def open(self, image: Source | ModelImage) -> ModelImage:
        """Read an image once, to ask several things about it."""
        if isinstance(image, ModelImage):
            return image
        return load_model_image(image, self.side, self.parts.resize)

    def compare(
        self,
        reference: Source | ModelImage,
        main: Source | ModelImage,
        question: str = QUESTION_CHANGED,
    ) -> Comparison:
        """What changed from the reference to the main image, and where each finding is.

        Args:
            reference: the earlier radiograph: path, Pillow image, or array [H, W].
            main: the later one, of the same patient.
            question: one of the data set's templates; others are unseen.

        Raises:
            ValueError: an image cannot be read, or the question is empty.
        """
        pictures = dict(zip(SIDES, (self.open(reference), self.open(main)), strict=True))
        pixels = [picture.pixels for picture in pictures.values()]
        said = answer_images(self.answerer, self.parts.diffvqa, pixels, question)
        boxes = {
            side: self._places(picture, [c.finding for c in said.changes if side in _sides(c)])
            for side, picture in pictures.items()
        }
        return Comparison(said, boxes)

    def caption(self, image: Source | ModelImage, *, num_beams: int | None = None) -> str:
        """The report that the captioner writes of one radiograph (Cap)."""
        return self._write(self.open(image), "cap:", [""], num_beams)[0]

    def ground(
        self, image: Source | ModelImage, phrase: str, *, num_beams: int | None = None
    ) -> Box | None:
        """Where a phrase belongs, in fractions of the image (AREF); None for a malformed box."""
        if not phrase.strip():
            raise ValueError("the phrase is empty: give a sentence such as 'There is edema.'")
        picture = self.open(image)
        return picture.found(self._write(picture, "aref:", [phrase.strip()], num_beams)[0])

    def describe(
        self, image: Source | ModelImage, box: Box, *, num_beams: int | None = None
    ) -> str:
        """What is seen inside a box of fractions of the image (GCAP)."""
        picture = self.open(image)
        return self._write(picture, "gcap:", [picture.written(box)], num_beams)[0]

    def region(
        self, image: Source | ModelImage, names: Sequence[str], *, num_beams: int | None = None
    ) -> tuple[Region, ...]:
        """Phrase and box of anatomical regions by name, such as ["left lung"] (CAREF).

        Raises:
            ValueError: the image cannot be read, or `names` is one string.
        """
        if isinstance(names, str):
            raise ValueError(f"names is the string {names!r}: give a list of names, [{names!r}]")
        picture = self.open(image)
        texts = self._write(picture, "caref:", [f"{name}:" for name in names], num_beams)
        return tuple(
            Region(name, (phrase,) if (phrase := without_box(text)) else (), picture.found(text))
            for name, text in zip(names, texts, strict=True)
        )

    def export_encoder(self, folder: Path | str) -> None:
        """Write the encoder for transformers: `SiglipVisionModel.from_pretrained(folder)`."""
        export_encoder(self.captioner.encoder, Path(folder))

    def _places(self, picture: ModelImage, findings: Sequence[str]) -> dict[str, Box | None]:
        if not findings:
            return {}
        texts = self._write(picture, "aref:", [f"There is {name}." for name in findings], None)
        return {name: picture.found(text) for name, text in zip(findings, texts, strict=True)}

    def _write(
        self, picture: ModelImage, prefix: str, given: Sequence[str], num_beams: int | None
    ) -> list[str]:
        """What the captioner writes behind each prompt about one image, encoded once."""
        if not given:
            return []
        config = self.parts.pretrain
        samples = [
            Sample(f"{prefix}{row}", prefix.strip(":"), ("image",), "", prefix, text, " ?")
            for row, text in enumerate(given)
        ]
        texts = [
            encode_sample(s, self.captioner.tokenizer, config.data.max_tokens) for s in samples
        ]
        device = next(self.captioner.parameters()).device
        batch = collate(samples, texts, {"image": picture.pixels}).to(device)
        generation = config.generation
        if num_beams is not None:
            generation = GenerationConfig.model_validate(
                {**generation.model_dump(), "num_beams": num_beams}
            )
        with torch.no_grad():
            return [text.strip() for text in self.captioner.answer(batch, generation)]

    def _save_pretrained(self, save_directory: Path) -> None:
        write_folder(save_directory, self.parts, model_card(self.parts))

    @classmethod
    def _from_pretrained(cls, *, model_id: str, revision: str | None, **options: Any) -> Lapse:
        return cls(read_folder(_fetched(model_id, revision, options.get("cache_dir"))))


def load(
    name: str | Path | None = None,
    *,
    revision: str | None = None,
    device: str | torch.device | None = None,
) -> Lapse:
    """Open a trained model.

    Args:
        name: a model folder, or a hub id with a pinned revision; default: the small model
            that ships with the package.
        revision: 40 hexadecimal digits of the commit on the hub.
        device: default: the GPU if there is one.

    Raises:
        ValueError: no such folder, a hub id without a pinned revision, or damaged files.
    """
    place = torch.device(device) if device is not None else pick_device()
    folder = DEFAULT if name is None else _fetched(str(name), revision, None)
    return Lapse(read_folder(folder)).to(place)


def _fetched(name: str, revision: str | None, cache: str | Path | None) -> Path:
    if Path(name).is_dir():
        return Path(name)
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name) or Path(name).exists():
        raise ValueError(f"no model folder {name}: give a folder, or a hub id such as name/model")
    if not REVISION.fullmatch(revision or ""):
        raise ValueError(
            f"hub id {name!r} with revision {revision!r}: pin it with revision=<40 hex digits>, "
            "so that the same weights are read next year"
        )
    files = [CONFIG, WEIGHTS, CARD]
    return Path(snapshot_download(name, revision=revision, allow_patterns=files, cache_dir=cache))


def _place(box: Box | None) -> str:
    if box is None:
        return "no box found"
    across, down = (f"{low:.0%} .. {high:.0%}" for low, high in _spans(box))
    return f"{across} from the left edge, {down} from the top"


def _spans(box: Box) -> tuple[tuple[float, float], tuple[float, float]]:
    return (box.x_min, box.x_max), (box.y_min, box.y_max)


def _sides(change: Change) -> tuple[str, ...]:
    """On which images a finding is present, by the answer."""
    return {"added": ("main",), "missing": ("reference",)}.get(change.kind, SIDES)
