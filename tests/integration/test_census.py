"""The census sees every kind of thing that can be left behind: a count that misses one proves nothing."""

from __future__ import annotations

import contextlib
import os
import shlex
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import hosts
from tests.census import MOUNTS_OF_OTHERS, Census
from tests.waiting import until

pytestmark = pytest.mark.no_census


@pytest.fixture
def census(tmp_path: Path) -> Census:
    for name in ("data", "run"):
        (tmp_path / name).mkdir()
    return Census(tmp_path / "data", tmp_path / "run")


def kinds(census: Census) -> set[str]:
    return {line.partition(" left: ")[0] for line in census.leaks(deadline_seconds=0)}


@contextlib.contextmanager
def undone(*words: str | Path) -> Iterator[None]:
    """Run the undoing command at the end, whatever happened."""
    try:
        yield
    finally:
        subprocess.run(words, check=True)


def test_nothing_is_nothing(census: Census) -> None:
    assert census.leaks(deadline_seconds=0) == []


def test_a_child_is_seen(census: Census) -> None:
    child = subprocess.Popen(["sleep", "100"])
    try:
        assert "process" in kinds(census)
    finally:
        child.kill()
        child.wait()


def test_an_orphan_in_a_mount_namespace_with_our_root_in_it_is_seen(census: Census) -> None:
    """What a container looks like whose monitor has gone: not a child, in no cgroup of ours."""
    inner = f"mount -t tmpfs tmpfs {census.root}; exec sleep 100"
    script = f"unshare -m --propagation private sh -c '{inner}' >/dev/null 2>&1 & echo $!"
    pid = int(subprocess.check_output(["setsid", "sh", "-c", script], text=True))
    with undone("kill", str(pid)):
        until("the orphan to be seen", lambda: "process" in kinds(census))
        lines = census.leaks(deadline_seconds=0)
        assert any(line.startswith("namespace left: mnt:") for line in lines)


def test_a_zombie_that_somebody_else_has_to_read_is_no_leak(census: Census) -> None:
    """As one that init or a subreaper has adopted: it carries our cgroup's name, and its parent takes its time."""
    top = hosts.cgroup_mount() / f"minirun-{census.tag}"
    top.mkdir()
    script = f"echo $$ >{top}/cgroup.procs; exec true"
    source = f"import os, time; os.spawnv(os.P_NOWAIT, '/bin/sh', ['sh', '-c', {script!r}]); time.sleep(100)"
    command = f"{sys.executable} -c {shlex.quote(source)} >/dev/null 2>&1 & echo $!"
    parent = int(subprocess.check_output(["setsid", "sh", "-c", command], text=True))
    with undone("rmdir", top), undone("kill", str(parent)):
        children = Path(f"/proc/{parent}/task/{parent}/children")
        until("the zombie", lambda: any(_state(pid) == "Z" for pid in children.read_text().split()))
        assert f"minirun-{census.tag}" in Path(f"/proc/{children.read_text().strip()}/cgroup").read_text()
        assert "process" not in kinds(census)


def _state(pid: str) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_a_mount_is_seen(census: Census) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", census.run_root], check=True)
    with undone("umount", census.run_root):
        assert "mount" in kinds(census)


def test_a_cgroup_is_seen(census: Census) -> None:
    top = hosts.cgroup_mount() / f"minirun-{census.tag}"
    (top / "container").mkdir(parents=True)
    with undone("rmdir", top / "container", top):
        assert "cgroup" in kinds(census)


def test_a_link_on_our_bridge_is_seen(census: Census) -> None:
    bridge = f"mr-{census.tag}"
    subprocess.run(["ip", "link", "add", bridge, "type", "bridge"], check=True)
    with undone("ip", "link", "del", bridge):
        assert "link" not in kinds(census)  # the bridge itself is made once and kept
        name = f"mrt{os.getpid() % 100000}"
        subprocess.run(["ip", "link", "add", name, "type", "veth", "peer", "name", f"{name}p"], check=True)
        with undone("ip", "link", "del", name):
            subprocess.run(["ip", "link", "set", name, "master", bridge], check=True)
            assert "link" in kinds(census)


def test_on_a_machine_of_our_own_every_mount_and_link_is_seen_but_those_of_others(tmp_path: Path) -> None:
    """What docker, podman and the init system do meanwhile is no leak of ours."""
    census = Census(tmp_path / "data", tmp_path / "run", whole_host=True)
    others, ours = Path(f"/run/credentials/test-{os.getpid()}"), tmp_path / "mount"
    link = f"veth{os.getpid():07x}"
    with contextlib.ExitStack() as undo:
        for place in (others.parent, others, ours):
            if place.exists():
                continue
            place.mkdir()
            undo.enter_context(undone("rmdir", place))
        subprocess.run(["ip", "link", "add", link, "type", "bridge"], check=True)
        undo.enter_context(undone("ip", "link", "del", link))
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", others], check=True)
        undo.enter_context(undone("umount", others))
        mine = [line for line in census.leaks(deadline_seconds=0) if str(others) in line or link in line]
        assert mine == []
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", ours], check=True)
        undo.enter_context(undone("umount", ours))
        subprocess.run(["ip", "link", "add", f"mrt{os.getpid()}", "type", "bridge"], check=True)
        undo.enter_context(undone("ip", "link", "del", f"mrt{os.getpid()}"))
        lines = census.leaks(deadline_seconds=0)
        assert f"mount left: {ours} (tmpfs /)" in lines
        assert f"link left: mrt{os.getpid()}" in lines


@pytest.mark.parametrize(
    "mount", ["/run/netns (tmpfs /netns)", "/run/netns/blue (nsfs net:[4026532008])", "/run/netns"]
)
def test_what_ip_netns_leaves_is_no_leak(mount: str) -> None:
    """The first `ip netns add` of a machine makes /run/netns a mount, whichever test it is that calls it. ip-netns(8)."""
    assert MOUNTS_OF_OTHERS.match(mount)
    assert not MOUNTS_OF_OTHERS.match(mount.replace("netns", "netnsx", 1))


def test_an_element_of_our_table_is_seen(census: Census) -> None:
    table = f"inet minirun_{census.tag}"
    rules = f"table {table} {{ map ports {{ type inet_service : ipv4_addr; }}; }}"
    subprocess.run(["nft", rules], check=True)
    with undone("nft", f"delete table {table}"):
        assert "nftables element" not in kinds(census)
        subprocess.run(["nft", f"add element {table} ports {{ 80 : 10.0.0.1 }}"], check=True)
        assert "nftables element" in kinds(census)


def test_a_descriptor_is_seen(census: Census) -> None:
    number = os.open("/dev/null", os.O_RDONLY)
    try:
        assert "descriptor of this process" in kinds(census)
    finally:
        os.close(number)


def test_a_file_and_a_row_are_seen(census: Census) -> None:
    with contextlib.closing(sqlite3.connect(census.root / "minirun.db")) as connection:
        connection.execute("CREATE TABLE leases (number INTEGER)")
        connection.execute("INSERT INTO leases VALUES (7)")
        connection.commit()
    assert "row" in kinds(census)
    (census.run_root / "lock").touch()
    assert "file" in kinds(census)
