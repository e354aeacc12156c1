"""Every error of the service: a code of a closed list, its HTTP status, one sentence.

The sentences are constants. They contain no text of a request or a file, so nothing of a patient
and nothing that an attacker wrote comes back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lapse.images import errors as image_errors


@dataclass(frozen=True, slots=True)
class Kind:
    """An entry of the list."""

    status: int
    message: str


ERRORS: dict[str, Kind] = {
    "bad-request": Kind(400, "The request is not as the API describes it."),
    "unauthorized": Kind(401, "A valid token is needed: Authorization: Bearer TOKEN."),
    "wrong-origin": Kind(403, "The request comes from a page of another origin."),
    "not-found": Kind(404, "The service has no such path."),
    "unknown-film": Kind(404, "The film is not in memory: it expired or was removed; send it."),
    "method-not-allowed": Kind(405, "The path does not have this method."),
    "timeout": Kind(408, "The body of the request did not arrive in time."),
    "length-required": Kind(411, "The request needs a Content-Length and a plain body."),
    "body-too-large": Kind(413, "The body has more bytes than the limit of this path."),
    "unsupported-media-type": Kind(415, "The path does not read this Content-Type."),
    "wrong-host": Kind(421, "The Host of the request is not a name of this service."),
    "unknown-question": Kind(422, "The model is not trained on this question."),
    "refused-input": Kind(422, "An input check refuses the films."),
    "decoder-failed": Kind(422, "The process that decoded the film ended or took too long."),
    # codes of lapse.images
    "too-many-bytes": Kind(422, "The film has more bytes than the limit, or would decompress to."),
    "too-many-pixels": Kind(422, "The film has more pixels than the limit."),
    "unknown-format": Kind(422, "The film is neither JPEG, PNG nor DICOM."),
    "truncated": Kind(422, "The film ends early: fetch the file again."),
    "damaged": Kind(422, "The film is damaged: fetch the file again."),
    "unsupported": Kind(422, "This kind of file is not read: export it as JPEG, PNG or DICOM."),
    "multi-frame": Kind(422, "The file holds several images: give one radiograph."),
    "not-grey": Kind(422, "The DICOM is in colour: a radiograph is grey."),
    "blank": Kind(422, "The film is blank: all its pixels are equal."),
    "noise": Kind(422, "The image is noise and not a film."),
    "sop-class": Kind(422, "The DICOM is not of a class of radiographs (SOPClassUID)."),
    "headers-too-large": Kind(431, "The headers of the request are too large."),
    "internal": Kind(500, "The service failed; nothing of the request was kept."),
    "model-failed": Kind(500, "The process of the model ended or took too long: try again."),
    "busy": Kind(503, "All places in the queue are taken: try again later."),
    "memory-full": Kind(503, "The memory for films is full: try again later."),
    "stopping": Kind(503, "The service is stopping."),
}
assert {code for code in image_errors.CODES if code != "missing"} < set(ERRORS)


@dataclass(eq=False)
class ServiceError(Exception):
    """A request that is not answered.

    Attributes:
        code: of `ERRORS`.
        details: more values of the JSON, never text of the request.
        headers: of the response.
    """

    code: str
    details: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.code

    @property
    def status(self) -> int:
        """The HTTP status."""
        return ERRORS[self.code].status

    def content(self) -> dict[str, Any]:
        """The JSON of the response."""
        return {"error": {"code": self.code, "message": ERRORS[self.code].message, **self.details}}


def retry_later(code: str, seconds: float) -> ServiceError:
    """An error after which the same request may succeed.

    >>> dict(retry_later("busy", 2.2).headers)
    {'Retry-After': '3'}
    """
    return ServiceError(code, headers={"Retry-After": str(max(1, -int(-seconds // 1)))})
