"""A few test pairs to look at, chosen by a counted number and by nothing that was answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lapse.core.seeding import derive_permutation
from lapse.core.types import Prediction
from lapse.data.store.store import Store
from lapse.evaluation.html import Pixels


@dataclass(frozen=True, slots=True)
class Case:
    """One pair: images [S, S] uint8, question, truth."""

    id: str
    reference: Pixels
    main: Pixels
    question: str
    truth: str


def chosen_cases(truth: Sequence[Prediction], store: Store, count: int) -> list[Case]:
    """At most `count` of the answered pairs whose truth names a change, else of all."""
    named = [item for item in truth if not item.references[0].startswith("nothing")]
    pool = {item.id: item for item in named or truth}
    ids = sorted(pool)
    order = derive_permutation(len(ids), "cases")[:count]
    wanted = {ids[place] for place in order}
    found = []
    for pair in store.pairs:
        key = f"diff_vqa/{pair.id}"
        if key in wanted:
            item = pool[key]
            found.append(
                Case(
                    key,
                    store.pixels(pair.reference.image),
                    store.pixels(pair.main.image),
                    item.prompt,
                    item.references[0],
                )
            )
    return found
