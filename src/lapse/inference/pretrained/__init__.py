"""A trained model in one folder, and what can be asked of it.

    load(folder | hub id) -> Lapse:  compare  caption  describe  ground  region

Both stages share one encoder, stored once; `Lapse.save_pretrained` writes the folder,
`push_to_hub` uploads it, `lapse export` makes it of two runs.
"""

from lapse.inference.pretrained.export import Parts
from lapse.inference.pretrained.image_input import ModelImage, load_model_image
from lapse.inference.pretrained.model import Comparison, Lapse, load
from lapse.training.exported_model import DEFAULT

__all__ = ["DEFAULT", "Comparison", "Lapse", "ModelImage", "Parts", "load", "load_model_image"]
