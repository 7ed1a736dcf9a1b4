"""Everything that is known of a container or an image, in the form of docker's JSON.

Owns: docker's names of things and their places (Docker Engine API, ContainerInspect and ImageInspect). Pure functions
from records to plain data, and `inspect`, which finds the record. Leaves to others: JSON text, templates (cli/).

Fields that have no meaning here are left out rather than invented, unless scripts are known to read them.
"""

from __future__ import annotations

from ..errors import Corrupt, NotFound
from ..units import rfc3339
from .config import SHM_SIZE_BYTES
from .health import healthcheck_json
from .spec import own_variables

RUNTIME = "minirun"  # what HostConfig.Runtime says: there is one

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
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

                if (health := of_container(engine, container)) is not None:
                    details["State"]["Health"] = health
            details["GraphDriver"]["Data"] |= _layers(engine, container)
            if container.is_running:
                from .exec import running

                details["ExecIDs"] = list(running(engine, container)) or None
            if container.config.links:
                from .links import texts

                details["HostConfig"]["Links"] = texts(engine, container)
            if size:
                from .usage import sizes_of

                details["SizeRw"], details["SizeRootFs"] = sizes_of(engine, container)
            return in_order(details)
    try:
        image = engine.images.resolve(reference)
        return in_order(image_json(image, engine.images.configuration(image), engine.images.last_tagged_ns(image)))
    except NotFound as error:
        if kind:
            raise
        try:
            return _volume(engine, reference)
        except NotFound:
            raise NotFound(f"No such object: {reference}") from error


_MAPS = frozenset(
    ("Annotations", "ExposedPorts", "Labels", "Networks", "PortBindings", "Ports", "Sysctls", "Tmpfs", "Volumes")
)


def in_order(document: Json) -> Json:
    """Sort by their keys what are maps in docker's types, as Go writes them; fields of structs stay in their places."""
    return {
        name: value
        if not isinstance(value, dict)
        else dict(sorted(value.items()))
        if name in _MAPS
        else in_order(value)
        for name, value in document.items()
    }


def _layers(engine: Engine, container: Container) -> Json:
    """Give where the image's layers lie, and where the container's files are seen as it sees them: while it runs, in /proc."""
    try:
        chain_id = engine.images.resolve(container.image_id).chain_id
        lowers = [f"{engine.snapshots.root}/{lower}" for lower in engine.snapshots.lowers(chain_id)]
    except (NotFound, Corrupt):  # the image was removed by force, or is damaged: `system check` tells
        lowers = []
    merged = f"/proc/{container.pid}/root" if container.pid else ""
    return {"LowerDir": ":".join(lowers), "MergedDir": merged}


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
    inside = config_json(container, image_config)
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
        "LogPath": layout.log(container.id) if config.log_driver != "none" else "",
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
        "Config": inside,
        "NetworkSettings": network_json(container, inside["ExposedPorts"])
        if on_network
        else empty_network_json(config.network),
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
        "Binds": [*map(_bind_text, (bind for bind in config.binds if not bind.by_mount)), *_volume_texts(config)]
        or None,
        "ContainerIDFile": config.id_file,
        "LogConfig": {"Type": config.log_driver, "Config": _log_options(config)},
        "NetworkMode": config.network,
        "PortBindings": port_bindings(config.ports),
        "RestartPolicy": {"Name": config.restart_policy, "MaximumRetryCount": config.restart_retries},
        "AutoRemove": config.auto_remove,
        "VolumeDriver": "",
        "VolumesFrom": list(config.volumes_from) or None,
        "ConsoleSize": [0, 0],
        "CapAdd": list(config.capabilities_add) or None,
        "CapDrop": list(config.capabilities_drop) or None,
        "CgroupnsMode": config.cgroupns_mode or "private",
        "Dns": list(config.dns),
        "DnsOptions": list(config.dns_options),
        "DnsSearch": list(config.dns_search),
        "ExtraHosts": list(config.extra_hosts) or None,
        "GroupAdd": list(config.groups_add) or None,
        "IpcMode": config.ipc_mode or "private",
        "Cgroup": "",
        "Links": None,
        "OomScoreAdj": config.oom_score_adj,
        "PidMode": config.pid_mode,
        "Privileged": config.privileged,
        "PublishAllPorts": config.publish_all,
        "ReadonlyRootfs": config.read_only,
        "SecurityOpt": list(config.security_options) or None,
        "UTSMode": config.uts_mode,
        "UsernsMode": config.userns,
        "ShmSize": config.shm_size_bytes or SHM_SIZE_BYTES,
        "Runtime": RUNTIME,
        "Isolation": "",
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
        "CpuRealtimePeriod": 0,
        "CpuRealtimeRuntime": 0,
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
        "DeviceRequests": None,
        "MemoryReservation": config.memory_reservation_bytes,
        "MemorySwap": config.memory_swap_bytes,
        "MemorySwappiness": None,
        "OomKillDisable": False,
        "PidsLimit": config.pids_limit or None,
        "Ulimits": [
            {"Name": limit.name, "Hard": limit.hard, "Soft": limit.soft}
            for limit in sorted(config.ulimits, key=lambda limit: limit.name)
        ],
        "CpuCount": 0,
        "CpuPercent": 0,
        "IOMaximumIOps": 0,
        "IOMaximumBandwidth": 0,
        **paths_json(config),
        "RestartOnUnhealthy": config.restart_on_unhealthy,
        **_where_given(config),
        **({"Annotations": dict(sorted(config.annotations.items()))} if config.annotations else {}),
        **({"Mounts": written} if (written := written_mounts_json(config)) else {}),
    }


def _where_given(config: ContainerConfig) -> Json:
    """Give what docker leaves out where there is nothing."""
    fields: Json = {
        "Init": config.init,
        "Sysctls": dict(sorted(config.sysctls.items())),
        "Tmpfs": {mount.target: ",".join(mount.options) for mount in config.tmpfs if not mount.by_mount},
    }
    return {name: value for name, value in fields.items() if value}


def paths_json(config: ContainerConfig) -> Json:
    """Give what of /proc and /sys can't be read, or written."""
    if config.privileged or "systempaths=unconfined" in config.security_options:
        return {"MaskedPaths": None, "ReadonlyPaths": None}
    from ..runtime.spec import READONLY_PATHS
    from .spec_mounts import masked_paths

    return {"MaskedPaths": list(masked_paths()), "ReadonlyPaths": list(READONLY_PATHS)}


def written_mounts_json(config: ContainerConfig) -> list[Json]:
    """Give what was asked for as --mount."""
    shown: list[Json] = []
    for tmpfs in config.tmpfs:
        if tmpfs.by_mount:
            sizes = {name: value for name, _, value in (option.partition("=") for option in tmpfs.options)}
            options: Json = {"SizeBytes": int(sizes["size"])} if "size" in sizes else {}
            options |= {"Mode": int(sizes["mode"], 8)} if "mode" in sizes else {}
            shown.append(_written("tmpfs", "", tmpfs.target, "ro" in sizes, "TmpfsOptions", options))
    for bind in config.binds:
        if bind.by_mount:
            options = {"Propagation": bind.propagation} if bind.propagation != "rprivate" else {}
            options |= {"NonRecursive": True} if bind.submounts == "disabled" else {}
            options |= {"ReadOnlyNonRecursive": True} if bind.submounts == "writable" else {}
            options |= {"ReadOnlyForceRecursive": True} if bind.submounts == "readonly" else {}
            shown.append(_written("bind", bind.source, bind.target, bind.read_only, "BindOptions", options))
    for volume in config.volumes:
        if volume.by_mount:
            options = {"NoCopy": True} if not volume.copy else {}
            options |= (
                {"Labels": dict(sorted(volume.labels.items()))} if volume.labels and not volume.is_anonymous else {}
            )
            options |= {"Subpath": volume.part} if volume.part else {}
            if volume.driver or volume.options or options:
                driver: Json = {"Name": volume.driver} if volume.driver else {}
                driver |= {"Options": dict(sorted(volume.options.items()))} if volume.options else {}
                options["DriverConfig"] = driver
            name = "" if volume.is_anonymous else volume.name
            shown.append(_written("volume", name, volume.target, volume.read_only, "VolumeOptions", options))
    for image in config.image_mounts:
        options = {"Subpath": image.part} if image.part else {}
        shown.append(_written("image", image.name, image.target, False, "ImageOptions", options))
    return shown


def _written(kind: str, source: str, target: str, read_only: bool, field: str, options: Json) -> Json:
    source_json: Json = {"Source": source} if source else {}
    read_only_json: Json = {"ReadOnly": True} if read_only else {}
    return {"Type": kind, **source_json, "Target": target, **read_only_json, **({field: options} if options else {})}


def _log_options(config: ContainerConfig) -> Json:
    if config.log_driver == "none":
        return {}
    names = ("env", "env-regex", "labels", "labels-regex", "mode", "tag")
    sizes = {"max-file": str(config.log_max_files), "max-size": _written_size(config.log_max_bytes)}
    given = {name: getattr(config, f"log_{name.replace('-', '_')}") for name in names}
    given["max-buffer-size"] = config.log_buffer
    return sizes | {name: text for name, text in given.items() if text}


def _written_size(size_bytes: int) -> str:
    """Write a size as --log-opt takes it, in the largest unit that is exact: `10m`."""
    for unit, letter in ((10**9, "g"), (10**6, "m"), (10**3, "k")):
        if size_bytes and size_bytes % unit == 0:
            return f"{size_bytes // unit}{letter}"
    return str(size_bytes)


def _rates(rates: Sequence[DeviceRate]) -> list[Json]:
    return [{"Path": rate.path, "Rate": rate.rate} for rate in rates]


def config_json(container: Container, image_config: Json) -> Json:
    """Give what runs in the container, the image's part included: Config."""
    config = container.config
    entrypoint = image_config.get("Entrypoint") if config.entrypoint is None else list(config.entrypoint)
    command = list(config.command) or (image_config.get("Cmd") if config.entrypoint is None else None)
    streams = () if config.detached else config.attach or ("stdin", "stdout", "stderr")
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
        "StdinOnce": config.interactive and "stdin" in streams,
        "Env": own_variables(image_config.get("Env") or (), config.environment),
        "Cmd": command,
        "Image": container.image_name,
        **({"MacAddress": config.mac_address} if config.mac_address else {}),
        "Volumes": ((image_config.get("Volumes") or {}) | anonymous) or None,
        "WorkingDir": config.working_directory or image_config.get("WorkingDir") or "",
        "Entrypoint": entrypoint,
        "OnBuild": None,
        "Labels": dict(sorted(((image_config.get("Labels") or {}) | config.labels).items())),
        **({"StopSignal": signal} if (signal := config.stop_signal or image_config.get("StopSignal")) else {}),
        **({"StopTimeout": config.stop_timeout_seconds} if config.stop_timeout_seconds is not None else {}),
        **({"Healthcheck": healthcheck_json(config)} if config.health_command else {}),
    }


def mounts_json(config: ContainerConfig) -> list[Json]:
    """Give what is mounted: Mounts, by destination. Docker's are in another order each time that it is asked."""
    binds = [
        {
            "Type": "bind",
            "Source": bind.source,
            "Destination": bind.target,
            "Mode": ""
            if bind.by_mount
            else ",".join(filter(None, ("ro" if bind.read_only else "", *_owner_words(bind)))),
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
            "Mode": "",
            "RW": "ro" not in mount.options,
            "Propagation": "",
        }
        for mount in config.tmpfs
        if mount.by_mount  # docker leaves those of --tmpfs out
    ]
    others: list[Json] = []
    if config.volumes:
        from .volume_mounts import mounts_json as volumes_json

        others += volumes_json(config)
    if config.image_mounts:
        from .image_mounts import mounts_json as images_json

        others += images_json(config)
    return sorted(binds + others + tmpfs, key=lambda mount: str(mount["Destination"]))


def _owner_words(bind: Any) -> tuple[str, str]:
    return "owner" if bind.as_owner else "", "idmap" if bind.id_mapped else ""


def _bind_text(bind: Any) -> str:
    propagation = "" if bind.propagation == "rprivate" else bind.propagation
    words = ("ro" if bind.read_only else "", propagation, *_owner_words(bind))
    options = ",".join(filter(None, words))
    return ":".join(filter(None, (bind.source, bind.target, options)))


def _volume_texts(config: ContainerConfig) -> list[str]:
    named = (
        volume
        for volume in config.volumes
        if not (volume.is_anonymous or volume.by_mount or volume.labels or volume.options)
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
        port = "-".join(str(each) for each in (mapping.host_port, mapping.host_port_last) if each)
        entries = bindings.setdefault(f"{mapping.container_port}/{mapping.protocol}", [])
        entries += [{"HostIp": address, "HostPort": port} for address in addresses]
    return bindings


def network_json(container: Container, exposed: Iterable[str] = ()) -> Json:
    """Give where a container is reached: NetworkSettings."""
    if not container.is_running:
        return empty_network_json(container.config.network)
    endpoint = {
        "IPAMConfig": None,
        "Links": None,
        "Aliases": None,
        "MacAddress": container.mac,
        "DriverOpts": None,
        "GwPriority": 0,
        "NetworkID": container.config.network,
        "EndpointID": "",
        "Gateway": container.gateway4,
        "IPAddress": container.address4,
        "IPPrefixLen": container.prefix4,
        "IPv6Gateway": container.gateway6,
        "GlobalIPv6Address": container.address6,
        "GlobalIPv6PrefixLen": container.prefix6,
        "DNSNames": None,
    }
    ports: Json = dict.fromkeys(exposed)  # a port that is exposed and not published leads nowhere
    ports |= port_bindings(container.ports, both_families=bool(container.address6))
    key = f"/proc/{container.pid}/ns/net"
    return _network_settings(container.config.network, endpoint, container.id, key, dict(sorted(ports.items())))


def _network_settings(network: str, endpoint: Json, sandbox: str, key: str, ports: Json) -> Json:
    only_there = ("IPAMConfig", "Links", "Aliases", "DriverOpts", "GwPriority", "NetworkID", "DNSNames")
    return {
        "Bridge": "",
        "SandboxID": sandbox,
        "SandboxKey": key,
        "Ports": ports,
        "HairpinMode": False,
        "LinkLocalIPv6Address": "",
        "LinkLocalIPv6PrefixLen": 0,
        "SecondaryIPAddresses": None,
        "SecondaryIPv6Addresses": None,
        **{name: value for name, value in endpoint.items() if name not in only_there},
        "Networks": {network: endpoint},
    }


def empty_network_json(network: str) -> Json:
    """Give NetworkSettings of a container without a network of its own, or at rest: the same fields, empty."""
    endpoint: Json = {"IPAMConfig": None, "Links": None, "Aliases": None, "MacAddress": "", "DriverOpts": None}
    endpoint |= {
        "GwPriority": 0,
        "NetworkID": network,
        "EndpointID": "",
        "Gateway": "",
        "IPAddress": "",
        "IPPrefixLen": 0,
    }
    endpoint |= {"IPv6Gateway": "", "GlobalIPv6Address": "", "GlobalIPv6PrefixLen": 0, "DNSNames": None}
    return _network_settings(network, endpoint, "", "", {})


# ---- images


def _last_comment(document: Json) -> str:
    """Give what was said of the last step: import and commit say it there. OCI image specification, history."""
    history = document.get("history")
    last = history[-1] if isinstance(history, list) and history else {}
    return str(last.get("comment", "")) if isinstance(last, dict) else ""


def image_json(image: Image, document: Json, tagged_ns: int = 0) -> Json:
    """Give an image as docker's ImageInspect does; `document` is its whole configuration, `tagged_ns` when it got its last name."""
    return {
        "Id": image.id,
        "RepoTags": list(image.tags),
        "RepoDigests": list(image.digests),
        "Parent": "",
        "Comment": document.get("comment") or _last_comment(document),
        "Created": rfc3339(image.created_ns),
        "DockerVersion": "",
        "Author": document.get("author", ""),
        "Config": image.config,
        "Architecture": image.architecture,
        "Os": image.os,
        "Size": image.size_bytes,
        "GraphDriver": {"Name": "overlay", "Data": None},
        "RootFS": {"Type": "layers", "Layers": list(image.layers)},
        "Metadata": {"LastTagTime": rfc3339(tagged_ns)},
    }
