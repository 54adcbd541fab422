"""The bytes of an image in a request: read within limits, and taken out of a form."""

from __future__ import annotations

from collections.abc import AsyncIterable

from python_multipart.multipart import parse_options_header

from perpixel.delivery.server.places import Place
from perpixel.delivery.server.problems import ProblemError

FORM = "multipart/form-data"
FIELD = "image"
# Beside the image a form has boundaries and headers.
FORM_BYTES = 16 << 10
_LONGEST_BOUNDARY = 70  # RFC 2046, section 5.1.1
_MOST_PARTS = 16


def media_type(header: str | None) -> tuple[str, dict[bytes, bytes]]:
    """A Content-Type header's media type, in lower case, and its parameters."""
    kind, parameters = parse_options_header(header)
    return kind.decode("latin-1").strip().lower(), parameters


def declared_length(header: str | None) -> int | None:
    """What a Content-Length header says; None where there is none.

    Raises:
        ProblemError: it is no number (400).
    """
    if header is None:
        return None
    if not (header.isascii() and header.isdecimal()):
        raise ProblemError(400, "bad_length", "The Content-Length is not a number.")
    return int(header)


async def read_body(chunks: AsyncIterable[bytes], place: Place, most: int) -> bytes:
    """All bytes of a request, which count at its place from the moment they are here.

    Raises:
        ProblemError: there are more than `most` (413), or all requests together hold too many
            (429).
    """
    parts, length = [], 0
    async for chunk in chunks:
        length += len(chunk)
        if length > most:
            raise too_many_bytes(most)
        place.hold(length)
        parts.append(chunk)
    return b"".join(parts)


def too_many_bytes(most: int) -> ProblemError:
    """For a body that is longer than is taken."""
    return ProblemError(
        413, "too_many_bytes", f"The body is too long; at most {most:,} bytes are taken."
    )


def image_in_form(body: bytes, parameters: dict[bytes, bytes]) -> bytes:
    """The content of the one part of a form that is called `image` (RFC 7578).

    The whole form is in memory, so each boundary is one search; a parser for streams would look at
    every line end in the image by itself.

    Raises:
        ProblemError: the form is damaged, or has no such part or several (400).
    """
    boundary = parameters.get(b"boundary", b"")
    if not 1 <= len(boundary) <= _LONGEST_BOUNDARY:
        raise _damaged("its Content-Type has no boundary")
    # The first boundary may begin the body; all others begin a line.
    pieces = (b"\r\n" + body).split(b"\r\n--" + boundary, _MOST_PARTS + 2)
    if len(pieces) > _MOST_PARTS + 2:
        raise _damaged(f"it has more than {_MOST_PARTS} parts")
    if len(pieces) < 3 or not pieces[-1].startswith(b"--"):
        raise _damaged("its last boundary is missing")
    found = [
        content
        for head, separator, content in map(_parted, pieces[1:-1])
        if separator and _name(head) == FIELD.encode()
    ]
    if len(found) != 1:
        count = "no part" if not found else f"{len(found)} parts"
        raise ProblemError(400, "no_image", f"The form has {count} called {FIELD!r}; expected one.")
    return found[0]


def _parted(piece: bytes) -> tuple[bytes, bytes, bytes]:
    # A part without headers begins with an empty line.
    return piece.partition(b"\r\n\r\n")


def _name(head: bytes) -> bytes | None:
    for line in head.split(b"\r\n"):
        key, _, value = line.partition(b":")
        if key.strip().lower() == b"content-disposition":
            return parse_options_header(value.strip())[1].get(b"name")
    return None


def _damaged(reason: str) -> ProblemError:
    return ProblemError(400, "bad_form", f"The form cannot be read: {reason}.")
