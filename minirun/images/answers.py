"""What a registry answers: its body within bounds, its errors in words.

Owns: `Refused`, `Unreachable`, `check`, `read_all`. Leaves to others: what was asked (images/registry, authorization).

Source: distribution-spec, "Error Codes".
"""

from __future__ import annotations

import json
import time

from ..errors import Corrupt, MinirunError, NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    import urllib3

PIECE = 1 << 20
ERROR_MAX = 64 * 1024  # bytes of an answer that says what is wrong
READ_SECONDS = 60.0  # a document that isn't all there by then is given up


class Unreachable(MinirunError):
    """No answer: the connection failed, or broke, as often as it was tried."""


class Refused(MinirunError):
    """The registry's answer is no: `status` is HTTP's, `code` the distribution specification's (or "")."""

    def __init__(self, text: str, status: int, code: str = "") -> None:
        super().__init__(text)
        self.status = status
        self.code = code


def check(answer: urllib3.BaseHTTPResponse, what: str, host: str, expected: tuple[int, ...]) -> None:
    """Raise what an unexpected status means: NotFound or Refused, with the registry's own words."""
    if answer.status in expected:
        return
    code, said = words_of(answer)
    text = f"{what} at {host}: {said or f'status {answer.status}'}"
    if answer.status == 404:
        raise NotFound(text)
    if answer.status == 429:
        text += ": too many requests: log in, or wait"
    raise Refused(text, answer.status, code)


def read_all(answer: urllib3.BaseHTTPResponse, limit: int, what: str) -> bytes:
    """Give the body of an answer. Raises Corrupt when it is longer than `limit`, Unreachable when it breaks off or takes long."""
    import urllib3

    data = b""
    deadline = time.monotonic() + READ_SECONDS
    try:
        while piece := answer.read1(PIECE):
            data += piece
            if len(data) > limit:
                raise Corrupt(f"{what} is larger than {limit} bytes")
            if time.monotonic() > deadline:
                raise Unreachable(f"{what}: it wasn't there after {READ_SECONDS:g} seconds: try again")
    except urllib3.exceptions.HTTPError as error:
        answer.close()
        raise Unreachable(f"{what}: the connection broke: try again") from error
    except MinirunError:
        answer.close()
        raise
    finally:
        answer.release_conn()
    return data


def words_of(answer: urllib3.BaseHTTPResponse) -> tuple[str, str]:
    """Give the registry's code and words: distribution-spec, "Error Codes". On one line, without what a terminal obeys."""
    try:
        document = json.loads(read_all(answer, ERROR_MAX, "the answer"))
    except (ValueError, RecursionError, Corrupt, Unreachable):
        return "", ""
    errors = document.get("errors") if isinstance(document, dict) else None
    first = errors[0] if isinstance(errors, list) and errors else None
    if not isinstance(first, dict):
        details = document.get("details") if isinstance(document, dict) else ""  # what a token server says
        return "", ascii(str(details or "")[:300])[1:-1]
    code, message = str(first.get("code") or ""), str(first.get("message") or "")
    text = f"{code.lower().replace('_', ' ')}: {message}" if code else message
    return code, ascii(text[:300])[1:-1]
