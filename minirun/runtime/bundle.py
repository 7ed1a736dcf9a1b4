"""A bundle on disk: its directory, its configuration, and what the specification adds to that by itself.

Owns: reading `config.json`, paths relative to the bundle, default devices, what the host can't grant.
Leaves to others: JSON (config/), the start.
"""

from __future__ import annotations

import os

from ..errors import InvalidInput
from ..record import Record
from . import capabilities, devices

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .spec import Capabilities, Mount, Spec

CONFIG = "config.json"


class Bundle(Record):
    """A directory with a configuration; `content` is the file as it is, `raw` what it holds."""

    path: str
    spec: Spec
    raw: dict[str, Any]
    content: bytes


def load(path: str, config_path: str = "", warn: Callable[[str], None] | None = None) -> Bundle:
    """Read the bundle at `path`, links followed, its configuration from `config_path` where that is given; raises InvalidInput.

    A relative `config_path` is one from the caller's directory, as crun has it, or else from the bundle's.
    """
    path = os.path.realpath(path)
    given = os.path.abspath(config_path) if config_path else ""
    file = given if os.path.exists(given) else os.path.join(path, config_path or CONFIG)
    try:
        with open(file, "rb") as opened:
            content = opened.read()
    except FileNotFoundError as error:
        raise InvalidInput(
            f"JSON specification file {os.path.basename(file)} not found: open {file}: no such file or directory"
        ) from error
    except OSError as error:
        raise InvalidInput(f"open {file}: {(error.strerror or '').lower()}") from error
    return parse(path, content, warn)


def parse(path: str, content: bytes, warn: Callable[[str], None] | None = None) -> Bundle:
    """Give the bundle at `path` for a configuration that was read before."""
    from . import config

    spec, raw = config.parse(content)
    linux = spec.linux
    spec = spec.replace(
        process=spec.process.replace(capabilities=granted(spec, warn)),
        root=spec.root.replace(path=os.path.join(path, spec.root.path)),
        mounts=tuple(_placed(mount, path) for mount in spec.mounts),
        linux=linux.replace(
            devices=devices.with_defaults(linux.devices),
            resources=linux.resources.replace(devices=devices.of_container(linux.resources.devices)),
            mount_label=_mount_label(linux.mount_label, warn),
        ),
    )
    return Bundle(path=path, spec=spec, raw=raw, content=content)


def granted(spec: Spec, warn: Callable[[str], None] | None = None) -> Capabilities:
    """Give the process's capabilities without those that this host lacks. Root of a user namespace has all of them in it."""
    wanted = spec.process.capabilities
    if any(namespace.kind == "user" for namespace in spec.linux.namespaces):
        return wanted
    found, missing = capabilities.granted(wanted, capabilities.of_host())
    if missing and warn is not None:
        warn(f"process.capabilities: this host can't grant {' '.join(missing)}")
    return found


def _mount_label(label: str, warn: Callable[[str], None] | None) -> str:
    """Give the label of the mounts; none where the host couldn't use it, as crun does: nothing is more open without it."""
    if not label:
        return label
    from . import selinux

    if selinux.is_enabled():
        return label
    if warn is not None:
        warn(f"linux.mountLabel: {label!r} is left out, this host has no SELinux")
    return ""


def _placed(mount: Mount, bundle: str) -> Mount:
    """A relative source lies in the bundle; what is made for a file is a file."""
    if mount.type != "bind" or mount.remount:
        return mount
    source = os.path.join(bundle, mount.source)
    if mount.source_nofollow and os.path.islink(source):
        return mount.replace(source=source, create="file")
    is_file = os.path.exists(source) and not os.path.isdir(source)
    return mount.replace(source=source, create="file" if is_file else "directory")
