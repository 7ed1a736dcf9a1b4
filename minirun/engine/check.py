"""Is everything in the store what it should be? Rows against directories, blobs against digests, layers against blobs.

Owns: `check`, what each kind of damage means and what is done about it. Leaves to others: reading blobs and layers (images/check),
what killed commands leave (engine/reconcile: that is no damage, and is gone by now).

    what is damaged                                     repair
    a blob is missing or changed                        it is fetched again from the registry that it came from or went to; else
                                                        the file is taken away, so that loading the image again brings a good one
    a layer's directory is missing or changed           it is unpacked again from its blob, unless a running container stands on it
    a directory or blob that no row names               removed
    a container's directory is missing                  an empty one is made: what it had written is lost
    a container's image is gone                         none: remove the container
    a name leads to no image, index.json is wrong       the name is removed, the file written again
    addresses, ports, ids, cgroups, run files of nobody given back, removed

Each repair takes the same locks as the command that makes such a thing, so it can be asked for while others work.
"""

from __future__ import annotations

import os

from .. import database
from ..errors import Corrupt, MinirunError, NotFound
from ..light import suppress
from ..record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..images.check import Link
    from .container import Container
    from .engine import Engine

    Repair = Callable[[], str] | None


class Damage(Record):
    """One thing that isn't what it should be, and what was done about it: "" for nothing."""

    thing: str
    problem: str
    repair: str = ""

    def __str__(self) -> str:
        return f"{self.thing} {self.problem}" + (f": {self.repair}" if self.repair else "")


def check(engine: Engine, *, repair: bool) -> list[Damage]:
    """See Engine.check. A repair that fails leaves the damage in the list, with the reason in its problem."""
    found = []
    for thing, problem, mend in _damages(engine):
        done = ""
        if repair and mend is not None:
            try:
                done = mend()
            except (OSError, MinirunError) as error:
                problem += f" (the repair failed: {error})"
        found.append(Damage(thing=thing, problem=problem, repair=done))
    return found


def _damages(engine: Engine) -> Iterator[tuple[str, str, Repair]]:
    """Find damage, from what others stand on to what stands on it: each is mended before the next is looked for."""
    yield from _database(engine)
    yield from _blobs(engine)
    yield from _layers(engine)
    yield from _names(engine)
    yield from _orphans(engine)
    yield from _containers(engine)
    yield from _runs(engine)


def _database(engine: Engine) -> Iterator[tuple[str, str, Repair]]:
    for (line,) in engine.connection.execute("PRAGMA quick_check(10)").fetchall():
        if line != "ok":
            yield f"the database {engine.layout.database}", f"is damaged: {line}", None


# ---- images


def _blobs(engine: Engine) -> Iterator[tuple[str, str, Repair]]:
    from ..images.check import damaged_blobs

    for digest, problem in damaged_blobs(engine.images):
        yield f"blob {digest}", problem, _fetching(engine, digest)


def _fetching(engine: Engine, digest: str) -> Repair:
    path = engine.images.blobs.path(digest)

    def fetch() -> str:
        reason = ""
        try:
            return f"fetched again from {engine.images.refetch(digest)}"
        except NotFound:
            if not os.path.lexists(path):
                raise
        except MinirunError as error:
            if not os.path.lexists(path):
                raise
            reason = f" ({error})"
        os.unlink(path)
        return f"taken away: load the image again{reason}"

    return fetch


def _layers(engine: Engine) -> Iterator[tuple[str, str, Repair]]:
    """Unpack each layer again, beside the one that is there, and compare. What is removed meanwhile is no damage."""
    from ..images.check import difference, links, unpack_again

    for link in links(engine.images).values():
        number = _number(engine, link)
        thing = f"layer {link.chain_id}"
        if not number:
            if link.chain_id in links(engine.images):
                yield thing, "has no row: remove the image and load it again", None
            continue
        home = f"{engine.snapshots.root}/{number}"
        try:
            lowers = _lowers(engine, link)
        except Corrupt:  # one of them has no row, which has been said, or all of them have gone
            continue
        with engine.snapshots.stage() as stage:
            directory = stage.make_directory("layer")
            try:
                problem = unpack_again(engine.images, link, directory, lowers)
            except (OSError, MinirunError) as error:
                if not os.path.isdir(f"{home}/fs") and _number(engine, link) == number:
                    yield thing, f"is missing from {home} and can't be unpacked: {error}", None
                continue  # a blob that is gone has been spoken of; what was unpacked of it may well be whole
            if problem:
                continue
            if not os.path.isdir(f"{home}/fs"):
                problem = f"is missing from {home}"
            else:
                try:
                    path = difference(f"{home}/fs", f"{directory}/fs")
                    problem = f"has changed in {home}: {path}" if path else ""
                except OSError as error:
                    problem = f"can't be read in {home}: {error.strerror}"
            if problem and _number(engine, link) == number:
                yield thing, problem, _replacing(engine, link, number, directory, stage.path)


def _number(engine: Engine, link: Link) -> int:
    """Give the number of a layer's directory, 0 when it has no row."""
    row = engine.connection.execute("SELECT number FROM snapshots WHERE chain_id = ?", (link.chain_id,)).fetchone()
    return int(row[0]) if row else 0


def _lowers(engine: Engine, link: Link) -> list[str]:
    if not link.below:
        return []
    return [f"{engine.snapshots.root}/{name}" for name in engine.snapshots.lowers(link.below)]


def _replacing(engine: Engine, link: Link, number: int, directory: str, aside: str) -> Repair:
    home = f"{engine.snapshots.root}/{number}"

    def replace() -> str:
        with database.transaction(engine.connection):  # nobody starts a container, or removes the image, meanwhile
            if _number(engine, link) != number:
                return "removed with its image"
            for container in engine.rows.running():
                if _stands_on(engine, container, link):
                    raise MinirunError(f"container {container.name} runs on it: stop it and check again")
            if os.path.lexists(home):
                os.rename(home, f"{aside}/damaged")
            os.rename(directory, home)
        return "unpacked again"

    return replace


def _stands_on(engine: Engine, container: Container, link: Link) -> bool:
    from ..images.digest import chain_ids

    for image_id in (container.image_id, *(mount.image_id for mount in container.config.image_mounts)):
        with suppress(NotFound):
            if link.chain_id in chain_ids(engine.images.resolve(image_id).layers):
                return True
    return False


def _names(engine: Engine) -> Iterator[tuple[str, str, Repair]]:
    from ..images.adding import index_entries

    query = "SELECT name FROM tags WHERE image_id NOT IN (SELECT id FROM images)"
    for (name,) in engine.connection.execute(query).fetchall():

        def forget(name: str = name) -> str:
            with database.transaction(engine.connection):
                engine.connection.execute("DELETE FROM tags WHERE name = ?", (name,))
            return "removed"

        yield f"the name {name}", "leads to no image", forget
    blobs = engine.images.blobs
    entries = index_entries(engine.connection)
    if entries and not blobs.is_index_of(entries):

        def write() -> str:
            with database.transaction(engine.connection):
                blobs.prepare()
                blobs.write_index(index_entries(engine.connection))
            return "written again"

        yield f"{blobs.root}/index.json", "doesn't list the images that are here", write


def _orphans(engine: Engine) -> Iterator[tuple[str, str, Repair]]:
    """Blobs and layers without a row. What a load is about to publish lies in its stage, so it isn't among them."""
    from ..images.removing import collect_blobs

    def remove() -> str:
        with engine.snapshots.stage() as stage:
            engine.snapshots.collect(stage.path)
            collect_blobs(engine.images, stage.path)
        return "removed"

    with database.transaction(engine.connection):
        wanted = engine.images.wanted_blobs()
        orphans = [engine.images.blobs.path(name) for name in engine.images.blobs.names() if name not in wanted]
        orphans += engine.snapshots.orphans()
    for path in orphans:
        if os.path.lexists(path):  # `rmi` takes the rows away first
            yield path, "belongs to no image", remove


# ---- containers


def _containers(engine: Engine) -> Iterator[tuple[str, str, Repair]]:
    for container in engine.rows.all():
        if container.status in ("creating", "removing"):
            continue
        thing = f"container {container.name}"
        for image_id in (container.image_id, *(mount.image_id for mount in container.config.image_mounts)):
            if not engine.images.exists(image_id):
                yield thing, f"stands on the image {image_id}, which is gone: remove the container", None
        directory = engine.layout.container(container.id)
        lost = [name for name in ("upper", "work") if not os.path.isdir(f"{directory}/{name}")]
        if lost:
            mend = None if container.is_running else _remaking(engine, container)
            yield thing, f"has lost {' and '.join(f'{directory}/{name}' for name in lost)}", mend
    for name in os.listdir(f"{engine.layout.root}/containers"):
        if engine.rows.get(name) is None:
            yield f"{engine.layout.root}/containers/{name}", "belongs to no container", _erasing(engine, name)


def _remaking(engine: Engine, container: Container) -> Repair:
    def remake() -> str:
        from .create import make_directory
        from .remove import erase_directory

        with engine.lock(container.id):
            erase_directory(engine, container.id)  # one half without the other is of no use to overlayfs
            make_directory(engine, container.id)
            if container.config.has_user_namespace:
                from . import userns

                userns.give(engine, container, f"{engine.layout.container(container.id)}/upper")
        return "made again, empty: what it had written is lost"

    return remake


def _erasing(engine: Engine, name: str) -> Repair:
    def erase() -> str:
        from .remove import erase_directory

        if engine.rows.get(name) is None:
            erase_directory(engine, name)
        return "removed"

    return erase


def _runs(engine: Engine) -> Iterator[tuple[str, str, Repair]]:
    """What a run holds while it lasts, of containers that don't run or aren't there."""
    from ..monitor import exits
    from .life import give_back_of
    from .userns import holders

    rows = engine.rows.all()
    cgroups = {row.id: row.cgroup for row in rows}

    def giving_back(container_id: str) -> Repair:
        def give() -> str:
            give_back_of(engine, container_id, cgroups.get(container_id, container_id))
            return "given back"

        return give

    live = {
        row.id for row in rows if row.is_running or row.status in ("starting", "restarting", "creating", "removing")
    }
    held = {
        "addresses and ports": {row[0] for row in engine.connection.execute(_HELD).fetchall()},
        "cgroup": set(_cgroups(engine)),
        "files of a run": set(os.listdir(f"{engine.layout.run_root}/containers")),
    }
    for container_id in sorted(set().union(*held.values()) - live):
        if exits.is_running(engine.layout.run(container_id)):  # it was started since we asked
            continue
        what = " and ".join(name for name, ids in held.items() if container_id in ids)
        yield f"{what} of {container_id[:12]}", "belong to no running container", giving_back(container_id)
    known = {row.id for row in rows}
    for container_id in holders(engine.connection):
        if container_id not in known:
            yield f"user ids of {container_id[:12]}", "belong to no container", _releasing(engine, container_id)


_HELD = "SELECT container_id FROM leases UNION SELECT container_id FROM port_leases"
_ID_DIGITS = 64


def _cgroups(engine: Engine) -> Iterator[str]:
    """Give the names of our cgroups that are containers'."""
    for directory in (engine.hierarchy.root, engine.hierarchy.confined):
        if os.path.isdir(directory):
            yield from (name for name in os.listdir(directory) if len(name) == _ID_DIGITS)


def _releasing(engine: Engine, container_id: str) -> Repair:
    def release() -> str:
        from . import userns

        with database.transaction(engine.connection):
            userns.release(engine.connection, container_id)
        return "given back"

    return release
