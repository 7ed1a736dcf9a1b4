"""`cp`: files and directories between the host and a container, running or not.

Owns: both directions, as files and as a tar archive. Leaves to others: docker's rules for the two paths (engine/copy_paths),
the container's file system (engine/view), reading and writing it (linux/tar, linux/untar).

What is copied goes through a tar archive in memory, a piece at a time, so that both ends follow the same rules: links are copied
as links, holes stay holes, and each name is made beneath a descriptor. A container that moves directories and swaps links while
it is copied from or to can spoil the copy, never lead it out of the container: openat2(2), RESOLVE_IN_ROOT.
"""

from __future__ import annotations

import errno
import os
import stat

from ..errors import Exhausted, InvalidInput, MinirunError, NotFound
from ..light import contextmanager
from ..linux import syscalls
from ..linux.tar import Tar
from ..linux.untar import BadArchive, Untar
from ..units import ID_MAX, whole_number
from . import copy_paths as paths
from .copy_paths import Place
from .export import PIECE, pieces
from .view import reading, shows_own_ids, writing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ..images.store import Stream
    from .container import Container
    from .engine import Engine
    from .view import View

EVERYTHING = (1 << 63) - 1  # what fits is the file system's business
PASSWD_MAX = 1 << 20


# ---- out of a container


def copy_from(
    engine: Engine,
    reference: str,
    path: str,
    destination: str,
    *,
    follow: bool = False,
    progress: Callable[[int], None] | None = None,
) -> int:
    """Copy `path` of a container to the host; gives the bytes of the archive that it went through.

    Files belong to who copies, as with docker. Raises NotFound, InvalidInput, Exhausted, MinirunError; what was copied by then
    stays.
    """
    target = paths.on_host(destination)
    paths.check_output(target)
    container = engine.rows.find(reference)
    with reading(engine, container, volumes=True) as view, _source(view, container, path, follow=follow) as (top, name):
        engine.rows.note_alone(container, "archive-path")
        is_directory = stat.S_ISDIR(os.fstat(top).st_mode)
        source = Place(path=paths.in_container(path), exists=True, is_directory=is_directory)
        directory, new_name = paths.arrange(source, paths.host_destination(target))
        try:
            into = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise MinirunError(f"copy to {directory}: {error.strerror}") from error
        try:
            with (
                Tar(top, new_name or name, sparse=True) as tar,
                Untar(into, max_entries=EVERYTHING, max_bytes=EVERYTHING, copy=True, owners=False) as untar,
            ):
                plain = _counted(pieces(tar, f"copy from container {container.name}"), progress)
                _unpack(untar, plain, f"copy to {directory}")
                return tar.bytes_read
        finally:
            os.close(into)


def archive(engine: Engine, container: Container, path: str, *, follow: bool = False) -> Iterator[bytes]:
    """Give `path` of a container as a tar archive, piece by piece. Raises NotFound, InvalidInput, MinirunError."""
    with (
        reading(engine, container, volumes=True) as view,
        _source(view, container, path, follow=follow) as (top, name),
        Tar(top, name) as tar,
    ):
        engine.rows.note_alone(container, "archive-path")
        if view.ids is not None:
            tar.map_ids(view.ids.uid, view.ids.gid, view.ids.size)
        yield from pieces(tar, f"copy from container {container.name}")


@contextmanager
def _source(view: View, container: Container, path: str, *, follow: bool) -> Iterator[tuple[int, str]]:
    """Open what is to be copied (O_PATH), and give it with the name that it gets: its own, "." for what is in it."""
    full = _path_of(path)
    try:
        with _opened(view, full, follow=follow or full.endswith(("/", "/."))) as top:
            yield top, paths.base(full)
    except _Missing as missing:
        raise missing.error(container, path) from missing


def _path_of(path: str) -> str:
    if not path:
        raise InvalidInput("bad parameter: path cannot be empty")
    if "\0" in path:
        raise InvalidInput("bad parameter: a path can't hold a NUL")
    return paths.in_container(path)


class _Missing(Exception):
    """What a path of a container leads to can't be opened."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number

    def error(self, container: Container, path: str) -> MinirunError:
        if self.number == errno.ENOENT:
            return NotFound(f"Could not find the file {path} in container {container.name}")
        return MinirunError(f"lstat {path} in container {container.name}: {syscalls.reason_within(self.number)}")


@contextmanager
def _opened(view: View, path: str, *, follow: bool) -> Iterator[int]:
    try:
        descriptor = view.open(path, os.O_PATH | (0 if follow else os.O_NOFOLLOW))
    except OSError as error:
        raise _Missing(error.errno or 0) from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


# ---- into a container


def copy_to(
    engine: Engine,
    reference: str,
    source: str,
    path: str,
    *,
    archive: bool = False,
    follow: bool = False,
    progress: Callable[[int], None] | None = None,
) -> int:
    """Copy `source` of the host to `path` of a container; gives the bytes of the archive that it went through.

    Owners are the source's, by number; with `archive` everything belongs to the container's user. Raises NotFound, InvalidInput,
    Exhausted, MinirunError; what was copied by then stays.
    """
    container = engine.rows.find(reference)
    with writing(engine, container) as view:
        place = _destination(view, container, path)
        found = paths.host_source(source, follow=follow)
        directory, new_name = paths.arrange(found, place)
        parent, name = paths.split_entry(found.path)
        top = os.open(found.path if name in ("", ".") else f"{parent}/{name}", os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            with Tar(top, new_name or name, sparse=True) as tar:
                what = f"copy {source}"
                plain = _counted(pieces(tar, what), progress)
                _extract(engine, container, view, directory, plain, archive=archive)
                return tar.bytes_read
        finally:
            os.close(top)


def extract(engine: Engine, container: Container, path: str, plain: Iterable[bytes], *, archive: bool = False) -> None:
    """Unpack a tar archive, piece by piece, into a directory of a container. Raises as `copy_to` does."""
    with writing(engine, container) as view:
        place = _destination(view, container, path)
        if not place.is_directory:
            raise InvalidInput(f'destination "{container.name}:{path}" must be a directory')
        _extract(engine, container, view, place.path, plain, archive=archive)


def _destination(view: View, container: Container, path: str) -> Place:
    """Look up a path of a container; links are followed inside it, also one that leads to nothing yet."""
    if not path:
        return Place(path="")
    full = path = paths.in_container(path)
    for _ in range(paths.LINKS_MAX):
        try:
            with _opened(view, full, follow=full.endswith(("/", "/."))) as found:
                mode = os.fstat(found).st_mode
                if not stat.S_ISLNK(mode):
                    _check_kind(container, path, mode)
                    return Place(path=full, exists=True, is_directory=stat.S_ISDIR(mode))
                target = os.readlink("", dir_fd=found)
        except _Missing:
            return Place(path=full)
        full = paths.clean(os.path.join(paths.split_entry(full)[0], target))
    raise MinirunError(f"{path} in container {container.name}: too many symbolic links")


def _check_kind(container: Container, path: str, mode: int) -> None:
    if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        raise InvalidInput(f'destination "{container.name}:{path}" must be a directory or a regular file: got a device')


def _extract(
    engine: Engine, container: Container, view: View, directory: str, plain: Iterable[bytes], *, archive: bool
) -> None:
    if not directory:
        raise InvalidInput("bad parameter: path cannot be empty")
    try:
        with _opened(view, directory, follow=True) as into:
            if not stat.S_ISDIR(os.fstat(into).st_mode):
                raise InvalidInput("extraction point is not a directory")
            _check_writable(container, into, view)
    except _Missing as missing:
        raise missing.error(container, directory) from missing
    shift = (0, 0, 0)
    if view.ids is not None and not shows_own_ids(engine, container, paths.in_container(directory)):
        shift = (view.ids.uid, view.ids.gid, view.ids.size)
    user = container_user(engine, container) if archive else ""
    with Untar(view.root, max_entries=EVERYTHING, max_bytes=EVERYTHING, copy=True) as untar:
        untar.beneath(directory)
        if user:
            uid, gid = ids_of(view, user)
            untar.own(shift[0] + uid, shift[1] + gid)
        elif shift[2]:
            untar.own(*shift)
        _unpack(untar, plain, f"copy to container {container.name}")
    engine.rows.note_alone(container, "extract-to-dir")


def _check_writable(container: Container, into: int, view: View) -> None:
    """What --read-only or a volume's `ro` says holds for `cp` too. statvfs(3): the mounts have their flags here as well."""
    if os.fstat(into).st_dev != os.fstat(view.root).st_dev:
        if os.statvfs(into).f_flag & os.ST_RDONLY:
            raise InvalidInput("mounted volume is marked read-only")
    elif container.config.read_only:
        raise InvalidInput("container rootfs is marked read-only")


def _counted(plain: Iterable[bytes], progress: Callable[[int], None] | None) -> Iterator[bytes]:
    """Pass pieces on, and tell of the bytes that have gone by."""
    done = 0
    for piece in plain:
        yield piece
        done += len(piece)
        if progress is not None:
            progress(done)


def _unpack(untar: Untar, plain: Iterable[bytes], what: str) -> None:
    try:
        for piece in plain:
            untar.feed(piece)
        untar.finish()
    except BadArchive as error:
        raise InvalidInput(f"Error processing tar file: {_without_entry(str(error))}") from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise Exhausted(f"{what}: {error.strerror}: free some space and try again") from error
        raise MinirunError(f"{what}: {error.strerror}") from error


def _without_entry(text: str) -> str:
    """Docker's own sentence names both paths; it needs no entry before it."""
    place = text.find("': cannot overwrite ")
    return text[place + 3 :] if place >= 0 else text


# ---- whose what is copied is


def container_user(engine: Engine, container: Container) -> str:
    """Give the user that a container runs as, "" for root by default."""
    of_image = engine.images.resolve(container.image_id).config.get("User")
    return container.config.user or of_image or ""


def ids_of(view: View, user: str) -> tuple[int, int]:
    """Give user and group id of `user[:group]` as the container's /etc/passwd and /etc/group have them. Raises NotFound."""
    name, colon, group = user.partition(":")
    uid, gid = _account(view, "/etc/passwd", name, with_group=True)
    if colon and group:
        gid, _ = _account(view, "/etc/group", group, with_group=False)
    return uid, gid


def _account(view: View, file: str, name: str, *, with_group: bool) -> tuple[int, int]:
    for line in _lines(view, file):
        fields = line.split(":")
        numbers = fields[2 : 4 if with_group else 3]
        if not (fields[0] == name or (name.isdecimal() and numbers[:1] == [name])):
            continue
        ids = [number for each in numbers if (number := whole_number(each, ID_MAX)) is not None]
        if ids and len(ids) == len(numbers):
            return ids[0], ids[1] if len(ids) == 2 else 0
    if (number := whole_number(name, ID_MAX)) is not None:
        return number, 0
    raise NotFound(f"unable to find {'user' if with_group else 'group'} {name}: no matching entries in {file[5:]} file")


def _lines(view: View, file: str) -> list[str]:
    """Read a small file of a container: a regular one, whatever it pretends to be."""
    try:
        with _opened(view, file, follow=True) as found:
            if not stat.S_ISREG(os.fstat(found).st_mode):
                return []
            descriptor = os.open(f"/proc/self/fd/{found}", os.O_RDONLY | os.O_CLOEXEC)
    except (_Missing, OSError):
        return []
    try:
        return os.read(descriptor, PASSWD_MAX).decode("utf-8", "replace").splitlines()
    finally:
        os.close(descriptor)


def plain_pieces(stream: Stream) -> Iterator[bytes]:
    """Give the content of a stream that holds an archive, decompressed by need. Raises InvalidInput for one that isn't
    supported.
    """
    from ..errors import Corrupt, NotSupported
    from ..images import compression

    start = stream.read(PIECE)
    try:
        yield from compression.pieces(stream.read, start)
    except (Corrupt, NotSupported) as error:
        raise InvalidInput(f"Error processing tar file: {error}") from error
