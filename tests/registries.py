"""Registries on loopback: Debian's docker-registry with TLS and logins, and one of our own that misbehaves as it is told.

Owns: starting and ending them, certificates, tokens, images to serve. Leaves to others: what is asked of them.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import subprocess
import tarfile
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.waiting import free_port, listening, until

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
USER, PASSWORD = "anna", "s3cret:with a colon"
HASHED = "$2b$04$oa1aBmN1FrPlghx0tmkvCejjEqjopODc6kNZigmNUrmcOBOHmH2uu"  # PASSWORD as htpasswd(1) -B writes it


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


# ---- images


def layer_of(files: dict[str, bytes]) -> bytes:
    """Give a tar with these files."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o644
            archive.addfile(entry, io.BytesIO(data))
    return target.getvalue()


def _gzipped(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)  # the same content gives the same digest


class Served:
    """An image in the making: its blobs and documents."""

    def __init__(self, *layers: bytes, compress: Callable[[bytes], bytes] = _gzipped, **config: Any) -> None:
        stored = [compress(layer) for layer in layers]
        document = {
            "architecture": "amd64", "os": "linux", "config": {"Cmd": ["true"]},
            "rootfs": {"type": "layers", "diff_ids": [digest_of(layer) for layer in layers]}, **config,
        }  # fmt: skip
        self.config = json.dumps(document).encode()
        self.blobs = {digest_of(data): data for data in (*stored, self.config)}
        self.layers = [digest_of(data) for data in stored]
        self.manifest = json.dumps(
            {
                "schemaVersion": 2, "mediaType": OCI_MANIFEST,
                "config": {"mediaType": OCI_CONFIG, "digest": digest_of(self.config), "size": len(self.config)},
                "layers": [
                    {"mediaType": OCI_LAYER, "digest": digest_of(data), "size": len(data)}
                    for data in stored
                ],
            }
        ).encode()  # fmt: skip
        self.digest = digest_of(self.manifest)
        self.id = digest_of(self.config)


def index_of(*entries: tuple[str, int, dict[str, str] | None], media_type: str = OCI_MANIFEST) -> bytes:
    """Give an index of (digest, size, platform)."""
    manifests = [
        {"mediaType": media_type, "digest": digest, "size": size, **({"platform": platform} if platform else {})}
        for digest, size, platform in entries
    ]
    return json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests}).encode()


# ---- one that misbehaves

Fault = Callable[["Handler"], bool]  # true: the answer has been given


class Handler(BaseHTTPRequestHandler):
    """One connection; the server holds what there is and what goes wrong."""

    protocol_version = "HTTP/1.1"
    server: Faulty

    def do_GET(self) -> None:
        self.server.seen.append((self.command, self.path, dict(self.headers)))
        for fault in list(self.server.faults):
            if fault(self):
                return
        path = urlsplit(self.path).path
        if path == "/v2/":
            self.answer(200, b"{}")
            return
        found = self.server.content.get(path)
        if found is None:
            self.answer(404, b'{"errors":[{"code":"NAME_UNKNOWN","message":"repository name not known to registry"}]}')
            return
        media_type, data = found
        wanted = self.headers.get("Range")
        if wanted and self.server.has_ranges:
            start = int(wanted.removeprefix("bytes=").partition("-")[0])
            ranges = {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"}
            self.answer(206, data[start:], media_type, ranges)
            return
        self.answer(200, data, media_type)

    do_HEAD = do_GET

    def answer(
        self, status: int, data: bytes, media_type: str = "application/json", headers: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(data)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def cut(self, data: bytes, sent: int) -> None:
        """Promise all and send some, then hang up."""
        self.send_response(200)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[:sent])
        self.wfile.flush()
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


class Faulty(ThreadingHTTPServer):
    """The registry; `content` maps paths to (media type, bytes), `faults` are asked before each answer."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content: dict[str, tuple[str, bytes]] = {}
        self.faults: list[Fault] = []
        self.seen: list[tuple[str, str, dict[str, str]]] = []
        self.has_ranges = True
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    @property
    def name(self) -> str:
        return f"127.0.0.1:{self.server_port}"

    def handle_error(self, *_: object) -> None:
        """A client that hangs up is no news."""

    def add(self, repository: str, tag: str, image: Served) -> str:
        """Serve an image; gives the name under which it is pulled."""
        for digest, data in image.blobs.items():
            self.content[f"/v2/{repository}/blobs/{digest}"] = ("application/octet-stream", data)
        self.add_manifest(repository, tag, image.manifest)
        return f"{self.name}/{repository}:{tag}"

    def add_manifest(self, repository: str, tag: str, data: bytes, media_type: str = OCI_MANIFEST) -> None:
        for reference in (tag, digest_of(data)):
            self.content[f"/v2/{repository}/manifests/{reference}"] = (media_type, data)

    def requests(self, part: str) -> list[dict[str, str]]:
        """Give the headers of the requests whose path holds a text."""
        return [headers for _, path, headers in self.seen if part in path]

    def end(self) -> None:
        self.shutdown()
        self.server_close()
        self._thread.join()


# ---- a real one


def make_certificate(directory: Path, address: str = "127.0.0.1") -> tuple[Path, Path]:
    """Make a self-signed certificate for an address: files of certificate and key."""
    certificate, key = directory / "registry.crt", directory / "registry.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=registry",
         "-addext", f"subjectAltName=IP:{address}", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    return certificate, key


class DockerRegistry:
    """Debian's docker-registry on a port of its own."""

    def __init__(self, top: Path, *, tls: tuple[Path, Path] | None = None, auth: dict[str, Any] | None = None) -> None:
        top.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.name = f"127.0.0.1:{self.port}"
        http: dict[str, Any] = {"addr": self.name}
        if tls is not None:
            http["tls"] = {"certificate": str(tls[0]), "key": str(tls[1])}
        document: dict[str, Any] = {
            "version": 0.1, "http": http,
            "storage": {"filesystem": {"rootdirectory": str(top / "data")}, "delete": {"enabled": True}},
        }  # fmt: skip
        if auth is not None:
            document["auth"] = auth
        (top / "config.yml").write_text(json.dumps(document))  # YAML is a superset of JSON
        self._log = (top / "log").open("wb")
        self._process = subprocess.Popen(
            ["docker-registry", "serve", top / "config.yml"],
            stdout=self._log,
            stderr=self._log,
            stdin=subprocess.DEVNULL,
        )
        try:
            until("docker-registry to listen", listening(self.port))
        except BaseException:
            self.end()
            raise

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        self._log.close()


def basic_auth(directory: Path) -> dict[str, Any]:
    """Give docker-registry's settings for one user with a password."""
    (directory / "htpasswd").write_text(f"{USER}:{HASHED}\n")
    return {"htpasswd": {"realm": "test", "path": str(directory / "htpasswd")}}


class TokenServer(ThreadingHTTPServer):
    """Gives tokens to USER with PASSWORD, and to nobody tokens that may only pull from public/."""

    daemon_threads = True

    def __init__(self, certificate: Path, key: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Tokens)
        self.key = key
        der = subprocess.run(
            ["openssl", "x509", "-in", certificate, "-outform", "DER"], check=True, capture_output=True
        ).stdout
        self.chain = base64.b64encode(der).decode()
        self.lifetime_seconds = 300
        self.given: list[dict[str, list[str]]] = []
        self.refuses_post = 0  # the status of what knows GET alone
        self.posted: list[dict[str, list[str]]] = []
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def settings(self, certificate: Path) -> dict[str, Any]:
        """Give docker-registry's settings for these tokens."""
        realm = f"http://127.0.0.1:{self.server_port}/token"
        return {"token": {"realm": realm, "service": "test", "issuer": "issuer", "rootcertbundle": str(certificate)}}

    def handle_error(self, *_: object) -> None:
        pass

    def sign(self, claims: dict[str, Any]) -> str:
        head = _part(json.dumps({"typ": "JWT", "alg": "RS256", "x5c": [self.chain]}).encode())
        body = _part(json.dumps(claims).encode())
        signed = subprocess.run(
            ["openssl", "dgst", "-sha256", "-sign", self.key],
            input=f"{head}.{body}".encode(),
            check=True,
            capture_output=True,
        ).stdout
        return f"{head}.{body}.{_part(signed)}"

    def end(self) -> None:
        self.shutdown()
        self.server_close()
        self._thread.join()


def _part(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


class _Tokens(BaseHTTPRequestHandler):
    server: TokenServer

    def do_POST(self) -> None:
        """OAuth2: who we are stands in the form; the scopes are one word, with spaces."""
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.server.posted.append(form)
        if self.server.refuses_post:
            self._send(self.server.refuses_post, {})
        elif (form["username"], form["password"]) != ([USER], [PASSWORD]):
            self._send(401, {"details": "incorrect username or password"})
        else:
            scopes = form.get("scope", [""])[0].split()
            self._send(200, {"access_token": self._token(form["service"][0], scopes, USER)})

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        self.server.given.append(query)
        user = ""
        if header := self.headers.get("Authorization"):
            user, _, password = base64.b64decode(header.removeprefix("Basic ")).decode().partition(":")
            if (user, password) != (USER, PASSWORD):
                self._send(401, {"details": "incorrect username or password"})
                return
        self._send(200, {"token": self._token(query.get("service", [""])[0], query.get("scope", []), user)})

    def _token(self, service: str, scopes: list[str], user: str) -> str:
        access = []
        for scope in scopes:
            kind, name, actions = scope.split(":")
            allowed = actions.split(",") if user else ["pull"] if name.startswith("public/") else []
            access.append({"type": kind, "name": name, "actions": allowed})
        now = int(time.time())
        claims = {
            "iss": "issuer", "sub": user, "aud": service, "access": access, "jti": str(time.time_ns()),
            "nbf": now - 10, "iat": now, "exp": now + self.server.lifetime_seconds,
        }  # fmt: skip
        return self.server.sign(claims)

    def _send(self, status: int, document: dict[str, Any]) -> None:
        data = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


def one_line(text: str) -> str:
    """Give an error's only line."""
    lines = [line for line in text.splitlines() if line]
    if len(lines) != 1:
        pytest.fail(f"not one line: {text!r}", pytrace=False)
    return lines[0]
