"""A trained model in one folder, and what can be asked of it.

    load(folder | hub id) -> Lapse:  compare  caption  describe  ground  region

Both stages share one encoder, stored once; `Lapse.save_pretrained` writes the folder,
`push_to_hub` uploads it, `lapse export` makes it of two runs.
"""

from lapse.pretrained.folder import Parts
from lapse.pretrained.model import Comparison, Lapse, load
from lapse.pretrained.pictures import Picture, open_picture
from lapse.saved import DEFAULT

__all__ = ["DEFAULT", "Comparison", "Lapse", "Parts", "Picture", "load", "open_picture"]
