"""The question table of Medical-Diff-VQA.

The id of a row is that of the loader: main study / reference study / row number.
"""

from __future__ import annotations

from collections import Counter

from lapse.data.datasets.mimic_diff_vqa import (
    CATEGORIES,
    COLUMNS,
    REVERSED_FRACTION,
    plain_category,
)
from lapse.data.datasets.release_counts import DIFF_VQA
from lapse.data.io.csv_tables import SPLIT_NAMES, plain_id
from lapse.data.verify.answers import answer_defects
from lapse.data.verify.context import VerifyContext
from lapse.data.verify.tables import id_number

BYTES_PER_ROW = 120  # of an average row, for the progress bar alone


def check_questions(context: VerifyContext) -> None:
    """Every row of `mimic_pair_questions`."""
    root = context.roots.medical_diff_vqa
    table = context.table(root, "mimic_pair_questions", COLUMNS)
    if table is None:
        raise ValueError(f"{root} no longer holds its question table: start again")
    context.progress.expect(table.path.stat().st_size // BYTES_PER_ROW)
    check = _QuestionCheck(context)
    for number, (row_id, fields) in enumerate(table.rows(COLUMNS), start=1):
        check.row(number, row_id, fields)
        context.progress.step()
    check.report_time_order()
    if context.images.is_complete:
        context.check_amount("few-questions", check.num_usable, table.num_rows)
    context.counts[DIFF_VQA, "questions"] = table.num_rows
    for category in CATEGORIES:
        context.counts[DIFF_VQA, category] = check.categories[category]


class _QuestionCheck:
    """Checks row by row, with what is known of the earlier rows."""

    def __init__(self, context: VerifyContext) -> None:
        self.context, self.findings = context, context.findings
        self.categories: Counter[str] = Counter()
        self.num_usable = 0  # questions of a known category about two known studies of a patient
        self._seen: set[str] = set()  # main study, reference study and question of each row
        self._num_dated = 0  # difference questions of two studies with known times
        self._reversed: list[str] = []

    def row(self, number: int, row_id: str, fields: tuple[str, ...]) -> None:
        """Check one row; `number` counts the data rows from 1, `row_id` names it in the file."""
        main, subject, ref, category_name, question, answer, split_name = fields
        category = plain_category(category_name)
        pair = f"{plain_id(main)}/{plain_id(ref)}"
        name = f"{pair}/{number}"
        if category in CATEGORIES:
            self.categories[category] += 1
            if category != category_name:
                self.findings.add("category-case", name)
        else:
            self.findings.add("unknown-category", name)
        if not question.strip() or not answer.strip():
            self.findings.add("empty-question", name)
        else:
            key = f"{pair} {question}"
            if key in self._seen:
                self.findings.add("duplicate-question", name)
            self._seen.add(key)
            for code, detail in answer_defects(category, question, answer):
                self.findings.add(code, f"{name} {detail}".rstrip())
        split = SPLIT_NAMES.get(split_name.strip().lower())
        if split is None:
            self.findings.add("unknown-split", name)
        study, patient, reference = id_number(main), id_number(subject), id_number(ref)
        if study is None or patient is None or reference is None:
            self.findings.add("unreadable-id", row_id)
            return
        if split is not None:
            self.context.patients[DIFF_VQA, split].add(patient)
        is_joined = self._check_studies(name, (study, reference), patient, category == "difference")
        self.num_usable += is_joined and category in CATEGORIES

    def _check_studies(
        self, name: str, studies: tuple[int, int], patient: int, is_difference: bool
    ) -> bool:
        """Main and reference study exist, belong to the patient, and are in order of time.

        Returns whether they exist and belong to the patient.
        """
        images = self.context.images
        main, reference = (images.by_study.get(study) for study in studies)
        if main is None or reference is None:
            if self.context.has_all_images:
                self.findings.add("question-unknown-study", name)
            return False
        if main.patient != patient or reference.patient != patient:
            self.findings.add("question-two-patients", name)
            return False
        if is_difference and main.taken_at is not None and reference.taken_at is not None:
            self._num_dated += 1
            if main.taken_at == reference.taken_at:
                self.findings.add("same-time", name)
            elif main.taken_at < reference.taken_at:
                self._reversed.append(name)
        return True

    def report_time_order(self) -> None:
        """A few reversed questions are errors; a large fraction identifies release 1.0.0."""
        num_reversed = len(self._reversed)
        is_release = num_reversed > 0 and num_reversed / self._num_dated >= REVERSED_FRACTION
        for name in self._reversed:
            self.findings.add("release-1.0.0" if is_release else "reversed-time", name)
