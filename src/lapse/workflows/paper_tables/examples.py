"""A few test pairs for a table of examples, chosen independently of all answers."""

from __future__ import annotations

from collections.abc import Sequence

from lapse.core.seeding import derive_permutation
from lapse.core.types import Prediction
from lapse.data.store.store import Store
from lapse.evaluation.html.run_page import PairExample


def choose_examples(
    truth: Sequence[Prediction], store: Store, count: int
) -> dict[str, PairExample]:
    """Id of a prediction -> its pair, still without an answer.

    At most `count` of the pairs whose truth names a change, of all pairs where there is none.
    """
    with_change = [item for item in truth if not item.references[0].startswith("nothing")]
    pool = {item.id: item for item in with_change or truth}
    ids = sorted(pool)
    chosen = {ids[index] for index in derive_permutation(len(ids), "cases")[:count]}
    return {
        key: PairExample(
            reference=store.pixels(pair.reference.image),
            main=store.pixels(pair.main.image),
            question=pool[key].prompt,
            truth=pool[key].references[0],
        )
        for pair in store.pairs
        if (key := f"diff_vqa/{pair.id}") in chosen
    }
