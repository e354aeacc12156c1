"""Options of predictions: which samples are answered, and how."""

from __future__ import annotations

from dataclasses import dataclass

from lapse.config import GenerationConfig
from lapse.data.loading.batch_stream import Pixels


@dataclass(frozen=True, slots=True)
class PredictOptions:
    """Which samples are answered, and how.

    Attributes:
        tasks: names of tasks; () for those of the run. An exported model holds two models, and
            the tasks select one; () selects the answerer.
        limit: at most this many samples over all tasks, in equal parts. The choice depends on
            the store alone, so that two runs, and a probe, answer the same samples.
        num_beams, max_new_tokens, batch_size: override the `generation` values of the run.
        confidence: "none", "beam" or "clauses": fills `Prediction.confidence`.
        guarded: also give the guarded answer to each question about two images, and the result of
            the input check ("unusual input": 0, 0.5 for a warning, 1 for a refusal); about ten
            readings instead of one.
        probe: one of `lapse.inference.probes.PROBES`, or None for the samples themselves.
        exposure_source: for the probe "acquisition": image key -> a second exposure, [S, S]
            uint8, such as a phantom rendered again; None imitates one from the stored pixels.
        bits: 8 or 4 quantizes an image-text-to-text model of transformers.
    """

    tasks: tuple[str, ...] = ()
    limit: int | None = None
    num_beams: int | None = None
    max_new_tokens: int | None = None
    batch_size: int | None = None
    confidence: str = "none"
    guarded: bool = False
    probe: str | None = None
    exposure_source: Pixels | None = None
    bits: int | None = None

    def generation(self, config: GenerationConfig) -> GenerationConfig:
        """The run's generation settings with the overrides of these options."""
        names = ("num_beams", "max_new_tokens", "batch_size")
        overrides = {name: value for name in names if (value := getattr(self, name)) is not None}
        return GenerationConfig.model_validate({**config.model_dump(), **overrides})
