"""Everything that is known of a container or an image, in the form of docker's JSON.

Owns: docker's names of things and their places (Docker Engine API, ContainerInspect and ImageInspect). Pure functions
from records to plain data, and `inspect`, which finds the record. Leaves to others: JSON text, templates (cli/).

Fields that have no meaning here are left out rather than invented, unless scripts are known to read them.
"""

from __future__ import annotations

from ..errors import NotFound
from ..units import rfc3339
from .health import healthcheck_json
from .spec import own_variables

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from ..images.store import Image
    from .config import ContainerConfig, DeviceRate, PortMapping
    from .container import Container
    from .engine import Engine
    from .layout import Layout

    Json = dict[str, Any]


def inspect(engine: Engine, reference: str, kind: str = "", *, size: bool = False) -> Json:
    """Give a container, or else an image, or else a volume; `kind` asks for one of them. Raises NotFound in docker's words.

    `size` measures what a container has written, and blocks for that long.
    """
    if kind == "volume":
        return _volume(engine, reference)
    if kind != "image":
        try:
            container = engine.container(reference)
        except NotFound:
            if kind == "container":
                raise
        else:
            details = container_json(container, _image_config(engine, container.image_id), engine.layout)
            if container.config.has_health_check:
                from .health import of_container

                details["State"]["Health"] = of_container(engine, container)
            if size:
                from .usage import sizes_of

                details["SizeRw"], details["SizeRootFs"] = sizes_of(engine, container)
            return details
    try:
        image = engine.images.resolve(reference)
        return image_json(image, engine.images.configuration(image))
    except NotFound as error:
        if kind:
            raise
        try:
            return _volume(engine, reference)
        except NotFound:
            raise NotFound(f"No such object: {reference}") from error


def _volume(engine: Engine, name: str) -> Json:
    from .volumes import volume_json

    return volume_json(engine, engine.volume(name))


def _image_config(engine: Engine, image_id: str) -> Json:
    try:
        config: Json = engine.images.resolve(image_id).config
        return config
    except NotFound:
        return {}


# ---- containers


def container_json(container: Container, image_config: Json, layout: Layout) -> Json:
    """Give a container as docker's ContainerInspect does."""
    config = container.config
    directory, changes = layout.run(container.id), layout.container(container.id)
    on_network = config.network not in ("none", "host")
    return {
        "Id": container.id,
        "Created": rfc3339(container.created_ns),
        "Path": container.arguments[0] if container.arguments else "",
        "Args": list(container.arguments[1:]),
        "State": state_json(container),
        "Image": container.image_id,
        "ResolvConfPath": f"{directory}/resolv.conf",
        "HostnamePath": f"{directory}/hostname",
        "HostsPath": f"{directory}/hosts",
        "LogPath": "" if config.log_driver == "none" else layout.log(container.id),
        "Name": f"/{container.name}",
        "RestartCount": container.restart_count,
        "Driver": "overlay",
        "Platform": "linux",
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": "",
        "ExecIDs": None,
        "HostConfig": host_config_json(config),
        "GraphDriver": {"Name": "overlay", "Data": {"UpperDir": f"{changes}/upper", "WorkDir": f"{changes}/work"}},
        "Mounts": mounts_json(config),
        "Config": config_json(container, image_config),
        "NetworkSettings": network_json(container) if on_network else empty_network_json(config.network),
    }


def state_json(container: Container) -> Json:
    """Give what a container does: State of ContainerInspect."""
    status = container.state
    return {
        "Status": status,
        "Running": container.is_running or container.is_restarting,
        "Paused": container.is_paused,
        "Restarting": container.is_restarting,
        "OOMKilled": container.oom_killed,
        "Dead": status == "dead",
        "Pid": container.pid,
        "ExitCode": container.exit_code,
        "Error": container.error,
        "StartedAt": rfc3339(container.started_ns),
        "FinishedAt": rfc3339(container.finished_ns),
    }


def host_config_json(config: ContainerConfig) -> Json:
    """Give what the host was asked for: HostConfig. One literal, in docker's order: it is read beside docker's own answer."""
    return {
        "Binds": [*map(_bind_text, config.binds), *_volume_texts(config)] or None,
        "ContainerIDFile": "",
        "LogConfig": {"Type": config.log_driver, "Config": _log_options(config)},
        "NetworkMode": config.network,
        "PortBindings": port_bindings(config.ports),
        "RestartPolicy": {"Name": config.restart_policy, "MaximumRetryCount": config.restart_retries},
        "AutoRemove": config.auto_remove,
        "VolumeDriver": "",
        "VolumesFrom": list(config.volumes_from) or None,
        "CapAdd": list(config.capabilities_add) or None,
        "CapDrop": list(config.capabilities_drop) or None,
        "CgroupnsMode": config.cgroupns_mode or "private",
        "Dns": list(config.dns),
        "DnsOptions": list(config.dns_options),
        "DnsSearch": list(config.dns_search),
        "ExtraHosts": list(config.extra_hosts) or None,
        "GroupAdd": list(config.groups_add) or None,
        "IpcMode": config.ipc_mode or "private",
        "OomScoreAdj": config.oom_score_adj,
        "PidMode": config.pid_mode,
        "Privileged": config.privileged,
        "PublishAllPorts": config.publish_all,
        "ReadonlyRootfs": config.read_only,
        "SecurityOpt": list(config.security_options) or None,
        "Tmpfs": {mount.target: ",".join(mount.options) for mount in config.tmpfs},
        "UTSMode": config.uts_mode,
        "UsernsMode": config.userns,
        "ShmSize": config.shm_size_bytes,
        "Sysctls": dict(config.sysctls),
        "Runtime": "minirun",
        "CpuShares": config.cpu_shares,
        "Memory": config.memory_bytes,
        "NanoCpus": config.nano_cpus,
        "CgroupParent": config.cgroup_parent,
        "BlkioWeight": config.block_weight,
        "BlkioWeightDevice": [{"Path": each.path, "Weight": each.weight} for each in config.block_device_weights],
        "BlkioDeviceReadBps": _rates(config.device_read_bytes),
        "BlkioDeviceWriteBps": _rates(config.device_write_bytes),
        "BlkioDeviceReadIOps": _rates(config.device_read_operations),
        "BlkioDeviceWriteIOps": _rates(config.device_write_operations),
        "CpuPeriod": config.cpu_period_us,
        "CpuQuota": config.cpu_quota_us,
        "CpusetCpus": config.cpuset_cpus,
        "CpusetMems": config.cpuset_mems,
        "Devices": [
            {
                "PathOnHost": device.host_path,
                "PathInContainer": device.container_path,
                "CgroupPermissions": device.permissions,
            }
            for device in config.devices
        ],
        "DeviceCgroupRules": list(config.device_rules) or None,
        "MemoryReservation": config.memory_reservation_bytes,
        "MemorySwap": config.memory_swap_bytes,
        "OomKillDisable": False,
        "PidsLimit": config.pids_limit or None,
        "Ulimits": [{"Name": limit.name, "Hard": limit.hard, "Soft": limit.soft} for limit in config.ulimits],
        "Init": config.init,
        "RestartOnUnhealthy": config.restart_on_unhealthy,
        **({"Annotations": dict(config.annotations)} if config.annotations else {}),
    }


def _log_options(config: ContainerConfig) -> Json:
    if config.log_driver == "none":
        return {}
    names = ("env", "env-regex", "labels", "labels-regex", "tag")
    sizes = {"max-file": str(config.log_max_files), "max-size": str(config.log_max_bytes)}
    given = {name: getattr(config, f"log_{name.replace('-', '_')}") for name in names}
    return sizes | {name: text for name, text in given.items() if text}


def _rates(rates: Sequence[DeviceRate]) -> list[Json]:
    return [{"Path": rate.path, "Rate": rate.rate} for rate in rates]


def config_json(container: Container, image_config: Json) -> Json:
    """Give what runs in the container, the image's part included: Config."""
    config = container.config
    entrypoint = image_config.get("Entrypoint") if config.entrypoint is None else list(config.entrypoint)
    command = list(config.command) or (image_config.get("Cmd") if config.entrypoint is None else None)
    streams = config.attach or ("stdin", "stdout", "stderr")
    anonymous: Json = {volume.target: {} for volume in config.volumes if volume.is_anonymous}
    exposed: Json = {f"{mapping.container_port}/{mapping.protocol}": {} for mapping in config.ports}
    exposed |= {port: {} for port in config.exposed}
    return {
        "Hostname": container.hostname,
        "Domainname": config.domainname,
        "User": config.user or image_config.get("User") or "",
        "AttachStdin": config.interactive and "stdin" in streams,
        "AttachStdout": "stdout" in streams,
        "AttachStderr": "stderr" in streams,
        "ExposedPorts": (image_config.get("ExposedPorts") or {}) | exposed,
        "Tty": config.terminal,
        "OpenStdin": config.interactive,
        "StdinOnce": config.interactive,
        "Env": own_variables(image_config.get("Env") or (), config.environment),
        "Cmd": command,
        "Image": container.image_name,
        "Volumes": ((image_config.get("Volumes") or {}) | anonymous) or None,
        "WorkingDir": config.working_directory or image_config.get("WorkingDir") or "",
        "Entrypoint": entrypoint,
        "OnBuild": None,
        "Labels": (image_config.get("Labels") or {}) | config.labels,
        "StopSignal": config.stop_signal or image_config.get("StopSignal") or "SIGTERM",
        "StopTimeout": config.stop_timeout_seconds,
        **({"Healthcheck": healthcheck_json(config)} if config.health_command else {}),
    }


def mounts_json(config: ContainerConfig) -> list[Json]:
    """Give what is mounted: Mounts."""
    binds = [
        {
            "Type": "bind",
            "Source": bind.source,
            "Destination": bind.target,
            "Mode": ",".join(filter(None, ("ro" if bind.read_only else "", *_owner_words(bind)))),
            "RW": not bind.read_only,
            "Propagation": bind.propagation,
        }
        for bind in config.binds
    ]
    tmpfs = [
        {
            "Type": "tmpfs",
            "Source": "",
            "Destination": mount.target,
            "Mode": ",".join(mount.options),
            "RW": "ro" not in mount.options,
            "Propagation": "",
        }
        for mount in config.tmpfs
    ]
    if not config.volumes:
        return binds + tmpfs
    from .volume_mounts import mounts_json

    return binds + mounts_json(config) + tmpfs


def _owner_words(bind: Any) -> tuple[str, str]:
    return "owner" if bind.as_owner else "", "idmap" if bind.id_mapped else ""


def _bind_text(bind: Any) -> str:
    propagation = "" if bind.propagation == "rprivate" else bind.propagation
    words = ("ro" if bind.read_only else "", propagation, *_owner_words(bind))
    options = ",".join(filter(None, words))
    return ":".join(filter(None, (bind.source, bind.target, options)))


def _volume_texts(config: ContainerConfig) -> list[str]:
    named = (
        volume for volume in config.volumes if not volume.is_anonymous and not volume.labels and not volume.options
    )
    return [f"{volume.name}:{volume.target}" + (f":{volume.mode}" if volume.mode != "z" else "") for volume in named]


def port_bindings(mappings: Sequence[PortMapping], *, both_families: bool | None = None) -> Json:
    """Give port mappings as docker groups them, by container port.

    `both_families` None leaves "every address" as asked for, an empty string; else it is spelled out, for IPv4 alone
    or for both.
    """
    bindings: Json = {}
    for mapping in mappings:
        addresses = [mapping.host_address]
        if not mapping.host_address and both_families is not None:
            addresses = ["0.0.0.0", "::"][: 2 if both_families else 1]  # noqa: S104 -- shown, not bound
        port = str(mapping.host_port) if mapping.host_port else ""
        entries = bindings.setdefault(f"{mapping.container_port}/{mapping.protocol}", [])
        entries += [{"HostIp": address, "HostPort": port} for address in addresses]
    return bindings


def network_json(container: Container) -> Json:
    """Give where a container is reached: NetworkSettings."""
    running = container.is_running
    endpoint = {
        "IPAMConfig": None,
        "Links": None,
        "Aliases": None,
        "MacAddress": container.mac,
        "NetworkID": container.config.network,
        "EndpointID": "",
        "Gateway": container.gateway4,
        "IPAddress": container.address4,
        "IPPrefixLen": container.prefix4,
        "IPv6Gateway": container.gateway6,
        "GlobalIPv6Address": container.address6,
        "GlobalIPv6PrefixLen": container.prefix6,
    }
    plain = {
        name: value for name, value in endpoint.items() if name not in ("IPAMConfig", "Links", "Aliases", "NetworkID")
    }
    network = container.config.network
    ports = port_bindings(container.ports, both_families=bool(container.address6)) if running else {}
    return {
        "SandboxKey": f"/proc/{container.pid}/ns/net" if container.pid else "",
        "Ports": ports,
        **plain,
        "Networks": {network: endpoint},
    }


def empty_network_json(network: str) -> Json:
    """Give NetworkSettings of a container without a network of its own: the same fields, empty."""
    addresses = {"MacAddress": "", "EndpointID": "", "Gateway": "", "IPAddress": "", "IPPrefixLen": 0}
    addresses |= {"IPv6Gateway": "", "GlobalIPv6Address": "", "GlobalIPv6PrefixLen": 0}
    return {"SandboxKey": "", "Ports": {}, **addresses, "Networks": {network: {"NetworkID": network, **addresses}}}


# ---- images


def image_json(image: Image, document: Json) -> Json:
    """Give an image as docker's ImageInspect does; `document` is its whole configuration."""
    return {
        "Id": image.id,
        "RepoTags": list(image.tags),
        "RepoDigests": list(image.digests),
        "Parent": "",
        "Comment": document.get("comment", ""),
        "Created": rfc3339(image.created_ns),
        "DockerVersion": "",
        "Author": document.get("author", ""),
        "Config": image.config,
        "Architecture": image.architecture,
        "Os": image.os,
        "Size": image.size_bytes,
        "GraphDriver": {"Name": "overlay", "Data": None},
        "RootFS": {"Type": "layers", "Layers": list(image.layers)},
        "Metadata": {"LastTagTime": rfc3339(0)},
    }
