"""Cap: write the report of one radiograph (paper 3.1; a quarter is predicted in parallel)."""

from __future__ import annotations

from collections.abc import Iterator

from lapse.core.types import Sample, Study
from lapse.data.tasks.base import ImageTask


class Cap(ImageTask):
    """ "cap:" -> the findings and impression of the report."""

    name = "cap"
    prefix = "cap:"

    def samples(self, record: Study) -> Iterator[Sample]:
        """One sample if the study has a report, else none."""
        report = " ".join(record.report.split())
        if report:
            yield self.sample(record.id, record, prefix=self.prefix, answer=report)


class Caption(Cap):
    """cap without a task prefix: a line break, the same for every text, starts it (CapPa)."""

    name = "caption"
    prefix = "\n"
