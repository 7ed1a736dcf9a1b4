"""What docker's types know and its JSON doesn't: fields that are left out when they are empty, and what kind of nothing a null is.

Owns: these tables, and `typed`, which adds them to a document of `inspect`. Leaves to others: the document (engine/inspect),
what a template does with it (evaluate, functions).

`version` and `info` are such documents, too: the root of the one has the name "version", of the other "info".

Docker's client fills a template in with typed values. So `{{.Config.Entrypoint}}` of a null is an empty list, `[]`;
`.State.Health` can be asked for where there is no check; and a struct is written `{no 0}`, a map `map[a:b]`. Docker Engine API,
ContainerInspect, ImageInspect.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any


class Nil:
    """A null that has a type: nothing is in it, and it is written as `text`."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __len__(self) -> int:
        return 0

    def __iter__(self) -> Iterator[Any]:
        return iter(())


POINTER, LIST, MAP = Nil("<nil>"), Nil("[]"), Nil("map[]")


class Struct(dict[str, "Any"]):
    """An object with a fixed set of fields; `absent` are those that JSON leaves out."""

    absent: dict[str, Any] = {}


class Row(dict[str, "Any"]):
    """One thing of a list. A field that takes an argument is a function, and no part of the whole."""

    def plain(self) -> dict[str, Any]:
        return {name: value for name, value in self.items() if not callable(value)}


class Map(dict[str, "Any"]):
    """An object with whatever keys there are, in capitals too."""


_MAPS = frozenset(
    [
        "Annotations",
        "Data",
        "Details",
        "DriverOpts",
        "ExposedPorts",
        "IndexConfigs",
        "Labels",
        "Networks",
        "Options",
        "PortBindings",
        "Ports",
        "Runtimes",
        "StorageOpt",
        "Sysctls",
        "Tmpfs",
        "Volumes",
    ]
)
_LISTS = frozenset(
    [
        "Aliases",
        "Authorization",
        "Binds",
        "BlkioWeightDevice",
        "CDISpecDirs",
        "CapAdd",
        "CapDrop",
        "Cmd",
        "DNSNames",
        "DeviceCgroupRules",
        "DeviceRequests",
        "Devices",
        "Dns",
        "DnsOptions",
        "DnsSearch",
        "DriverStatus",
        "Entrypoint",
        "Env",
        "ExecIDs",
        "ExtraHosts",
        "GenericResources",
        "GroupAdd",
        "Links",
        "MaskedPaths",
        "Mounts",
        "OnBuild",
        "ReadonlyPaths",
        "RemoteManagers",
        "RepoDigests",
        "RepoTags",
        "SecondaryIPAddresses",
        "SecondaryIPv6Addresses",
        "SecurityOpt",
        "Shell",
        "Ulimits",
        "VolumesFrom",
        "Warnings",
    ]
)

# By the field that holds the struct; "" is the document itself.
_ABSENT: dict[str, dict[str, Any]] = {
    "": {"SizeRw": POINTER, "SizeRootFs": POINTER},
    "State": {"Health": POINTER},
    "HostConfig": {
        "Annotations": MAP, "Init": POINTER, "Mounts": LIST, "StorageOpt": MAP, "Sysctls": MAP, "Tmpfs": MAP,
    },
    "Config": {
        "AttachStderr": False, "AttachStdin": False, "AttachStdout": False, "Cmd": LIST, "Domainname": "", "Entrypoint": LIST,
        "Env": LIST, "ExposedPorts": MAP, "Healthcheck": POINTER, "Hostname": "", "Image": "", "Labels": MAP, "MacAddress": "",
        "NetworkDisabled": False, "OnBuild": LIST, "OpenStdin": False, "Shell": LIST, "StdinOnce": False, "StopSignal": "",
        "StopTimeout": POINTER, "Tty": False, "User": "", "Volumes": MAP, "WorkingDir": "",
    },
    "GraphDriver": {"Data": MAP},
    "Server": {"Experimental": False},
    "info": {
        "ClientErrors": LIST, "Containerd": POINTER, "DefaultAddressPools": LIST, "DiscoveredDevices": LIST,
        "FirewallBackend": POINTER, "KernelMemory": False, "KernelMemoryTCP": False, "ProductLicense": "",
        "ServerErrors": LIST, "UserName": "",
    },
    "Swarm": {"Nodes": 0, "Managers": 0, "Cluster": POINTER, "Warnings": LIST},
}  # fmt: skip
# What is in a map: the key says nothing of it.
_INSIDE = {
    "Ports": "Ports[]", "PortBindings": "Ports[]", "Networks": "Networks[]",
    "ExposedPorts": "ExposedPorts[]", "Volumes": "Volumes[]",
}  # fmt: skip
_MOUNT = ("Type", "Name", "Source", "Destination", "Driver", "Mode", "RW", "Propagation")
# Go's names of fields where JSON's are others.
_GO_NAMES = {
    "ID": "Id", "DNS": "Dns", "DNSOptions": "DnsOptions", "DNSSearch": "DnsSearch", "NanoCPUs": "NanoCpus",
    "CPUShares": "CpuShares", "CPUPeriod": "CpuPeriod", "CPUQuota": "CpuQuota",
    "CPUCfsPeriod": "CpuCfsPeriod", "CPUCfsQuota": "CpuCfsQuota", "APIVersion": "ApiVersion",
    "HTTPProxy": "HttpProxy", "HTTPSProxy": "HttpsProxy",
}  # fmt: skip


def typed(document: Any, name: str = "") -> Any:
    """Give the document with what docker's types know of it; `name` is the field that holds it."""
    if document is None:
        return MAP if name in _MAPS else LIST if name in _LISTS else POINTER
    if isinstance(document, list):
        return [
            _mount(item) if name == "Mounts" and "Target" not in item else typed(item, f"{name}[]") for item in document
        ]
    if not isinstance(document, dict):
        return document
    inside = _INSIDE.get(name, "")
    values = {
        key: LIST if value is None and inside == "Ports[]" else typed(value, inside or key)
        for key, value in document.items()
    }
    if name in ("ExposedPorts[]", "Volumes[]"):
        return Struct(values)  # Go's struct{}
    if name in _MAPS or not values or not all(key[:1].isupper() for key in values):
        return Map(values)
    struct = Struct(values)
    if not name and "Mountpoint" in values:
        struct.absent = {"Status": MAP, "UsageData": POINTER, "ClusterVolume": POINTER}
        return struct
    struct.absent = {go: values[key] for go, key in _GO_NAMES.items() if key in values} | _ABSENT.get(name, {})
    return struct


def _mount(mount: dict[str, Any]) -> Struct:
    return Struct((field, mount.get(field, "")) for field in _MOUNT)
