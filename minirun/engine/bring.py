"""Images from registries and to them, with what docker says of it.

Owns: `pull`, `pull_all`, `push`, `push_all`, `search`, `download` (the verbs), their lines. Leaves to others: the way of an image
(images/pulling, pushing).

`progress` is told of each layer (its short id, a status, bytes so far, bytes in all), and of lines that are nobody's (layer "").
"""

from __future__ import annotations

from ..errors import InvalidInput, NotFound
from ..images.reference import DEFAULT_TAG, parse
from ..record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from ..images.image import Image
    from ..images.searching import Result
    from ..images.store import Stream
    from .engine import Engine

    Progress = Callable[[str, str, int, int], None]


class Brought(Record):
    """An image that was pulled or pushed: its full name, its digest at the registry, and whether the name led elsewhere before."""

    name: str
    digest: str
    is_new: bool = True


def pull(engine: Engine, name: str, platform: str, progress: Progress) -> Brought:
    """Pull one image. Raises what images/store.pull raises."""
    brought = _pull(engine, name, platform, progress)
    _tell(brought.is_new, shown(name), progress)
    return brought


def _pull(engine: Engine, name: str, platform: str, progress: Progress) -> Brought:
    reference = parse(name)
    if not reference.digest and not reference.tag:
        progress("", f"Using default tag: {DEFAULT_TAG}", 0, 0)
    pulled = engine.images.pull(name, platform=platform, progress=progress)
    progress("", f"Digest: {pulled.digest}", 0, 0)
    full = f"{reference.name}@{reference.digest}" if reference.digest else reference.full
    return Brought(name=full, digest=pulled.digest, is_new=pulled.is_new)


def _tell(is_new: bool, what: str, progress: Progress) -> None:
    progress("", f"Status: {'Downloaded newer image' if is_new else 'Image is up to date'} for {what}", 0, 0)


def pull_missing(engine: Engine, name: str, platform: str, progress: Progress) -> Image:
    """Pull an image that isn't here. Raises what images/store.pull raises."""
    try:
        return engine.images.resolve(name)
    except NotFound:
        pull(engine, shown(name), platform, progress)
        return engine.images.resolve(name)


def pull_all(engine: Engine, name: str, platform: str, progress: Progress) -> list[Brought]:
    """Pull every tag of a repository. Raises InvalidInput for a name with a tag, and as `pull` does."""
    _check_bare(name)
    brought = [_pull(engine, f"{name}:{tag}", platform, progress) for tag in engine.images.remote_tags(name)]
    if brought:
        _tell(any(each.is_new for each in brought), parse(name).familiar_name, progress)
    return brought


def push(engine: Engine, name: str, platform: str, progress: Progress) -> Brought:
    """Push one image, which has to be for `platform` ("" for any). Raises what images/store.push raises."""
    reference = parse(name)
    if reference.digest:
        raise InvalidInput("cannot push a digest reference")
    if not reference.tag:
        progress("", f"Using default tag: {DEFAULT_TAG}", 0, 0)
    progress("", f"The push refers to repository [{reference.name}]", 0, 0)
    return _push(engine, name, platform, progress)


def push_all(engine: Engine, name: str, platform: str, progress: Progress) -> list[Brought]:
    """Push every tag that a repository has here. Raises InvalidInput for a name with a tag, and as `push` does."""
    _check_bare(name)
    reference = parse(name)
    progress("", f"The push refers to repository [{reference.name}]", 0, 0)
    known = (each.rpartition(":") for image in engine.images.list() for each in image.tags)
    tags = sorted(tag for repository, _, tag in known if repository == reference.familiar_name)
    if not tags:
        raise NotFound(f"An image does not exist locally with the tag: {reference.familiar_name}")
    return [_push(engine, f"{name}:{tag}", platform, progress) for tag in tags]


def search(term: str, limit: int) -> list[Result]:
    """Ask a registry's index for repositories. Raises what images/searching.search raises."""
    from ..images.searching import search as ask

    return ask(term, limit)


def download(url: str) -> AbstractContextManager[Stream]:
    """Open an archive at a web address. Raises what images/downloading.download raises."""
    from ..images.downloading import download as begin

    return begin(url)


def shown(name: str) -> str:
    """Give a name as docker shows it: with the tag that is meant, or the digest."""
    reference = parse(name)
    return f"{reference.familiar_name}@{reference.digest}" if reference.digest else reference.familiar


def _push(engine: Engine, name: str, platform: str, progress: Progress) -> Brought:
    reference = parse(name)
    pushed = engine.images.push(name, platform=platform, progress=progress)
    progress("", f"{reference.tag or DEFAULT_TAG}: digest: {pushed.digest} size: {pushed.size}", 0, 0)
    return Brought(name=reference.full, digest=pushed.digest)


def _check_bare(name: str) -> None:
    reference = parse(name)
    if reference.tag or reference.digest:
        raise InvalidInput("tag can't be used with --all-tags/-a")
