"""A frozen encoder's tokens of every image of a run: computed once, kept beside the store.

    STORE.features/KEY/features.json      what KEY is the hash of
    STORE.features/KEY/block-00012.npy    tokens of the store's images 768 .. 831, [64, N, D]
    STORE.features/KEY/block-00012.json   CRC-32 of each image; written last, so it says "whole"

KEY covers the encoder's weights, the store's fingerprint and both precisions: another encoder or
other images are another folder, so nothing stale can be read. A killed run goes on behind its
last whole block. At the paper's size an image takes 2.36 MB in bf16.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import zlib
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from lapse.config import RunConfig
from lapse.core.files import atomic_write, write_text
from lapse.core.types import Pair
from lapse.data.loading.training_data import TrainingData
from lapse.data.store.store import Store
from lapse.training.distributed import DistributedContext, autocast

FORMAT = 1
BLOCK = 64  # images of one file
NUM_OPEN = 64  # memory maps kept open at once
ABOUT = "features.json"
TYPES: dict[str, Any] = {"bf16": torch.bfloat16, "fp32": torch.float32}


class Features:
    """The cached tokens of one encoder on one store, read through memory maps.

    Args:
        folder: STORE.features/KEY.
        row_of: image key -> its place in the store.
        precision: "bf16" or "fp32", as on the disk.
    """

    def __init__(self, folder: Path, row_of: Callable[[str], int], precision: str) -> None:
        self.folder, self.row_of, self.precision = folder, row_of, precision
        self._open: OrderedDict[int, tuple[npt.NDArray[Any], list[int]]] = OrderedDict()

    def tokens(self, key: str) -> Tensor:
        """The tokens of one image, [N, D].

        Raises:
            ValueError: the image was not cached, or its bytes on the disk have changed.
        """
        index, place = divmod(self.row_of(key), BLOCK)
        values, sums = self._block(index)
        row = np.array(values[place])
        if zlib.crc32(row.tobytes()) != sums[place]:
            raise ValueError(
                f"the cached features of image {key!r} in {self._path(index)} are damaged: delete "
                f"{self.folder} and run the same command again"
            )
        raw = torch.from_numpy(row)
        return raw.view(torch.bfloat16) if self.precision == "bf16" else raw

    def has_block(self, index: int) -> bool:
        """Whether a block is there, whole."""
        return self._path(index).with_suffix(".json").is_file()

    def write_block(self, index: int, tokens: Tensor) -> None:
        """Write the tokens [n, N, D] of the images of one block."""
        kept = tokens.detach().to(TYPES[self.precision]).cpu().contiguous()
        raw = kept.view(torch.int16) if self.precision == "bf16" else kept
        values = raw.numpy()
        path = self._path(index)
        with atomic_write(path) as temporary, temporary.open("wb") as file:
            np.save(file, values)
        sums = json.dumps([zlib.crc32(row.tobytes()) for row in values])
        write_text(path.with_suffix(".json"), sums)

    def _path(self, index: int) -> Path:
        return self.folder / f"block-{index:05d}.npy"

    def _block(self, index: int) -> tuple[npt.NDArray[Any], list[int]]:
        if index not in self._open:
            path = self._path(index)
            if not self.has_block(index):
                raise ValueError(f"{path} is not there: delete {self.folder} and start again")
            try:
                values = np.load(path, mmap_mode="r", allow_pickle=False).view(np.ndarray)
                sums: list[int] = json.loads(path.with_suffix(".json").read_text("utf-8"))
            except (OSError, EOFError, ValueError) as error:
                raise ValueError(
                    f"{path} is damaged ({error}): delete {self.folder} and start again"
                ) from error
            self._open[index] = (values, sums)
            while len(self._open) > NUM_OPEN:
                self._open.popitem(last=False)
        self._open.move_to_end(index)
        return self._open[index]


def build_feature_cache(
    model: Any, store: Store, data: TrainingData, config: RunConfig, world: DistributedContext
) -> tuple[Features, str]:
    """Compute what is missing of the features of a run; every rank makes its share.

    Args:
        model: a system with a frozen `encoder` and `encode`.
        store: the images.
        data: whose images are wanted: training and held-out rows.
        config: the run; `data.cache_features` is the precision on the disk.
        world: the ranks; they must see one file system.

    Returns:
        the features, and one sentence about where they lie and how many blocks were made.

    Raises:
        ValueError: the encoder is trained or there is none, the system reads no cached
            tokens, or the disk is too small.
    """
    encoder = getattr(model, "encoder", None)
    if not hasattr(model, "encode") or encoder is None:
        raise ValueError(
            f"data.cache_features is {config.data.cache_features!r}, but {config.model_type!r} has "
            "no frozen encoder: set it to none"
        )
    if not getattr(model, "reads_features", False):
        raise ValueError(
            f"data.cache_features is {config.data.cache_features!r}, but {config.model_type!r} "
            "reads its images in every step and no cached tokens: set it to none"
        )
    if any(parameter.requires_grad for parameter in encoder.parameters()):
        raise ValueError(
            "data.cache_features needs a frozen encoder, and this one is trained: set "
            "model.train_encoder=false or data.cache_features=none"
        )
    about = {
        "format": FORMAT,
        "store": store.info.fingerprint,
        "encoder": weights_hash(encoder),
        "precision": config.data.cache_features,
        "computed in": str(compute_type(world, config.train.precision)),
    }
    text = json.dumps(about, sort_keys=True, indent=1)
    parent = store.path.with_name(f"{store.path.name}.features")
    folder = parent / hashlib.sha256(text.encode()).hexdigest()[:24]
    if world.rank == 0:
        write_text(folder / ABOUT, text + "\n")
    features = Features(folder, store.row_of, config.data.cache_features)
    wanted = sorted({store.row_of(key) // BLOCK for key in wanted_images(data)})
    missing = [index for index in wanted if not features.has_block(index)]
    world.wait()  # nobody writes before all have looked
    _check_disk(parent, len(missing), config)
    for index in missing[world.rank :: world.size]:
        pixels = np.array(store.pixels_at(slice(index * BLOCK, (index + 1) * BLOCK)))
        images = torch.from_numpy(pixels).unsqueeze(1).to(world.device)
        with torch.no_grad(), autocast(world, config.train.precision):
            features.write_block(index, model.encode(images))
    world.wait()
    return features, (
        f"features: {len(wanted) - len(missing)} of {len(wanted)} blocks were there, "
        f"{len(missing)} made, in {folder}"
    )


def wanted_images(data: TrainingData) -> set[str]:
    """The images of the training and held-out rows."""
    keys: set[str] = set()
    for dataset in (data.stream.dataset, *(dataset for dataset, _ in data.validation.values())):
        for number in range(len(dataset)):
            record = dataset.record(number)
            studies = (record.reference, record.main) if isinstance(record, Pair) else (record,)
            keys.update(study.image for study in studies)
    return keys


def weights_hash(module: nn.Module) -> str:
    """SHA-256 over names, types, shapes and bytes of all weights."""
    digest = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        flat = value.detach().cpu().contiguous().reshape(-1)
        digest.update(flat.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def compute_type(world: DistributedContext, precision: str) -> torch.dtype:
    """What matrix products run in: autocast's type where it is on."""
    kind = world.device.type
    with autocast(world, precision):
        is_on = torch.is_autocast_enabled(kind)
        return torch.get_autocast_dtype(kind) if is_on else torch.float32


def _check_disk(parent: Path, blocks: int, config: RunConfig) -> None:
    encoder = config.model_config_object().encoder
    item = TYPES[config.data.cache_features].itemsize
    needed = blocks * BLOCK * encoder.num_tokens * encoder.width * item
    free = shutil.disk_usage(parent).free
    if needed > free:
        raise ValueError(
            f"the features of {blocks * BLOCK} images need {needed} bytes in {parent} and {free} "
            "are free: free some space, use data.cache_features=bf16, or none"
        )
