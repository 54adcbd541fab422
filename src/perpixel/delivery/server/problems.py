"""What a request is told when it gets no mask: a status, a code for programs, a sentence."""

from __future__ import annotations

import json

from pydantic import BaseModel, Field
from starlette.responses import Response

# Of each status, what it says; the page of the documentation and OpenAPI list them.
MEANINGS: dict[int, str] = {
    400: "The image or the request is damaged.",
    401: "The token is missing or wrong.",
    404: "There is nothing at this address.",
    405: "The address does not take this method.",
    406: "None of the accepted media types can be made.",
    408: "The body did not arrive in time.",
    413: "The file has too many bytes, or the image too many pixels.",
    415: "The body is no image in a format that is read.",
    422: "The image is not one for this model.",
    429: "The queue is full: try again after the seconds in Retry-After.",
    500: "The server could not compute the image.",
    503: "The answer was not ready in time, or the server is stopping.",
}
_CODES = {
    404: "not_found",
    405: "method_not_allowed",
}


class ProblemBody(BaseModel):
    """The JSON of every answer that is not what was asked for."""

    code: str = Field(examples=["too_many_pixels"], description="For programs; it does not change.")
    message: str = Field(
        examples=["The image has 100000×100000 pixels; at most 50,000,000 are taken."],
        description="For people.",
    )


class ProblemError(Exception):
    """A request that cannot be answered with what it asked for.

    Args:
        status: of HTTP, one of MEANINGS.
        code: for programs.
        message: for people: what was found, what is expected. No path, no traceback.
        retry_after: seconds after which it is worth trying again; None: say nothing about it.
    """

    def __init__(
        self, status: int, code: str, message: str, retry_after: int | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.retry_after = retry_after

    def response(self) -> Response:
        """The answer."""
        headers = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        return problem_response(self.status, self.code, self.message, headers)


def not_computed() -> ProblemError:
    """For a fault of the server's own, which its log describes."""
    return ProblemError(500, "not_computed", MEANINGS[500])


def problem_response(
    status: int, code: str, message: str, headers: dict[str, str] | None = None
) -> Response:
    """An answer of that status with a `ProblemBody`."""
    content = json.dumps({"code": code, "message": message}, ensure_ascii=False)
    return Response(content, status, headers, media_type="application/json")


def of_status(status: int, headers: dict[str, str] | None = None) -> Response:
    """The answer to a request that met no route of ours, or not with this method."""
    code = _CODES.get(status, "refused")
    return problem_response(status, code, MEANINGS.get(status, "Refused."), headers)
