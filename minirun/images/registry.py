"""One repository at one address of a registry: manifests, blobs, tags, uploads.

Owns: the distribution specification's requests; a request is sent once more when the registry asks who we are. Leaves to
others: the answer to that (images/authorization), connections (images/transport), which address (images/registries), what is
fetched and why (images/pulling, images/pushing).

Source: distribution-spec.
"""

from __future__ import annotations

import urllib.parse

from ..errors import Corrupt
from ..record import Record
from . import manifest as documents
from .answers import Refused, Unreachable, check, read_all
from .authorization import Authorization
from .digest import digest_of
from .reference import is_digest
from .transport import ATTEMPTS, Transport, join, origin, pass_over

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import IO

    import urllib3

    from .authorization import Keychain
    from .manifest import Descriptor


ACCEPT = ", ".join((documents.DOCKER_MANIFEST, documents.DOCKER_LIST, documents.OCI_MANIFEST, documents.OCI_INDEX))
PULL, PUSH = "pull", "pull,push"


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
        self._who = Authorization(transport, keychain, self._named())
        self._scope = f"repository:{repository}:{actions}" if repository else ""
        self._authorization: dict[str, str] = {}  # scope -> header

    @property
    def address(self) -> str:
        """Where it is, for messages."""
        return self._transport.endpoint.base

    def give_up(self) -> None:
        """Let no request wait or begin any more, until `go_on`: whoever wants something gets Unreachable."""
        self._transport.give_up()

    def go_on(self) -> None:
        """Let requests be made again."""
        self._transport.go_on()

    def close(self) -> None:
        """Close all connections."""
        self._transport.close()

    # ---- what is there

    def ping(self) -> None:
        """Ask whether this is a registry that knows us; raises Refused, Unreachable."""
        answer = self._send("GET", f"{self.address}/v2/")
        self._check(answer, "talk to the registry", (200,))
        pass_over(answer)

    def manifest(self, tag_or_digest: str) -> Fetched:
        """Fetch a manifest or index; verified when it is asked for by its digest. Raises NotFound, Refused, Corrupt."""
        what = f"manifest {tag_or_digest}"
        tried = f"fetch {self.repository}{'@' if is_digest(tag_or_digest) else ':'}{tag_or_digest}"
        answer, data = self._read(self._url(f"manifests/{tag_or_digest}"), tried, what, {"Accept": ACCEPT})
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
            answer, data = self._read(url, f"list the tags of {self.repository}", "the list of tags")
            document = documents.read_json(data, "the list of tags")
            names = document.get("tags") if isinstance(document, dict) else None
            found += [name for name in names or () if isinstance(name, str)]
            following = _next_page(answer.headers.get("Link", ""))
            if not following:
                return found
            target = join(url, following)
            if origin(target) != origin(url):
                raise Corrupt(f"the list of tags goes on at another host: {origin(target)}")
            url = target
        raise Corrupt("the list of tags has no end")

    def blob(self, digest: str, offset: int = 0) -> tuple[urllib3.BaseHTTPResponse, int]:
        """Open a blob from `offset` on: the answer to read from, and where it really begins (0: the server has no ranges)."""
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        answer = self._send("GET", self._url(f"blobs/{digest}"), headers)
        if answer.status == 416 and offset:
            pass_over(answer)
            return self.blob(digest)
        self._check(answer, f"fetch the blob {digest}", (200, 206))
        if answer.status == 200:
            return answer, 0
        begin = answer.headers.get("Content-Range", "").removeprefix("bytes ").partition("-")[0]
        if begin != str(offset):
            answer.close()
            raise Corrupt(f"blob {digest}: the registry was asked for bytes from {offset} on and sent others")
        return answer, offset

    def configuration(self, descriptor: Descriptor) -> bytes:
        """Fetch an image's configuration, verified. Raises NotFound, Refused, Corrupt."""
        what = f"configuration {descriptor.digest}"
        if descriptor.size > documents.DOCUMENT_MAX:
            raise Corrupt(f"{what} is larger than {documents.DOCUMENT_MAX} bytes")
        _, data = self._read(self._url(f"blobs/{descriptor.digest}"), f"fetch the blob {descriptor.digest}", what)
        if digest_of(data) != descriptor.digest:
            raise Corrupt(f"{what}: the digest doesn't match, the content was changed")
        if len(data) != descriptor.size:
            raise Corrupt(f"{what} has {len(data)} bytes, its manifest says {descriptor.size}")
        return data

    def has_blob(self, digest: str) -> bool:
        """Say whether the registry has a blob in this repository."""
        answer = self._send("HEAD", self._url(f"blobs/{digest}"))
        pass_over(answer)
        if answer.status in (200, 404):
            return answer.status == 200
        self._check(answer, f"ask for the blob {digest}", (200,))
        return False

    # ---- what is brought

    def mount_or_start(self, digest: str, source: str) -> str:
        """Ask for a blob to be taken over from another repository of the registry; "" when it was, else where to upload it."""
        query = urllib.parse.urlencode({"mount": digest, "from": source}) if source else ""
        scope = f"{self._scope} repository:{source}:{PULL}" if source else self._scope
        answer = self._send("POST", self._url("blobs/uploads/") + (f"?{query}" if query else ""), scope=scope)
        self._check(answer, f"begin to upload {digest}", (201, 202))
        location = self._location(answer) if answer.status == 202 else ""
        pass_over(answer)
        return location

    def upload(self, location: str, digest: str, content: IO[bytes], size: int) -> None:
        """Send a blob in one piece; raises Refused, Unreachable: then begin again."""
        separator = "&" if "?" in location else "?"
        url = f"{location}{separator}{urllib.parse.urlencode({'digest': digest})}"
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        answer = self._send("PUT", url, headers, content)
        self._check(answer, f"upload {digest}", (201, 204))
        pass_over(answer)

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
        pass_over(answer)
        return following

    def put_manifest(self, tag_or_digest: str, data: bytes, media_type: str) -> None:
        """Send a manifest, after everything that it names."""
        headers = {"Content-Type": media_type, "Content-Length": str(len(data))}
        answer = self._send("PUT", self._url(f"manifests/{tag_or_digest}"), headers, data)
        self._check(answer, f"upload the manifest {self.repository}:{tag_or_digest}", (201, 202))
        pass_over(answer)

    # ---- requests

    def _read(
        self, url: str, tried: str, what: str, headers: Mapping[str, str] | None = None
    ) -> tuple[urllib3.BaseHTTPResponse, bytes]:
        """Fetch a document: it is small, so one that broke off is fetched again from its beginning."""
        for attempt in range(ATTEMPTS):
            answer = self._send("GET", url, headers)
            self._check(answer, tried, (200,))
            try:
                return answer, read_all(answer, documents.DOCUMENT_MAX, what)
            except Unreachable:
                if attempt == ATTEMPTS - 1:
                    raise
                self._transport.pause(attempt)
        raise AssertionError("unreachable")

    def _url(self, rest: str) -> str:
        return f"{self.address}/v2/{self.repository}/{rest}"

    def _location(self, answer: urllib3.BaseHTTPResponse) -> str:
        location = answer.headers.get("Location", "")
        if not location:
            raise Corrupt(f"{self.address} doesn't say where to upload to")
        target = join(f"{self.address}/", location)
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
                pass_over(answer)
                said = "denied: requested access to the resource is denied"
                raise Refused(f"{self._named()}: {said}", 401, "DENIED")
            challenge = answer.headers.get("WWW-Authenticate", "")
            pass_over(answer)
            authorization = self._who.answer_to(challenge, scope)
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

    def _check(self, answer: urllib3.BaseHTTPResponse, what: str, expected: tuple[int, ...]) -> None:
        check(answer, what, self._transport.endpoint.host, expected)

    def _named(self) -> str:
        return self._transport.endpoint.host + (f"/{self.repository}" if self.repository else "")


def _next_page(link: str) -> str:
    """Read Link: <address>; rel="next". RFC 8288"""
    address, _, parameters = link.partition(">")
    return address.lstrip(" <") if "next" in parameters else ""
