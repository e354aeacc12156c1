"""The content tree of a structured report, by TID 1500 (Measurement Report).

    Imaging Measurements
        finding on a film         box as POLYLINE, change, level,         TID 1410, or TID 1501
                                  certainty or agreement                  without a box
        comparison                both films; only without a finding      TID 1501
    Qualitative Evaluations       intended use, status, answer, changes that are not stated, input
                                  checks, training data, model, calibration: codes and free text

A finding that both films show has one Tracking Unique Identifier on both. Boxes are closed
polygons in pixels of the original film: column and row from the upper left corner of its first
pixel.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from highdicom import UID, sr
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from lapse.core.changes import Change
from lapse.core.types import Box
from lapse.core.version import __version__
from lapse.inference.answer import ROLES, roles_with
from lapse.inference.comparison import Comparison
from lapse.inference.structured_report.codes import (
    CERTAINTY,
    EVALUATIONS,
    PERCENT,
    finding_code,
    finding_site,
    private,
)
from lapse.metrics.confidence import agreement, change_key

Group = sr.MeasurementsAndQualitativeEvaluations | sr.PlanarROIMeasurementsAndQualitativeEvaluations
CHANGES = {
    "added": "In the later image only",
    "missing": "In the earlier image only; not proven resolved",
    "level": "In both images, with another level",
}
FILMS = {"reference": "earlier image (reference)", "main": "later image (main)"}


def measurement_report(
    comparison: Comparison, headers: Mapping[str, Dataset]
) -> sr.MeasurementReport:
    """The content of the report of one comparison.

    Args:
        comparison: with an answer and boxes.
        headers: "reference" and "main" -> the header of the film.
    """
    groups = [
        _finding_group(comparison, change, role, headers)
        for change in comparison.changes
        for role in roles_with(change)
    ]
    if not groups:  # the template needs one, and viewers expect a region in each
        groups.append(_comparison_group(comparison, headers))
    # an entry of the image library needs both elements
    needed = ("PatientOrientation", "ImagerPixelSpacing")
    listed = [item for item in headers.values() if all(item.get(name) for name in needed)]
    report = sr.MeasurementReport(
        _observation_context(comparison),
        private("procedure", "comparison", "Comparison of two chest radiographs by software"),
        groups,
        referenced_images=listed if len(listed) == len(ROLES) else None,
    )
    report[0].ContentSequence.append(_evaluations(comparison))
    return report


def polygon(box: Box, rows: int, columns: int) -> NDArray[np.float64]:
    """A box as a closed polygon. # [5, 2]: column, row

    Args:
        box: fractions of the original film.

    >>> polygon(Box(0.25, 0.5, 0.75, 1.0), rows=100, columns=200).tolist()[0]
    [50.0, 50.0]
    """
    left, right = box.x_min * columns, box.x_max * columns
    top, bottom = box.y_min * rows, box.y_max * rows
    corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]
    return np.array(corners, dtype=np.float64)


def derived_uid(*parts: str) -> UID:
    """A UID of the root 2.25 that is the same for the same parts."""
    return UID(f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, ' '.join(parts)).int}")


def _finding_group(
    comparison: Comparison, change: Change, role: str, headers: Mapping[str, Dataset]
) -> Group:
    """One finding on one film, with its box if the model gives a valid one."""
    header, box = headers[role], comparison.boxes.get(role, {}).get(change.finding)
    films = [str(headers[name].SOPInstanceUID) for name in ROLES]
    tracking = sr.TrackingIdentifier(derived_uid(*films, change.finding), change.finding)
    probability = comparison.answer.probabilities.get(change_key(change))
    measurements = []
    if probability is not None:
        measurements.append(sr.Measurement(CERTAINTY, round(100 * probability, 1), PERCENT))
    shared: dict[str, Any] = {
        "time_point_context": sr.TimePointContext(FILMS[role]),
        "finding_type": finding_code(change.finding),
        "algorithm_id": _algorithm(comparison),
        "measurements": measurements,
        "qualitative_evaluations": list(_finding_evaluations(comparison, change, role)),
    }
    if box is None:
        source = sr.SourceImageForMeasurementGroup.from_source_image(header)
        return sr.MeasurementsAndQualitativeEvaluations(tracking, source_images=[source], **shared)
    region = sr.ImageRegion(
        sr.GraphicTypeValues.POLYLINE,
        polygon(box, int(header.Rows), int(header.Columns)),
        sr.SourceImageForRegion.from_source_image(header),
    )
    sites = [finding_site(comparison.region_name(role, change.finding))]
    return sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking, region, finding_sites=sites, **shared
    )


def _finding_evaluations(
    comparison: Comparison, change: Change, role: str
) -> Iterator[sr.QualitativeEvaluation]:
    kind = private("change", change.kind, CHANGES[change.kind])
    yield sr.QualitativeEvaluation(private("item", "change", "Change between both images"), kind)
    level = change.before if role == "reference" else change.after
    if level:
        name = private("item", "level", "Level of the finding in this image")
        yield sr.QualitativeEvaluation(name, private("level", level))
    confidence = comparison.answer.confidence.get(change_key(change))
    if confidence is not None:
        name = private("item", "agreement", "Agreement of the model with itself; no probability")
        yield sr.QualitativeEvaluation(name, private("agreement", agreement(confidence)))


def _comparison_group(comparison: Comparison, headers: Mapping[str, Dataset]) -> Group:
    """The status of an answer without a stated change, which both films support."""
    films = [headers[role] for role in ROLES]
    return sr.MeasurementsAndQualitativeEvaluations(
        sr.TrackingIdentifier(
            derived_uid(*(str(film.SOPInstanceUID) for film in films), "comparison"), "comparison"
        ),
        algorithm_id=_algorithm(comparison),
        qualitative_evaluations=[_status(comparison)],
        source_images=[sr.SourceImageForMeasurementGroup.from_source_image(film) for film in films],
    )


def _status(comparison: Comparison) -> sr.QualitativeEvaluation:
    status = private("status", comparison.answer.status)
    return sr.QualitativeEvaluation(private("item", "status", "Status of the answer"), status)


def _evaluations(comparison: Comparison) -> sr.ContainerContentItem:
    """What a reader must know about the answer, as free text."""
    container = sr.ContainerContentItem(
        EVALUATIONS, relationship_type=sr.RelationshipTypeValues.CONTAINS
    )
    container.ContentSequence = sr.ContentSequence(
        [
            *_status(comparison),
            *(
                sr.TextContentItem(
                    private("item", name, meaning),
                    text,
                    relationship_type=sr.RelationshipTypeValues.CONTAINS,
                )
                for name, meaning, text in _texts(comparison)
                if text
            ),
        ]
    )
    return container


def _texts(comparison: Comparison) -> Iterator[tuple[str, str, str]]:
    """(name of the item, its meaning, the text)."""
    answer = comparison.answer
    yield "intended-use", "Intended use", comparison.notice
    yield "question", "Question to the model", comparison.question
    yield "answer", "Answer of the model", answer.text or "(empty)"
    for change in answer.unsure:
        yield "not-stated", "Change that is unsure and not stated", answer.describe(change)
    for reason in answer.reasons:
        yield "reason", "Reason", reason
    for words in answer.leftover:
        yield "not-understood", "Words of the answer that are not understood", words
    for issue in answer.issues:
        yield "input-check", "Result of an input check", issue.line()
    if not answer.issues:
        yield "input-check", "Result of an input check", "no input check reports an issue"
    for note in answer.notes():
        yield "confidence", "How confidence is meant", note
    yield "training-data", "Training data of the model", answer.trained_on or "unknown"
    for name, value in comparison.model.items():
        yield "model", "Fact of the model", f"{name}: {value}"


def _algorithm(comparison: Comparison) -> sr.AlgorithmIdentification:
    return sr.AlgorithmIdentification(
        f"lapse, {comparison.model.get('model', 'unknown model')}",
        __version__,
        parameters=["research use only"],
    )


def _observation_context(comparison: Comparison) -> sr.ObservationContext:
    name = comparison.model.get("model", "unknown model")
    device = sr.DeviceObserverIdentifyingAttributes(
        derived_uid("device", name, __version__),
        name="lapse",
        manufacturer_name="lapse, open-source software, research use only",
        model_name=name,
    )
    return sr.ObservationContext(
        observer_device_context=sr.ObserverContext(codes.DCM.Device, device)
    )
