"""`lapse pacs`: two studies of a PACS over DICOMweb -> what changed, and a report back."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import typer

from lapse.cli.answer import GuardOptions


@dataclass(frozen=True)
class ConnectionOptions:
    """How the PACS is reached: fields of `PacsOptions`."""

    panel: ClassVar[str] = "Connection"

    token_file: Annotated[Path | None, typer.Option(help="File with one line: a bearer token.")] = (
        None
    )
    basic_file: Annotated[Path | None, typer.Option(help="File with one line: user:password.")] = (
        None
    )
    ca_file: Annotated[
        Path | None,
        typer.Option(
            help="Certificates (PEM) of the authority that signed the certificate of the PACS.",
            show_default="those of the package certifi",
        ),
    ] = None
    allow_unencrypted: Annotated[
        bool,
        typer.Option("--allow-unencrypted", help="Use http:// to another machine than this one."),
    ] = False
    timeout: Annotated[float, typer.Option(min=1, help="Seconds that one request may take.")] = (
        120.0
    )


@dataclass(frozen=True)
class ReportOptions:
    """Where the answer goes besides the terminal. Without these, nothing is written."""

    panel: ClassVar[str] = "Results"

    store: Annotated[
        bool,
        typer.Option(
            "--store",
            help="Store the structured report in the PACS, in the study of the later film.",
        ),
    ] = False
    json: Annotated[Path | None, typer.Option(help="Everything about the answer, as JSON.")] = None
    html: Annotated[
        Path | None, typer.Option(help="One page with both films and their regions.")
    ] = None
    sr: Annotated[Path | None, typer.Option(help="The structured report as a DICOM file.")] = None


def pacs_command(
    url: Annotated[
        str,
        typer.Argument(help="DICOMweb service of the PACS, such as https://HOST/dicom-web."),
    ],
    connection: ConnectionOptions,
    results: ReportOptions,
    guard: GuardOptions,
    *,
    patient: Annotated[
        str,
        typer.Option(
            help="Patient id: compares its newest two studies with a frontal chest radiograph. "
            '"-" reads the id from standard input, so that no list of processes shows it.'
        ),
    ] = "",
    accession: Annotated[
        list[str] | None,
        typer.Option(
            help="Accession number of a study; give two. Their dates decide which is earlier. "
            '"-" reads them from standard input, one a line.'
        ),
    ] = None,
    model: Annotated[
        str,
        typer.Option(
            help="Stage-2 run folder, exported model folder, or hub id org/name@<40 hex digits>. "
            "Regions need an exported model.",
            show_default="packaged model",
        ),
    ] = "",
) -> None:
    """Compare two studies of a PACS over DICOMweb (QIDO-RS, WADO-RS, STOW-RS). Research use only.

    The films stay in memory. Nothing is stored or written unless --store, --json, --html or --sr
    is given. No message contains an id.
    """
    from lapse.core.extras import check_extra

    check_extra("dicom", ["pydicom", "highdicom", "dicomweb_client"], "lapse pacs")
    from lapse.inference.comparison_model import open_model
    from lapse.inference.outputs import AnswerFiles
    from lapse.inference.pacs.compare import PacsQuery, compare_studies, summary
    from lapse.inference.pacs.connection import PacsOptions, connect
    from lapse.inference.pacs.transfer import store_report
    from lapse.inference.structured_report.document import structured_report

    query = PacsQuery(*_ids(patient, accession or []))
    files = AnswerFiles(json=results.json, html=results.html, sr=results.sr)
    files.check([])
    with connect(PacsOptions(url, **vars(connection))) as pacs:
        answered = compare_studies(pacs, query, open_model(model), guard.answer_options())
        for line in (*summary(answered.chosen), *answered.comparison.lines()):
            typer.echo(line)
        report = None
        if results.store or results.sr is not None:
            report = structured_report(answered.comparison, answered.headers)
        files.write(answered.comparison, report)
        if results.store and report is not None:
            store_report(pacs, report)
            typer.echo("structured report stored in the study of the later film")


def _ids(patient: str, accessions: list[str]) -> tuple[str, tuple[str, ...]]:
    """The ids, read from standard input where they are "-"."""
    if patient == "-":
        patient = sys.stdin.readline().strip()
    if accessions == ["-"]:
        accessions = [line.strip() for line in sys.stdin if line.strip()]
    return patient, tuple(accessions)
