"""The commands of `lapse`. Each stage meets the next in files; wrong input is one sentence.

Heavy imports stand inside the commands, so that `--help` and a wrong option never wait for torch.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from lapse import __version__
from lapse.terminal import commit, console, progress_bar, provenance, say

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    help="lapse: what changed between two chest X-rays of one patient. Research use only.",
)


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        typer.echo(f"lapse {__version__}")
        raise typer.Exit


@app.command()
def simulate(
    out: Annotated[Path, typer.Argument(help="Empty or new folder for the raw trees.")],
    patients: Annotated[int, typer.Option(min=1, help="How many patients.")] = 48,
    seed: Annotated[int, typer.Option(help="Same seed, same bytes.")] = 0,
    size: Annotated[int, typer.Option(min=64, help="Longest image side in pixels.")] = 512,
    visits: Annotated[str, typer.Option(help="Visits per patient, e.g. 2-4.")] = "2-4",
    nuisance: Annotated[float, typer.Option(min=0, max=1.5, help="Acquisition noise.")] = 1.0,
    confound: Annotated[float, typer.Option(min=0, max=1, help="AP view goes with sick.")] = 0.0,
    prevalence: Annotated[float, typer.Option(min=0, help="Scale of finding rates.")] = 1.0,
    priors: Annotated[bool, typer.Option(help="Reports mention earlier studies.")] = False,
    processes: Annotated[int, typer.Option(min=1, help="Worker processes.")] = 1,
    images: Annotated[str, typer.Option(help="jpeg, dicom or both.")] = "jpeg",
    quirks: Annotated[
        float, typer.Option(min=0, max=1, help="Share of records that get each kind of defect.")
    ] = 0.0,
    quirk: Annotated[
        list[str] | None, typer.Option(help="Only this kind of defect; may be repeated.")
    ] = None,
) -> None:
    """Simulate patients into MIMIC-CXR-JPG, Chest ImaGenome and Medical-Diff-VQA trees."""
    from lapse.phantom.quirks import check_kinds, inject
    from lapse.phantom.writer import SimulateConfig
    from lapse.phantom.writer import simulate as run

    config = SimulateConfig(
        patients=patients,
        seed=seed,
        size=size,
        visits=_visits(visits),
        nuisance=nuisance,
        confound=confound,
        prevalence=prevalence,
        priors=priors,
        processes=processes,
        images=images,
    )
    check_kinds(quirk or [])
    if quirk and not quirks:
        raise ValueError(f"--quirk {quirk[0]} without a rate: add --quirks 0.02, for example")
    with progress_bar("simulate") as progress:
        report = run(out, config, progress)
    for line in report.lines():
        say(line)
    if quirks:
        truth = inject(out, quirks, seed, quirk)
        num_defects = sum(len(ids) for ids in truth.values())
        say(f"{num_defects} defects of {len(truth)} kinds, listed in {out / 'quirks.json'}")


def _visits(text: str) -> tuple[int, int]:
    low, separator, high = text.partition("-")
    try:
        first, last = int(low), int(high if separator else low)
    except ValueError:
        raise ValueError(f"--visits {text!r} is not a number or a range such as 2-4") from None
    if not 1 <= first <= last:
        raise ValueError(f"--visits {text!r}: the range needs 1 <= first <= last")
    return first, last


@app.command()
def verify(
    roots: Annotated[list[Path], typer.Argument(help="Folders that hold the raw trees.")],
    pixels: Annotated[
        bool, typer.Option("--pixels", help="Also decode every image: hours on a full release.")
    ] = False,
    json_file: Annotated[
        str, typer.Option("--json", help="Write all that was found, with ids; - for stdout.")
    ] = "",
    page: Annotated[Path | None, typer.Option(help="Write the same as an HTML page.")] = None,
    release_counts: Annotated[
        bool, typer.Option(help="Compare row counts with the published ones.")
    ] = True,
    workers: Annotated[int, typer.Option(min=1, help="Threads that decode images.")] = 2,
) -> None:
    """Look for defects in raw trees; changes nothing. Exit code 1 where there are errors."""
    from lapse.data.roots import find_roots
    from lapse.data.verify import verify as run
    from lapse.data.verify_page import write_verify_page

    found = find_roots(roots)
    with progress_bar("verify") as progress:
        report = run(
            found,
            pixels=pixels,
            release_counts=release_counts,
            workers=workers,
            progress=progress,
        )
    is_piped = json_file == "-"
    for line in report.lines():
        typer.echo(line, err=is_piped)
    if json_file:
        text = json.dumps(report.to_json(), indent=1)
        if is_piped:
            typer.echo(text)
        else:
            Path(json_file).write_text(f"{text}\n", encoding="utf-8")
    if page is not None:
        say(f"page: {write_verify_page(page, report)}")
    raise typer.Exit(report.exit_code)


@app.command()
def prepare(
    roots: Annotated[list[Path], typer.Argument(help="Folders that hold the raw trees, then OUT.")],
    size: Annotated[int, typer.Option(min=16, help="Training side in pixels.")] = 448,
    protocol: Annotated[str, typer.Option(help="patient-safe or published.")] = "patient-safe",
    priors: Annotated[
        str, typer.Option(help="References to priors: rules, none, classifier:/FOLDER.")
    ] = "rules",
    resize: Annotated[str, typer.Option(help="squash (the paper) or letterbox.")] = "squash",
    boxes: Annotated[str, typer.Option(help="silver; gold: to evaluate on.")] = "silver",
    regions: Annotated[str, typer.Option(help="29 or 36 region names.")] = "29",
    frontals: Annotated[
        str, typer.Option(help="Frontal images of a study: first or all.")
    ] = "first",
    subset: Annotated[
        bool, typer.Option("--subset", help="Go on with the images that are there.")
    ] = False,
    shard: Annotated[str, typer.Option(help="i/n: make only these shards, no store.")] = "",
    workers: Annotated[int, typer.Option(min=0, help="Processes that decode images.")] = 2,
) -> None:
    """Read raw trees (ROOTS... OUT) into one store: records as Parquet, pixels once.

    A run that was killed goes on where it stopped. Several machines can share the work: each
    runs with --shard i/n, the folders OUT.parts are copied into one, and a run without --shard
    merges them.
    """
    if len(roots) < 2:
        raise ValueError("prepare needs at least one raw folder and the output folder, in order")
    from lapse.data.prepare import PrepareOptions, find_roots
    from lapse.data.prepare import prepare as run

    *sources, out = roots
    options = PrepareOptions(
        size=size,
        protocol=protocol,
        priors=priors,
        resize=resize,
        boxes=boxes,
        regions=regions,
        frontals=frontals,
        is_subset=subset,
        workers=workers,
        part=_part(shard),
    )
    with progress_bar("prepare") as progress:
        report = run(find_roots(sources), out, options, progress=progress)
    if options.part is not None:
        say(
            f"{report.num_made} shards made in {out}.parts, {report.images_per_second:.1f} images/s"
        )
        return
    for line in report.lines():
        say(line)


def _part(text: str) -> tuple[int, int] | None:
    if not text:
        return None
    first, _, last = text.partition("/")
    if not first.isdecimal() or not last.isdecimal():
        raise ValueError(f"--shard {text!r} is not of the form i/n, such as 1/2")
    return int(first), int(last)


@app.command()
def train(
    preset: Annotated[str, typer.Argument(help="Name of a preset, or a YAML file.")],
    overrides: Annotated[list[str] | None, typer.Argument(help="a.b=value ...")] = None,
    data: Annotated[Path, typer.Option(help="Store written by prepare.")] = ...,  # type: ignore[assignment]
    out: Annotated[Path, typer.Option(help="Run folder; an existing one is resumed.")] = ...,  # type: ignore[assignment]
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would run.")] = False,
) -> None:
    """Train either stage; the same command again continues where it stopped."""
    from lapse.config import load_config

    config = load_config(preset, overrides or [])
    from lapse.train import train as run

    if dry_run:
        run(config, data, out, say=say, dry_run=True)
        return
    with progress_bar(config.name) as progress:
        run(config, data, out, say=say, progress=progress)


@app.command()
def predict(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    data: Annotated[Path, typer.Option(help="Store written by prepare.")] = ...,  # type: ignore[assignment]
    split: Annotated[str, typer.Option(help="train, validate or test.")] = "test",
    out: Annotated[Path | None, typer.Option(help="Default: RUN/predictions-SPLIT.jsonl.")] = None,
    tasks: Annotated[str, typer.Option(help="Comma list; default: those of the run.")] = "",
    beams: Annotated[
        int | None, typer.Option(min=1, help="Beam width; default: the run's.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many samples.")] = None,
) -> None:
    """Write the answers of a run to a predictions file."""
    from lapse.evaluate import write_predictions
    from lapse.predict import predict as run_predict

    target = out or run / f"predictions-{split}.jsonl"
    wanted = tuple(name.strip() for name in tasks.split(",") if name.strip()) or None
    with progress_bar("predict") as progress:
        found = list(
            run_predict(run, data, split, tasks=wanted, limit=limit, beams=beams, progress=progress)
        )
    write_predictions(target, found)
    say(f"{len(found)} predictions in {target}")


@app.command()
def evaluate(
    predictions: Annotated[Path, typer.Argument(help="predictions.jsonl")],
    data: Annotated[
        Path | None, typer.Option(help="Store: adds blind rows, release and split protocol.")
    ] = None,
    beside: Annotated[
        list[Path] | None,
        typer.Option(help="Other predictions of the same samples, one more column each."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Default: scores.json beside it.")] = None,
    seed: Annotated[int, typer.Option(help="Of intervals and random answers.")] = 0,
) -> None:
    """Score a predictions file: caption metrics, change scores, box accuracy; blind rows beside."""
    from lapse.evaluate import (
        check_same_samples,
        format_markdown,
        read_predictions,
        scores_table,
        write_scores,
    )
    from lapse.evaluate import evaluate as run

    found = read_predictions(predictions)
    rows = {str(path): read_predictions(path) for path in beside or []}
    for name, others in rows.items():
        check_same_samples(found, others, name)
    if data is not None:
        from lapse.baselines import blind_rows
        from lapse.data.store import open_store

        rows |= blind_rows(open_store(data), found, seed=seed)
    else:
        say("no blind rows: they need the training answers of --data STORE")
    scores = run(found, seed=seed)
    others_scores = {name: run(others, seed=seed) for name, others in rows.items()}
    facts = provenance(data=data, seed=seed, n=len(found))
    target = out or predictions.with_name("scores.json")
    write_scores(target, scores, facts, others_scores)
    for task, values in scores.items():
        columns = {predictions.stem: values}
        columns |= {name: other[task] for name, other in others_scores.items() if task in other}
        typer.echo(f"\n{task} (n = {sum(p.task == task for p in found)})")
        typer.echo(format_markdown(scores_table(columns)))
    say(f"scores in {target}")


@app.command()
def answer(
    run: Annotated[Path, typer.Argument(help="Run folder of stage 2.")],
    reference: Annotated[Path, typer.Option(help="Earlier image: JPEG, PNG, DICOM.")] = ...,  # type: ignore[assignment]
    main_image: Annotated[Path, typer.Option("--main", help="Later image.")] = ...,  # type: ignore[assignment]
    question: Annotated[str, typer.Option(help="Default: what has changed ...?")] = "",
) -> None:
    """Say what changed between two image files. Research use only."""
    from lapse.answer import answer_pair
    from lapse.grammar import QUESTION_CHANGED
    from lapse.runs import open_run

    said = answer_pair(open_run(run), reference, main_image, question or QUESTION_CHANGED)
    for line in said.lines():
        typer.echo(line)


@app.command()
def demo(
    out: Annotated[Path, typer.Argument(help="Folder for everything that the demo makes.")],
    patients: Annotated[int, typer.Option(min=12, help="Simulated patients.")] = 160,
    seed: Annotated[int, typer.Option(help="Seed of the whole demo.")] = 0,
) -> None:
    """From nothing to a scored, illustrated report on simulated patients."""
    from lapse.demo.run import DemoConfig, run_demo

    report = run_demo(
        out, DemoConfig(patients=patients, seed=seed), say=say, bar=progress_bar, commit=commit()
    )
    say(f"report: {report}")


def main() -> None:
    """Entry point: a ValueError becomes one sentence and exit code 2."""
    try:
        app()
    except ValueError as error:
        console.print(f"[bold red]error:[/] {escape(str(error))}")
        raise SystemExit(2) from None
    except FileNotFoundError as error:
        console.print(f"[bold red]error:[/] no such file or folder: {escape(str(error.filename))}")
        raise SystemExit(2) from None
