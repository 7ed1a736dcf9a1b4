"""Manifest lists in the making: what `manifest create` and `annotate` keep until `manifest push`.

Owns: `Lists`, the directory; `Entry`, an image of a list; the index that a list becomes. Leaves to others: registries
(images/list_registry).

    images/lists/HEX.json    one list; HEX is the sha256 of its name, so that any name is a file name
    images/lists.lock        who changes a list reads it again under its lock: two that add to one at a time both do

An entry keeps the manifest's own bytes: what is pushed is what was looked at when the list was made.
"""

from __future__ import annotations

import json
import os

from ..errors import Corrupt, NotFound
from ..files import Lock, write_atomically
from ..light import suppress
from ..record import Record
from . import manifest as documents
from .digest import digest_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


class Entry(Record):
    """One image: where it is, its manifest, what it runs on."""

    reference: str  # docker.io/library/app:amd64, or with a digest
    media_type: str
    data: str  # the manifest
    os: str = ""
    architecture: str = ""
    variant: str = ""
    os_version: str = ""
    os_features: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """By which its repository knows it."""
        return digest_of(self.data.encode())


class Lists:
    """All lists of one store; each change replaces a file."""

    def __init__(self, root: str) -> None:
        self._directory = f"{root}/lists"

    def get(self, name: str) -> list[Entry]:
        """Give the entries of a list by its full name. Raises NotFound, Corrupt."""
        try:
            with open(self._path(name), "rb") as file:
                found = json.load(file)
            return [Entry(**{**entry, "os_features": tuple(entry["os_features"])}) for entry in found["manifests"]]
        except FileNotFoundError as error:
            raise NotFound(f"No such manifest: {name}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise Corrupt(f"{self._path(name)} is damaged: remove the list and create it again") from error

    def put(self, name: str, entries: Sequence[Entry]) -> None:
        """Keep a list."""
        os.makedirs(self._directory, 0o700, exist_ok=True)
        document = {"name": name, "manifests": [entry.as_json() for entry in entries]}
        write_atomically(self._path(name), json.dumps(document).encode(), 0o600, durable=True)

    def lock(self, name: str) -> Lock:
        """The lock under which a list is read and put back."""
        os.makedirs(self._directory, 0o700, exist_ok=True)
        return Lock(f"{self._directory}.lock", int(digest_of(name.encode())[7:22], 16))

    def remove(self, name: str) -> None:
        """Forget a list. Raises NotFound."""
        try:
            os.unlink(self._path(name))
        except FileNotFoundError as error:
            raise NotFound(f"No such manifest: {name}") from error

    def has(self, name: str) -> bool:
        """Say whether there is such a list."""
        with suppress(NotFound):
            self.get(name)
            return True
        return False

    def _path(self, name: str) -> str:
        return f"{self._directory}/{digest_of(name.encode())[7:]}.json"


def index_of(entries: Sequence[Entry]) -> tuple[bytes, str]:
    """Give the index that a list is, and its type: docker's when all of its manifests are docker's, else OCI's."""
    is_docker = all(entry.media_type == documents.DOCKER_MANIFEST for entry in entries)
    media_type = documents.DOCKER_LIST if is_docker else documents.OCI_INDEX
    manifests = [
        {
            "mediaType": entry.media_type,
            "size": len(entry.data.encode()),
            "digest": entry.digest,
            "platform": platform_of(entry),
        }
        for entry in entries
    ]
    document = {"schemaVersion": 2, "mediaType": media_type, "manifests": manifests}
    return json.dumps(document, indent=3).encode(), media_type  # as docker indents them: people read these


def platform_of(entry: Entry) -> dict[str, Any]:
    """Give the platform of an entry as an index has it; what isn't known is left out."""
    found: dict[str, Any] = {"architecture": entry.architecture, "os": entry.os}
    if entry.os_version:
        found["os.version"] = entry.os_version
    if entry.os_features:
        found["os.features"] = list(entry.os_features)
    if entry.variant:
        found["variant"] = entry.variant
    return found
