"""What each option of a mount means: the table of config.md, "Linux mount options".

Owns: names of options and where they go: attributes of the mount, of the tree, propagation, the file system's own data.
Leaves to others: the rest of a mount (mounts.py), the system calls (runtime/compile, native/).

    ro rw nosuid ... noatime ...        attributes of this mount                mount_setattr(2)
    rro rrw rnosuid ...                 of this mount and of all beneath it     mount_setattr(2), AT_RECURSIVE
    bind rbind remount                  what kind of call it is                 mount(2)
    private rslave ...                  propagation                             mount_namespaces(7)
    sync dirsync mand lazytime          of the file system, not of the mount    fsconfig(2)
    idmap ridmap tmpcopyup              made by the runtime
    copy-symlink src-nofollow dest-nofollow    what a symbolic link means to a bind mount; crun(1)
    defaults silent iversion auto x-*   nothing: see _NOTHING
    everything else                     the file system's own

Of two options that exclude each other the last one counts, as with mount(8).
"""

from __future__ import annotations

from ...errors import InvalidInput
from ...linux import flags
from ...record import Record
from ..spec import IdMapping
from .reader import UINT32, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_ATIME = flags.MOUNT_ATTR__ATIME

# Attribute bits that an option sets, and those that it takes away. How access times are kept is one field of three
# bits: whoever changes it clears it whole. The kernel's default is relatime, so that is what `atime` and the two
# negations come back to.
_ATTRIBUTES = {
    "ro": (flags.MOUNT_ATTR_RDONLY, 0),
    "rw": (0, flags.MOUNT_ATTR_RDONLY),
    "nosuid": (flags.MOUNT_ATTR_NOSUID, 0),
    "suid": (0, flags.MOUNT_ATTR_NOSUID),
    "nodev": (flags.MOUNT_ATTR_NODEV, 0),
    "dev": (0, flags.MOUNT_ATTR_NODEV),
    "noexec": (flags.MOUNT_ATTR_NOEXEC, 0),
    "exec": (0, flags.MOUNT_ATTR_NOEXEC),
    "nodiratime": (flags.MOUNT_ATTR_NODIRATIME, 0),
    "diratime": (0, flags.MOUNT_ATTR_NODIRATIME),
    "nosymfollow": (flags.MOUNT_ATTR_NOSYMFOLLOW, 0),
    "symfollow": (0, flags.MOUNT_ATTR_NOSYMFOLLOW),
    "noatime": (flags.MOUNT_ATTR_NOATIME, _ATIME),
    "strictatime": (flags.MOUNT_ATTR_STRICTATIME, _ATIME),
    "relatime": (flags.MOUNT_ATTR_RELATIME, _ATIME),
    "atime": (flags.MOUNT_ATTR_RELATIME, _ATIME),
    "norelatime": (flags.MOUNT_ATTR_RELATIME, _ATIME),
    "nostrictatime": (flags.MOUNT_ATTR_RELATIME, _ATIME),
}

# Flags of a superblock: the option, and what it takes back. A file system has them or not, whoever binds it: so a bind
# mount goes without, as mount(2) ignores them there. With an r in front, as crun has them, they are no different.
_SUPERBLOCK = {
    "sync": "async",
    "async": "sync",
    "dirsync": "",
    "mand": "nomand",
    "nomand": "mand",
    "lazytime": "nolazytime",
    "nolazytime": "lazytime",
}
_SUPERBLOCK_DEFAULTS = ("async", "nomand", "nolazytime")

# Nothing to do: the default (defaults), words to mount(8) alone, how much the kernel logs, and the version counter of
# inodes, which file systems keep by themselves where they can and fsconfig(2) has no flag for.
_NOTHING = ("", "defaults", "silent", "loud", "iversion", "noiversion", "auto", "noauto", "nofail", "_netdev")


_ACTS = ("bind", "rbind", "remount", "tmpcopyup", "idmap", "ridmap")
# What a symbolic link at either end of a bind mount is: the option, and the field that it sets.
_LINKS = {
    "copy-symlink": "copy_symlink",
    "src-nofollow": "source_nofollow",
    "dest-nofollow": "destination_nofollow",
}


class MountOptions(Record):
    """What a list of options says. The fields are those of `Mount`, and mean the same."""

    type: str
    data: tuple[str, ...] = ()
    attributes: int = 0
    cleared: int = 0
    tree_attributes: int = 0
    tree_cleared: int = 0
    recursive: bool = False
    propagation: int = 0
    id_map: str = ""
    uid_mappings: tuple[IdMapping, ...] = ()
    gid_mappings: tuple[IdMapping, ...] = ()
    copy_up: bool = False
    remount: bool = False
    copy_symlink: bool = False
    source_nofollow: bool = False
    destination_nofollow: bool = False


def names() -> tuple[str, ...]:
    """Give all options that are known here, which is all but those of file systems."""
    recursive = ["r" + name for name in _ATTRIBUTES]
    words = [name for name in _NOTHING if name]
    return tuple(sorted({*_ATTRIBUTES, *recursive, *_SUPERBLOCK, *_ACTS, *_LINKS, *flags.PROPAGATIONS, *words}))


def parse_mount_options(
    options: Iterable[str],
    type: str,
    uid_mappings: tuple[IdMapping, ...] = (),
    gid_mappings: tuple[IdMapping, ...] = (),
) -> MountOptions:
    """Read the options of a mount of this type. InvalidInput names the option.

    One loop: of options that exclude each other the last counts, so each has to be seen beside what the earlier ones have set.

    The mappings are those of the container, which "idmap=uids=@..." is relative to.
    """
    attributes = cleared = tree_attributes = tree_cleared = propagation = 0
    bind = recursive = copy_up = remount = False
    superblock: dict[str, None] = {}
    data: list[str] = []
    id_map = ""
    links: dict[str, bool] = {}
    own: tuple[tuple[IdMapping, ...], tuple[IdMapping, ...]] = ((), ())
    for option in options:
        plain = option[1:] if option[:1] == "r" else ""
        if option in _ATTRIBUTES:
            attributes, cleared = _changed(attributes, cleared, option)
        elif plain in _ATTRIBUTES:
            tree_attributes, tree_cleared = _changed(tree_attributes, tree_cleared, plain)
        elif option in ("bind", "rbind"):
            bind, recursive = True, recursive or option == "rbind"
        elif option in flags.PROPAGATIONS:
            propagation = flags.PROPAGATIONS[option]
        elif option in _SUPERBLOCK or plain in _SUPERBLOCK:
            name = option if option in _SUPERBLOCK else plain
            superblock.pop(_SUPERBLOCK[name], None)
            superblock[name] = None
        elif option in _LINKS:
            links[_LINKS[option]] = True
        elif option == "remount":
            remount = True
        elif option == "tmpcopyup":
            copy_up = True
        elif option.partition("=")[0] in ("idmap", "ridmap"):
            id_map, _, given = option.partition("=")
            own = _own_mappings(given, option, uid_mappings, gid_mappings) if given else ((), ())
        elif option not in _NOTHING and not option.startswith(("x-", "X-")):
            data += _separated(option)
    bind = bind or type == "bind"
    if copy_up and (bind or type != "tmpfs"):
        raise InvalidInput("tmpcopyup is for a tmpfs")
    if not bind:
        data = [name for name in superblock if remount or name not in _SUPERBLOCK_DEFAULTS] + data
    return MountOptions(
        type="bind" if bind else type,
        data=tuple(data),
        attributes=attributes,
        cleared=cleared,
        tree_attributes=tree_attributes,
        tree_cleared=tree_cleared,
        recursive=recursive,
        propagation=propagation,
        id_map=id_map,
        uid_mappings=own[0],
        gid_mappings=own[1],
        copy_up=copy_up,
        remount=remount,
        **links,
    )


def _changed(attributes: int, cleared: int, option: str) -> tuple[int, int]:
    """Give both masks after one more option."""
    added, taken = _ATTRIBUTES[option]
    if taken == _ATIME:
        return attributes & ~_ATIME | added, cleared | _ATIME
    return attributes & ~taken | added, cleared & ~added | taken


def _separated(option: str) -> list[str]:
    """Give the file system's options one by one. mount(2) takes them joined by commas, so an entry may hold several.

    A comma between quotation marks (an SELinux context) or after a backslash (a path of overlayfs) separates nothing.
    """
    if "," not in option or '"' in option or "\\" in option:
        return [option]
    return [part for part in option.split(",") if part]


def _own_mappings(
    given: str, option: str, uid_mappings: tuple[IdMapping, ...], gid_mappings: tuple[IdMapping, ...]
) -> tuple[tuple[IdMapping, ...], tuple[IdMapping, ...]]:
    """Read "uids=0-1000-10#10-2000-1;gids=0-1000-10": id of the file system, id that is shown, how many. crun(1).

    With "@" the second number is an id of the container, whose `mappings` say what it is on the host.
    """
    found: dict[str, tuple[IdMapping, ...]] = {}
    for part in given.split(";"):
        name, _, triplets = part.partition("=")
        if name not in ("uids", "gids") or name in found or not triplets:
            raise InvalidInput(f"{shown(option)} must be idmap=uids=ID-ID-SIZE;gids=ID-ID-SIZE")
        container = uid_mappings if name == "uids" else gid_mappings
        found[name] = tuple([_triplet(text, option, container) for text in triplets.split("#")])
    if len(found) != 2:
        raise InvalidInput(f"{shown(option)} needs both uids and gids")
    return found["uids"], found["gids"]


def _triplet(text: str, option: str, container: tuple[IdMapping, ...]) -> IdMapping:
    numbers = text.removeprefix("@").split("-")
    if len(numbers) != 3 or not all(part.isascii() and part.isdigit() and len(part) <= 10 for part in numbers):
        raise InvalidInput(f"{shown(option)}: {shown(text)} isn't three numbers with dashes between them")
    inner, outer, size = map(int, numbers)
    if text.startswith("@"):
        around = next((item for item in container if 0 <= outer - item.container_id < item.size), None)
        if around is None or outer - around.container_id + size > around.size:
            raise InvalidInput(
                f"{shown(option)}: {shown(text)} isn't inside one range of the container's user namespace"
            )
        outer += around.host_id - around.container_id
    if not size or max(inner, outer) + size - 1 >= UINT32:
        raise InvalidInput(f"{shown(option)}: {shown(text)} is no range of ids")
    return IdMapping(container_id=inner, host_id=outer, size=size)
