"""One repository at one address of a registry: manifests, blobs, tags, uploads, and showing who we are.

Owns: the distribution specification's requests, tokens. Leaves to others: connections (images/transport), which address
(images/registries), whose password (images/credentials), what is fetched and why (images/pulling, pushing).

    request -> 401 WWW-Authenticate -> Basic: the password            -> request again
                                    -> Bearer: a token from the realm -> request again

A realm is given a password only when the registry has a business with it: it is the registry's own host, shares its domain, or the
administrator has named it. Others are asked without.

Sources: distribution-spec; distribution's documentation "Token Authentication Specification", "OAuth2".
"""

from __future__ import annotations

import base64
import json
import urllib.parse

from ..errors import Corrupt, MinirunError, NotFound
from ..record import Record
from . import manifest as documents
from .digest import digest_of
from .reference import is_digest
from .transport import Transport, origin

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import IO, Any, Protocol

    import urllib3

    from .credentials import Credentials

    class Keychain(Protocol):
        """Who knows what to show at a registry (images/credentials)."""

        def find(self, domain: str) -> Credentials | None: ...


ACCEPT = ", ".join((documents.DOCKER_MANIFEST, documents.DOCKER_LIST, documents.OCI_MANIFEST, documents.OCI_INDEX))
PIECE = 1 << 20
ERROR_MAX = 64 * 1024  # bytes of an answer that says what is wrong
TOKEN_MAX = 1024 * 1024
CLIENT = "minirun"
PULL, PUSH = "pull", "pull,push"


class Refused(MinirunError):
    """The registry's answer is no: `status` is HTTP's, `code` the distribution specification's (or "")."""

    def __init__(self, text: str, status: int, code: str = "") -> None:
        super().__init__(text)
        self.status = status
        self.code = code


class Fetched(Record):
    """A manifest or index as the registry has it."""

    data: bytes
    media_type: str
    digest: str


class Registry:
    """A repository; safe for use by several threads once a first request has been answered."""

    def __init__(self, transport: Transport, repository: str, keychain: Keychain, actions: str = PULL) -> None:
        self.repository = repository
        self._transport = transport
        self._keychain = keychain
        self._scope = f"repository:{repository}:{actions}" if repository else ""
        self._authorization: dict[str, str] = {}  # scope -> header

    @property
    def address(self) -> str:
        """Where it is, for messages."""
        return self._transport.endpoint.base

    def close(self) -> None:
        """Close all connections."""
        self._transport.close()

    # ---- what is there

    def ping(self) -> None:
        """Ask whether this is a registry that knows us; raises Refused, Unreachable."""
        answer = self._send("GET", f"{self.address}/v2/")
        self._check(answer, "talk to the registry", (200,))
        answer.drain_conn()

    def manifest(self, tag_or_digest: str) -> Fetched:
        """Fetch a manifest or index; verified when it is asked for by its digest. Raises NotFound, Refused, Corrupt."""
        what = f"manifest {tag_or_digest}"
        answer = self._send("GET", self._url(f"manifests/{tag_or_digest}"), {"Accept": ACCEPT})
        self._check(answer, f"fetch {self.repository}:{tag_or_digest}", (200,))
        data = read_all(answer, documents.DOCUMENT_MAX, what)
        digest = digest_of(data)
        if is_digest(tag_or_digest) and digest != tag_or_digest:
            raise Corrupt(f"{what}: the digest doesn't match: the registry gave {digest}")
        media_type = answer.headers.get("Content-Type", "").partition(";")[0].strip()
        return Fetched(data=data, media_type=media_type, digest=digest)

    def tags(self) -> list[str]:
        """Give all tags; follows the pages of the list. Raises as `manifest` does."""
        found: list[str] = []
        url = self._url("tags/list")
        for _ in range(1000):
            answer = self._send("GET", url)
            self._check(answer, f"list the tags of {self.repository}", (200,))
            document = documents.read_json(
                read_all(answer, documents.DOCUMENT_MAX, "the list of tags"), "the list of tags"
            )
            names = document.get("tags") if isinstance(document, dict) else None
            found += [name for name in names or () if isinstance(name, str)]
            following = _next_page(answer.headers.get("Link", ""))
            if not following:
                return found
            target = urllib.parse.urljoin(url, following)
            if origin(target) != origin(url):
                raise Corrupt(f"the list of tags goes on at another host: {origin(target)}")
            url = target
        raise Corrupt("the list of tags has no end")

    def blob(self, digest: str, offset: int = 0) -> tuple[urllib3.BaseHTTPResponse, int]:
        """Open a blob from `offset` on: the answer to read from, and where it really begins (0: the server has no ranges)."""
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        answer = self._send("GET", self._url(f"blobs/{digest}"), headers)
        if answer.status == 416:
            answer.drain_conn()
            return self.blob(digest)
        self._check(answer, f"fetch the blob {digest}", (200, 206))
        if answer.status == 200:
            return answer, 0
        begin = answer.headers.get("Content-Range", "").removeprefix("bytes ").partition("-")[0]
        if begin != str(offset):
            answer.release_conn()
            raise Corrupt(f"blob {digest}: the registry was asked for bytes from {offset} on and sent others")
        return answer, offset

    def has_blob(self, digest: str) -> bool:
        """Say whether the registry has a blob in this repository."""
        answer = self._send("HEAD", self._url(f"blobs/{digest}"))
        answer.drain_conn()
        if answer.status in (200, 404):
            return answer.status == 200
        self._check(answer, f"ask for the blob {digest}", (200,))
        return False

    def head(self, tag_or_digest: str) -> str:
        """Give the digest of a manifest without fetching it, "" when there is none or the registry doesn't say."""
        answer = self._send("HEAD", self._url(f"manifests/{tag_or_digest}"), {"Accept": ACCEPT})
        answer.drain_conn()
        digest = str(answer.headers.get("Docker-Content-Digest", ""))
        return digest if answer.status == 200 and is_digest(digest) else ""

    # ---- what is brought

    def mount_or_start(self, digest: str, source: str) -> str:
        """Ask for a blob to be taken over from another repository of the registry; "" when it was, else where to upload it."""
        query = urllib.parse.urlencode({"mount": digest, "from": source}) if source else ""
        scope = f"{self._scope} repository:{source}:{PULL}" if source else self._scope
        answer = self._send("POST", self._url("blobs/uploads/") + (f"?{query}" if query else ""), scope=scope)
        self._check(answer, f"begin to upload {digest}", (201, 202))
        location = self._location(answer)
        answer.drain_conn()
        return "" if answer.status == 201 else location

    def upload(self, location: str, digest: str, content: IO[bytes], size: int) -> None:
        """Send a blob in one piece; raises Refused, Unreachable: then begin again."""
        separator = "&" if "?" in location else "?"
        url = f"{location}{separator}{urllib.parse.urlencode({'digest': digest})}"
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        answer = self._send("PUT", url, headers, content)
        self._check(answer, f"upload {digest}", (201, 204))
        answer.drain_conn()

    def upload_piece(self, location: str, piece: bytes, offset: int) -> str:
        """Send a part of a blob, and give where the next one goes."""
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Range": f"{offset}-{offset + len(piece) - 1}",
            "Content-Length": str(len(piece)),
        }
        answer = self._send("PATCH", location, headers, piece)
        self._check(answer, "upload a part of a blob", (202, 204))
        following = self._location(answer)
        answer.drain_conn()
        return following

    def put_manifest(self, tag_or_digest: str, data: bytes, media_type: str) -> None:
        """Send a manifest, after everything that it names."""
        headers = {"Content-Type": media_type, "Content-Length": str(len(data))}
        answer = self._send("PUT", self._url(f"manifests/{tag_or_digest}"), headers, data)
        self._check(answer, f"upload the manifest {self.repository}:{tag_or_digest}", (201, 202))
        answer.drain_conn()

    # ---- requests

    def _url(self, rest: str) -> str:
        return f"{self.address}/v2/{self.repository}/{rest}"

    def _location(self, answer: urllib3.BaseHTTPResponse) -> str:
        location = answer.headers.get("Location", "")
        target = urllib.parse.urljoin(f"{self.address}/", location)
        if not location:
            raise Corrupt(f"{self.address} doesn't say where to upload to")
        if self.address.startswith("https:") and not target.startswith("https:"):
            raise Corrupt(f"{self.address} wants an upload without TLS: not done")
        return target

    def _send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | IO[bytes] | None = None,
        scope: str = "",
    ) -> urllib3.BaseHTTPResponse:
        """Send with what we are known by; when that isn't enough, ask who we have to be and send once more."""
        scope = scope or self._scope
        ours = origin(url) == origin(self.address)
        start = body.tell() if body is not None and not isinstance(body, bytes) else 0
        for attempt in range(2):
            known = self._authorization.get(scope, "") if ours else ""
            answer = self._transport.request(
                method, url, {**(headers or {}), **({"Authorization": known} if known else {})}, body
            )
            if answer.status != 401 or not ours:
                return answer
            if attempt:
                answer.drain_conn()
                said = "denied: requested access to the resource is denied"
                raise Refused(f"{self._named()}: {said}", 401, "DENIED")
            challenge = answer.headers.get("WWW-Authenticate", "")
            answer.drain_conn()
            authorization = self._answer_to(challenge, scope)
            if not authorization:
                raise Refused(
                    f"{self._named()}: unauthorized: authentication required: log in with 'minirun login'",
                    401,
                    "UNAUTHORIZED",
                )
            self._authorization[scope] = authorization
            if body is not None and not isinstance(body, bytes):
                body.seek(start)
        raise AssertionError("unreachable")

    def _named(self) -> str:
        return self._transport.endpoint.host + (f"/{self.repository}" if self.repository else "")

    def _check(self, answer: urllib3.BaseHTTPResponse, what: str, expected: tuple[int, ...]) -> None:
        """Raise what an unexpected status means: NotFound or Refused, with the registry's own words."""
        if answer.status in expected:
            return
        code, said = _said(answer)
        text = f"{what} at {self._transport.endpoint.host}: {said or f'status {answer.status}'}"
        if answer.status == 404:
            raise NotFound(text)
        if answer.status == 429:
            text += ": too many requests: log in, or wait"
        raise Refused(text, answer.status, code)

    # ---- who we are

    def _answer_to(self, challenge: str, scope: str) -> str:
        """Give the Authorization header that a challenge asks for, "" when we have nothing to show."""
        asked = _challenges(challenge)
        domain = self._transport.endpoint.domain
        credentials = self._keychain.find(domain) if domain else None
        if (bearer := asked.get("bearer")) is not None:
            return f"Bearer {self._token(bearer, scope, credentials)}"
        if "basic" in asked and credentials is not None and credentials.username:
            return _basic(credentials)
        return ""

    def _token(self, asked: dict[str, str], scope: str, credentials: Credentials | None) -> str:
        realm = asked.get("realm", "")
        parts = urllib.parse.urlsplit(realm)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Corrupt(f"{self._named()} names no place to log in at: {realm[:200]!a}")
        if parts.scheme == "http" and not self._transport.endpoint.is_plain and not _is_loopback(parts.hostname):
            raise Corrupt(f"{self._named()} wants a login without TLS at {parts.netloc!a}: not done")
        if credentials is not None and not self._may_know(parts.hostname):
            credentials = None
        service = asked.get("service", "")
        scopes = (scope or asked.get("scope", "")).split()
        if credentials is not None and credentials.identity_token:
            document = self._exchange(realm, service, scopes, credentials.identity_token)
        else:
            document = self._ask_for_token(realm, service, scopes, credentials)
        token = document.get("token") or document.get("access_token")
        if not isinstance(token, str) or not token or not token.isascii() or any(each <= " " for each in token):
            raise Corrupt(f"{origin(realm)} gave no token")
        return token

    def _may_know(self, host: str) -> bool:
        """Has the registry a business with this host? Its own, one of the same domain, or one that was named."""
        own = urllib.parse.urlsplit(self.address).hostname or ""
        if host == own or host in self._transport.endpoint.realms:
            return True
        if any(part.isdigit() for part in (own.rpartition(".")[2], host.rpartition(".")[2])) or ":" in own + host:
            return False  # addresses have no domain
        return "." in own and own.split(".")[-2:] == host.split(".")[-2:]

    def _ask_for_token(
        self, realm: str, service: str, scopes: list[str], credentials: Credentials | None
    ) -> dict[str, Any]:
        query = [("service", service)] if service else []
        query += [("scope", scope) for scope in scopes]
        headers = {}
        if credentials is not None and credentials.username:
            query += [("account", credentials.username), ("client_id", CLIENT)]
            headers["Authorization"] = _basic(credentials)
        url = f"{realm}{'&' if '?' in realm else '?'}{urllib.parse.urlencode(query)}"
        return self._token_document(self._transport.request("GET", url, headers), realm)

    def _exchange(self, realm: str, service: str, scopes: list[str], identity_token: str) -> dict[str, Any]:
        form = {
            "grant_type": "refresh_token", "service": service, "client_id": CLIENT,
            "scope": " ".join(scopes), "refresh_token": identity_token,
        }  # fmt: skip
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        body = urllib.parse.urlencode(form).encode()
        return self._token_document(self._transport.request("POST", realm, headers, body), realm)

    def _token_document(self, answer: urllib3.BaseHTTPResponse, realm: str) -> dict[str, Any]:
        if answer.status in (401, 403):
            _, said = _said(answer)
            raise Refused(
                f"{self._named()}: unauthorized: {said or 'incorrect username or password'}", 401, "UNAUTHORIZED"
            )
        self._check(answer, f"fetch a token from {origin(realm)}", (200,))
        document = documents.read_json(read_all(answer, TOKEN_MAX, "the token"), "the token")
        if not isinstance(document, dict):
            raise Corrupt(f"{origin(realm)} gave no token")
        return document


def _basic(credentials: Credentials) -> str:
    pair = f"{credentials.username}:{credentials.password}".encode()
    return f"Basic {base64.b64encode(pair).decode()}"


def _is_loopback(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")


def _challenges(text: str) -> dict[str, dict[str, str]]:
    """Read WWW-Authenticate: scheme in lower case -> parameters. RFC 9110, 11.6.1. Several may stand in one header."""
    found: dict[str, dict[str, str]] = {}
    current: dict[str, str] = {}
    rest = text.strip()
    while rest:
        word, rest = _word(rest)
        if rest.startswith("="):
            value, rest = _value(rest[1:])
            current[word.lower()] = value
            rest = rest.lstrip(" ,")
        elif word:
            current = found.setdefault(word.lower(), {})
            rest = rest.lstrip(" ,")
        else:
            rest = rest[1:]
    return found


def _word(text: str) -> tuple[str, str]:
    end = 0
    while end < len(text) and text[end] not in ' ,="':
        end += 1
    return text[:end], text[end:]


def _value(text: str) -> tuple[str, str]:
    if not text.startswith('"'):
        end = next((place for place, each in enumerate(text) if each in " ,"), len(text))
        return text[:end], text[end:]
    value, place = "", 1
    while place < len(text) and text[place] != '"':
        if text[place] == "\\":
            place += 1
        value += text[place : place + 1]
        place += 1
    return value, text[place + 1 :]


def _next_page(link: str) -> str:
    """Read Link: <address>; rel="next". RFC 8288"""
    address, _, parameters = link.partition(">")
    return address.lstrip(" <") if "next" in parameters else ""


def read_all(answer: urllib3.BaseHTTPResponse, limit: int, what: str) -> bytes:
    import urllib3

    data = b""
    try:
        while len(data) <= limit and (piece := answer.read(min(PIECE, limit + 1 - len(data)))):
            data += piece
    except urllib3.exceptions.HTTPError as error:
        raise Corrupt(f"{what}: the connection broke: try again") from error
    finally:
        answer.release_conn()
    if len(data) > limit:
        answer.close()
        raise Corrupt(f"{what} is larger than {limit} bytes")
    return data


def _said(answer: urllib3.BaseHTTPResponse) -> tuple[str, str]:
    """Give the registry's code and words: distribution-spec, "Error Codes". On one line, without what a terminal obeys."""
    try:
        document = json.loads(read_all(answer, ERROR_MAX, "the answer"))
    except (ValueError, RecursionError, Corrupt):
        return "", ""
    errors = document.get("errors") if isinstance(document, dict) else None
    first = errors[0] if isinstance(errors, list) and errors else None
    if not isinstance(first, dict):
        details = document.get("details") if isinstance(document, dict) else ""  # what a token server says
        return "", ascii(str(details or "")[:300])[1:-1]
    code, message = str(first.get("code") or ""), str(first.get("message") or "")
    text = f"{code.lower().replace('_', ' ')}: {message}" if code else message
    return code, ascii(text[:300])[1:-1]
