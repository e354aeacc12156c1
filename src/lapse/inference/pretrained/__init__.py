"""Trained models in one folder: load them, compare two images, export runs.

    load(folder | hub id) -> Lapse:  compare  caption  describe  ground  region

Both stages share one encoder, which is stored once. `Lapse.save_pretrained` writes the folder,
`push_to_hub` uploads it, and `lapse export` writes it from two runs.
"""

from lapse.inference.answer import AnswerOptions
from lapse.inference.comparison import Comparison
from lapse.inference.pretrained.export import ModelParts
from lapse.inference.pretrained.image_input import ModelImage, load_model_image
from lapse.inference.pretrained.model import Lapse, load
from lapse.training.exported_model import DEFAULT

__all__ = [
    "DEFAULT",
    "AnswerOptions",
    "Comparison",
    "Lapse",
    "ModelImage",
    "ModelParts",
    "load",
    "load_model_image",
]
