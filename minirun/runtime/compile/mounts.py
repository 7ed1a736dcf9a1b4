"""The mounts of a plan: root file system, /dev, masks, pivot.

Owns: every mount, in its order. Leaves to others: namespaces, what Docker mounts (engine/spec_mounts).
"""

from __future__ import annotations

import os

from ...errors import NotSupported
from ...linux import flags, plan
from .context import (
    DEV,
    FIRST_TREE,
    GATE,
    HOOKS_RUN,
    KEPT,
    LENDER,
    MOUNT,
    MOUNTS,
    NAMESPACES_MADE,
    NULL,
    PROC,
    ROOT,
    SYS,
    TIED,
    USER_NAMESPACE,
    VERDICT,
)
from .namespaces import map_lines
from .network import parameters
from .process import hooks, session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...linux.plan import Operation
    from ..spec import DeviceNode, Mount
    from .context import Context

_S_IFCHR, _S_IFBLK, _S_IFIFO, _S_IFREG = 0o020000, 0o060000, 0o010000, 0o100000


# ---- Ahead of the clone --------------------------------------------------------------------------------------------


def prepare(context: Context) -> Iterator[Operation]:
    """Trees of the host that the child can't reach or map itself: with the host's view and the host's privileges."""
    if context.placement.gate:
        yield plan.open_(GATE, plan.HOST, context.placement.gate, os.O_RDWR)
        yield plan.open_(VERDICT, plan.HOST, context.placement.verdict, os.O_RDWR)
    if context.maps_layers:
        yield from _mapped_layers(context)
    elif context.in_user_namespace:
        yield plan.tree(ROOT, plan.HOST, context.spec.root.path, True)
        yield plan.attributes(ROOT, 0, 0, _kept_ties(context), True)
    if "network" not in context.joined_kinds:
        yield from _made_outside(context)
    for mount, slot in context.early_trees():
        if mount.layers and context.in_user_namespace:
            yield from _mapped_image(context, mount, slot)
        elif not _is_cloned_by_child(context, mount):
            yield from _tree(mount, slot)
            if mount.id_map:
                yield from _map_ids(context, mount, slot)
    if context.binds_devices:
        yield from _nodes_of_host(context)


def _nodes_of_host(context: Context) -> Iterator[Operation]:
    for slot, node in _bound_nodes(context):
        yield plan.tree(slot, plan.HOST, node.source or node.path, False)
        yield plan.attributes(slot, 0, 0, flags.MS_PRIVATE)


def enter(context: Context) -> Iterator[Operation]:
    """The helper's part, which is in the joined network namespace by now, and still has the host's privileges."""
    if "network" in context.joined_kinds:
        yield from _made_outside(context)


def _made_outside(context: Context) -> Iterator[Operation]:
    for mount in context.spec.mounts:
        if context.is_made_outside(mount):
            yield from _filesystem(mount, SYS)


def _mapped_layers(context: Context) -> Iterator[Operation]:
    """No layer is copied or changed for a user namespace: its files are shown under other ids. mount_setattr(2)."""
    linux, place = context.spec.linux, context.placement
    yield plan.user_namespace(USER_NAMESPACE, map_lines(linux.uid_mappings), map_lines(linux.gid_mappings))
    layers = (place.base, place.lowers, place.upper, place.work)
    options = place.overlay_options + place.more_overlay_options
    yield plan.overlay_id_mapped(ROOT, USER_NAMESPACE, place.mountpoint, *layers, options)


def _mapped_image(context: Context, mount: Mount, slot: int) -> Iterator[Operation]:
    """The layers of another image, as the root's own. Of what is detached no part can be cloned before Linux 6.15; open_tree(2)."""
    if mount.part:
        raise NotSupported("image-subpath can't go with a user namespace of the container's own: mount the whole image")
    linux, place = context.spec.linux, context.placement
    yield plan.user_namespace(USER_NAMESPACE, map_lines(linux.uid_mappings), map_lines(linux.gid_mappings))
    layers = (place.base, mount.layers, "", "")
    yield plan.overlay_id_mapped(slot, USER_NAMESPACE, place.mountpoint, *layers, place.overlay_options)


def _map_ids(context: Context, mount: Mount, slot: int) -> Iterator[Operation]:
    """An ID-mapped mount; without mappings of its own it shows what the container's own user namespace would."""
    uids = mount.uid_mappings or context.spec.linux.uid_mappings
    gids = mount.gid_mappings or context.spec.linux.gid_mappings
    yield plan.user_namespace(USER_NAMESPACE, map_lines(uids), map_lines(gids))
    yield plan.id_mapped(slot, USER_NAMESPACE, mount.id_map == "ridmap")


def _map_ids_inside(context: Context, mount: Mount, slot: int) -> Iterator[Operation]:
    """The same for a new file system, which only who has the host's ids can do."""
    if context.in_user_namespace:
        raise NotSupported(f"{mount.id_map} of a {mount.type} in a user namespace: its ids are the container's anyway")
    yield from _map_ids(context, mount, slot)


def _link_target(mount: Mount) -> str:
    """Give where the source leads to if it is a symbolic link, else ""."""
    return os.readlink(mount.source) if mount.type == "bind" and os.path.islink(mount.source) else ""


def _tree(mount: Mount, slot: int) -> Iterator[Operation]:
    if mount.source_nofollow:
        yield plan.open_(slot, plan.HOST, mount.source, os.O_PATH | os.O_NOFOLLOW)
        yield plan.tree(slot, slot, "", mount.recursive)
    elif mount.part:
        yield plan.open_(slot, plan.HOST, mount.source, os.O_PATH | os.O_DIRECTORY)
        yield plan.tree(slot, slot, mount.part, mount.recursive)
    else:
        yield plan.tree(slot, plan.HOST, mount.source, mount.recursive)


def _is_cloned_by_child(context: Context, mount: Mount) -> bool:
    """A tree that shall only stay tied to the host's can be cloned in the child's own namespace, before the ties are cut."""
    if mount.layers:
        return not context.in_user_namespace
    return mount.of_lender or (bool(mount.propagation & TIED) and not context.in_user_namespace and not mount.id_map)


# ---- The child -----------------------------------------------------------------------------------------------------


def trees_of_host(context: Context) -> Iterator[Operation]:
    """Trees that shall follow the host's mounts, cloned while the mounts here are still tied to those of the host."""
    for mount, slot in context.early_trees():
        if mount.of_lender:
            yield from _tree_of_lender(mount, slot)
        elif not mount.layers and _is_cloned_by_child(context, mount):
            yield from _tree(mount, slot)


def _tree_of_lender(mount: Mount, slot: int) -> Iterator[Operation]:
    """A mount of another container's: only in its mount namespace can it be cloned (open_tree(2)), so there and back.

    Nothing of this container exists yet. What lies at the source is the lender's to say, and it sees no more than its own.
    """
    yield plan.open_(MOUNT, plan.HOST, "/proc/self/ns/mnt", os.O_RDONLY)
    yield plan.setns(LENDER, flags.CLONE_NEWNS)
    yield plan.open_(slot, plan.HOST, "/", os.O_PATH | os.O_DIRECTORY)
    yield plan.open_(slot, slot, mount.source, os.O_PATH | os.O_NOFOLLOW)  # no link of its leads to what is ours
    yield plan.tree(slot, slot, "", False)
    yield plan.setns(MOUNT, flags.CLONE_NEWNS)


def stop_propagation(context: Context) -> Iterator[Operation]:
    """Before the first mount is made: none of the container's may reach the host. What was cloned above stays tied."""
    yield plan.propagation(_kept_ties(context) | flags.MS_REC)


def _kept_ties(context: Context) -> int:
    """Give what the root is to the host's mounts. A clone of a mount that is shared, as systemd has all of them, is its peer:

    what is mounted on the one is mounted on the other. mount_namespaces(7)
    """
    return flags.MS_SLAVE if context.spec.linux.rootfs_propagation & TIED else flags.MS_PRIVATE


def null_device(context: Context) -> Iterator[Operation]:
    """The source of masks: the host's, opened while no byte of the image has been looked at.

    By the child: only of mounts in its own mount namespace it can make others. open_tree(2).
    """
    if context.spec.linux.masked_paths:
        yield plan.open_(NULL, plan.HOST, "/dev/null", os.O_PATH | os.O_NOFOLLOW)


def images(context: Context) -> Iterator[Operation]:
    """Other images that are shown in this one: beneath the root on the same directory, from where the pivot takes them away."""
    place = context.placement
    for mount, slot in context.early_trees():
        if mount.layers and not context.in_user_namespace:
            layers = (place.base, mount.layers, "", "")
            yield plan.overlay(slot, place.mountpoint, *layers, place.overlay_options)
            yield plan.tree(slot, slot, mount.part, False)


def nodes_apart(context: Context) -> Iterator[Operation]:
    """Nodes for a root that is `nodev`: on a file system of their own, to be bound from. It lies where `images` has others."""
    bound = () if context.binds_devices else _bound_nodes(context)
    if bound:
        yield plan.filesystem(MOUNT, "tmpfs", "devices", ("mode=700",))
        yield plan.open_(ROOT, plan.HOST, "/", os.O_PATH | os.O_DIRECTORY)
        yield plan.attach(MOUNT, ROOT, context.placement.mountpoint)
    for slot, node in bound:
        name = str(slot)
        yield _node(MOUNT, name, node)
        yield plan.tree(slot, MOUNT, name, False)


def root(context: Context) -> Iterator[Operation]:
    """The root file system, on an empty directory of the host."""
    spec, place = context.spec, context.placement
    if place.lowers and not context.maps_layers:
        layers = (place.base, place.lowers, place.upper, place.work)
        yield plan.overlay(ROOT, place.mountpoint, *layers, place.overlay_options + place.more_overlay_options)
    elif context.in_user_namespace:
        # Root of a user namespace may not enter the directories of ours: one that everybody can. What lies there isn't
        # needed any more.
        yield plan.root_bind(ROOT, "/dev", "")
    else:
        yield plan.root_bind(ROOT, place.mountpoint, spec.root.path)
    if spec.root.no_devices:
        yield plan.attributes(ROOT, flags.MOUNT_ATTR_NODEV)


def mounts(context: Context) -> Iterator[Operation]:
    """In the spec's order. Each is complete before it is attached: it is never visible with the wrong attributes."""
    for number, mount in enumerate(context.spec.mounts):
        if mount.copy_symlink and (target := _link_target(mount)):
            yield plan.symlink(*context.anchor(mount.destination), target)
            continue
        if mount.remount:
            yield from _remount(context, mount)
            continue
        slot = context.early.get(number, KEPT.get(mount.destination, MOUNT))
        if mount.type != "bind":
            if not context.is_made_outside(mount):
                yield from _filesystem(mount, slot)
                if mount.id_map:
                    yield from _map_ids_inside(context, mount, slot)
        elif number not in context.early:
            yield from _tree(mount, slot)
        yield from _attributes(context, mount, slot, is_early=number in context.early)
        if slot == PROC and mount.type != "bind":
            yield from parameters(context, PROC, late=False)
        if slot == DEV and mount.type != "bind":
            yield from _fill_dev(context, DEV, "")
        yield _attach(context, mount, slot)


def _filesystem(mount: Mount, slot: int) -> Iterator[Operation]:
    """A tmpfs begins with what it covers: its mode, unless one is given, and with tmpcopyup all of it."""
    at_first = mount.attributes & ~flags.MOUNT_ATTR_RDONLY if _is_closed_late(mount) else mount.attributes
    yield plan.filesystem(slot, mount.type, mount.source, mount.data, at_first)
    if mount.copy_up:
        yield plan.copy_up(slot, ROOT, mount.destination, _kept_of_root(mount))
    if mount.type == "tmpfs" and not any(option.startswith("mode=") for option in mount.data):
        yield plan.take_mode(slot, ROOT, mount.destination)


_OF_ROOT = {"mode": plan.KEEP_MODE, "uid": plan.KEEP_OWNER, "gid": plan.KEEP_GROUP}


def _kept_of_root(mount: Mount) -> int:
    """Give what the options of a tmpfs say of its root: there the directory that it covers has no say."""
    return sum({_OF_ROOT.get(option.partition("=")[0], 0) for option in mount.data})


def _is_closed_late(mount: Mount) -> bool:
    """A read-only tmpfs is to be filled first: with devices, with what it covers, with targets of later mounts."""
    return mount.type == "tmpfs" and not mount.remount and bool(mount.attributes & flags.MOUNT_ATTR_RDONLY)


def _close_late(context: Context) -> Iterator[Operation]:
    """What a later mount covers nobody can reach, neither to write into it nor to close it."""
    made = [mount for mount in context.spec.mounts if not mount.remount]
    for place, mount in enumerate(made):
        if _is_closed_late(mount) and not any(_covers(later, mount) for later in made[place + 1 :]):
            yield plan.open_(MOUNT, ROOT, mount.destination, os.O_PATH | os.O_DIRECTORY)
            yield plan.attributes(MOUNT, flags.MOUNT_ATTR_RDONLY)


def _covers(later: Mount, mount: Mount) -> bool:
    return f"{mount.destination.rstrip('/')}/".startswith(f"{later.destination.rstrip('/')}/")


def _remount(context: Context, mount: Mount) -> Iterator[Operation]:
    """Change what is mounted there: the mount, and with options of its own the file system. Where none is: EINVAL."""
    yield plan.open_(MOUNT, ROOT, mount.destination, os.O_PATH)
    if mount.data:
        yield plan.reconfigure(MOUNT, mount.data)
    yield from _attributes(context, mount, MOUNT, is_early=False)


def _attach(context: Context, mount: Mount, slot: int) -> Operation:
    place, path = context.anchor(mount.destination)
    if place == PROC:
        place, path = ROOT, mount.destination  # a target on procfs has to look like one: ATTACH refuses others
    create = plan.CREATE_FILE if mount.create == "file" else plan.CREATE_DIRECTORY
    if mount.destination in KEPT:
        create |= plan.CREATE_NO_SYMLINKS
    elif mount.destination_nofollow:
        create |= plan.CREATE_ON_SYMLINK
    return plan.attach(slot, place, path, create)


def _attributes(context: Context, mount: Mount, slot: int, *, is_early: bool) -> Iterator[Operation]:
    """A file system is made with its attributes; a tree has those of the host's mount until now."""
    is_there = mount.type == "bind" or mount.remount
    changed, taken = (mount.attributes, mount.cleared) if is_there else (0, 0)
    propagation = mount.propagation & ~flags.MS_REC
    recursive = mount.recursive
    if is_early and not propagation:
        propagation, recursive = flags.MS_PRIVATE, True  # cloned while it was tied to the host's
    elif propagation == flags.MS_PRIVATE == _kept_ties(context) and not is_early:
        propagation = 0  # what everything is by now
    if changed or taken:
        yield plan.attributes(slot, changed, taken | _cleared_first(changed), 0, False)
    if mount.tree_attributes or mount.tree_cleared:
        cleared = mount.tree_cleared | _cleared_first(mount.tree_attributes)
        yield plan.attributes(slot, mount.tree_attributes, cleared, 0, True)
    if propagation:
        yield plan.attributes(slot, 0, 0, propagation, recursive or bool(mount.propagation & flags.MS_REC))


def _cleared_first(attributes: int) -> int:
    """How times of access are kept is a field, not a flag: all of it goes before one value comes. mount_setattr(2)."""
    return flags.MOUNT_ATTR__ATIME if attributes & flags.MOUNT_ATTR__ATIME else 0


# ---- Devices -------------------------------------------------------------------------------------------------------


def _nodes(context: Context) -> tuple[DeviceNode, ...]:
    """Give the nodes that are made; a /dev that comes from outside is complete as it is, and ptmx is a link into devpts."""
    nodes = tuple(node for node in context.spec.linux.devices if node.path != "/dev/ptmx")
    if context.dev_comes_from_outside:
        return tuple(node for node in nodes if not node.path.startswith("/dev/"))
    return nodes


def _is_bound(context: Context, node: DeviceNode) -> bool:
    """Is it a mount of its own? In a user namespace each is, elsewhere those in a file system whose nodes don't open."""
    if context.binds_devices:
        return True
    if not context.spec.root.no_devices:
        return False
    dev = next((mount for mount in context.spec.mounts if mount.destination == "/dev"), None)
    return dev is None or dev.copy_up or not node.path.startswith("/dev/")


def _bound_nodes(context: Context) -> tuple[tuple[int, DeviceNode], ...]:
    """Give these, each with the slot of its mount."""
    nodes = [node for node in _nodes(context) if _is_bound(context, node)]
    first = FIRST_TREE + len(context.early)
    if first + len(nodes) > plan.SLOTS:
        raise NotSupported(f"{len(nodes)} devices that take a mount each, as in a user namespace, aren't supported")
    return tuple(enumerate(nodes, first))


def _fill_dev(context: Context, root: int, prefix: str) -> Iterator[Operation]:
    """Nodes and links of /dev, while it is still detached: the image has no part in it.

    mknod and not a bind of the host's nodes: one system call instead of three, and no further mounts in the
    container. A user namespace, the container's or one that we are in, forbids mknod, so there binds it is.
    """
    for node in _nodes(context):
        if node.path.startswith("/dev/") and not _is_bound(context, node):
            yield _node(root, prefix + node.path[len("/dev/") :], node)
    if context.spec.process.terminal and DEV in context.kept.values():
        yield plan.device(root, prefix + "console", _S_IFREG | 0o600, 0)  # no target can be made when it is read-only
    yield plan.symlink(root, prefix + "fd", "/proc/self/fd")
    yield plan.symlink(root, prefix + "stdin", "/proc/self/fd/0")
    yield plan.symlink(root, prefix + "stdout", "/proc/self/fd/1")
    yield plan.symlink(root, prefix + "stderr", "/proc/self/fd/2")
    if os.path.exists("/proc/kcore"):
        yield plan.symlink(root, prefix + "core", "/proc/kcore")
    yield plan.symlink(root, prefix + "ptmx", "pts/ptmx")


def devices_elsewhere(context: Context) -> Iterator[Operation]:
    """Nodes that lie in the root itself, and all that are binds."""
    if context.placement.gate and DEV not in context.kept.values():
        yield from _fill_dev(context, ROOT, "dev/")
    for node in _nodes(context):
        if not node.path.startswith("/dev/") and not _is_bound(context, node):
            yield _node(ROOT, node.path, node)
    for slot, node in _bound_nodes(context):
        yield plan.attach(slot, *context.anchor(node.path), plan.CREATE_FILE)


def _node(root: int, path: str, node: DeviceNode) -> Operation:
    kind = {"c": _S_IFCHR, "u": _S_IFCHR, "b": _S_IFBLK, "p": _S_IFIFO}[node.kind]
    number = os.makedev(node.major, node.minor)
    return plan.device(root, path, kind | node.mode, number, node.uid, node.gid)


# ---- The root is complete ------------------------------------------------------------------------------------------


def working_directory(context: Context) -> Iterator[Operation]:
    """Made when it is missing, beneath the root descriptor: a link in the image can't lead it to the host."""
    path = context.spec.process.working_directory
    if path.strip("/"):
        yield plan.directory(ROOT, path, 0o755)


def hide(context: Context) -> Iterator[Operation]:
    """After the last mount, which could otherwise uncover what was masked; before the first byte of the image runs."""
    for path in context.spec.linux.masked_paths:
        yield plan.mask(*context.anchor(path), NULL)
    for path in context.spec.linux.readonly_paths:
        if path != "/":
            yield plan.read_only(*context.anchor(path))


def hooks_from_outside(context: Context) -> Iterator[Operation]:
    """The parent's part: the owner runs hooks in its own namespaces while the child waits."""
    if context.has_hooks_before_pivot:
        yield plan.sync(NAMESPACES_MADE)
        yield plan.stage(NAMESPACES_MADE)
        yield plan.sync(HOOKS_RUN)


def hooks_before_pivot(context: Context) -> Iterator[Operation]:
    """config.md, POSIX-platform hooks: prestart and createRuntime outside, then createContainer inside, then pivot."""
    if context.has_hooks_before_pivot:
        yield plan.sync(NAMESPACES_MADE)
        yield plan.sync(HOOKS_RUN)
    if context.spec.hooks.create_container and context.placement.bundle:
        # Like those that the owner runs. Root of a user namespace may not be able to go there.
        yield plan.optional(plan.directory_change(context.placement.bundle))
    yield from hooks(context.spec.hooks.create_container, context.placement.hook_state)


def close_root(context: Context) -> Iterator[Operation]:
    """Read-only only now: mount targets and the working directory had to be made."""
    yield from _close_late(context)
    # As a read-only path it is no other case: nothing can be laid over the root itself.
    if context.spec.root.read_only or "/" in context.spec.linux.readonly_paths:
        yield plan.attributes(ROOT, flags.MOUNT_ATTR_RDONLY)
    propagation = context.spec.linux.rootfs_propagation
    if not context.has_own_mounts:
        yield from _move_in(context, propagation)
        return
    yield plan.pivot(ROOT) if context.placement.pivot else plan.chroot(ROOT)
    if propagation:
        yield plan.propagation(propagation)


def _move_in(context: Context, propagation: int) -> Iterator[Operation]:
    """Into a mount namespace that others live in, without a change to any of its mounts.

    Pivoting there would move the root of those others, and mounts beneath their root would be theirs too. So the whole tree, built
    in a namespace that ends here, is cloned detached, and becomes the root of this process alone: nobody
    else sees it, no path leads out of it, as it lies on nothing, and it goes with the last process. open_tree(2)
    """
    if propagation:
        yield plan.attributes(ROOT, 0, 0, propagation & ~flags.MS_REC, bool(propagation & flags.MS_REC))
    yield from session(context)  # a console can be mounted only as long as this namespace has the tree
    yield plan.tree(ROOT, ROOT, "/", True)
    yield plan.setns(MOUNTS, flags.CLONE_NEWNS)
    yield plan.root_change(ROOT)
