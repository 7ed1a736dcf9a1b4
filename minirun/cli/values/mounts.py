"""What is mounted into a container, and paths: `-v`, `--mount`, `--volumes-from`, `--tmpfs`, `--device`, `-w`.

Owns: these grammars, and resolving `./x` against the caller's directory. Leaves to others: whether a source exists
(engine/). Paths inside the container are only text here: they are opened beneath its root, by the native core.
"""

from __future__ import annotations

import os

from ...command_line import boolean
from ...engine.config import BindMount, Device, ImageMount, TmpfsMount, VolumeMount
from ...errors import InvalidInput
from ...units import parse_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PROPAGATIONS = ("private", "rprivate", "slave", "rslave", "shared", "rshared")
# Docker accepts these and they mean nothing here: SELinux labels (minirun sets none), macOS consistency, copying into
# volumes.
_WITHOUT_EFFECT = ("z", "Z", "consistent", "cached", "delegated", "nocopy", "default")
_VOLUME_WORDS = ("ro", "rw", "z", "Z", "nocopy", "consistent", "cached", "delegated", "default")
_TMPFS_WORDS = (
    *("ro", "rw", "nosuid", "suid", "nodev", "dev", "noexec", "exec", "sync", "async"),
    *("noatime", "atime", "nodiratime", "diratime", "relatime", "norelatime"),
)
_TMPFS_VALUES = ("size", "mode", "uid", "gid", "nr_inodes", "nr_blocks")

if TYPE_CHECKING:
    Fields = tuple[tuple[str, tuple[BindMount | TmpfsMount | VolumeMount | ImageMount, ...]], ...]


def volume(text: str) -> Fields:
    """Read `[source:]target[:options]`: the field that it belongs to, and the mount. Raises InvalidInput.

    A source with a slash is a directory of the host, one without is a volume's name; without a source the volume is anonymous.
    """
    parts = text.split(":")
    if len(parts) > 3 or not all(parts):
        raise InvalidInput(f"invalid volume specification: '{text}'")
    if len(parts) == 1:
        return (("volumes", (VolumeMount(target=_target(text, text)),)),)
    if _is_name(parts[0]):
        return (("volumes", (_named_volume(parts, text),)),)
    return (("binds", _bind(parts, text)),)


def _is_name(source: str) -> bool:
    return "/" not in source and source not in (".", "..") and not source.startswith("~")


def _named_volume(parts: list[str], text: str) -> VolumeMount:
    mode = parts[2] if len(parts) == 3 else ""
    words = mode.split(",") if mode else []
    if any(word in PROPAGATIONS for word in words):
        raise InvalidInput(
            f"invalid volume specification: '{text}': invalid mount config for type \"volume\": "
            "field BindOptions must not be specified"
        )
    if any(word not in _VOLUME_WORDS for word in words) or len(set(words)) < len(words) or {"ro", "rw"} <= set(words):
        raise InvalidInput(f"invalid mode: {mode}")
    return VolumeMount(
        name=parts[0],
        target=_target(parts[1], text),
        read_only="ro" in words,
        copy="nocopy" not in words,
        mode=mode or "z",  # what docker says when nothing is said
    )


def volume_driver(text: str) -> str:
    """Read the name of a driver: there is one. Raises InvalidInput."""
    if text not in ("", "local"):
        raise InvalidInput(f'plugin "{text}" not found: minirun has "local" alone')
    return text


def _bind(parts: list[str], text: str) -> tuple[BindMount, ...]:
    options = _bind_options(parts[2] if len(parts) == 3 else "")
    return (BindMount(source=_source(parts[0]), target=_target(parts[1], text), **options),)


def mount(text: str) -> Fields:
    """Read `type=volume|bind|tmpfs|image,key=value,...`: the field that it belongs to, and the mount. Raises InvalidInput."""
    values: dict[str, str] = {}
    maps: dict[str, dict[str, str]] = {"volume-label": {}, "volume-opt": {}}
    for part in _parts(text):
        key, equals, value = part.partition("=")
        key = key.strip().lower()
        known = _MOUNT_KEYS.get(key)
        if known in maps and equals:
            name, _, setting = value.partition("=")
            maps[known][name] = setting
            continue
        if not equals and known not in _MOUNT_SWITCHES:
            raise InvalidInput(f"invalid field '{part}' must be a key=value pair")
        if known is None:
            raise InvalidInput(f"unexpected key '{key}' in '{part}'")
        if known in _MOUNT_SWITCHES:
            value = _switch(key, value if equals else "true")
        values[known] = value
    kind = values.pop("type", "volume").lower()
    _check_mixture(kind, (*values, *(key for key, given in maps.items() if given)))
    if "target" not in values:
        raise InvalidInput("target is required")
    target = _target(values.pop("target"), text)
    read_only = bool(values.pop("readonly", ""))
    if values.pop("consistency", "") not in _CONSISTENCIES:
        raise InvalidInput(f"invalid mount '{text}': consistency is one of {', '.join(filter(None, _CONSISTENCIES))}")
    if kind == "tmpfs":
        return (("tmpfs", (_tmpfs_of(values, target, read_only),)),)
    if kind == "image":
        part = _part("image-subpath", values.get("image-subpath", ""), text)
        return (("image_mounts", (ImageMount(name=values["source"], target=target, part=part),)),)
    if kind == "volume":
        return (("volumes", (_volume_of(values, maps, target, read_only, text),)),)
    return (("binds", (_bind_of(values, target, read_only),)),)


_CONSISTENCIES = ("", "consistent", "cached", "delegated", "default")  # of Docker Desktop's shared directories


def _parts(text: str) -> list[str]:
    """Cut at commas; a part that holds one stands in double quotes. RFC 4180."""
    if '"' not in text:
        return text.split(",")
    from _csv import Error, reader

    try:
        return list(next(reader([text], strict=True)))
    except Error as error:
        raise InvalidInput(f"invalid mount '{text}': {error}") from error


def _check_mixture(kind: str, keys: tuple[str, ...]) -> None:
    if kind not in ("volume", "bind", "tmpfs", "image"):
        raise InvalidInput(f"mount type '{kind}' is unknown here: use volume, bind, tmpfs or image")
    for key in keys:
        family, dash, _ = key.partition("-")
        if dash and family != kind:
            raise InvalidInput(f"cannot mix '{family}-*' options with mount type '{kind}'")
    if kind == "tmpfs" and "source" in keys:
        raise InvalidInput('invalid mount config for type "tmpfs": field Source must not be specified')
    if kind in ("bind", "image") and "source" not in keys:
        raise InvalidInput(f'invalid mount config for type "{kind}": field Source must not be empty')


def _tmpfs_of(values: dict[str, str], target: str, read_only: bool) -> TmpfsMount:
    options = []
    if size := values.get("tmpfs-size"):
        try:
            options.append(f"size={parse_size(size)}")
        except InvalidInput as error:
            raise InvalidInput(f"invalid value for tmpfs-size: {size}") from error
    if mode := values.get("tmpfs-mode"):
        if not set(mode) <= set("01234567") or len(mode) > 5:
            raise InvalidInput(f"invalid value for tmpfs-mode: {mode}")
        options.append(f"mode={mode}")
    return TmpfsMount(target=target, options=(*options, "ro") if read_only else tuple(options), by_mount=True)


def _bind_of(values: dict[str, str], target: str, read_only: bool) -> BindMount:
    propagation = values.get("bind-propagation", "rprivate")
    if propagation not in PROPAGATIONS:
        raise InvalidInput(f"invalid propagation value: {propagation}")
    submounts = values.get("bind-recursive", "enabled")
    if submounts not in _SUBMOUNTS:
        raise InvalidInput(
            f'invalid value for bind-recursive: {submounts} (must be "enabled", "disabled", "writable", or "readonly")'
        )
    if submounts == "readonly":
        for given, option in ((read_only, "readonly"), (propagation == "rprivate", "bind-propagation=rprivate")):
            if not given:
                raise InvalidInput(
                    f"option 'bind-recursive=readonly' requires '{option}' to be specified in conjunction"
                )
    return BindMount(
        source=_source(values["source"]),
        target=target,
        read_only=read_only,
        propagation=propagation,
        submounts="disabled" if values.get("bind-nonrecursive") else _SUBMOUNTS[submounts],
        by_mount=True,
    )


_SUBMOUNTS = {"enabled": "", "disabled": "disabled", "writable": "writable", "readonly": "readonly"}


def _volume_of(
    values: dict[str, str], maps: dict[str, dict[str, str]], target: str, read_only: bool, text: str
) -> VolumeMount:
    part = _part("volume-subpath", values.get("volume-subpath", ""), text)
    return VolumeMount(
        name=values.get("source", ""),
        target=target,
        read_only=read_only,
        copy=not values.get("volume-nocopy"),
        part=part,
        mode="z",
        labels=maps["volume-label"],
        driver=volume_driver(values.get("volume-driver", "")),
        options=maps["volume-opt"],
        by_mount=True,
    )


def _part(key: str, path: str, text: str) -> str:
    if path.startswith("/") or ".." in path.split("/"):
        inside = key.partition("-")[0]
        raise InvalidInput(f"invalid mount '{text}': {key} must be a relative path inside the {inside}")
    return path


_MOUNT_SWITCHES = ("readonly", "volume-nocopy", "bind-nonrecursive")  # their value is "" for no
_MOUNT_KEYS = {
    "type": "type", "source": "source", "src": "source", "target": "target", "dst": "target", "destination": "target",
    "readonly": "readonly", "ro": "readonly", "consistency": "consistency", "bind-propagation": "bind-propagation",
    "bind-nonrecursive": "bind-nonrecursive", "bind-recursive": "bind-recursive", "tmpfs-size": "tmpfs-size",
    "tmpfs-mode": "tmpfs-mode", "volume-nocopy": "volume-nocopy", "volume-label": "volume-label", "volume-opt": "volume-opt",
    "volume-driver": "volume-driver", "volume-subpath": "volume-subpath",
    "image-subpath": "image-subpath",
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
    raise InvalidInput(f"'{text}' is neither absolute nor a name; give an absolute path or ./{text}")


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


def _switch(key: str, text: str) -> str:
    """Give "true" or, for no, nothing."""
    try:
        return "true" if boolean(text) else ""
    except InvalidInput as error:
        raise InvalidInput(f"invalid value for {key}: {text}") from error


def _is_permissions(text: str) -> bool:
    return bool(text) and set(text) <= set("rwm") and len(set(text)) == len(text)
