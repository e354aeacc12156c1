"""Statistics of simulated data compared with published counts of the real data sets, in Markdown.

    lapse simulate raw --patients 400 --seed 41 --size 64
    python experiments/phantom_statistics.py raw

All counts are from the simulated files. The published values are counts in the public documentation
of MIMIC-CXR-JPG, Chest ImaGenome 1.0.0 and Medical-Diff-VQA 1.0.0, and design targets derived from
them; "-" if there is none. No credentialed data were used.
"""

from __future__ import annotations

import csv
import json
import sys
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from statistics import mean, median, quantiles

from lapse.core.annotation_names import REGIONS
from lapse.core.changes import QUESTION_CHANGED, UNCHANGED
from lapse.core.grammar import parse
from lapse.data.datasets.release_counts import DIFF_VQA, MIMIC_CXR, PUBLISHED
from lapse.phantom.dataset.truth import read_states
from lapse.phantom.patients.findings import level_of
from lapse.phantom.text.questions import CATEGORIES

STUDIES, PATIENTS = PUBLISHED[MIMIC_CXR, "studies"], PUBLISHED[MIMIC_CXR, "patients"]
QUESTIONS, PAIRS = PUBLISHED[DIFF_VQA, "questions"], PUBLISHED[DIFF_VQA, "difference"]


def graphs(root: Path) -> Iterator[dict]:
    path = root / "chest-imagenome" / "silver_dataset" / "scene_graph.zip"
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            yield json.loads(archive.read(name))


def questions(root: Path) -> list[dict[str, str]]:
    path = root / "medical-diff-vqa" / "mimic_pair_questions.csv"
    with path.open(encoding="utf-8") as table:
        return list(csv.DictReader(table))


def table(title: str, rows: list[tuple[str, str, str]]) -> None:
    print(f"\n| {title} | simulated | published |\n|---|---|---|")
    for row in rows:
        print(f"| {' | '.join(row)} |")


def regions_table(root: Path) -> None:
    num_images = num_boxes = num_described = num_abnormal = num_phrases = 0
    for graph in graphs(root):
        boxed = {item["bbox_name"] for item in graph["objects"]} & set(REGIONS)
        num_images += 1
        num_boxes += len(boxed)
        for item in graph["attributes"]:
            if item["bbox_name"] in boxed:
                num_described += 1
                num_phrases += len(item["phrases"])
                strings = [text for group in item["attributes"] for text in group]
                num_abnormal += "nlp|yes|abnormal" in strings
    table(
        "regions (29 names)",
        [
            ("boxes per image", f"{num_boxes / num_images:.1f}", "up to 29"),
            ("boxes with a phrase", f"{num_described / num_boxes:.1%}", "31%"),
            ("described regions per image", f"{num_described / num_images:.1f}", "9"),
            ("abnormal boxes", f"{num_abnormal / num_boxes:.1%}", "14%"),
            ("phrases per described region", f"{num_phrases / num_described:.2f}", "-"),
        ],
    )


def questions_table(root: Path, num_patients: int) -> None:
    rows = questions(root)
    counts = Counter(row["question_type"] for row in rows)
    total = len(rows)
    table(
        "question category",
        [
            (name, f"{counts[name] / total:.1%}", f"{PUBLISHED[DIFF_VQA, name] / QUESTIONS:.1%}")
            for name in CATEGORIES
        ],
    )
    differences = [row for row in rows if row["question"] == QUESTION_CHANGED]
    answers = [row["answer"] for row in differences]
    changes = [len(parse(answer).changes) for answer in answers]
    lengths = [len(answer.split()) for answer in answers]
    patients = Counter(row["subject_id"] for row in differences)
    low, *_, high = quantiles(lengths, n=10)
    table(
        "difference questions",
        [
            (
                "pairs per patient",
                f"{len(differences) / num_patients:.2f}",
                f"{PAIRS / PATIENTS:.2f}",
            ),
            ("pairs per patient with a pair", f"{mean(patients.values()):.2f}", "-"),
            ("nothing has changed", f"{answers.count(UNCHANGED) / len(answers):.1%}", "-"),
            ("changes per answer, mean", f"{mean(changes):.2f}", "-"),
            (
                "words per answer: median (10%, 90%)",
                f"{median(lengths):g} ({low:g}, {high:g})",
                "-",
            ),
            (
                "rows per pair, all categories",
                f"{total / len(differences):.2f}",
                f"{QUESTIONS / PAIRS:.2f}",
            ),
        ],
    )
    edges = (4, 12, 16, 24, 32, 48, 10_000)
    bins = Counter(next(edge for edge in edges if length <= edge) for length in lengths)
    table(
        "words of a difference answer",
        [(f"up to {edge}", f"{bins[edge] / len(lengths):.1%}", "-") for edge in edges[:-1]]
        + [("more", f"{bins[edges[-1]] / len(lengths):.1%}", "-")],
    )


def findings_table(root: Path) -> int:
    """Print the frequencies of findings, devices and mimics; returns the number of patients."""
    names, levels, devices, mimics = Counter(), Counter(), Counter(), Counter()
    patients = set()
    num_studies = 0
    for state in read_states(root):
        num_studies += 1
        patients.add(state.subject_id)
        for item in state.visit.findings:
            names[item.name] += 1
            level = level_of(item.name, item.severity)
            levels[level] += bool(level)
        devices.update(item.name for item in state.visit.devices)
        mimics.update(item.name for item in state.visit.mimics)
    rows = [
        ("studies per patient", f"{num_studies / len(patients):.2f}", f"{STUDIES / PATIENTS:.2f}")
    ]
    rows += [(name, f"{count / num_studies:.1%}", "-") for name, count in names.most_common()]
    table("fraction of studies with", rows)
    graded = sum(levels.values())
    for title, counts, total in (
        ("level of a graded finding", levels, graded),
        ("device, fraction of studies", devices, num_studies),
        ("mimic, fraction of studies", mimics, num_studies),
    ):
        counts.pop("", None)
        table(title, [(n, f"{c / total:.1%}", "-") for n, c in counts.most_common()])
    print(f"\n{num_studies} studies of {len(patients)} patients")
    return len(patients)


def main(raw: str) -> None:
    root = Path(raw)
    num_patients = findings_table(root)
    regions_table(root)
    questions_table(root, num_patients)


if __name__ == "__main__":
    main(sys.argv[1])
