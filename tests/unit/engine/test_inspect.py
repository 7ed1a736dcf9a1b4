"""Docker's JSON of containers and images, from records alone."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from minirun.engine import inspect
from minirun.engine.config import BindMount, ContainerConfig, ImageMount, PortMapping, TmpfsMount, VolumeMount
from minirun.engine.container import Container
from minirun.engine.layout import Layout
from minirun.errors import NotFound

IMAGE_CONFIG = {
    "Env": ["PATH=/bin", "A=1"],
    "Cmd": ["sh"],
    "Entrypoint": ["/entry"],
    "Labels": {"of": "image", "both": "image"},
    "WorkingDir": "/srv",
    "ExposedPorts": {"443/tcp": {}},
}


def container(config: ContainerConfig, **changes: Any) -> Container:
    plain = Container(
        id="ab" * 32,
        name="box",
        image_id="sha256:" + "f" * 64,
        image_name="busybox",
        config=config,
        arguments=("/entry", "sleep", "9"),
        hostname="abababababab",
        status="running",
        pid=7,
        created_ns=1767323045_120000000,
        started_ns=1767323045_500000000,
        address4="172.30.0.2",
        prefix4=16,
        gateway4="172.30.0.1",
        mac="02:42:ac:1e:00:02",
    )
    return plain.replace(**changes)


def shown(config: ContainerConfig, **changes: Any) -> dict[str, Any]:
    data = inspect.container_json(container(config, **changes), IMAGE_CONFIG, Layout())
    json.dumps(data)  # plain data all through
    return data


@pytest.mark.parametrize(
    ("size", "text"), [(10_000_000, "10m"), (1_500, "1500"), (64_000, "64k"), (1 << 24, "16777216")]
)
def test_what_was_given_reads_as_it_can_be_given_again(size: int, text: str) -> None:
    data = shown(ContainerConfig(image="busybox", environment=("A=1", "B=2", "A=3"), log_max_bytes=size))
    assert data["Config"]["Env"] == ["A=3", "B=2", "PATH=/bin"], "each name once"
    assert data["HostConfig"]["LogConfig"]["Config"] == {"max-file": "3", "max-size": text}


def test_maps_are_sorted_and_structs_are_not() -> None:
    said = inspect.in_order({"Id": 1, "Config": {"Labels": {"b": "", "a": ""}, "Cmd": None, "Volumes": None}})
    assert json.dumps(said) == '{"Id": 1, "Config": {"Labels": {"a": "", "b": ""}, "Cmd": null, "Volumes": null}}'


def test_a_running_container() -> None:
    data = shown(
        ContainerConfig(image="busybox", command=("sleep", "9"), environment=("A=2", "B=3"), labels={"both": "mine"})
    )
    assert data["Id"] == "ab" * 32
    assert data["Name"] == "/box"
    assert data["Created"] == "2026-01-02T03:04:05.12Z"
    assert (data["Path"], data["Args"]) == ("/entry", ["sleep", "9"])
    assert data["State"] == {
        "Status": "running",
        "Running": True,
        "Paused": False,
        "Restarting": False,
        "OOMKilled": False,
        "Dead": False,
        "Pid": 7,
        "ExitCode": 0,
        "Error": "",
        "StartedAt": "2026-01-02T03:04:05.5Z",
        "FinishedAt": "0001-01-01T00:00:00Z",
    }
    assert data["Config"]["Env"] == ["A=2", "B=3", "PATH=/bin"]
    assert data["Config"]["Labels"] == {"of": "image", "both": "mine"}
    assert data["Config"]["Entrypoint"] == ["/entry"]
    assert data["Config"]["Cmd"] == ["sleep", "9"]
    assert data["Config"]["WorkingDir"] == "/srv"
    assert data["LogPath"] == f"/var/lib/minirun/containers/{'ab' * 32}/{'ab' * 32}-json.log"
    assert data["NetworkSettings"]["IPAddress"] == "172.30.0.2"
    assert data["NetworkSettings"]["Networks"]["bridge"]["Gateway"] == "172.30.0.1"


def test_the_changes_lie_where_the_start_puts_them() -> None:
    box = container(ContainerConfig(image="busybox"))
    layout = Layout(root="/data", run_root="/run/x")
    data = inspect.container_json(box, {}, layout)["GraphDriver"]["Data"]
    assert data == {"UpperDir": f"/data/containers/{box.id}/upper", "WorkDir": f"/data/containers/{box.id}/work"}


def test_an_entry_point_of_the_users_drops_the_images_command() -> None:
    data = shown(ContainerConfig(image="busybox", entrypoint=("sleep",)))
    assert data["Config"]["Entrypoint"] == ["sleep"]
    assert data["Config"]["Cmd"] is None


def test_ports_are_grouped_by_container_port() -> None:
    asked = (PortMapping(container_port=80), PortMapping(container_port=53, protocol="udp", host_address="127.0.0.1"))
    real = tuple(mapping.replace(host_port=8080) for mapping in asked)
    data = shown(ContainerConfig(image="busybox", ports=asked), ports=real, address6="fd00::2")
    assert data["HostConfig"]["PortBindings"] == {
        "80/tcp": [{"HostIp": "", "HostPort": ""}],
        "53/udp": [{"HostIp": "127.0.0.1", "HostPort": ""}],
    }
    assert data["NetworkSettings"]["Ports"] == {
        "80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}, {"HostIp": "::", "HostPort": "8080"}],
        "53/udp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}],
        "443/tcp": None,
    }
    assert set(data["Config"]["ExposedPorts"]) == {"443/tcp", "80/tcp", "53/udp"}


def test_mounts() -> None:
    config = ContainerConfig(
        image="busybox",
        binds=(
            BindMount(source="/a", target="/b", read_only=True),
            BindMount(source="/c", target="/d", propagation="rslave"),
        ),
        tmpfs=(TmpfsMount(target="/t", options=("size=1m",)),),
    )
    data = shown(config)
    assert data["HostConfig"]["Binds"] == ["/a:/b:ro", "/c:/d:rslave"]
    assert data["HostConfig"]["Tmpfs"] == {"/t": "size=1m"}
    assert [(mount["Type"], mount["Destination"], mount["RW"]) for mount in data["Mounts"]] == [
        ("bind", "/b", False),
        ("bind", "/d", True),
    ]


def test_mounts_that_were_written_out_are_shown_as_such() -> None:
    config = ContainerConfig(
        image="busybox",
        binds=(BindMount(source="/a", target="/b", read_only=True, submounts="disabled", by_mount=True),),
        tmpfs=(TmpfsMount(target="/t", options=("size=1024", "mode=1777", "ro"), by_mount=True),),
        volumes=(
            VolumeMount(name="data", target="/v", copy=False, part="x", labels={"b": "1", "a": "2"}, by_mount=True),
            VolumeMount(name="f" * 64, target="/w", labels={"anonymous": ""}, is_anonymous=True, by_mount=True),
        ),
        image_mounts=(ImageMount(name="tools", target="/i", part="bin"),),
    )
    data = shown(config)
    assert data["HostConfig"]["Binds"] is None
    assert not {"Tmpfs", "Init", "Sysctls"} & data["HostConfig"].keys()
    assert data["HostConfig"]["Mounts"] == [
        {"Type": "tmpfs", "Target": "/t", "ReadOnly": True, "TmpfsOptions": {"SizeBytes": 1024, "Mode": 0o1777}},
        {"Type": "bind", "Source": "/a", "Target": "/b", "ReadOnly": True, "BindOptions": {"NonRecursive": True}},
        {
            "Type": "volume",
            "Source": "data",
            "Target": "/v",
            "VolumeOptions": {"NoCopy": True, "Labels": {"a": "2", "b": "1"}, "Subpath": "x", "DriverConfig": {}},
        },
        {"Type": "volume", "Target": "/w"},
        {"Type": "image", "Source": "tools", "Target": "/i", "ImageOptions": {"Subpath": "bin"}},
    ]
    assert [(mount["Type"], mount["Destination"], mount["Mode"]) for mount in data["Mounts"]] == [
        ("bind", "/b", ""),
        ("image", "/i", ""),
        ("tmpfs", "/t", ""),
        ("volume", "/v", ""),
        ("volume", "/w", ""),
    ]


def test_a_container_at_rest_has_the_same_fields_and_no_addresses() -> None:
    there = shown(ContainerConfig(image="busybox"))["NetworkSettings"]
    gone = shown(ContainerConfig(image="busybox"), status="exited", pid=0)["NetworkSettings"]
    assert (list(there), list(there["Networks"]["bridge"])) == (list(gone), list(gone["Networks"]["bridge"]))
    assert (there["Gateway"], there["SandboxKey"]) == ("172.30.0.1", "/proc/7/ns/net")
    assert (gone["Gateway"], gone["IPPrefixLen"], gone["SandboxID"], gone["SandboxKey"], gone["Ports"]) == (
        "",
        0,
        "",
        "",
        {},
    )


@pytest.mark.parametrize(
    ("config", "streams"),
    [
        (ContainerConfig(image="x"), (False, True, True, False)),
        (ContainerConfig(image="x", interactive=True), (True, True, True, True)),
        (ContainerConfig(image="x", interactive=True, detached=True), (False, False, False, False)),
        (ContainerConfig(image="x", interactive=True, attach=("stdout",)), (False, True, False, False)),
    ],
)
def test_the_streams_that_somebody_attached(config: ContainerConfig, streams: tuple[bool, ...]) -> None:
    data = shown(config)["Config"]
    assert tuple(data[name] for name in ("AttachStdin", "AttachStdout", "AttachStderr", "StdinOnce")) == streams


@pytest.mark.parametrize("network", ["none", "host"])
def test_without_a_network_of_its_own_the_addresses_are_empty(network: str) -> None:
    data = shown(ContainerConfig(image="busybox", network=network))
    assert data["NetworkSettings"]["IPAddress"] == ""
    assert list(data["NetworkSettings"]["Networks"]) == [network]


def test_passing_states_have_dockers_names() -> None:
    assert shown(ContainerConfig(image="x"), status="starting")["State"]["Status"] == "created"


class _Images:
    def resolve(self, reference: str) -> Any:
        if reference != "busybox":
            raise NotFound(f"No such image: {reference}")
        return SimpleNamespace(
            id="sha256:1", tags=("busybox:latest",), config=IMAGE_CONFIG, architecture="amd64", os="linux",
            created_ns=1, size_bytes=5, layers=("sha256:2",), digests=("busybox@sha256:3",),
        )  # fmt: skip

    def configuration(self, image: Any) -> dict[str, Any]:
        return {"author": "me", "comment": "why"}

    def last_tagged_ns(self, image: object) -> int:
        return 1_000_000_000


class _Engine:
    layout = Layout()
    images = _Images()

    def container(self, reference: str) -> Container:
        if reference != "box":
            raise NotFound(f"No such container: {reference}")
        return container(ContainerConfig(image="busybox"))

    def volume(self, name: str) -> object:
        raise NotFound(f"get {name}: no such volume")


def test_a_container_comes_before_an_image() -> None:
    engine: Any = _Engine()
    assert inspect.inspect(engine, "box")["Name"] == "/box"
    assert inspect.inspect(engine, "busybox")["RepoTags"] == ["busybox:latest"]
    assert inspect.inspect(engine, "busybox")["Metadata"]["LastTagTime"].startswith("1970-01-01T00:00:01")
    assert inspect.inspect(engine, "busybox")["RepoDigests"] == ["busybox@sha256:3"]
    assert inspect.inspect(engine, "busybox", "image")["RootFS"]["Layers"] == ["sha256:2"]


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [("", "No such object: x"), ("container", "No such container: x"), ("image", "No such image: x")],
)
def test_what_is_not_there(kind: str, sentence: str) -> None:
    engine: Any = _Engine()
    with pytest.raises(NotFound) as caught:
        inspect.inspect(engine, "x", kind)
    assert str(caught.value) == sentence
