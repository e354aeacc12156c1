"""The records of a split, the tasks that read them, and the texts of their samples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lapse.config import RunConfig
from lapse.core import registry
from lapse.data.store.store import Store
from lapse.data.tasks.base import Record, Task


def load_tasks(names: Sequence[str], num_bins: int) -> tuple[Task, ...]:
    """The tasks of these names; `num_bins` is the image size in pixels.

    Raises:
        ValueError: unknown name, or tasks that read different kinds of records.
    """
    tasks: tuple[Task, ...] = tuple(registry.load("tasks", name)(num_bins) for name in names)
    kinds = sorted({task.records for task in tasks})
    if len(kinds) > 1:
        raise ValueError(f"the tasks {list(names)} need {kinds}: one run reads one kind of record")
    return tasks


def split_records(store: Store, task: Task, split: str) -> Sequence[Record]:
    """The studies or pairs of a split, whichever the task reads."""
    return store.pairs_of(split) if task.records == "pairs" else store.studies_of(split)


def check_image_size(store: Store, config: RunConfig) -> int:
    """The image size of the store in pixels, which is also the number of box bins.

    Raises:
        ValueError: the model reads images of another size.
    """
    size = store.info.size
    expected = config.model.get("encoder", {}).get("image_size", size)
    if expected != size:
        raise ValueError(
            f"the store holds {size} px images, model.encoder.image_size is {expected}: prepare "
            f"the data with --size {expected} or change the model"
        )
    return size


def box_texts(num_bins: int) -> Iterator[str]:
    """Texts with every number of a box, at the start and within a text."""
    for value in range(num_bins):
        yield f"[{value}, {value}, {value}, {value}]"
        yield f" [{value}, {value}, {value}, {value}]"


def sample_texts(records: Sequence[Record], tasks: Sequence[Task]) -> Iterator[str]:
    """Every text of the samples of these records, with repetitions."""
    for record in records:
        for task in tasks:
            for sample in task.samples(record):
                yield sample.prefix
                yield f" {sample.given}"
                yield sample.answer
                yield from (f" {report}" for report in sample.reports)
