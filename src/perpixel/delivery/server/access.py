"""The token: whoever does not say it gets no further than the checks of health."""

from __future__ import annotations

import base64
import binascii
import hmac

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from perpixel.delivery.server.problems import MEANINGS, problem_response

OPEN = frozenset({"/healthz", "/readyz"})
# A browser asks its user for the second, and sends it with every request of the page.
_CHALLENGES = 'Bearer realm="perpixel", Basic realm="perpixel", charset="UTF-8"'
_POLICY_VIOLATION = 1008


class TokenGate:
    """Lets requests through that carry the token, as `Authorization: Bearer TOKEN` or, for
    browsers, as the password of any user (RFC 6750 and RFC 7617).

    It stands before all routes, so that what is added to the application is behind it too.

    Args:
        app: what is behind.
        token: what to say.
    """

    def __init__(self, app: ASGIApp, token: str) -> None:
        self.app = app
        self._token = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through, or answer 401."""
        open_to_all = scope["type"] == "lifespan" or scope.get("path") in OPEN
        if open_to_all or self._knows(Headers(scope=scope).get("authorization")):
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
        else:
            headers = {"WWW-Authenticate": _CHALLENGES}
            refusal = problem_response(401, "no_token", MEANINGS[401], headers)
            await refusal(scope, receive, send)

    def _knows(self, header: str | None) -> bool:
        scheme, _, said = (header or "").partition(" ")
        match scheme.lower():
            case "bearer":
                given = said.strip().encode("utf-8", "replace")
            case "basic":
                given = _password(said.strip())
            case _:
                given = b""
        # In a time that does not tell how much of it was right.
        return hmac.compare_digest(given, self._token)


def _password(said: str) -> bytes:
    try:
        return base64.b64decode(said, validate=True).partition(b":")[2]
    except (binascii.Error, ValueError):
        return b""
