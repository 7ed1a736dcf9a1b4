"""Ids of a container's own: what may be asked for, which ranges are leased, what they change in a spec."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from minirun.engine import userns
from minirun.engine.config import BindMount, ContainerConfig
from minirun.engine.container import Container, ExecConfig
from minirun.engine.spec import Surroundings, build, build_exec, check
from minirun.engine.userns import RESERVE, SIZE, IdLease
from minirun.errors import Exhausted, InvalidInput, NotSupported
from minirun.linux import syscalls
from minirun.runtime import capabilities
from minirun.runtime.spec import IdMapping, Namespace, Spec

FIRST = RESERVE[0]
LEASE = IdLease(uid=100000, gid=300000, size=1000)


class Image(NamedTuple):
    config: dict[str, Any] = {}


def config(**options: Any) -> ContainerConfig:
    return ContainerConfig(**{"image": "busybox", "command": ("sh",), "userns": "auto", **options})


def container(name: str, userns: str = "auto") -> Container:
    return Container(id=name, name=name, image_id="", image_name="", config=config(userns=userns))


def around(lease: IdLease = LEASE) -> Surroundings:
    return Surroundings(id="0" * 64, host_capabilities=capabilities.ALL, hostname="box", ids=lease)


def spec(lease: IdLease = LEASE, **options: Any) -> Spec:
    return build(config(**options), Image(), around(lease))


# ---- the option


@pytest.mark.parametrize(("text", "size"), [("auto", SIZE), ("auto:size=1", 1), ("auto:size=4096", 4096)])
def test_a_mode_says_how_many_ids(text: str, size: int) -> None:
    assert userns.size_of(text) == size


@pytest.mark.parametrize(
    "text",
    ["keep-id", "private", "container:x", "auto:", "auto:size=", "auto:size=0", "auto:size=-1", "auto:size=4294967296",
     "auto:size=1k", "auto:size=" + "1" * 5000, "auto:size=\u0661", "auto:uidmapping=0:1:2", "auto,size=5", "Auto"],
)  # fmt: skip
def test_other_modes_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="--userns"):
        userns.size_of(text)


@pytest.mark.parametrize("options", [{"user": "1000"}, {"user": "0:1000"}, {"groups_add": ("1000",)}])
def test_a_user_that_the_namespace_lacks_is_refused_before_anything_is_made(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match="1000 isn't among the container's ids, 0 to 999"):
        check(config(userns="auto:size=1000", **options), Image())
    check(config(userns="auto:size=1001", **options), Image())


def test_a_mapped_bind_needs_a_map() -> None:
    bind = BindMount(source="/", target="/x", id_mapped=True)
    check(config(binds=(bind,)), Image())
    for without in ("", "host"):
        with pytest.raises(InvalidInput, match="it goes with --userns auto"):
            check(config(binds=(bind,), userns=without), Image())
    with pytest.raises(InvalidInput, match="idmap and owner"):
        check(config(binds=(bind.replace(as_owner=True),)), Image())


# ---- leases


@pytest.fixture
def reserve(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    """Give a function that says what /etc/subuid and /etc/subgid hold."""
    real = open

    def opened(path: str, *arguments: Any, **options: Any) -> Any:
        return real(tmp_path / os.path.basename(path), *arguments, **options)

    monkeypatch.setattr(userns, "open", opened, raising=False)

    def write(subuid: str, subgid: str | None = None) -> None:
        (tmp_path / "subuid").write_text(subuid)
        (tmp_path / "subgid").write_text(subuid if subgid is None else subgid)

    return write


@pytest.fixture
def connection() -> sqlite3.Connection:
    return sqlite3.connect(":memory:", isolation_level=None)


def test_no_two_leases_overlap_and_a_gap_is_used_again(
    reserve: Callable[..., None], connection: sqlite3.Connection
) -> None:
    first, second, third = (userns.lease(connection, container(name)) for name in ("a", "b", "c"))
    assert [item.uid for item in (first, second, third)] == [FIRST, FIRST + SIZE, FIRST + 2 * SIZE]
    assert [item.gid for item in (first, second, third)] == [FIRST, FIRST + SIZE, FIRST + 2 * SIZE]
    userns.release(connection, "b")
    assert userns.lease(connection, container("d", "auto:size=100")).uid == FIRST + SIZE
    assert userns.lease(connection, container("e")).uid == FIRST + 3 * SIZE, "65436 ids are no gap for 65536"
    assert userns.lease(connection, container("f", "auto:size=65436")).uid == FIRST + SIZE + 100
    assert userns.lease_of(connection, "d") == IdLease(uid=FIRST + SIZE, gid=FIRST + SIZE, size=100)
    assert userns.lease_of(connection, "b") is None
    userns.release(connection, "b")


def test_what_others_have_in_the_reserve_is_left_alone(
    reserve: Callable[..., None], connection: sqlite3.Connection
) -> None:
    reserve(f"alice:{FIRST + 10}:20\nbob:100000:65536\n", "")
    lease = userns.lease(connection, container("a"))
    assert (lease.uid, lease.gid) == (FIRST + 30, FIRST)


def test_what_is_reserved_for_containers_is_used_and_nothing_else(
    reserve: Callable[..., None], connection: sqlite3.Connection
) -> None:
    reserve(
        "alice:100000:65536\ncontainers:500000:100\nnonsense\ncontainers:x:1\ncontainers:700000:70000\n",
        "containers:900000:131072",
    )
    lease = userns.lease(connection, container("a"))
    assert (lease.uid, lease.gid) == (700000, 900000)
    assert userns.lease(connection, container("b", "auto:size=100")).uid == 500000
    with pytest.raises(
        Exhausted, match="lease 65536 ids for the container: /etc/subuid has no such gap left"
    ) as caught:
        userns.lease(connection, container("c"))
    assert "\n" not in str(caught.value)


def test_the_reserve_keeps_clear_of_the_ids_that_mean_none(
    reserve: Callable[..., None], connection: sqlite3.Connection
) -> None:
    whole = userns.lease(connection, container("a", f"auto:size={RESERVE[1]}"))
    assert whole.uid + whole.size <= 0xFFFF0000
    with pytest.raises(Exhausted):
        userns.lease(connection, container("b", "auto:size=1"))


def test_what_a_lease_would_be_is_known_without_leasing(
    reserve: Callable[..., None], connection: sqlite3.Connection
) -> None:
    assert userns.lease_to_expect(connection, container("a")).uid == FIRST
    assert userns.lease(connection, container("b")).uid == FIRST


# ---- the host


class Engine(NamedTuple):
    snapshots: Any


class Snapshots(NamedTuple):
    root: str


@pytest.mark.parametrize("release", ["5.15.0-91-generic", "5.18.19", "4.19.0"])
def test_an_older_kernel_is_named(monkeypatch: pytest.MonkeyPatch, release: str) -> None:
    uname = os.uname()
    monkeypatch.setattr(os, "uname", lambda: os.uname_result((*uname[:2], release, *uname[3:])))
    with pytest.raises(NotSupported, match=f"needs Linux 5.19, .* this is {release}"):
        userns.check_host(Engine(Snapshots("/")))  # type: ignore[arg-type]


@pytest.mark.parametrize(("number", "words"), [(errno.ENOSPC, "max_user_namespaces"), (errno.EPERM, "not permitted")])
def test_a_host_without_user_namespaces_says_so(monkeypatch: pytest.MonkeyPatch, number: int, words: str) -> None:
    def refuse(_map: str) -> int:
        raise OSError(number, "clone")

    monkeypatch.setattr(syscalls, "user_namespace", refuse)
    with pytest.raises(NotSupported, match=words):
        userns.check_host(Engine(Snapshots("/")))  # type: ignore[arg-type]


# ---- the spec


def test_the_spec_has_the_namespace_and_its_maps() -> None:
    made = spec()
    assert Namespace(kind="user") in made.linux.namespaces
    assert made.linux.uid_mappings == (IdMapping(container_id=0, host_id=100000, size=1000),)
    assert made.linux.gid_mappings == (IdMapping(container_id=0, host_id=300000, size=1000),)


def test_a_further_process_enters_the_namespace() -> None:
    made = build_exec(config(), Image(), ExecConfig(command=("id",)), around())
    assert Namespace(kind="user") in made.linux.namespaces


def test_everybody_inside_may_ping_who_exists_inside() -> None:
    assert spec().linux.sysctl["net.ipv4.ping_group_range"] == "0 999"
    for value in ("5 50", "7"):
        asked = spec(sysctls={"net.ipv4.ping_group_range": value})
        assert asked.linux.sysctl["net.ipv4.ping_group_range"] == value


def test_terminals_belong_to_the_group_tty_where_there_is_one() -> None:
    def data(size: int) -> tuple[str, ...]:
        made = spec(LEASE.replace(size=size))
        return next(mount.data for mount in made.mounts if mount.type == "devpts")

    assert "gid=5" in data(6)
    assert "gid=5" not in data(5)


def test_a_bind_for_its_owner_names_the_containers_user_by_the_hosts_ids(tmp_path: Path) -> None:
    status = os.stat(tmp_path)
    bind = BindMount(source=str(tmp_path), target="/x", as_owner=True)
    (mount,) = (item for item in spec(binds=(bind,), user="7:8").mounts if item.destination == "/x")
    assert mount.uid_mappings == (IdMapping(container_id=status.st_uid, host_id=100007, size=1),)
    assert mount.gid_mappings == (IdMapping(container_id=status.st_gid, host_id=300008, size=1),)


def test_a_mapped_bind_takes_the_containers_map(tmp_path: Path) -> None:
    bind = BindMount(source=str(tmp_path), target="/x", id_mapped=True)
    (mount,) = (item for item in spec(binds=(bind,)).mounts if item.destination == "/x")
    assert (mount.id_map, mount.uid_mappings) == ("ridmap", ())
