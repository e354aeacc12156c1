"""Groups of samples: the patients, images and questions that a subgroup has in common.

    from the answers     number of changes, prevalence of the rarest true finding
    from a store         view, views of the pair, interval between the studies
    from patients.csv    sex; age band where the store gives the date of the study
    from a table         any column of words, such as the phantom's tier, by study_id (and ref_id)

Unknown values form the group "not known", references that cannot be read the group "not read".
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from lapse.core.types import Pair, Prediction, Study
from lapse.data.io.csv_tables import plain_id, read_header, read_rows
from lapse.data.store.store import Store

PAIR_TASKS = ("diff_vqa", "vqa", "medical_vqa", "progression", "expert_changes")
logger = logging.getLogger(__name__)

UNKNOWN = "not known"
NOT_READ = "not read"  # the reference could not be read in full
EMPTY = "empty"  # the table has a row for the sample and nothing in this column
MAX_GROUPS = 20  # a column of more different words is not a column of groups
# upper limits (exclusive) and names
INTERVALS = ((1, "under 1 day"), (8, "1 to 7 days"), (91, "8 to 90 days"))
AGES = ((40, "under 40"), (60, "40 to 59"), (80, "60 to 79"))
RARITY = ((0.01, "rarest finding under 1%"), (0.05, "rarest finding 1 to 5%"))

Labels: TypeAlias = dict[str, list[str]]  # dimension -> [n] group of each sample


def sample_labels(
    predictions: Sequence[Prediction],
    store: Store | None,
    *,
    patients: Path | None = None,
    groups: Path | None = None,
) -> Labels:
    """All labels of the samples of one task; logs which ones are missing and why.

    Args:
        store: of the evaluated patients, or None.
        patients: patients.csv of MIMIC-IV, or None.
        groups: the user's table, or None.
    """
    labels = answer_labels(predictions)
    if store is None:
        logger.info("no subgroups by view and interval: they need --data STORE")
    else:
        labels |= store_labels(store, predictions)
    if patients is not None:
        labels |= patient_labels(patients, predictions, store)
    if groups is not None:
        labels |= table_labels(groups, predictions, store)
    return labels


def answer_labels(predictions: Sequence[Prediction]) -> Labels:
    """Groups of difference questions by their true answers; {} for other tasks."""
    if any(item.task != "diff_vqa" for item in predictions):
        return {}
    is_read = [item.truth.is_parsed for item in predictions]
    answers = [item.truth.changes for item in predictions]
    counts = Counter(name for changes in answers for name in {c.finding for c in changes})
    numbers = ("0 changes", "1 change", "2 changes", "3 or more changes")
    rarity = []
    for changes in answers:
        prevalence = [counts[change.finding] / len(answers) for change in changes]
        band = _band(min(prevalence), RARITY, "rarest finding over 5%") if changes else "no change"
        rarity.append(band)
    groups = {
        "number of changes": [numbers[min(len(changes), 3)] for changes in answers],
        "finding prevalence": rarity,
    }
    return {
        name: [group if read else NOT_READ for group, read in zip(values, is_read, strict=True)]
        for name, values in groups.items()
    }


def store_labels(store: Store, predictions: Sequence[Prediction]) -> Labels:
    """View and interval of the samples that the store holds; `UNKNOWN` for the others."""
    labels: dict[str, list[str]] = defaultdict(list)
    for record in _records(store, predictions):
        study, views, interval = _main_study(record), UNKNOWN, UNKNOWN
        if isinstance(record, Pair):
            views = f"{record.reference.view or '?'} then {record.main.view or '?'}"
            if record.days is not None:
                interval = _band(abs(record.days), INTERVALS, "over 90 days")
        labels["view"].append(study.view or UNKNOWN if study else UNKNOWN)
        labels["views of the pair"].append(views)
        labels["interval"].append(interval)
    return {name: groups for name, groups in labels.items() if set(groups) != {UNKNOWN}}


def patient_labels(
    path: Path, predictions: Sequence[Prediction], store: Store | None = None
) -> Labels:
    """Sex and age band from MIMIC-IV's patients.csv; logs what is not known.

    The age at a study is anchor_age + year of the study - anchor_year, so it needs a store.

    Raises:
        ValueError: the table lacks a column or is damaged.
    """
    columns = ("subject_id", "gender", "anchor_age", "anchor_year")
    rows = {plain_id(row[0]): row[1:] for row in read_rows(path, columns)}
    sexes = {"F": "female", "M": "male"}
    sex = [
        sexes.get(rows.get(plain_id(item.patient), ("",))[0].strip(), UNKNOWN)
        for item in predictions
    ]
    if unknown := sex.count(UNKNOWN):
        logger.info("sex: %d of %d samples have no patient in %s", unknown, len(sex), path.name)
    if store is None:
        logger.info("age band: needs the date of the study, which --data STORE holds")
        return {"sex": sex}
    if store.info.labels.time != "dates":
        logger.info("age band: not known, as the store has no dates")
        return {"sex": sex}
    ages = []
    for item, record in zip(predictions, _records(store, predictions), strict=True):
        study, row = _main_study(record), rows.get(plain_id(item.patient))
        if study is None or study.taken_at is None or row is None:
            ages.append(UNKNOWN)
            continue
        try:
            age = int(row[1]) + study.taken_at.year - int(row[2])
        except ValueError:
            raise ValueError(
                f"{path} gives patient {item.patient} the anchor_age {row[1]!r} and anchor_year "
                f"{row[2]!r}: integers are needed"
            ) from None
        ages.append(_band(age, AGES, "80 and over"))
    return {"sex": sex, "age band": ages}


def table_labels(
    path: Path, predictions: Sequence[Prediction], store: Store | None = None
) -> Labels:
    """The columns of words of the user's table; logs which columns are no groups and why.

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
    records: Sequence[Pair | Study | None] = [None] * len(predictions)
    if store is not None:
        records = _records(store, predictions)
    matches = [
        rows.get(_table_key(item, len(keys), record))
        for item, record in zip(predictions, records, strict=True)
    ]
    missing = matches.count(None)
    if missing == len(matches):
        logger.info("no groups from %s: it has none of these samples", path.name)
        return {}
    if missing:
        logger.info("%d of %d samples are not in %s", missing, len(matches), path.name)
    labels: Labels = {}
    for column, name in enumerate(names):
        if reason := _why_no_groups({row[column] for row in rows.values()} - {""}):
            logger.info("no groups by %s of %s: %s", name, path.name, reason)
            continue
        labels[name] = [UNKNOWN if row is None else row[column] or EMPTY for row in matches]
    return labels


def _why_no_groups(values: set[str]) -> str:
    """Why the values of a column are no groups; "" where they are."""
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


def _table_key(item: Prediction, num_keys: int, record: Pair | Study | None) -> tuple[str, ...]:
    if isinstance(record, Study):
        return (record.study,)
    return tuple(item.id.split("#")[0].split("/")[1 : 1 + num_keys])


def _main_study(record: Pair | Study | None) -> Study | None:
    return record.main if isinstance(record, Pair) else record


def _records(store: Store, predictions: Sequence[Prediction]) -> Sequence[Pair | Study | None]:
    """[n] the pair or the study of each prediction; None where the store does not have it."""
    keys = [item.id.split("#")[0].partition("/")[2] for item in predictions]  # no task, no probe
    if any(item.task in PAIR_TASKS for item in predictions):
        pair_ids = set(keys)
        pairs = {pair.id: pair for pair in store.pairs if pair.id in pair_ids}
        return [pairs.get(key) for key in keys]
    images = [key.partition("/")[0] for key in keys]
    study_ids = set(images)
    studies = {study.id: study for study in store.studies if study.id in study_ids}
    return [studies.get(image) for image in images]


def _band(value: float, limits: Sequence[tuple[float, str]], last: str) -> str:
    return next((name for limit, name in limits if value < limit), last)
