"""The tokens of a frozen encoder for every image of a run: computed once, stored on disk.

    STORE.features/KEY/features.json      the values that KEY is the hash of
    STORE.features/KEY/block-00012.npy    tokens of the store's images 768 .. 831, [64, N, D]
    STORE.features/KEY/block-00012.json   CRC-32 of each image; written last, so the block is done

KEY is a hash of the encoder's weights, the store's fingerprint and both precisions, so another
encoder or other images use another folder. A killed run continues after its last complete block.
At the paper's size an image takes 2.36 MB in bf16.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import zlib
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from lapse.config import RunConfig
from lapse.core.files import atomic_write, write_text
from lapse.core.types import Pair
from lapse.data.loading.training_data import TrainingData
from lapse.data.store.array_file import ArrayFile
from lapse.data.store.store import Store
from lapse.models.interface import FeatureModel, TrainableModel, has_encoder
from lapse.training.distributed import DistributedContext, autocast

logger = logging.getLogger(__name__)

FORMAT = 1
BLOCK = 64  # images in one file
NUM_OPEN = 64  # files kept open at once
ABOUT = "features.json"
TYPES: dict[str, torch.dtype] = {"bf16": torch.bfloat16, "fp32": torch.float32}


class FeatureCache:
    """The cached tokens of one encoder on one store.

    Args:
        folder: STORE.features/KEY.
        row_of: image key -> its row in the store.
        precision: "bf16" or "fp32", as on the disk.
    """

    def __init__(self, folder: Path, row_of: Callable[[str], int], precision: str) -> None:
        self.folder, self.row_of, self.precision = folder, row_of, precision
        self._block = lru_cache(NUM_OPEN)(self._open_block)

    def tokens(self, key: str) -> Tensor:
        """The tokens of one image, [N, D].

        Raises:
            ValueError: the image was not cached, or its bytes on the disk have changed.
        """
        index, position = divmod(self.row_of(key), BLOCK)
        values, checksums = self._block(index)
        row = values.read(position, 1)[0].copy()
        if zlib.crc32(row.tobytes()) != checksums[position]:
            raise ValueError(
                f"the cached features of image {key!r} in {self._path(index)} are damaged: delete "
                f"{self.folder} and run the same command again"
            )
        raw = torch.from_numpy(row)
        return raw.view(torch.bfloat16) if self.precision == "bf16" else raw

    def has_block(self, index: int) -> bool:
        """Whether a block is complete."""
        return self._path(index).with_suffix(".json").is_file()

    def write_block(self, index: int, tokens: Tensor) -> None:
        """Write the tokens [n, N, D] of the images of one block."""
        rounded = tokens.detach().to(TYPES[self.precision]).cpu().contiguous()
        raw = rounded.view(torch.int16) if self.precision == "bf16" else rounded
        values = raw.numpy()
        path = self._path(index)
        with atomic_write(path) as temporary, temporary.open("wb") as file:
            np.save(file, values)
        checksums = [zlib.crc32(row.tobytes()) for row in values]
        write_text(path.with_suffix(".json"), json.dumps(checksums))

    def _path(self, index: int) -> Path:
        return self.folder / f"block-{index:05d}.npy"

    def _open_block(self, index: int) -> tuple[ArrayFile, list[int]]:
        path = self._path(index)
        if not self.has_block(index):
            raise ValueError(f"{path} does not exist: delete {self.folder} and start again")
        try:
            return ArrayFile(path), json.loads(path.with_suffix(".json").read_text("utf-8"))
        except (OSError, EOFError, ValueError) as error:
            raise ValueError(
                f"{path} is damaged ({error}): delete {self.folder} and start again"
            ) from error


def build_feature_cache(
    model: TrainableModel,
    store: Store,
    data: TrainingData,
    config: RunConfig,
    distributed: DistributedContext,
) -> FeatureCache:
    """Compute the missing blocks of the features of a run; every rank computes a part of them.

    Args:
        model: on the device; its encoder is frozen.
        store: the images.
        data: the cache covers its training and validation images.
        config: the run; `data.cache_features` is the precision on disk.
        distributed: the ranks, which must share one file system.

    Raises:
        ValueError: the encoder is trained or there is none, the model does not read cached
            tokens, or the disk is too small.
    """
    precision = config.data.cache_features
    encoder, encode = cacheable_encoder(model, config)
    key = {
        "format": FORMAT,
        "store": store.info.fingerprint,
        "encoder": weights_hash(encoder),
        "precision": precision,
        "computed in": str(compute_dtype(distributed.device, config.train.precision)),
    }
    text = json.dumps(key, sort_keys=True, indent=1)
    parent = store.path.with_name(f"{store.path.name}.features")
    folder = parent / hashlib.sha256(text.encode()).hexdigest()[:24]
    if distributed.rank == 0:
        write_text(folder / ABOUT, text + "\n")
    cache = FeatureCache(folder, store.row_of, precision)
    blocks = sorted({store.row_of(key) // BLOCK for key in image_keys(data)})
    missing = [index for index in blocks if not cache.has_block(index)]
    distributed.barrier()  # every rank lists the missing blocks before any is written
    _check_disk(parent, len(missing), config)
    for index in missing[distributed.rank :: distributed.world_size]:
        pixels = np.array(store.pixels_at(slice(index * BLOCK, (index + 1) * BLOCK)))
        images = torch.from_numpy(pixels).unsqueeze(1).to(distributed.device)
        with torch.no_grad(), autocast(distributed.device, config.train.precision):
            cache.write_block(index, encode(images))
    distributed.barrier()
    logger.info(
        "features: %d of %d blocks existed, %d computed, in %s",
        len(blocks) - len(missing),
        len(blocks),
        len(missing),
        folder,
    )
    return cache


def cacheable_encoder(
    model: TrainableModel, config: RunConfig
) -> tuple[nn.Module, Callable[[Tensor], Tensor]]:
    """The frozen encoder of a model, and the function that computes its tokens.

    Raises:
        ValueError: its encoder is trained or there is none, or it does not read cached tokens.
    """
    precision = config.data.cache_features
    if not has_encoder(model):
        raise ValueError(
            f"data.cache_features is {precision!r}, but {config.model_type!r} has no frozen "
            "encoder: set it to none"
        )
    if not isinstance(model, FeatureModel) or not model.reads_features:
        raise ValueError(
            f"data.cache_features is {precision!r}, but {config.model_type!r} reads its images in "
            "every step and no cached tokens: set it to none"
        )
    if any(parameter.requires_grad for parameter in model.encoder.parameters()):
        raise ValueError(
            "data.cache_features needs a frozen encoder, and this one is trained: set "
            "model.train_encoder=false or data.cache_features=none"
        )
    return model.encoder, model.encode


def image_keys(data: TrainingData) -> set[str]:
    """The images of the training and validation rows."""
    keys: set[str] = set()
    for dataset in (data.stream.dataset, *(dataset for dataset, _ in data.validation.values())):
        for number in range(len(dataset)):
            record = dataset.record(number)
            studies = (record.reference, record.main) if isinstance(record, Pair) else (record,)
            keys.update(study.image for study in studies)
    return keys


def weights_hash(module: nn.Module | TrainableModel) -> str:
    """SHA-256 over names, types, shapes and bytes of all weights."""
    digest = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        flat = value.detach().cpu().contiguous().reshape(-1)
        digest.update(flat.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def compute_dtype(device: torch.device, precision: str) -> torch.dtype:
    """The dtype of matrix products: that of autocast where it is enabled."""
    with autocast(device, precision):
        is_enabled = torch.is_autocast_enabled(device.type)
        return torch.get_autocast_dtype(device.type) if is_enabled else torch.float32


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
