"""Archives of images, once they are spooled: what `docker save` and OCI tools write, told apart and read.

Owns: finding the images of an archive: names, configuration, layers, each as a file beneath a descriptor. Leaves to others:
spooling (images/layers), verifying and unpacking the layers (images/loading).

| form | written by | how it is known |
|---|---|---|
| docker, paths like ID/layer.tar, ID.json | docker save before 25, skopeo docker-archive | manifest.json |
| docker, paths like blobs/sha256/... | docker save from 25 on (an OCI layout as well) | manifest.json, which has the names |
| OCI image layout, indexes maybe nested | skopeo oci-archive, buildx, podman, umoci | oci-layout and index.json |
"""

from __future__ import annotations

import errno
import os
import stat

from ..errors import Corrupt, InvalidInput, MinirunError, NotFound
from ..linux import syscalls
from ..linux.flags import RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_XDEV
from ..record import Record
from . import manifest as documents
from .digest import digest_of
from .platform import choose, is_attestation
from .reference import is_digest, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .manifest import Descriptor, Platform

    # Digests of configuration and layers -> manifest, its type, the sizes of the layers
    Known = dict[tuple[str, ...], tuple[bytes, str, tuple[int, ...]]]

IMAGES_MAX = 1000
DOCUMENTS_MAX = 64 * 1024 * 1024  # bytes of all manifests and configurations of an archive: they are held in memory
NESTING_MAX = 4
# openat2(2): as if the archive were the root; no magic links.
IN_ROOT = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV

NAME_ANNOTATIONS = ("io.containerd.image.name", "org.opencontainers.image.ref.name")


class ArchivedLayer(Record):
    """A layer as a member of the archive; `digest` is what its bytes must have, "" when the archive doesn't say."""

    member: str
    digest: str = ""
    size: int = -1  # likewise, or -1


class ArchivedImage(Record):
    """An image in the archive; `names` are full references. Without a manifest of its own one is written."""

    names: tuple[str, ...]
    config_data: bytes
    layers: tuple[ArchivedLayer, ...]
    manifest_data: bytes = b""
    manifest_type: str = ""


class Archive:
    """A spooled archive beneath an open directory; `what` names it in errors."""

    def __init__(self, directory_fd: int, what: str, wanted: Platform) -> None:
        self.what = what
        self._directory_fd = directory_fd
        self._wanted = wanted
        self._room = DOCUMENTS_MAX

    def images(self) -> list[ArchivedImage]:
        """Find all images for the wanted platform. Raises Corrupt, NotSupported, NotFound (only other platforms)."""
        if self._exists("manifest.json"):
            return self._docker_images()
        if self._exists("oci-layout") and self._exists("index.json"):
            return self._oci_images()
        raise Corrupt(
            f"{self.what}: this is no image archive: it has neither manifest.json nor oci-layout"
            " (a root file system goes in with `minirun import`)"
        )

    def open(self, member: str) -> int:
        """Open a member that is a regular file, inside the archive whatever links it has. Raises Corrupt, MinirunError."""
        try:
            descriptor = syscalls.openat2(self._directory_fd, member, os.O_RDONLY | os.O_NONBLOCK, resolve=IN_ROOT)
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO, errno.ENOSYS):
                raise MinirunError(f"{self.what}: {_shown(member)}: {syscalls.reason(error.errno)}") from error
            raise Corrupt(f"{self.what}: {_shown(member)} is missing: {os.strerror(error.errno or 0)}") from error
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise Corrupt(f"{self.what}: {_shown(member)} is no file")
        return descriptor

    # ---- docker's form

    def _docker_images(self) -> list[ArchivedImage]:
        what = f"{self.what}: manifest.json"
        entries = documents.read_json(self._read("manifest.json"), what)
        if not isinstance(entries, list) or not 0 < len(entries) <= IMAGES_MAX:
            raise Corrupt(f"{what} is no list of images")
        known = self._manifests_of_index() if self._exists("index.json") else {}
        return [self._docker_image(entry, known, f"{what}: image {i}") for i, entry in enumerate(entries)]

    def _manifests_of_index(self) -> Known:
        """Give what an OCI layout says of the images that docker's list names, by the digests of configuration and layers: with it,
        an image keeps the manifest by which registries know it."""
        found: Known = {}
        waiting = [(each, NESTING_MAX) for each in documents.read_index(self._read("index.json"), "index.json")]
        seen: set[str] = set()
        while waiting:
            descriptor, nesting = waiting.pop()
            if descriptor.digest in seen or is_attestation(descriptor):
                continue
            seen.add(descriptor.digest)
            if not self._exists(_member_of(descriptor.digest)):
                continue  # of another platform: docker's list is what counts
            what = f"{self.what}: manifest {descriptor.digest}"
            if descriptor.media_type in documents.MANIFESTS:
                data = self._blob(descriptor)
                manifest = documents.read_manifest(data, what)
                key = (manifest.config.digest, *(layer.digest for layer in manifest.layers))
                found.setdefault(key, (data, manifest.media_type, tuple(layer.size for layer in manifest.layers)))
            elif descriptor.media_type in documents.INDEXES and nesting:
                inner = documents.read_index(self._blob(descriptor), what)
                waiting += [(each, nesting - 1) for each in inner]
        return found

    def _docker_image(self, entry: Any, known: Known, what: str) -> ArchivedImage:
        if not isinstance(entry, dict):
            raise Corrupt(f"{what} is no object")
        config = entry.get("Config")
        members = entry.get("Layers") or []
        names = entry.get("RepoTags") or []
        if not isinstance(config, str) or not isinstance(members, list) or not all(map(_is_member, (config, *members))):
            raise Corrupt(f"{what} is malformed")
        if not isinstance(names, list):
            raise Corrupt(f"{what}: RepoTags is no list")
        data = self._read(config)
        expected = _digest_in_path(config)
        if expected and digest_of(data) != expected:
            raise Corrupt(f"{self.what}: {_shown(config)}: the digest doesn't match, the content was changed")
        key = (digest_of(data), *(_digest_in_path(each) for each in members))
        manifest_data, manifest_type, sizes = known.get(key, (b"", "", (-1,) * len(members)))
        return ArchivedImage(
            names=tuple(self._name(name) for name in names),
            config_data=data,
            layers=tuple(
                ArchivedLayer(member=each, digest=_digest_in_path(each), size=size)
                for each, size in zip(members, sizes, strict=True)
            ),
            manifest_data=manifest_data,
            manifest_type=manifest_type,
        )

    def _name(self, text: Any) -> str:
        if not isinstance(text, str):
            raise Corrupt(f"{self.what}: a name is no string")
        try:
            return parse(text).full
        except InvalidInput as error:
            raise Corrupt(f"{self.what}: {error}") from error

    # ---- OCI image layout

    def _oci_images(self) -> list[ArchivedImage]:
        candidates = documents.read_index(self._read("index.json"), f"{self.what}: index.json")
        if len(candidates) > IMAGES_MAX:
            raise Corrupt(f"{self.what}: index.json has more than {IMAGES_MAX} images")
        images: dict[str, ArchivedImage] = {}
        for name, group in self._by_name(candidates).items():
            for chosen in self._chosen(group, NESTING_MAX):
                names = (name,) if name else ()
                known = images.get(chosen.digest)
                images[chosen.digest] = (
                    known.replace(names=known.names + names) if known else self._oci_image(chosen, names)
                )
        if not images:
            offered = (
                ", ".join(sorted({str(each.platform) for each in candidates if each.platform})) or "no image at all"
            )
            raise NotFound(f"{self.what} has no image for {self._wanted}: it has {_shown(offered)}")
        return list(images.values())

    def _by_name(self, candidates: tuple[Descriptor, ...]) -> dict[str, list[Descriptor]]:
        """Group what index.json lists: entries of one name are one image for several platforms; each nameless one is by itself."""
        groups: dict[str, list[Descriptor]] = {}
        for candidate in candidates:
            if not is_attestation(candidate):
                groups.setdefault(self._annotated_name(candidate), []).append(candidate)
        return groups

    def _annotated_name(self, candidate: Descriptor) -> str:
        """Give the full name that annotations carry. The second one is often a bare tag, which names nothing."""
        for key in NAME_ANNOTATIONS:
            text = candidate.annotations.get(key, "")
            if text and (":" in text or "/" in text):
                return self._name(text)
        return ""

    def _chosen(self, group: list[Descriptor], nesting: int) -> list[Descriptor]:
        """Resolve indexes to the image for the wanted platform; a single manifest is taken whatever it says it is for."""
        chosen = []
        with_platform = [
            each for each in group if each.platform is not None and each.media_type not in documents.INDEXES
        ]
        if len(with_platform) > 1:
            best = choose(with_platform, self._wanted)
            group = [each for each in group if each not in with_platform or each is best]
        for each in group:
            if each.media_type not in documents.INDEXES:
                chosen.append(each)
                continue
            if nesting == 0:
                raise Corrupt(f"{self.what}: indexes are nested too deeply")
            inner = documents.read_index(self._blob(each), f"{self.what}: index {each.digest}")
            best = choose(inner, self._wanted)
            if best is not None:
                chosen += self._chosen([best], nesting - 1)
        return chosen

    def _oci_image(self, descriptor: Descriptor, names: tuple[str, ...]) -> ArchivedImage:
        data = self._blob(descriptor)
        manifest = documents.read_manifest(data, f"{self.what}: manifest {descriptor.digest}")
        if descriptor.media_type and descriptor.media_type != manifest.media_type:
            raise Corrupt(f"{self.what}: manifest {descriptor.digest} is of another type than its index says")
        return ArchivedImage(
            names=names,
            config_data=self._blob(manifest.config),
            layers=tuple(
                ArchivedLayer(member=_member_of(layer.digest), digest=layer.digest, size=layer.size)
                for layer in manifest.layers
            ),
            manifest_data=data,
            manifest_type=manifest.media_type,
        )

    def _blob(self, descriptor: Descriptor) -> bytes:
        data = self._read(_member_of(descriptor.digest))
        if digest_of(data) != descriptor.digest:
            raise Corrupt(f"{self.what}: blob {descriptor.digest}: the digest doesn't match, the content was changed")
        if len(data) != descriptor.size:
            raise Corrupt(
                f"{self.what}: blob {descriptor.digest} has {len(data)} bytes, not {descriptor.size} as is said of it"
            )
        return data

    # ---- members

    def _exists(self, member: str) -> bool:
        try:
            os.close(syscalls.openat2(self._directory_fd, member, os.O_PATH | os.O_NOFOLLOW, resolve=IN_ROOT))
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                return False
            raise
        return True

    def _read(self, member: str) -> bytes:
        descriptor = self.open(member)
        with open(descriptor, "rb") as file:
            data = file.read(documents.DOCUMENT_MAX + 1)
        if len(data) > documents.DOCUMENT_MAX:
            raise Corrupt(f"{self.what}: {_shown(member)} is larger than {documents.DOCUMENT_MAX} bytes")
        self._room -= len(data)
        if self._room < 0:
            raise Corrupt(
                f"{self.what}: its manifests and configurations are larger than {DOCUMENTS_MAX} bytes together"
            )
        return data


def _member_of(digest: str) -> str:
    return f"blobs/sha256/{digest[7:]}"


def _digest_in_path(member: str) -> str:
    """Give the digest that a path promises: blobs/sha256/HEX, and HEX.json of a configuration."""
    directory, _, name = member.rpartition("/")
    if directory == "blobs/sha256" or (not directory and name.endswith(".json")):
        digest = f"sha256:{name.removesuffix('.json')}"
        return digest if is_digest(digest) else ""
    return ""


def _is_member(value: Any) -> bool:
    return isinstance(value, str) and value != "" and "\0" not in value


def _shown(text: str) -> str:
    return ascii(text[:200])[1:-1]
