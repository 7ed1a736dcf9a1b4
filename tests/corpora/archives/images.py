"""Archives of images, byte by byte: docker's forms and OCI layouts, right ones and ones that lie.

Owns: `Content` (what an image holds) and the forms that it can be written in. Leaves to others: which of them to load.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from tests.corpora.archives import tar

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
Members = dict[str, bytes]


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@dataclass
class Content:
    """An image: its layers as plain tars, its settings, its names."""

    layers: list[bytes] = field(default_factory=lambda: [tar.archive(tar.directory("bin"), tar.file("bin/x"))])
    config: dict[str, Any] = field(default_factory=lambda: {"Cmd": ["/bin/x"], "Env": ["PATH=/bin"]})
    names: list[str] = field(default_factory=lambda: ["thing:1"])
    architecture: str = "amd64"
    zipped: bool = False

    @property
    def blobs(self) -> list[bytes]:
        return [gzip.compress(layer, mtime=0) for layer in self.layers] if self.zipped else self.layers

    @property
    def configuration(self) -> bytes:
        document = {
            "architecture": self.architecture,
            "os": "linux",
            "created": "2024-02-03T04:05:06.789Z",
            "config": self.config,
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{sha256(layer)}" for layer in self.layers]},
        }
        return json.dumps(document).encode()

    @property
    def id(self) -> str:
        return f"sha256:{sha256(self.configuration)}"


def pack(members: Members) -> bytes:
    """The outer archive."""
    entries = [tar.pax({"path": name}) + tar.file(name[:90], data) for name, data in members.items()]
    return tar.archive(*entries)


def docker_old(*contents: Content) -> Members:
    """docker save before 25: a directory per layer, the configuration beside them."""
    members: Members = {}
    manifest = []
    for content in contents:
        paths = []
        for i, layer in enumerate(content.blobs):
            identity = sha256(content.configuration + bytes([i]))
            members[f"{identity}/VERSION"] = b"1.0"
            members[f"{identity}/json"] = b"{}"
            members[f"{identity}/layer.tar"] = layer
            paths.append(f"{identity}/layer.tar")
        config = f"{sha256(content.configuration)}.json"
        members[config] = content.configuration
        manifest.append({"Config": config, "RepoTags": content.names or None, "Layers": paths})
    members["manifest.json"] = json.dumps(manifest).encode()
    members["repositories"] = b"{}"
    return members


def docker_new(*contents: Content) -> Members:
    """docker save from 25 on: an OCI layout with docker's manifest.json beside it."""
    members = oci(*contents)
    manifest = []
    for content in contents:
        manifest.append(
            {
                "Config": f"blobs/sha256/{sha256(content.configuration)}",
                "RepoTags": content.names,
                "Layers": [f"blobs/sha256/{sha256(blob)}" for blob in content.blobs],
            }
        )
    members["manifest.json"] = json.dumps(manifest).encode()
    return members


def blob(members: Members, data: bytes, media_type: str, **more: Any) -> dict[str, Any]:
    """Add a blob and give its descriptor."""
    members[f"blobs/sha256/{sha256(data)}"] = data
    return {"mediaType": media_type, "digest": f"sha256:{sha256(data)}", "size": len(data), **more}


def oci_manifest(members: Members, content: Content, **more: Any) -> dict[str, Any]:
    """Add an image's blobs and give the descriptor of its manifest."""
    suffix = "+gzip" if content.zipped else ""
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": blob(members, content.configuration, "application/vnd.oci.image.config.v1+json"),
        "layers": [blob(members, each, f"application/vnd.oci.image.layer.v1.tar{suffix}") for each in content.blobs],
    }
    return blob(members, json.dumps(document).encode(), OCI_MANIFEST, **more)


def oci_index(members: Members, manifests: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    """Add an index and give its descriptor."""
    document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests}
    return blob(members, json.dumps(document).encode(), OCI_INDEX, **more)


def oci(*contents: Content) -> Members:
    """An OCI image layout; names are annotations."""
    members: Members = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}'}
    manifests = []
    for content in contents:
        descriptor = oci_manifest(members, content)
        for name in content.names or [""]:
            annotations = {"org.opencontainers.image.ref.name": name} if name else {}
            manifests.append({**descriptor, "annotations": annotations})
    members["index.json"] = json.dumps({"schemaVersion": 2, "manifests": manifests}).encode()
    return members
