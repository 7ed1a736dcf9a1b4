"""What the user asked for, the image and the host, made into an OCI spec: Docker's semantics, in one place.

Owns: `build` (a container), `build_exec` (a further process), `check` (as much as can be said before a start), and
the rules that image and request are merged by. Each part of the spec comes from one small function that changes
nothing. Leaves to others: mounts (engine/spec_mounts), limits (engine/spec_limits), the kernel's side
(runtime/compile).
"""

from __future__ import annotations

import os

from ..errors import InvalidInput, NotSupported
from ..record import Record
from ..runtime import capabilities, devices
from ..runtime.spec import (
    READONLY_PATHS,
    BuiltinSeccomp,
    Capabilities,
    DeviceNode,
    DeviceRule,
    Linux,
    Namespace,
    Process,
    Resources,
    Root,
    Spec,
    User,
)
from . import spec_limits, spec_mounts
from .spec_mounts import prepare

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Protocol

    from ..runtime.spec import Seccomp
    from .config import ContainerConfig
    from .container import ExecConfig
    from .userns import IdLease

    class Image(Protocol):
        """What is read of an image: the "config" object of an OCI image configuration."""

        @property
        def config(self) -> dict[str, Any]: ...


__all__ = ["arguments_of", "build", "build_exec", "check", "prepare", "withheld", "without_device_filter"]

PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# Docker's fourteen. NET_RAW and NET_BIND_SERVICE could go (see spec_limits: ping and port 80 work without), but
# programs that ask for a raw socket would break.
_DEFAULT_NAMES = """
    AUDIT_WRITE CHOWN DAC_OVERRIDE FOWNER FSETID KILL MKNOD NET_BIND_SERVICE NET_RAW SETFCAP SETGID SETPCAP SETUID
    SYS_CHROOT"""
DEFAULT_CAPABILITIES = capabilities.mask(_DEFAULT_NAMES.split())
_MKNOD = capabilities.mask(["MKNOD"])


class Surroundings(Record):
    """What the host brings to a start. Paths are absolute; an empty one leaves the image's own file in place."""

    id: str
    host_capabilities: int
    hostname: str = ""  # resolved: the user's, the first 12 of the id, or that of the network that is shared
    hosts_file: str = ""
    hostname_file: str = ""
    resolv_file: str = ""
    cgroup_path: str = ""
    counts_processes: bool = False  # has a `pids` controller
    lent: dict[str, str] = {}  # kinds of namespaces that are another container's: paths
    linked: tuple[str, ...] = ()  # variables that tell of other containers
    layers: dict[str, tuple[str, ...]] = {}  # of the images that are shown inside, by id
    ids: IdLease | None = None  # of the host, for a user namespace of the container's own


class Security(Record):
    """--security-opt, read."""

    no_new_privileges: bool = False
    seccomp: str = "builtin"  # builtin, unconfined, or the text of a profile
    paths_unconfined: bool = False


def build(config: ContainerConfig, image: Image, surroundings: Surroundings) -> Spec:
    """Give the spec of a container. InvalidInput and NotSupported name the option. Looks at bind sources and devices."""
    security = security_of(config)
    held = capabilities_of(config, surroundings.host_capabilities)
    nodes, rules = _devices(config)
    spec = Spec(
        process=Process(
            arguments=arguments_of(config, image),
            environment=_environment(config, image, surroundings, config.terminal),
            working_directory=_working_directory(config, image),
            user=_user(config, image),
            capabilities=held,
            rlimits=spec_limits.rlimits_of(config, surroundings.host_capabilities),
            terminal=config.terminal,
            no_new_privileges=security.no_new_privileges,
            oom_score_adjustment=config.oom_score_adj or None,
            init=config.init,
        ),
        root=Root(read_only=config.read_only),
        hostname="" if config.uts_mode == "host" else surroundings.hostname,
        domainname=config.domainname,
        mounts=spec_mounts.mounts_of(config, surroundings),
        linux=Linux(
            namespaces=_namespaces(config, surroundings),
            devices=nodes,
            cgroups_path=surroundings.cgroup_path,
            resources=spec_limits.resources_of(config, rules, counts_processes=surroundings.counts_processes),
            seccomp=_seccomp(config, security, held.bounding),
            sysctl=spec_limits.sysctls_of(config),
            masked_paths=() if _shows_all_paths(config, security) else spec_mounts.masked_paths(),
            readonly_paths=() if _shows_all_paths(config, security) else READONLY_PATHS,
        ),
    )
    return _with_own_ids(spec, surroundings)


def build_exec(config: ContainerConfig, image: Image, request: ExecConfig, surroundings: Surroundings) -> Spec:
    """Give the spec of a further process in a running container: its process, namespaces, filter and cgroup count."""
    security = security_of(config)
    held = capabilities_of(config, surroundings.host_capabilities)
    own = held if not request.privileged else _sets(surroundings.host_capabilities)
    if not request.command:
        raise InvalidInput("no command was given to execute")
    environment = _environment(config, image, surroundings, request.terminal)
    user = _user(config, image)
    spec = Spec(
        process=Process(
            arguments=request.command,
            environment=_merge(environment, request.environment),
            working_directory=_absolute(request.working_directory) or _working_directory(config, image),
            user=user.replace(name=request.user) if request.user else user,
            capabilities=own,
            rlimits=spec_limits.rlimits_of(config, surroundings.host_capabilities),
            terminal=request.terminal,
            no_new_privileges=security.no_new_privileges,
        ),
        linux=Linux(
            namespaces=_namespaces(config, surroundings),
            cgroups_path=surroundings.cgroup_path,
            resources=Resources(
                devices=devices.EVERYTHING if config.privileged or request.privileged else devices.DEFAULT
            ),
            # The container's filter also for a privileged exec, as docker has it: capabilities come back, calls don't.
            seccomp=_seccomp(config, security, held.bounding),
        ),
    )
    return _with_own_ids(spec, surroundings)


def build_check(config: ContainerConfig, image: Image, command: tuple[str, ...], surroundings: Surroundings) -> Spec:
    """Give the spec of a health check: a further process as the container's own user."""
    from .container import ExecConfig

    return build_exec(config, image, ExecConfig(command=command), surroundings)


def _with_own_ids(spec: Spec, surroundings: Surroundings) -> Spec:
    if surroundings.ids is None:
        return spec
    from .userns import mapped

    return mapped(spec, surroundings.ids)


def check(config: ContainerConfig, image: Image) -> None:
    """Raise what `build` would raise for this request, as far as no look at the host is needed. For `create`."""
    arguments_of(config, image)
    _working_directory(config, image)
    capabilities_of(config, capabilities.ALL)
    security = security_of(config)
    _seccomp(config, security, DEFAULT_CAPABILITIES)
    spec_mounts.check(config)
    spec_limits.check(config)
    if config.has_user_namespace:
        from . import userns

        userns.check(config)
    if config.has_log_attributes:
        from . import log_attributes

        log_attributes.check(config)
    if config.log_buffer and config.log_mode != "non-blocking":
        raise InvalidInput("logger: max-buffer-size option is only supported with 'mode=non-blocking'")
    if config.links:
        from . import links

        links.check(config)
    if config.restart_policy != "no" or config.restart_retries:
        from . import restarts

        restarts.check(config)
    for rule in config.device_rules:
        devices.rule(rule)
    _check_modes(config)
    plain = config.hostname.replace("-", "").replace(".", "").replace("_", "")
    if config.hostname and not (len(config.hostname) <= 64 and plain.isascii() and plain.isalnum()):
        raise InvalidInput(f"invalid hostname: {config.hostname[:80]!r}: up to 64 letters, digits, dots and hyphens")


def _check_modes(config: ContainerConfig) -> None:
    if config.uts_mode == "host" and (config.hostname or config.domainname):
        raise InvalidInput("conflicting options: hostname and the UTS mode")
    if config.mac_address and config.network != "bridge":
        raise InvalidInput("conflicting options: mac-address and the network mode")
    if config.network.startswith("container:"):
        _check_shared_network(config)
    shared = {"pid": config.pid_mode, "ipc": config.ipc_mode, "uts": config.uts_mode}
    for name, mode in shared.items():
        if config.has_user_namespace and mode.startswith(("host", "container:")):
            raise InvalidInput(
                f"--{name} {mode} can't go with --userns {config.userns}: those ids have no rights there"
            )


def _check_shared_network(config: ContainerConfig) -> None:
    """Raise InvalidInput for what would change a network, or names, that are another container's."""
    for given, what in (
        (config.hostname, "hostname and the network mode"),
        (config.dns or config.dns_search or config.dns_options, "dns and the network mode"),
        (config.extra_hosts, "custom host-to-IP mapping and the network mode"),
        (config.ports or config.publish_all, "port publishing and the container type network mode"),
        (config.exposed, "port exposing and the container type network mode"),
    ):
        if given:
            raise InvalidInput(f"conflicting options: {what}")


def without_device_filter(spec: Spec) -> Spec:
    """Give the spec for a host that refuses the device filter: no node can be made, and none that is there can be used.

    What the filter would have kept shut stays shut by other means: no CAP_MKNOD, and `nodev` on everything but our
    own /dev. A privileged container has no filter to begin with and stays as it is.
    """
    if spec.linux.resources.devices in ((), devices.EVERYTHING):
        return spec
    held = spec.process.capabilities
    return spec.replace(
        process=spec.process.replace(capabilities=_sets(held.bounding & ~_MKNOD)),
        root=spec.root.replace(no_devices=True),
        mounts=tuple(spec_mounts.without_devices(mount) for mount in spec.mounts),
        linux=spec.linux.replace(resources=spec.linux.resources.replace(devices=())),
    )


def withheld(config: ContainerConfig, refused: str) -> str:
    """Say what of the request a host doesn't give that refuses the device filter, and why; "" when nothing was asked for.

    The fourteen capabilities of every container have CAP_MKNOD among them, and hardly a program misses it: no word of that.
    """
    if config.privileged:
        return ""
    added = {name.upper().removeprefix("CAP_") for name in config.capabilities_add}
    parts = [
        *(["the container has no CAP_MKNOD"] if added & {"MKNOD", "ALL"} else []),
        *(["of --device the permissions don't count, only the node's own mode"] if config.devices else []),
        *(["--device-cgroup-rule opens nothing"] if config.device_rules else []),
    ]
    why = refused.rpartition(": ")[2].lower()
    return f"this host refuses the device filter ({why}): {'; '.join(parts)}" if parts else ""


# ---- Image and request ---------------------------------------------------------------------------------------------


def arguments_of(config: ContainerConfig, image: Image) -> tuple[str, ...]:
    """Give what is executed. An entry point of the user's drops the image's command; InvalidInput when nothing is left."""
    entrypoint = config.entrypoint
    command: Sequence[str] = config.command
    if entrypoint is None:
        entrypoint = tuple(image.config.get("Entrypoint") or ())
        command = command or image.config.get("Cmd") or ()
    arguments = (*entrypoint, *command)
    if not arguments:
        raise InvalidInput("no command specified: the image has none, add one after its name")
    return arguments


def stop_signal_of(config: ContainerConfig, image: Image) -> str:
    """Give the signal that the container or its image asks for as the first of `stop`, by name or number; "" for none.

    An image that names what is no signal counts as one that names none, as with docker: it can't make itself unstoppable.
    """
    if config.stop_signal:
        return config.stop_signal
    from ..signals import number_of

    named: str = image.config.get("StopSignal") or ""
    return named if number_of(named) is not None else ""


def _environment(config: ContainerConfig, image: Image, surroundings: Surroundings, terminal: bool) -> tuple[str, ...]:
    own = [PATH, f"HOSTNAME={surroundings.hostname}"]
    if terminal:
        own.append("TERM=xterm")
    return _merge(own, surroundings.linked, own_variables(image.config.get("Env") or (), config.environment))


def own_variables(of_image: Sequence[str], of_container: Sequence[str]) -> list[str]:
    """Give what docker calls a container's Env: the user's variables, then those of the image that the user didn't name.

    Each name is there once, with its last value in the place of the first.
    """
    own = {variable.partition("=")[0]: variable for variable in of_container}
    return [*own.values(), *(variable for variable in of_image if variable.partition("=")[0] not in own)]


def _merge(*layers: Sequence[str]) -> tuple[str, ...]:
    """Merge NAME=value lists: later wins, in the place of the first; a NAME alone takes the variable away."""
    merged: dict[str, str] = {}
    for layer in layers:
        for entry in layer:
            name, equals, _ = entry.partition("=")
            if equals:
                merged[name] = entry
            else:
                merged.pop(name, None)
    return tuple(merged.values())


def _working_directory(config: ContainerConfig, image: Image) -> str:
    return _absolute(config.working_directory or image.config.get("WorkingDir") or "/")


def _absolute(path: str) -> str:
    if path and not path.startswith("/"):
        raise InvalidInput(f"the working directory {path!r} is invalid, it needs to be an absolute path")
    return path


def _user(config: ContainerConfig, image: Image) -> User:
    return User(name=config.user or image.config.get("User") or "", additional_groups=config.groups_add)


# ---- Privileges ----------------------------------------------------------------------------------------------------


def capabilities_of(config: ContainerConfig, host: int) -> Capabilities:
    """Give the capability sets; what the host lacks is left out. InvalidInput in docker's words for an unknown name.

    Inheritable and ambient stay empty: a file with inheritable capabilities must not raise anyone (CVE-2022-24769).
    """
    add = _mask("CapAdd", config.capabilities_add)
    drop = _mask("CapDrop", config.capabilities_drop)
    if config.privileged:
        return _sets(host)
    # With ALL on both sides docker lets the names that were added win.
    if drop == capabilities.ALL:
        named = [name for name in config.capabilities_add if name.upper().removeprefix("CAP_") != "ALL"]
        return _sets(_mask("CapAdd", named) & host)
    if add == capabilities.ALL:
        return _sets(capabilities.ALL & ~drop & host)
    return _sets((DEFAULT_CAPABILITIES & ~drop | add) & host)


def _mask(option: str, names: Sequence[str]) -> int:
    try:
        return capabilities.mask(names)
    except InvalidInput as error:
        raise InvalidInput(f"invalid {option}: {error}") from None


def _sets(bits: int) -> Capabilities:
    return Capabilities(bounding=bits, effective=bits, permitted=bits)


def security_of(config: ContainerConfig) -> Security:
    """Read --security-opt; NotSupported for what we have no module for, InvalidInput for what nobody has."""
    values: dict[str, Any] = {}
    for option in config.security_options:
        # docker takes "name=value", and "name:value" from older days
        name, _, value = option.partition("=" if "=" in option else ":")
        if name == "no-new-privileges" and value in ("", "true", "false"):
            values["no_new_privileges"] = value != "false"
        elif name == "seccomp" and value:
            values["seccomp"] = value
        elif name == "systempaths" and value == "unconfined":
            values["paths_unconfined"] = True
        elif (name, value) in (("apparmor", "unconfined"), ("label", "disable")):
            pass  # what we do anyway
        elif name in ("apparmor", "label"):
            raise NotSupported(
                f"--security-opt {option}: minirun doesn't set {name} profiles yet; leave the option out"
            )
        else:
            raise InvalidInput(f'invalid --security-opt: "{option}"')
    return Security(**values)


def _shows_all_paths(config: ContainerConfig, security: Security) -> bool:
    return config.privileged or security.paths_unconfined


def _seccomp(config: ContainerConfig, security: Security, held: int) -> Seccomp | BuiltinSeccomp | None:
    """Give the filter. Privileged means none, unless the user brings one."""
    if security.seccomp == "unconfined" or (config.privileged and security.seccomp == "builtin"):
        return None
    if security.seccomp == "builtin":
        return BuiltinSeccomp(capabilities=held)
    from ..runtime.seccomp_file import parse

    text = security.seccomp
    if not text.lstrip().startswith("{"):
        try:
            with open(text, encoding="utf-8") as file:
                text = file.read()
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidInput(f"opening seccomp profile ({text}) failed: {error}") from error
    return parse(text, held)


# ---- Namespaces and devices ----------------------------------------------------------------------------------------


def _namespaces(config: ContainerConfig, surroundings: Surroundings) -> tuple[Namespace, ...]:
    """All of them, the time namespace too where the kernel has it; the network as asked."""
    modes = {
        "pid": config.pid_mode, "uts": config.uts_mode, "ipc": config.ipc_mode, "cgroup": config.cgroupns_mode,
        "network": config.network,
    }  # fmt: skip
    kinds = ["mount", "pid", "uts", "ipc", "cgroup", "network"]
    if os.path.exists("/proc/self/ns/time"):
        kinds.insert(5, "time")
    return tuple(
        Namespace(kind=kind, path=surroundings.lent.get(kind, "")) for kind in kinds if modes.get(kind) != "host"
    )


def _devices(config: ContainerConfig) -> tuple[tuple[DeviceNode, ...], tuple[DeviceRule, ...]]:
    """Give the nodes of /dev and the rules of the device filter."""
    if config.privileged:
        own = {node.path for node in devices.NODES}
        everything = [node for node in devices.nodes_beneath("/dev") if node.path not in own]
        return (*devices.NODES, *everything), devices.EVERYTHING
    nodes, rules = devices.NODES, devices.DEFAULT
    for device in config.devices:
        if os.path.isdir(device.host_path):
            found = devices.nodes_beneath(device.host_path, device.container_path)
            if not found:
                raise devices.no_node(device.host_path)
        else:
            found = [devices.node_of_host(device.host_path, device.container_path)]
        nodes += tuple(found)
        rules += tuple(
            DeviceRule(allow=True, kind=node.kind, major=node.major, minor=node.minor, access=device.permissions)
            for node in found
        )
    return nodes, rules + tuple(map(devices.rule, config.device_rules))
