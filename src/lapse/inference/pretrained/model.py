"""A trained model: compare two radiographs, describe one, find a phrase.

>>> model = lapse.load()                                            # doctest: +SKIP
>>> model.compare("2021.png", "2023.png").text                      # doctest: +SKIP
'the main image has an additional finding of edema than the reference image.'
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import ModelHubMixin, snapshot_download
from torch import nn

from lapse.core.annotation_names import REGIONS
from lapse.core.changes import QUESTION_CHANGED
from lapse.core.hub import FORM, parse_hub_id
from lapse.core.tokenizer import without_box
from lapse.core.types import Box, Region, Sample
from lapse.images import ImageProcessing
from lapse.inference.answer import (
    ROLES,
    AnswerOptions,
    answer_images,
    roles_with,
    with_probabilities,
)
from lapse.inference.checks.checker import InputChecker
from lapse.inference.checks.issues import InputIssue, is_unfamiliar, refuse_unusual
from lapse.inference.checks.questions import check_phrase, check_question, check_regions
from lapse.inference.comparison import Comparison
from lapse.inference.finding_phrases import MIDLINE, stating_sentence
from lapse.inference.generate import GenerateOptions, generate
from lapse.inference.predict_options import PredictOptions
from lapse.inference.pretrained.export import ModelParts, read_folder, write_folder
from lapse.inference.pretrained.image_input import ModelImage, Source, load_model_image
from lapse.inference.pretrained.model_card import model_card
from lapse.inference.region_names import name_boxes
from lapse.metrics.guard import GuardRule
from lapse.models.backbones.siglip_format import export_encoder
from lapse.models.backbones.vision_encoder import VisionEncoder
from lapse.training.distributed import pick_device
from lapse.training.exported_model import CARD, CHECK, CONFIG, DEFAULT, PACKAGED, WEIGHTS

logger = logging.getLogger(__name__)


class Lapse(nn.Module, ModelHubMixin):
    """Captioner and answerer that share one encoder; built by `load` or `from_pretrained`."""

    # config.json of the model folder holds everything. Without this the mixin would keep a deep
    # copy of the parts, weights and tokenizers included.
    _hub_mixin_config: dict[str, Any] | None = {}  # noqa: RUF012

    def __init__(self, parts: ModelParts) -> None:
        super().__init__()
        self.parts = parts
        self.captioner, self.answerer = parts.captioner, parts.answerer
        self.eval()

    @property
    def image_size(self) -> int:
        """Height and width in pixels at which images are read."""
        return int(self.parts.pretrain.model_config_object().encoder.image_size)

    @property
    def processing(self) -> ImageProcessing:
        """How images are read."""
        return self.parts.processing

    @property
    def tasks(self) -> Sequence[str]:
        """The tasks of stage 2, which name the questions that are answered."""
        return self.parts.diffvqa.data.tasks

    @property
    def trained_on(self) -> str:
        """The training data, in words where the model folder has them."""
        facts = self.parts.facts
        data = facts.get("diffvqa: data", "unknown data")[:12]
        return facts.get("trained on", f"data {data}..., not described")

    @property
    def facts(self) -> dict[str, str]:
        """Name, image size and facts of the model, as outputs state them."""
        parts = self.parts
        return {
            "model": f"{parts.pretrain.name} + {parts.diffvqa.name}",
            "image": f"{self.image_size} x {self.image_size} pixels, {parts.processing}",
            **parts.facts,
        }

    def open(self, image: Source | ModelImage, *, allow_unusual: bool = False) -> ModelImage:
        """Read an image once, for several calls.

        Args:
            image: path, Pillow image, or array [H, W].
            allow_unusual: answer about it although an input check refuses it.
        """
        opened = load_model_image(image, self.image_size, self.parts.processing)
        return replace(opened, allow_unusual=True) if allow_unusual else opened

    def check(self, images: Mapping[str, Source | ModelImage]) -> tuple[InputIssue, ...]:
        """What the input checks report about one film or two, without an answer.

        Args:
            images: name of the film in messages -> the film; of two, the reference first.
        """
        opened = {role: self.open(image) for role, image in images.items()}
        facts = {role: image.facts for role, image in opened.items()}
        checker = InputChecker(self.parts.pixel_check, self.parts.encode)
        return checker.issues(facts, [image.pixels for image in opened.values()])

    def compare(
        self,
        reference: Source | ModelImage,
        main: Source | ModelImage,
        question: str = QUESTION_CHANGED,
        options: AnswerOptions | None = None,
    ) -> Comparison:
        """What changed from the reference to the main image, and where each finding is.

        Args:
            reference: the earlier radiograph: path, Pillow image, or array [H, W].
            main: the later one, of the same patient.
            question: one of the data set's templates.

        Raises:
            ValueError: an image cannot be read, or an unknown question.
            UnusualInputError: an input check refuses the films (a ValueError).
        """
        options = options or AnswerOptions()
        check_question(question, self.parts.diffvqa.data.tasks)
        images = dict(zip(ROLES, (self.open(reference), self.open(main)), strict=True))
        if options.facts is not None:
            images = {
                role: replace(image, facts=facts)
                for (role, image), facts in zip(images.items(), options.facts, strict=True)
            }
        issues = self.check({f"{role} image": image for role, image in images.items()})
        is_allowed = options.allow_unusual or any(i.allow_unusual for i in images.values())
        refuse_unusual(issues, allow_unusual=is_allowed)
        pixels = [image.pixels for image in images.values()]
        rule = None
        if options.guarded:
            rule = replace(self.parts.guard or GuardRule(), is_strict=is_unfamiliar(issues))
        answer = answer_images(self.answerer, self.parts.diffvqa, pixels, question, rule=rule)
        boxes: dict[str, dict[str, Box | None]] = {}
        anatomy: dict[str, dict[str, str]] = {}
        for role, image in images.items():
            findings = [c.finding for c in answer.changes if role in roles_with(c)]
            described = self._describe_regions(image) if findings else {}
            boxes[role] = self._find_boxes(image, findings, described)
            anatomy[role] = self._name_boxes(image, boxes[role], described)
        answer = replace(answer, issues=(*issues, *answer.issues), trained_on=self.trained_on)
        answer = with_probabilities(answer, self.parts.calibration)
        films = {role: image.film() for role, image in images.items()}
        return Comparison(answer, boxes, anatomy, question=question, model=self.facts, films=films)

    def caption(self, image: Source | ModelImage, *, num_beams: int | None = None) -> str:
        """Generate the report of one radiograph (Cap)."""
        return self._generate(self._checked(image), "cap:", [""], num_beams)[0]

    def ground(
        self, image: Source | ModelImage, phrase: str, *, num_beams: int | None = None
    ) -> Box | None:
        """Find a phrase, in fractions of the image (AREF); None for a malformed box.

        Raises:
            ValueError: the image cannot be read or is refused, or the phrase names no finding.
        """
        check_phrase(phrase)
        image = self._checked(image)
        return image.parse_box(self._generate(image, "aref:", [phrase.strip()], num_beams)[0])

    def describe(
        self, image: Source | ModelImage, box: Box, *, num_beams: int | None = None
    ) -> str:
        """Describe the inside of a box, given in fractions of the image (GCAP)."""
        image = self._checked(image)
        return self._generate(image, "gcap:", [image.format_box(box)], num_beams)[0]

    def region(
        self, image: Source | ModelImage, names: Sequence[str], *, num_beams: int | None = None
    ) -> tuple[Region, ...]:
        """Phrase and box of anatomical regions by name, such as ["left lung"] (CAREF).

        Raises:
            ValueError: the image cannot be read or is refused, `names` is one string, or a
                name is unknown.
        """
        check_regions(names)
        image = self._checked(image)
        texts = self._generate(image, "caref:", [f"{name}:" for name in names], num_beams)
        return tuple(
            Region(name, (phrase,) if (phrase := without_box(text)) else (), image.parse_box(text))
            for name, text in zip(names, texts, strict=True)
        )

    def export_encoder(self, folder: Path | str) -> None:
        """Write the encoder for transformers: `SiglipVisionModel.from_pretrained(folder)`."""
        encoder = self.parts.encoder
        if not isinstance(encoder, VisionEncoder):
            raise ValueError(f"the encoder is a {type(encoder).__name__}: transformers has it")
        export_encoder(encoder, Path(folder))

    def _checked(self, image: Source | ModelImage) -> ModelImage:
        """Open an image and check it alone; warnings are logged."""
        opened = self.open(image)
        issues = self.check({"image": opened})
        refuse_unusual(issues, allow_unusual=opened.allow_unusual)
        for issue in issues:
            if issue.level != "note":
                logger.warning("%s", issue.message)
        return opened

    def _describe_regions(self, image: ModelImage) -> dict[str, str]:
        """Phrase and box of every region of a film as generated; {} without that task.

        They need no beam search.
        """
        if "caref" not in self.parts.pretrain.data.tasks:
            return {}
        texts = self._generate(image, "caref:", [f"{name}:" for name in REGIONS], 1)
        return dict(zip(REGIONS, texts, strict=True))

    def _find_boxes(
        self, image: ModelImage, findings: Sequence[str], described: Mapping[str, str]
    ) -> dict[str, Box | None]:
        """The box of each finding, on the side that the descriptions of the film name.

        None where no description states a finding that has a side: a phrase without the side would
        give an arbitrary one.
        """
        phrases = {name: f"There is {name}." for name in findings}
        if described:
            texts = [without_box(text) for text in described.values()]
            stated = {name: stating_sentence(name, texts) for name in findings}
            phrases = {
                name: stated[name] or phrase
                for name, phrase in phrases.items()
                if stated[name] or name in MIDLINE
            }
        texts = self._generate(image, "aref:", list(phrases.values()), None)
        boxes = {name: image.parse_box(text) for name, text in zip(phrases, texts, strict=True)}
        return {name: boxes.get(name) for name in findings}

    def _name_boxes(
        self, image: ModelImage, boxes: Mapping[str, Box | None], described: Mapping[str, str]
    ) -> dict[str, str]:
        """The anatomical region of each box (`lapse.inference.region_names`).

        A model learns the box of a finding as the box of a region, so its own boxes of the regions
        of this film name it.
        """
        present = {name: box for name, box in boxes.items() if box is not None}
        regions = {name: image.parse_box(text) for name, text in described.items()}
        return name_boxes(present, {name: box for name, box in regions.items() if box is not None})

    def _generate(
        self, image: ModelImage, prefix: str, given: Sequence[str], num_beams: int | None
    ) -> list[str]:
        """The captioner's text for each prompt about one image."""
        config = self.parts.pretrain
        samples = [
            Sample(f"{prefix}{row}", prefix.strip(":"), ("image",), "", prefix, text, " ?")
            for row, text in enumerate(given)
        ]
        # in one batch, so that the image is encoded once
        overrides = PredictOptions(num_beams=num_beams, batch_size=max(1, len(samples)))
        options = GenerateOptions(
            overrides.generation(config.generation),
            config.data.max_tokens,
            precision=config.train.precision,
        )
        answers = generate(self.captioner, samples, {"image": image.pixels}.__getitem__, options)
        return [answer.text for answer in answers]

    def _save_pretrained(self, save_directory: Path) -> None:
        write_folder(save_directory, self.parts, model_card(self.parts))

    @classmethod
    def from_pretrained(  # type: ignore[override]
        cls, name: str | Path, *, cache_dir: str | Path | None = None
    ) -> Lapse:
        """Load a model folder, or a model of the hub at a pinned revision; the model is on the CPU.

        Args:
            name: a model folder, "packaged", or "org/name@<40 hex digits>".
            cache_dir: folder of downloads; None: the hub's cache.

        Raises:
            ValueError: no such folder, a hub id without a pinned revision, or damaged files.
        """
        return cls(read_folder(model_folder(str(name), cache_dir)))


def load(
    name: str | Path | None = None,
    *,
    device: str | torch.device | None = None,
) -> Lapse:
    """Load a trained model.

    Args:
        name: a model folder, or a hub id "org/name@<40 hex digits>"; default, or "packaged": the
            small model that is part of the package.
        device: default: the GPU if there is one.

    Raises:
        ValueError: no such folder, a hub id without a pinned revision, or damaged files.
    """
    folder = model_folder(PACKAGED if name is None else str(name))
    return Lapse(read_folder(folder)).to(pick_device() if device is None else device)


def model_folder(name: str, cache: str | Path | None = None) -> Path:
    """The folder of a model: a folder, "packaged", or the local copy of a model on the hub.

    Raises:
        ValueError: no such folder, or a hub id without a pinned revision.
    """
    if name == PACKAGED:
        return DEFAULT
    if Path(name).is_dir():
        return Path(name)
    hub_id = parse_hub_id(name)
    if hub_id is None:
        raise ValueError(
            f"{name!r} is neither a model folder nor a hub id with a pinned revision ({FORM})"
        )
    repo, revision = hub_id
    files = [CONFIG, WEIGHTS, CARD, CHECK]
    return Path(snapshot_download(repo, revision=revision, allow_patterns=files, cache_dir=cache))
