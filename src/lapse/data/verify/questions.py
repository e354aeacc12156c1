"""The question table of Medical-Diff-VQA, a million rows in flat memory.

A row leaves 8 bytes behind: a hash of (main study, reference study, question). Rows whose hash
stands twice are read a second time and compared as text. A row is named as the loader names it:
main study / reference study / number of the row.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np

from lapse.data.datasets.mimic_diff_vqa import CATEGORIES, COLUMNS, REVERSED_SHARE
from lapse.data.datasets.release_counts import DIFF_VQA
from lapse.data.io.compact_maps import Ints, key_of
from lapse.data.io.csv_tables import SPLIT_WORDS, find_table, plain_id
from lapse.data.verify.answers import answer_defects
from lapse.data.verify.context import VerifyContext
from lapse.data.verify.image_index import NO_TIME, UNKNOWN, repeated
from lapse.data.verify.results import MAX_IDS
from lapse.data.verify.tables import RawTable, id_number

CHUNK = 20_000  # rows whose studies are looked up together
KEY = ("study_id", "ref_id", "question", "answer")


@dataclass(frozen=True, slots=True)
class _Joined:
    """What the join with the studies needs of one row."""

    id: str
    study: int
    reference: int
    patient: int
    is_difference: bool


@dataclass(slots=True)
class _Order:
    """Difference questions by time order. `ids` names the reversed ones, up to the limit."""

    forward: int = 0
    backward: int = 0
    ids: list[str] | None = None


def check_questions(case: VerifyContext) -> None:
    """Every row of `mimic_pair_questions`."""
    path = find_table(case.roots.medical_diff_vqa, "mimic_pair_questions")
    if path is None:
        raise ValueError(f"{case.roots.medical_diff_vqa} has lost its question table: start again")
    table = RawTable(path, case.findings, COLUMNS)
    case.meter.expect(path.stat().st_size // 120)  # bytes of an average row, for the bar alone
    keys = array("Q")
    order = _Order(ids=[])
    categories: Counter[str] = Counter(dict.fromkeys(CATEGORIES, 0))
    rows = _checked_rows(case, table, keys, categories)
    while chunk := list(islice(rows, CHUNK)):
        _check_joins(case, chunk, order)
    _report_order(case, order)
    _report_repeated(case, table, keys)
    case.counts[DIFF_VQA, "questions"] = table.num_rows
    for category in CATEGORIES:
        case.counts[DIFF_VQA, category] = categories[category]


def _checked_rows(
    case: VerifyContext, table: RawTable, keys: array[int], categories: Counter[str]
) -> Iterator[_Joined]:
    """The rows whose numbers can be read; everything that one row tells is reported."""
    findings, parts = case.findings, case.parts[DIFF_VQA]
    for count, (line, fields) in enumerate(table.rows(COLUMNS), start=1):
        case.meter.step()
        main, subject, ref, category, question, answer, word = fields
        name = f"{plain_id(main)}/{plain_id(ref)}/{count}"
        study, patient, reference = id_number(main), id_number(subject), id_number(ref)
        if category in categories:
            categories[category] += 1
        else:
            findings.add("unknown-category", name)
        if not question.strip() or not answer.strip():
            findings.add("empty-question", name)
        else:
            keys.append(key_of(plain_id(main), plain_id(ref), question))
            for code, detail in answer_defects(category, question, answer):
                findings.add(code, f"{name} {detail}".rstrip())
        part = SPLIT_WORDS.get(word.strip().lower())
        if part is None:
            findings.add("unknown-split", name)
        if study is None or patient is None or reference is None:
            findings.add("unreadable-id", table.line(line))
            continue
        if part is not None:
            parts.add(patient, part)
        yield _Joined(name, study, reference, patient, category == "difference")


def _check_joins(case: VerifyContext, chunk: list[_Joined], order: _Order) -> None:
    """Studies that exist, of one patient, and in which order of time."""
    images, findings = case.images, case.findings
    main = images.rows_of_studies(np.array([row.study for row in chunk], np.int64))
    reference = images.rows_of_studies(np.array([row.reference for row in chunk], np.int64))
    patients = np.array([row.patient for row in chunk], np.int64)
    is_known = (main != UNKNOWN) & (reference != UNKNOWN)
    if images.is_whole:
        for place in np.flatnonzero(~is_known):
            findings.add("question-unknown-study", chunk[place].id)
    if not len(images):
        return
    is_strange = (images.patients[main] != patients) | (images.patients[reference] != patients)
    for place in np.flatnonzero(is_known & is_strange):
        findings.add("question-two-patients", chunk[place].id)
    is_difference = np.array([row.is_difference for row in chunk])
    before, after = images.times[reference], images.times[main]
    is_dated = is_known & ~is_strange & is_difference & (before != NO_TIME) & (after != NO_TIME)
    for place in np.flatnonzero(is_dated & (before == after)):
        findings.add("same-time", chunk[place].id)
    _note_order(chunk, is_dated & (after < before), int(is_dated.sum()), order)


def _note_order(chunk: list[_Joined], is_reversed: Ints, num_dated: int, order: _Order) -> None:
    places = np.flatnonzero(is_reversed)
    order.backward += places.size
    order.forward += num_dated - places.size
    kept = order.ids if order.ids is not None else []
    kept += [chunk[place].id for place in places[: max(0, MAX_IDS - len(kept))]]
    order.ids = kept


def _report_order(case: VerifyContext, order: _Order) -> None:
    """A few reversed questions are errors; a large share of them is a release."""
    total = order.forward + order.backward
    is_release = bool(order.backward) and order.backward / total >= REVERSED_SHARE
    code = "release-1.0.0" if is_release else "reversed-time"
    kept = order.ids or []
    for name in kept:
        case.findings.add(code, name)
    for _ in range(order.backward - len(kept)):
        case.findings.count(code)


def _report_repeated(case: VerifyContext, table: RawTable, keys: array[int]) -> None:
    """Compare as text the rows whose hash stands twice, up to the limit of listed ids."""
    candidates = repeated(keys)
    compared = set(candidates[:MAX_IDS].tolist())
    seen: set[tuple[str, str, str]] = set()
    if compared:
        for count, (_, (main, ref, question, answer)) in enumerate(table.again(KEY), start=1):
            study, reference = plain_id(main), plain_id(ref)
            is_empty = not question.strip() or not answer.strip()
            if not is_empty and key_of(study, reference, question) in compared:
                if (study, reference, question) in seen:
                    case.findings.add("duplicate-question", f"{study}/{reference}/{count}")
                seen.add((study, reference, question))
    if candidates.size > MAX_IDS:
        further = np.isin(np.array(keys, np.uint64), candidates[MAX_IDS:])
        for _ in range(int(further.sum()) - (candidates.size - MAX_IDS)):
            case.findings.count("duplicate-question")
