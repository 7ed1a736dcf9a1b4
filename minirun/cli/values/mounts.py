"""What is mounted into a container, and paths: `-v`, `--mount`, `--tmpfs`, `--device`, `-w`.

Owns: these grammars, and resolving `./x` against the caller's directory. Leaves to others: whether a source exists
(engine/). Paths inside the container are only text here: they are opened beneath its root, by the native core.
"""

from __future__ import annotations

import os

from ...engine.config import BindMount, Device, TmpfsMount
from ...errors import InvalidInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PROPAGATIONS = ("private", "rprivate", "slave", "rslave", "shared", "rshared")
# Docker accepts these and they mean nothing here: SELinux labels (minirun sets none), macOS consistency, copying into
# volumes.
_WITHOUT_EFFECT = ("z", "Z", "consistent", "cached", "delegated", "nocopy", "default")
_TMPFS_WORDS = (
    *("ro", "rw", "nosuid", "suid", "nodev", "dev", "noexec", "exec", "sync", "async"),
    *("noatime", "atime", "nodiratime", "diratime", "relatime", "norelatime"),
)
_TMPFS_VALUES = ("size", "mode", "uid", "gid", "nr_inodes", "nr_blocks")

_NO_VOLUMES = "volumes by name come later; give a directory of the host as an absolute path or as ./{0}"


def volume(text: str) -> tuple[BindMount, ...]:
    """Read `source:target[:options]`, a bind mount. Raises InvalidInput."""
    parts = text.split(":")
    if len(parts) == 1:
        raise InvalidInput(f"invalid volume specification: '{text}': anonymous volumes come later; give source:target")
    if len(parts) > 3 or not all(parts):
        raise InvalidInput(f"invalid volume specification: '{text}'")
    options = _bind_options(parts[2] if len(parts) == 3 else "")
    return (BindMount(source=_source(parts[0]), target=_target(parts[1], text), **options),)


def mount(text: str) -> tuple[tuple[str, tuple[BindMount | TmpfsMount, ...]], ...]:
    """Read `type=bind|tmpfs,key=value,...`: the field that it belongs to, and the mount. Raises InvalidInput."""
    values: dict[str, str] = {}
    for part in text.split(","):
        key, equals, value = part.partition("=")
        key = _MOUNT_KEYS.get(key.strip().lower(), key)
        if not equals and key != "readonly":
            raise InvalidInput(f"invalid field '{part}' must be a key=value pair")
        if key not in _MOUNT_KEYS.values():
            raise InvalidInput(f"unexpected key '{key}' in '{part}'")
        values[key] = value if equals else "true"
    kind = values.pop("type", "volume")
    target = _target(values.pop("target", ""), text)
    read_only = _switch(values.pop("readonly", "false"), text)
    if kind == "tmpfs":
        options = [f"size={values.pop('tmpfs-size')}"] if "tmpfs-size" in values else []
        options += [f"mode={values.pop('tmpfs-mode')}"] if "tmpfs-mode" in values else []
        options += ["ro"] if read_only else []
        made = tmpfs(f"{target}:{','.join(options)}" if options else target)
        _nothing_left(values, kind)
        return (("tmpfs", made),)
    if kind != "bind":
        raise InvalidInput(f"mount type '{kind}' is unknown here: use bind or tmpfs (volumes by name come later)")
    if "source" not in values:
        raise InvalidInput("type 'bind' requires 'source'")
    propagation = values.pop("bind-propagation", "rprivate")
    if propagation not in PROPAGATIONS:
        raise InvalidInput(f"invalid propagation value: {propagation}")
    bind = BindMount(source=_source(values.pop("source")), target=target, read_only=read_only, propagation=propagation)
    _nothing_left(values, kind)
    return (("binds", (bind,)),)


_MOUNT_KEYS = {
    "type": "type", "source": "source", "src": "source", "target": "target", "dst": "target", "destination": "target",
    "readonly": "readonly", "ro": "readonly", "bind-propagation": "bind-propagation", "tmpfs-size": "tmpfs-size",
    "tmpfs-mode": "tmpfs-mode",
}  # fmt: skip


def tmpfs(text: str) -> tuple[TmpfsMount, ...]:
    """Read `target[:option,option...]`. Raises InvalidInput."""
    target, _, rest = text.partition(":")
    options = tuple(option for option in rest.split(",") if option)
    for option in options:
        name, equals, value = option.partition("=")
        known = name in _TMPFS_VALUES and value and value.replace("%", "").isalnum() if equals else name in _TMPFS_WORDS
        if not known:
            raise InvalidInput(f'invalid tmpfs option ["{option}"]')
    return (TmpfsMount(target=_target(target, text), options=options),)


def device(text: str) -> tuple[Device, ...]:
    """Read `host[:container][:rwm]`. Raises InvalidInput."""
    parts = text.split(":")
    if len(parts) > 3 or not parts[0]:
        raise InvalidInput(f"invalid device specification: {text}")
    host = container = parts[0]
    permissions = "rwm"
    if len(parts) == 2 and _is_permissions(parts[1]):
        permissions = parts[1]
    elif len(parts) >= 2:
        container = parts[1]
    if len(parts) == 3:
        permissions = parts[2]
    if not _is_permissions(permissions):
        raise InvalidInput(f"bad mode specified: {permissions}")
    for path in (host, container):
        if not path.startswith("/"):
            raise InvalidInput(f"'{path}' is not an absolute path")
    return (Device(host_path=clean(host), container_path=clean(container), permissions=permissions),)


def working_directory(text: str) -> str:
    """Read an absolute path inside the container."""
    if text and not text.startswith("/"):
        raise InvalidInput(f"the working directory '{text}' is invalid, it needs to be an absolute path")
    return clean(text) if text else ""


def clean(path: str) -> str:
    """Drop `.`, `..`, doubled and trailing slashes by text alone, as Go's path.Clean does."""
    return "/" + os.path.normpath(path).lstrip("/") if path.startswith("/") else os.path.normpath(path)


def _source(text: str) -> str:
    if text.startswith("/"):
        return clean(text)
    if text in (".", "..") or text.startswith(("./", "../")):
        return os.path.abspath(text)
    if text.startswith("~"):
        raise InvalidInput(f"'{text}' was not expanded by the shell; give an absolute path")
    if "/" in text:
        raise InvalidInput(f"'{text}' is neither absolute nor a name; give an absolute path or ./{text}")
    raise InvalidInput(_NO_VOLUMES.format(text))


def _target(text: str, whole: str) -> str:
    if not text.startswith("/"):
        raise InvalidInput(f"invalid mount '{whole}': the path in the container must be absolute, not '{text}'")
    path = clean(text)
    if path == "/":
        raise InvalidInput(f"invalid mount '{whole}': destination can't be '/'")
    return path


def _bind_options(text: str) -> dict[str, Any]:
    """Read the words behind the last colon: fields of a BindMount."""
    read_only: bool | None = None
    propagation, as_owner, id_mapped = "", False, False
    for word in text.split(",") if text else ():
        if word in ("ro", "rw") and read_only is None:
            read_only = word == "ro"
        elif word in PROPAGATIONS and not propagation:
            propagation = word
        elif word == "owner":
            as_owner = True
        elif word == "idmap":
            id_mapped = True
        elif word not in _WITHOUT_EFFECT:
            raise InvalidInput(f"invalid mode: {text}")
    ids = {"as_owner": as_owner, "id_mapped": id_mapped}
    return {"read_only": bool(read_only), "propagation": propagation or "rprivate", **ids}


def _switch(text: str, whole: str) -> bool:
    if text not in ("true", "1", "false", "0"):
        raise InvalidInput(f"invalid mount '{whole}': readonly is true or false, not '{text}'")
    return text in ("true", "1")


def _nothing_left(values: dict[str, str], kind: str) -> None:
    if values:
        raise InvalidInput(f"cannot mix '{next(iter(values))}' with mount type '{kind}'")


def _is_permissions(text: str) -> bool:
    return bool(text) and set(text) <= set("rwm") and len(set(text)) == len(text)
