"""`docker manifest`: images of several platforms under one name, put together from what registries have.

Owns: the verbs create, annotate, inspect, push. Leaves to others: what is kept between them (images/lists), requests
(images/registry).

    create    the manifest of each image is fetched, and its configuration, which says what it runs on
    annotate  says otherwise
    push      images of other repositories are taken over (mount) into the list's own; then the index, after all that it names

No layer comes here: an image is pushed first, by whoever has it.
"""

from __future__ import annotations

import json

from ..errors import Conflict, Corrupt, InvalidInput, MinirunError, NotFound
from ..record import Record
from . import manifest as documents
from .digest import digest_of
from .lists import Entry, Lists, index_of, platform_of
from .pulling import answering
from .pushing import connected
from .reference import DEFAULT_TAG, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from .reference import Reference
    from .registries import Registries
    from .registry import Registry


class PushedList(Record):
    """Under which digest a list is there."""

    digest: str
    size: int


def create(lists: Lists, name: str, sources: Sequence[str], registries: Registries, *, amend: bool = False) -> str:
    """Make a list of images, or with `amend` add to one; gives its full name.

    Raises Conflict (there is such a list), NotFound (no such image), NotSupported, Refused, Unreachable, Corrupt; then
    nothing has changed. Blocks.
    """
    full = list_name(name)
    _existing(lists, full, amend=amend)  # before anybody is asked
    fetched = {_full(parse(source)): _fetch(parse(source), registries) for source in sources}
    with lists.lock(full):  # and again: somebody else may have added to it meanwhile
        entries = {entry.reference: entry for entry in _existing(lists, full, amend=amend)}
        lists.put(full, list((entries | fetched).values()))
    return full


def _existing(lists: Lists, full: str, *, amend: bool) -> list[Entry]:
    """Give what a list has already. Raises Conflict where there is one that isn't to be added to."""
    if not lists.has(full):
        return []
    if not amend:
        raise Conflict(f"refusing to amend an existing manifest list with no --amend flag: {full}")
    return lists.get(full)


def annotate(lists: Lists, name: str, image: str, **said: Any) -> None:
    """Say what an image of a list runs on: architecture, os, variant, os_version, os_features; empty values change nothing.

    Raises NotFound, InvalidInput.
    """
    full, wanted = list_name(name), _full(parse(image))
    with lists.lock(full):
        lists.put(full, _annotated(lists.get(full), name, image, wanted, said))


def _annotated(entries: list[Entry], name: str, image: str, wanted: str, said: Mapping[str, Any]) -> list[Entry]:
    if wanted not in (entry.reference for entry in entries):
        raise NotFound(f"manifest for image {image} does not exist in {name}")
    changes = {key: value for key, value in said.items() if value}
    changed = [entry.replace(**changes) if entry.reference == wanted else entry for entry in entries]
    chosen = next(entry for entry in changed if entry.reference == wanted)
    if not chosen.os or not chosen.architecture:
        raise InvalidInput(
            f"manifest entry for image has unsupported os/arch combination: {chosen.os}/{chosen.architecture}"
        )
    return changed


def inspect(lists: Lists, name: str, image: str, registries: Registries, *, verbose: bool = False) -> str:
    """Give a list that was made here, an image of it, or what a registry has under a name, as JSON. Raises as `create`."""
    if image:
        wanted = _full(parse(image))
        entry = next((each for each in lists.get(list_name(name)) if each.reference == wanted), None)
        if entry is None:
            raise NotFound(f"No such manifest: {image}")
        return json.dumps(_description(entry), indent=4, ensure_ascii=False) if verbose else entry.data
    full = _full(parse(name))
    if lists.has(full):
        entries = lists.get(full)
        return _described(entries) if verbose else index_of(entries)[0].decode()
    reference = parse(name)
    with answering(reference, registries, _wanted(reference)) as (registry, fetched):
        if not verbose:
            documents.read_json(fetched.data, f"manifest {fetched.digest}")
            return fetched.data.decode()
        if fetched.media_type not in documents.INDEXES:
            return json.dumps(_description(_read(registry, reference, fetched.data, fetched.media_type)), indent=4)
        found = []
        for each in documents.read_index(fetched.data, f"manifest {fetched.digest}"):
            inner = registry.manifest(each.digest)
            entry = Entry(
                reference=f"{reference.name}@{each.digest}", media_type=inner.media_type, data=inner.data.decode()
            )
            if each.platform is not None:
                entry = entry.replace(
                    os=each.platform.os, architecture=each.platform.architecture, variant=each.platform.variant
                )
            found.append(entry)
        return _described(found)


def push(
    lists: Lists, name: str, registries: Registries, said: Callable[[str], object], *, purge: bool = False
) -> PushedList:
    """Bring a list to its repository; `said` is told of each manifest. Raises NotFound, InvalidInput, Refused, Unreachable."""
    full = list_name(name)
    target = parse(full)
    entries = lists.get(full)
    for entry in entries:
        if not entry.os or not entry.architecture:
            raise InvalidInput(
                f"manifest {entry.reference} must have an OS and Architecture to be pushed to a registry"
            )
        source = parse(entry.reference)
        if source.domain != target.domain:
            raise InvalidInput(
                "cannot use source images from a different registry than the target image:"
                f" {source.domain} != {target.domain}"
            )
    with connected(target, registries) as registry:
        for entry in entries:
            _bring(registry, target, entry)
            said(f"Pushed ref {target.name}@{entry.digest} with digest: {entry.digest}")
        data, media_type = index_of(entries)
        registry.put_manifest(target.tag or DEFAULT_TAG, data, media_type)
    if purge:
        lists.remove(full)
    return PushedList(digest=digest_of(data), size=len(data))


def list_name(name: str) -> str:
    """Give the full name of a list. Raises InvalidInput."""
    reference = parse(name)
    if reference.digest:
        raise InvalidInput(f"'{name}': a manifest list has a name and a tag, no digest")
    return reference.full


def _bring(registry: Registry, target: Reference, entry: Entry) -> None:
    """Let the list's repository have an image: what lies in a neighbour is taken over there."""
    source = parse(entry.reference)
    manifest = documents.read_manifest(entry.data.encode(), f"manifest {entry.reference}")
    if source.path != target.path:
        for blob in {each.digest: each for each in (manifest.config, *manifest.layers)}.values():
            if not registry.has_blob(blob.digest) and registry.mount_or_start(blob.digest, source.path):
                raise MinirunError(
                    f"the registry {target.domain} doesn't take {blob.digest} over from {source.path}:"
                    f" push the image into {target.path} itself"
                )
    registry.put_manifest(entry.digest, entry.data.encode(), entry.media_type)


def _fetch(reference: Reference, registries: Registries) -> Entry:
    with answering(reference, registries, _wanted(reference)) as (registry, fetched):
        return _read(registry, reference, fetched.data, fetched.media_type)


def _read(registry: Registry, reference: Reference, data: bytes, media_type: str) -> Entry:
    """Read an image's manifest, and in its configuration what it runs on. A list can't hold a list."""
    what = f"manifest {_full(reference)}"
    if media_type in documents.INDEXES:
        raise InvalidInput(f"{_full(reference)} is a manifest list")
    manifest = documents.read_manifest(data, what)
    settings = documents.read_json(registry.configuration(manifest.config), f"{what}: configuration")
    if not isinstance(settings, dict):
        raise Corrupt(f"{what}: the configuration is no object")

    def text(name: str) -> str:
        value = settings.get(name)
        return value if isinstance(value, str) else ""

    features = settings.get("os.features")
    return Entry(
        reference=_full(reference),
        media_type=manifest.media_type,
        data=data.decode(),
        os=text("os"),
        architecture=text("architecture"),
        variant=text("variant"),
        os_version=text("os.version"),
        os_features=tuple(each for each in features if isinstance(each, str)) if isinstance(features, list) else (),
    )


def _described(entries: Sequence[Entry]) -> str:
    return json.dumps([_description(entry) for entry in entries], indent=4, ensure_ascii=False)


def _description(entry: Entry) -> dict[str, Any]:
    """Give what `--verbose` says of an image, in docker's words."""
    kind = "OCIManifest" if entry.media_type == documents.OCI_MANIFEST else "SchemaV2Manifest"
    return {
        "Ref": entry.reference,
        "Descriptor": {
            "mediaType": entry.media_type,
            "digest": entry.digest,
            "size": len(entry.data.encode()),
            "platform": platform_of(entry),
        },
        kind: json.loads(entry.data),
    }


def _full(reference: Reference) -> str:
    return f"{reference.name}@{reference.digest}" if reference.digest else reference.full


def _wanted(reference: Reference) -> str:
    return reference.digest or reference.tag or DEFAULT_TAG
