"""Who we are at a registry: docker's config.json and its credential helpers.

Owns: `Keychain`: reading, storing and erasing what `login` was given. Leaves to others: what a registry makes of it
(images/registry).

    $DOCKER_CONFIG/config.json, else ~/.docker/config.json
      credHelpers {host: NAME}    docker-credential-NAME, for this registry
      credsStore NAME             docker-credential-NAME, for all others
      auths {host: {auth, identitytoken}}   base64 of user:password, in clear: the last resort

A helper is asked over its standard input, so that no secret stands in a list of processes.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import subprocess

from ..errors import InvalidInput, MinirunError
from ..files import write_atomically
from ..record import Record
from .reference import DEFAULT_DOMAIN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

HUB = "https://index.docker.io/v1/"  # the key under which docker keeps what belongs to docker.io
_TOKEN_USER = "<token>"  # noqa: S105 -- a helper's name for "the secret is an identity token"
_NOT_FOUND = "credentials not found in native keychain"
_HELPER_SECONDS = 60


class Credentials(Record):
    """A user and a password, or an identity token that stands for both."""

    username: str = ""
    password: str = ""
    identity_token: str = ""


class Keychain:
    """The file of one user. Every method raises MinirunError for a file or helper that doesn't work."""

    def __init__(self, directory: str = "") -> None:
        directory = directory or os.environ.get("DOCKER_CONFIG", "") or os.path.expanduser("~/.docker")
        self.path = f"{directory}/config.json"

    def find(self, domain: str) -> Credentials | None:
        """Give what is known for a registry's domain; None: anonymous."""
        document = self._read()
        server = server_of(domain)
        if helper := _helper_for(document, domain):
            return _ask(helper, server)
        auths = document.get("auths")
        for key, entry in (auths if isinstance(auths, dict) else {}).items():
            if _domain_of_key(key) == _domain_of_key(server) and isinstance(entry, dict):
                return self._entry(key, entry)
        return None

    def store(self, domain: str, credentials: Credentials) -> str:
        """Keep credentials; gives a warning for the user when they lie in clear text, else ""."""
        document = self._read()
        server = server_of(domain)
        if helper := _helper_for(document, domain):
            secret = credentials.identity_token or credentials.password
            username = _TOKEN_USER if credentials.identity_token else credentials.username
            _call(helper, "store", json.dumps({"ServerURL": server, "Username": username, "Secret": secret}))
            _auths(document)[server] = {}
            self._write(document)
            return ""
        text = f"{credentials.username}:{credentials.password}".encode()
        entry = {"auth": base64.b64encode(text).decode()}
        if credentials.identity_token:
            entry["identitytoken"] = credentials.identity_token
        _auths(document)[server] = entry
        self._write(document)
        return (
            f"WARNING! Your credentials are stored unencrypted in '{self.path}'.\n"
            "Configure a credential helper to remove this warning. See\n"
            "https://docs.docker.com/go/credential-store/"
        )

    def erase(self, domain: str) -> bool:
        """Forget credentials; says whether there were any."""
        document = self._read()
        server = server_of(domain)
        auths = _auths(document)
        known = [key for key in auths if _domain_of_key(key) == _domain_of_key(server)]
        if helper := _helper_for(document, domain):
            if _ask(helper, server) is None and not known:
                return False
            _call(helper, "erase", server)
        for key in known:
            del auths[key]
        if known:
            self._write(document)
        return bool(known) or bool(helper)

    def _entry(self, key: str, entry: dict[str, Any]) -> Credentials | None:
        token = entry.get("identitytoken")
        text = entry.get("auth")
        username, password = str(entry.get("username") or ""), str(entry.get("password") or "")
        if isinstance(text, str) and text:
            try:
                username, colon, password = base64.b64decode(text, validate=True).decode().partition(":")
            except (binascii.Error, UnicodeDecodeError) as error:
                raise MinirunError(f"read {self.path}: auths: {key}: auth is no base64: log in again") from error
            if not colon:
                raise MinirunError(f"read {self.path}: auths: {key}: auth is no user and password: log in again")
            password = password.strip("\0")
        if not (username or token):
            return None
        return Credentials(username=username, password=password, identity_token=token if isinstance(token, str) else "")

    def _read(self) -> dict[str, Any]:
        try:
            with open(self.path, encoding="utf-8") as file:
                document = json.load(file)
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise MinirunError(f"read {self.path}: {error.strerror}") from error
        except ValueError as error:
            raise MinirunError(f"read {self.path}: it is no JSON ({ascii(str(error))[1:-1]}): mend it") from error
        if not isinstance(document, dict):
            raise MinirunError(f"read {self.path}: it is no JSON object: mend it")
        return document

    def _write(self, document: dict[str, Any]) -> None:
        """Whatever else stands in the file stays: it is docker's too."""
        try:
            os.makedirs(os.path.dirname(self.path), 0o700, exist_ok=True)
            real = os.path.realpath(self.path)  # a link to a file elsewhere stays one
            write_atomically(real, json.dumps(document, indent="\t").encode(), 0o600, durable=True)
        except OSError as error:
            raise MinirunError(f"write {self.path}: {error.strerror}") from error


def server_of(domain: str) -> str:
    """Give the name under which docker and the helpers know a registry."""
    return HUB if domain == DEFAULT_DOMAIN else domain


def _auths(document: dict[str, Any]) -> dict[str, Any]:
    auths = document.setdefault("auths", {})
    if not isinstance(auths, dict):
        raise MinirunError("docker's config.json: auths is no object: mend it")
    return auths


def _domain_of_key(key: str) -> str:
    """Give host and port of an entry, which may be a whole address."""
    host = key.split("://", 1)[-1].split("/", 1)[0]
    return "docker.io" if host in ("index.docker.io", "registry-1.docker.io", "docker.io") else host


def _helper_for(document: dict[str, Any], domain: str) -> str:
    helpers = document.get("credHelpers")
    if isinstance(helpers, dict):
        for key, name in helpers.items():
            if _domain_of_key(key) == _domain_of_key(server_of(domain)):
                return str(name)
    name = document.get("credsStore")
    return name if isinstance(name, str) else ""


def _ask(helper: str, server: str) -> Credentials | None:
    answer = _call(helper, "get", server)
    if answer is None:
        return None
    try:
        document = json.loads(answer)
        username, secret = str(document["Username"]), str(document["Secret"])
    except (ValueError, KeyError, TypeError) as error:
        raise MinirunError(f"ask docker-credential-{helper} for {server}: its answer makes no sense") from error
    if username == _TOKEN_USER:
        return Credentials(identity_token=secret)
    return Credentials(username=username, password=secret) if username else None


def _call(helper: str, verb: str, given: str) -> str | None:
    """Run a helper; None when it knows nothing of it. docker/docker-credential-helpers, README."""
    program = f"docker-credential-{helper}"
    if "/" in helper or not helper:
        raise InvalidInput(f"docker's config.json: {helper!a} is no name of a credential helper")
    try:
        done = subprocess.run(
            [program, verb], input=given.encode(), capture_output=True, timeout=_HELPER_SECONDS, check=False
        )
    except FileNotFoundError as error:
        raise MinirunError(f"run {program}: no such program: install it, or change docker's config.json") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MinirunError(f"run {program} {verb}: {error}") from error
    said = done.stdout.decode(errors="replace").strip()
    if done.returncode == 0:
        return said
    if _NOT_FOUND in said:
        return None
    reason = ascii((said or done.stderr.decode(errors="replace").strip())[:300])[1:-1]
    raise MinirunError(f"run {program} {verb}: it ended with {done.returncode}: {reason}")
