"""Manifests and indexes: the documents that lead from a name to blobs.

Owns: reading them strictly (they are hostile), writing ours. Leaves to others: the image's configuration
(images/configuration), where the bytes come from.

Sources: image-spec manifest.md, image-index.md, descriptor.md; distribution's "Image Manifest V 2, Schema 2".
"""

from __future__ import annotations

import json

from ..errors import Corrupt, NotSupported
from ..record import Record
from .reference import is_digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

DOCUMENT_MAX = 4 * 1024 * 1024  # bytes of a manifest, index or configuration; registries have the same bound
DEPTH_MAX = 100  # of a document within a document
LAYERS_MAX = 127  # the names of so many lower directories fit a mount option page; docker has the same limit

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"

MANIFESTS = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})
INDEXES = frozenset({OCI_INDEX, DOCKER_LIST})


class Platform(Record):
    """What an image runs on, in Go's names."""

    os: str = ""
    architecture: str = ""
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


class Descriptor(Record):
    """A blob as a document names it."""

    media_type: str
    digest: str
    size: int
    annotations: dict[str, str] = {}
    platform: Platform | None = None


class Manifest(Record):
    """One image: its configuration, its layers from the lowest up."""

    media_type: str
    config: Descriptor
    layers: tuple[Descriptor, ...]


def read_json(data: bytes, what: str) -> dict[str, Any] | list[Any]:
    """Parse a document; raises Corrupt when it is no JSON object or array, or nested beyond reason."""
    try:
        document = json.loads(data.decode(), parse_constant=_no_number)
        json.dumps(
            document, ensure_ascii=False
        ).encode()  # "\\ud800" alone is no character: UnicodeEncodeError, a ValueError
    except (ValueError, RecursionError) as error:
        raise Corrupt(f"{what} is no JSON: {_short(error)}") from error
    if not isinstance(document, (dict, list)):
        raise Corrupt(f"{what} is no JSON object")
    if _is_deep(document):
        raise Corrupt(f"{what} is no JSON: nested too deeply")
    return document


def read_manifest(data: bytes, what: str) -> Manifest:
    """Read an image manifest. Raises Corrupt, NotSupported (schema 1, artifacts)."""
    document = _document(data, what)
    _refuse_mixture(document, what)
    media_type = _string(document.get("mediaType", OCI_MANIFEST), f"{what}: mediaType")
    if document.get("schemaVersion") == 1:
        raise NotSupported(f"{what} is of the old schema 1: make the image again with a current tool")
    if media_type not in MANIFESTS or "config" not in document:
        raise Corrupt(f"{what} is no image manifest")
    layers = document.get("layers")
    if not isinstance(layers, list):
        raise Corrupt(f"{what} has no list of layers")
    return Manifest(
        media_type=media_type,
        config=read_descriptor(document["config"], f"{what}: config"),
        layers=tuple(read_descriptor(layer, f"{what}: layer {i}") for i, layer in enumerate(layers)),
    )


def read_index(data: bytes, what: str) -> tuple[Descriptor, ...]:
    """Read an image index (or manifest list). Raises Corrupt."""
    document = _document(data, what)
    _refuse_mixture(document, what)
    media_type = _string(document.get("mediaType", OCI_INDEX), f"{what}: mediaType")
    manifests = document.get("manifests")
    if media_type not in INDEXES or not isinstance(manifests, list):
        raise Corrupt(f"{what} is no image index")
    return tuple(read_descriptor(item, f"{what}: manifest {i}") for i, item in enumerate(manifests))


def read_descriptor(item: Any, what: str) -> Descriptor:
    """Read a descriptor: image-spec, descriptor.md. The digest is checked, since it becomes a file name."""
    if not isinstance(item, dict):
        raise Corrupt(f"{what} is no descriptor")
    digest = _string(item.get("digest", ""), f"{what}: digest")
    size = item.get("size")
    if not is_digest(digest):
        if digest.startswith("sha512:"):
            raise NotSupported(f"{what}: only sha256 digests are supported")
        raise Corrupt(f"{what}: malformed digest {digest[:100]!a}")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise Corrupt(f"{what}: malformed size")
    annotations = item.get("annotations") or {}
    if not isinstance(annotations, dict) or not all(isinstance(value, str) for value in annotations.values()):
        raise Corrupt(f"{what}: malformed annotations")
    return Descriptor(
        media_type=_string(item.get("mediaType", ""), f"{what}: mediaType"),
        digest=digest,
        size=size,
        annotations=annotations,
        platform=_platform(item.get("platform"), what),
    )


def write_manifest(config: Descriptor, layers: list[Descriptor], media_type: str = OCI_MANIFEST) -> bytes:
    """Give a manifest of a type; the same content always gives the same bytes."""
    document = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": _plain(config),
        "layers": [_plain(layer) for layer in layers],
    }
    return json.dumps(document, separators=(",", ":")).encode()


def type_of_manifest(layers: list[Descriptor], wanted: str) -> str:
    """Give the type that a manifest of these layers can have, `wanted` if it can: docker has no name for zstd."""
    return OCI_MANIFEST if any("zstd" in layer.media_type for layer in layers) else wanted


def config_type(manifest_type: str) -> str:
    """Give the type of the configuration that goes with a manifest's."""
    return DOCKER_CONFIG if manifest_type == DOCKER_MANIFEST else OCI_CONFIG


def layer_type(manifest_type: str, media_type: str) -> str:
    """Give the type of a layer in the words that go with a manifest's: docker's, or OCI's; one that is in neither stays."""
    for kind in ("gzip", "zstd", ""):
        if media_type in (f"{DOCKER_LAYER}.{kind}".rstrip("."), f"{OCI_LAYER}+{kind}".rstrip("+")):
            base, joint = (DOCKER_LAYER, ".") if manifest_type == DOCKER_MANIFEST else (OCI_LAYER, "+")
            return f"{base}{joint}{kind}" if kind else base
    return media_type


def _plain(descriptor: Descriptor) -> dict[str, Any]:
    return {"mediaType": descriptor.media_type, "digest": descriptor.digest, "size": descriptor.size}


def _document(data: bytes, what: str) -> dict[str, Any]:
    document = read_json(data, what)
    if not isinstance(document, dict):
        raise Corrupt(f"{what} is no JSON object")
    return document


def _refuse_mixture(document: dict[str, Any], what: str) -> None:
    """A document that can be read as manifest and as index means different images to different readers (CVE-2021-41190)."""
    if "manifests" in document and ("layers" in document or "config" in document):
        raise Corrupt(f"{what} is both a manifest and an index")


def _platform(item: Any, what: str) -> Platform | None:
    if item is None:
        return None
    if not isinstance(item, dict):
        raise Corrupt(f"{what}: malformed platform")
    names = ("os", "architecture", "variant")
    return Platform(**{name: _string(item.get(name, ""), f"{what}: {name}") for name in names})


def _string(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise Corrupt(f"{what} is no string")
    return value


def _no_number(text: str) -> None:
    """Python reads NaN and Infinity; JSON hasn't got them."""
    raise ValueError(f"{text} is no number")


def _is_deep(document: Any) -> bool:
    """Is it nested so deeply that somebody who reads it again, deeper in the stack, might fail?"""
    level = [document]
    for _ in range(DEPTH_MAX):
        level = [
            inner
            for each in level
            for inner in (each.values() if isinstance(each, dict) else each)
            if isinstance(inner, (dict, list))
        ]
        if not level:
            return False
    return True


def _short(error: Exception) -> str:
    return "nested too deeply" if isinstance(error, RecursionError) else ascii(str(error))[1:-1][:120]
