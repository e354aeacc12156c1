"""Scores apart for kinds of patients, images and questions, from statistics already computed.

    from the answers     number of changes, how rare the rarest true finding is
    from a store         view, views of the pair, interval between the studies
    from patients.csv    sex; age band where the store gives the date of the study
    from a table         any column of words, such as the phantom's tier, by study_id (and ref_id)

Groups of fewer than 50 patients are hidden: their scores say little and point at people. What
is not known is told, never guessed. CIDEr keeps the document frequencies of the whole set.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lapse.core.grammar import parse
from lapse.core.types import Pair, Prediction, Score, Statistics, Study
from lapse.data.io.csv_tables import plain_id, read_header, read_rows
from lapse.data.store.store import Store
from lapse.metrics.bootstrap import RESAMPLES, with_intervals

MIN_PATIENTS = 50
UNKNOWN = "not known"
EMPTY = "empty"  # the table has a line for the sample and nothing in this column
MAX_GROUPS = 20  # a column of more different words tells rows apart, not groups
# upper limits (exclusive) and names
INTERVALS = ((1, "under 1 day"), (8, "1 to 7 days"), (91, "8 to 90 days"))
AGES = ((40, "under 40"), (60, "40 to 59"), (80, "60 to 79"))
RARITY = ((0.01, "rarest finding under 1%"), (0.05, "rarest finding 1 to 5%"))

# Counts of the whole set among a score's details: a part must not repeat them.
COUNTS = (
    "right",
    "said",
    "true",
    "hits",
    "malformed",
    "unparsed references",
    "questions",
    "helped by another region",
)

Labels = dict[str, list[str]]  # dimension -> [n] group of each sample


@dataclass(frozen=True, slots=True)
class GroupScores:
    """Scores of the groups that may be shown, and what is not shown and why."""

    scores: dict[str, dict[str, dict[str, Score]]] = field(default_factory=dict)
    hidden: tuple[str, ...] = ()


def group_scores(
    scores: Mapping[str, Score],
    patients: Sequence[str],
    labels: Labels,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> GroupScores:
    """dimension -> group -> name -> Score with its interval, for groups of 50 patients or more.

    Args:
        scores: of all samples, those with statistics.
        patients: [n], every one known; without them no group is shown.
        labels: dimension -> [n].
        resamples: of the intervals.
        seed: of the drawing.
    """
    found: dict[str, dict[str, dict[str, Score]]] = {}
    hidden = []
    for dimension, groups in labels.items():
        own = np.array(groups, dtype=object)
        for group in sorted(set(groups)):
            mask = own == group
            people = {name for name, keep in zip(patients, mask, strict=True) if keep}
            if "" in people or len(people) < MIN_PATIENTS:
                count = "unknown" if "" in people else str(len(people))
                hidden.append(f"{dimension} {group!r}: {count} patients, {mask.sum()} samples")
                continue
            some = [name for name, keep in zip(patients, mask, strict=True) if keep]
            part = subset(scores, mask)
            found.setdefault(dimension, {})[group] = with_intervals(
                part, some, resamples=resamples, seed=seed
            )
    return GroupScores(found, tuple(hidden))


def subset(scores: Mapping[str, Score], mask: NDArray[np.bool_]) -> dict[str, Score]:
    """The scores of some of the samples, from their statistics; one undefined there is left out."""
    kept: dict[int, NDArray[np.float64]] = {}
    found = {}
    for name, score in scores.items():
        if score.statistics is None:
            continue
        rows = kept.setdefault(id(score.statistics.rows), score.statistics.rows[mask])
        value = float(score.statistics.score(rows.sum(axis=0)))
        if np.isnan(value):
            continue
        details = {name: told for name, told in score.details.items() if name not in COUNTS}
        details["n"] = str(len(rows))
        statistics = Statistics(rows, score.statistics.score)
        found[name] = Score(name, value, details=details, statistics=statistics)
    return found


def answer_labels(predictions: Sequence[Prediction]) -> Labels:
    """What difference questions tell of themselves: how much changed, and how rare it is."""
    if any(item.task != "diff_vqa" for item in predictions):
        return {}
    true = [parse(item.references[0]).changes for item in predictions]
    often = Counter(name for changes in true for name in {c.finding for c in changes})
    numbers = [f"{len(c)} changes" if len(c) < 3 else "3 or more changes" for c in true]
    rare = []
    for changes in true:
        shares = [often[change.finding] / len(true) for change in changes]
        name = _band(min(shares), RARITY, "rarest finding over 5%") if shares else "no change"
        rare.append(name)
    return {
        "number of changes": [n.replace("1 changes", "1 change") for n in numbers],
        "finding prevalence": rare,
    }


def store_labels(store: Store, predictions: Sequence[Prediction]) -> Labels:
    """View and interval of the samples that the store holds; `UNKNOWN` for the others."""
    found: dict[str, list[str]] = defaultdict(list)
    pairs, studies = _records(store, predictions)
    for item in predictions:
        pair, study = pairs.get(_key(item)), studies.get(_key(item))
        if pair is not None:
            study = pair.main
            days = abs((pair.main.taken_at - pair.reference.taken_at).total_seconds()) / 86400
            views = f"{pair.reference.view or '?'} then {pair.main.view or '?'}"
        found["view"].append(study.view or UNKNOWN if study else UNKNOWN)
        found["views of the pair"].append(views if pair else UNKNOWN)
        found["interval"].append(_band(days, INTERVALS, "over 90 days") if pair else UNKNOWN)
    return {name: groups for name, groups in found.items() if set(groups) != {UNKNOWN}}


def patient_labels(
    path: Path, predictions: Sequence[Prediction], store: Store | None = None
) -> tuple[Labels, list[str]]:
    """Sex and age band from MIMIC-IV's patients.csv, and what could not be told.

    The age at a study is anchor_age + year of the study - anchor_year, so it needs a store.

    Raises:
        ValueError: the table lacks a column or is damaged.
    """
    columns = ("subject_id", "gender", "anchor_age", "anchor_year")
    people = {plain_id(row[0]): row[1:] for row in read_rows(path, columns)}
    sexes = {"F": "female", "M": "male"}
    sex = [
        sexes.get(people.get(plain_id(p.patient), ("",))[0].strip(), UNKNOWN) for p in predictions
    ]
    labels = {"sex": sex}
    told = []
    unknown = sex.count(UNKNOWN)
    if unknown:
        told.append(f"sex: {unknown} of {len(sex)} samples have no patient in {path.name}")
    if store is None:
        return labels, [*told, "age band: needs the date of the study, which --data STORE holds"]
    pairs, studies = _records(store, predictions)
    ages = []
    for item in predictions:
        pair, study = pairs.get(_key(item)), studies.get(_key(item))
        study = pair.main if pair else study
        row = people.get(plain_id(item.patient))
        if study is None or row is None:
            ages.append(UNKNOWN)
            continue
        try:
            age = int(row[1]) + study.taken_at.year - int(row[2])
        except ValueError:
            raise ValueError(
                f"{path} gives patient {item.patient} the anchor_age {row[1]!r} and anchor_year "
                f"{row[2]!r}: whole numbers are needed"
            ) from None
        ages.append(_band(age, AGES, "80 and over"))
    return labels | {"age band": ages}, told


def table_labels(
    path: Path, predictions: Sequence[Prediction], store: Store | None = None
) -> tuple[Labels, list[str]]:
    """The columns of words of the user's table, and what made no groups and why.

    Rows are found by study_id and, where the table has it, ref_id. A sample about one image is
    found by its study, which only a store knows.

    Raises:
        ValueError: no key column, no other column, or a key that occurs twice.
    """
    header = read_header(path)
    keys = [name for name in ("study_id", "ref_id") if name in header]
    names = [name for name in header if name and name not in ("study_id", "ref_id")]
    if "study_id" not in keys or not names:
        raise ValueError(f"{path} needs study_id and a column of groups, found {', '.join(header)}")
    rows: dict[tuple[str, ...], tuple[str, ...]] = {}
    for row in read_rows(path, (*keys, *names)):
        key = tuple(plain_id(part) for part in row[: len(keys)])
        if key in rows:
            raise ValueError(f"{path} has {'/'.join(key)} more than once: keep one row")
        rows[key] = tuple(value.strip() for value in row[len(keys) :])
    _, studies = _records(store, predictions) if store is not None else ({}, {})
    found = [rows.get(_table_key(item, len(keys), studies)) for item in predictions]
    missing = found.count(None)
    if missing == len(found):
        return {}, [f"no groups from {path.name}: it names none of these samples"]
    told = [f"{missing} of {len(found)} samples are not in {path.name}"] if missing else []
    labels: Labels = {}
    for place, name in enumerate(names):
        if why := _no_groups({row[place] for row in rows.values()} - {""}):
            told.append(f"no groups by {name} of {path.name}: {why}")
            continue
        labels[name] = [UNKNOWN if row is None else row[place] or EMPTY for row in found]
    return labels, told


def _no_groups(values: set[str]) -> str:
    """Why the values of a column make no groups, "" where they do."""
    if not values:
        return "every cell is empty"
    if all(_is_number(value) for value in values):
        return "numbers or ids; write words for groups, such as 'none' and 'several'"
    if len(values) > MAX_GROUPS:
        return f"{len(values)} different words, at most {MAX_GROUPS} make groups"
    return ""


def _is_number(text: str) -> bool:
    try:
        float(plain_id(text))
    except ValueError:
        return False
    return True


def _table_key(item: Prediction, parts: int, studies: Mapping[str, Study]) -> tuple[str, ...]:
    study = studies.get(_key(item))
    if study is not None:
        return (study.study,)
    return tuple(item.id.split("#")[0].split("/")[1 : 1 + parts])


def _key(item: Prediction) -> str:
    """The store's own id of a prediction's record: a probe's mark and the task taken off."""
    return item.id.split("#")[0].partition("/")[2]


def _records(
    store: Store, predictions: Sequence[Prediction]
) -> tuple[dict[str, Pair], dict[str, Study]]:
    """The pairs and studies that the predictions are about, by `_key`."""
    wanted = {_key(item) for item in predictions}
    if any(item.task in ("diff_vqa", "vqa", "medical_vqa", "progression") for item in predictions):
        return {pair.id: pair for pair in store.pairs if pair.id in wanted}, {}
    images = {key.partition("/")[0]: key for key in wanted}
    by_image = {study.id: study for study in store.studies if study.id in images}
    return {}, {key: by_image[i] for key in wanted if (i := key.partition("/")[0]) in by_image}


def _band(value: float, limits: Sequence[tuple[float, str]], last: str) -> str:
    return next((name for limit, name in limits if value < limit), last)
