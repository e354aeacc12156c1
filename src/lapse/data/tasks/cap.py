"""Cap: write the report of one radiograph (paper 3.1; a quarter is predicted in parallel)."""

from __future__ import annotations

from collections.abc import Iterator

from lapse.core.types import Sample, Study


class Cap:
    """ "cap:" -> the findings and impression of the report."""

    name = "cap"
    records = "studies"

    prefix = "cap:"

    def __init__(self, num_bins: int) -> None:
        self.num_bins = num_bins

    def samples(self, record: Study) -> Iterator[Sample]:
        """One sample if the study has a report, else none."""
        report = " ".join(record.report.split())
        if report:
            yield Sample(
                id=f"{self.name}/{record.id}",
                task=self.name,
                images=(record.image,),
                patient=record.patient,
                prefix=self.prefix,
                given="",
                answer=f" {report}",
            )


class Caption(Cap):
    """cap without a task prefix: a line break, the same for every text, starts it (CapPa)."""

    name = "caption"
    prefix = "\n"
