"""config-linux.md: "Namespaces", "User namespace mappings", "Offset for Time Namespace", "Network Devices"."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.bundles import Box, Runtime, namespace_of

FILES = {
    "pid": "pid",
    "network": "net",
    "mount": "mnt",
    "ipc": "ipc",
    "uts": "uts",
    "user": "user",
    "cgroup": "cgroup",
    "time": "time",
}


def waiting(box: Box) -> int:
    """Create and start a container that stays; give its process."""
    box.process["args"] = ["sleep", "1000"]
    box.create()
    box.start()
    pid: int = box.state()["pid"]
    return pid


class Holder:
    """A process of the host in new namespaces, to be joined by path."""

    def __init__(self, *options: str) -> None:
        self.process = subprocess.Popen(
            ["unshare", *options, "sh", "-c", "echo; exec sleep 1000"], stdout=subprocess.PIPE, start_new_session=True
        )
        assert self.process.stdout is not None
        self.process.stdout.read(1)
        self.process.stdout.close()

    def path(self, name: str) -> str:
        if name != "pid":
            return f"/proc/{self.process.pid}/ns/{name}"
        return f"/proc/{self.process.pid}/ns/pid_for_children"

    def make_interfaces(self, name: str, peer: str) -> None:
        words = ("ip", "link", "add", name, "type", "veth", "peer", "name", peer)
        subprocess.run(["nsenter", f"--net={self.path('net')}", *words], check=True)

    def end(self) -> None:
        os.killpg(self.process.pid, 9)
        self.process.wait()


@pytest.fixture
def holder() -> Iterator[Holder]:
    found = Holder("--mount", "--ipc", "--net", "--uts", "--cgroup", "--time", "--pid", "--fork", "--kill-child")
    yield found
    found.end()


@pytest.mark.parametrize("kind", ["pid", "network", "ipc", "uts", "mount", "cgroup", "time", "user"])
def test_a_namespace_without_a_path_is_new(box: Box, kind: str) -> None:
    if kind == "user":
        box.in_user_namespace()
    else:
        box.namespace(kind)
    assert namespace_of(waiting(box), FILES[kind]) != namespace_of("self", FILES[kind])


@pytest.mark.parametrize("kind", ["pid", "network", "ipc", "uts", "mount", "cgroup", "time", "user"])
def test_a_namespace_that_is_not_named_is_the_runtimes(box: Box, kind: str) -> None:
    box.without_namespace(kind)
    assert namespace_of(waiting(box), FILES[kind]) == namespace_of("self", FILES[kind])


@pytest.mark.parametrize("kind", ["network", "ipc", "uts", "mount", "cgroup", "pid"])
def test_a_namespace_with_a_path_is_joined(box: Box, holder: Holder, kind: str) -> None:
    path = holder.path(FILES[kind])
    box.namespace(kind, path)
    assert namespace_of(waiting(box), FILES[kind]) == os.readlink(path)


def test_a_time_namespace_with_a_path_is_joined(box: Box, holder: Holder) -> None:
    path = f"/proc/{holder.process.pid}/ns/time_for_children"
    box.namespace("time", path)
    assert namespace_of(waiting(box), "time") == os.readlink(path)


def test_several_namespaces_are_joined_at_once(box: Box, holder: Holder) -> None:
    for kind in ("network", "ipc", "uts", "pid"):
        box.namespace(kind, holder.path(FILES[kind]))
    pid = waiting(box)
    for kind in ("network", "ipc", "uts", "pid"):
        assert namespace_of(pid, FILES[kind]) == os.readlink(holder.path(FILES[kind]))


def test_a_container_joins_the_namespaces_of_another(box: Box, make_box, runtime) -> None:
    first = waiting(box)
    second = make_box(runtime)
    for kind in ("network", "ipc", "pid"):
        second.namespace(kind, f"/proc/{first}/ns/{FILES[kind]}")
    assert namespace_of(waiting(second), "net") == namespace_of(first, "net")
    second.delete("--force")
    assert box.state()["status"] == "running"


@pytest.mark.parametrize(("kind", "other"), [("network", "uts"), ("pid", "net"), ("ipc", "mnt"), ("uts", "user")])
def test_a_path_of_another_kind_is_an_error(box: Box, kind: str, other: str) -> None:
    box.namespace(kind, f"/proc/self/ns/{other}")
    assert box.create(check=False).returncode == 1
    assert not box.exists()


@pytest.mark.parametrize("path", ["/no/such/file", "relative/path", "/etc/passwd"])
def test_a_path_that_is_no_namespace_is_an_error(box: Box, path: str) -> None:
    box.namespace("network", path)
    assert box.create(check=False).returncode == 1
    assert not box.exists()


# ---- A mount namespace that others live in


@pytest.fixture(params=["the runtime's", "by path"])
def neighbour(request: pytest.FixtureRequest, box: Box, holder: Holder) -> str:
    """Put the box into a mount namespace that isn't its own; give a process that lives there."""
    if request.param == "by path":
        box.namespace("mount", holder.path("mnt"))
        return str(holder.process.pid)
    box.without_namespace("mount")
    return "self"


def test_in_a_mount_namespace_of_others_a_container_has_its_own_root(box: Box, neighbour: str) -> None:
    (box.rootfs / "mine").touch()
    script = "ls -d /mine /proc/self/status /dev/null; cd /; cd ../../..; ls -d mine; grep -c . /proc/self/mountinfo"
    seen = box.shell(f"{script} || true").split()
    assert seen == ["/dev/null", "/mine", "/proc/self/status", "mine", "0"]
    assert neighbour


def test_in_a_mount_namespace_of_others_no_mount_is_made_and_no_root_moved(box: Box, neighbour: str) -> None:
    def seen() -> tuple[str, list[str]]:
        return Path(f"/proc/{neighbour}/mountinfo").read_text(), os.listdir(f"/proc/{neighbour}/root")

    box.linux["rootfsPropagation"] = "private"
    box.config["root"]["readonly"] = True
    before = seen()
    pid = waiting(box)
    assert seen() == before
    assert namespace_of(pid, "mnt") == namespace_of(neighbour, "mnt")
    box.delete("--force")
    assert seen() == before


def test_a_further_process_gets_the_root_of_such_a_container(box: Box, neighbour: str) -> None:
    (box.rootfs / "mine").touch()
    pid = waiting(box)
    words = ["ls", "-d", "/mine", "/proc/self/ns", "/dev/shm"]
    assert box.runtime("exec", box.id, *words).stdout.split() == ["/dev/shm", "/mine", "/proc/self/ns"]
    inside = box.runtime("exec", box.id, "readlink", "/proc/self/ns/mnt").stdout.strip()
    assert inside == namespace_of(pid, "mnt") == namespace_of(neighbour, "mnt")


def test_a_path_that_is_no_mount_namespace_is_an_error(box: Box) -> None:
    box.namespace("mount", "/proc/self/ns/net")
    assert box.create(check=False).returncode == 1
    assert not box.exists()


def test_a_user_namespace_needs_a_mount_namespace(box: Box) -> None:
    box.in_user_namespace()
    box.without_namespace("mount")
    done = box.create(check=False)
    assert done.returncode == 1
    assert "a container with a user namespace needs a mount namespace" in done.stderr
    assert not box.exists()


# ---- User namespace mappings


def test_ids_are_mapped(box: Box) -> None:
    box.in_user_namespace(123000)
    box.process["user"] = {"uid": 7, "gid": 8}
    pid = waiting(box)
    status = dict(line.partition(":")[::2] for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    assert status["Uid"].split() == ["123007"] * 4
    assert status["Gid"].split() == ["123008"] * 4
    assert Path(f"/proc/{pid}/uid_map").read_text().split() == ["0", "123000", "65536"]
    assert Path(f"/proc/{pid}/gid_map").read_text().split() == ["0", "123000", "65536"]


def test_several_ranges_can_be_mapped(box: Box) -> None:
    box.in_user_namespace(100000)
    ranges = [(0, 100000, 10), (10, 5000, 1), (20, 200000, 1000)]
    box.linux["uidMappings"] = [{"containerID": a, "hostID": b, "size": c} for a, b, c in ranges]
    wanted = [str(number) for numbers in ranges for number in numbers]
    assert box.shell("cat /proc/self/uid_map").split() == wanted


def test_the_root_file_system_keeps_its_owners(box: Box) -> None:
    """The runtime SHOULD NOT modify the ownership of referenced file systems."""
    box.in_user_namespace(100000)
    file = box.rootfs / "bin/busybox"
    os.chown(file, 4321, 4321, follow_symlinks=False)
    box.shell("true")
    assert file.lstat().st_uid == 4321


def test_devices_and_file_systems_are_there_in_a_user_namespace(box: Box) -> None:
    box.in_user_namespace()
    script = "echo x > /dev/null && head -c 1 /dev/zero | wc -c; stat -c %t,%T /dev/null; ls /proc/1 > /dev/null"
    assert box.shell(script) == "1\n1,3"


@pytest.fixture
def shared_box(make_box, runtime) -> Box:
    """A bundle on a host all of whose mounts are shared, as systemd has them."""
    words = ("unshare", "-m", "--propagation", "private", "sh", "-c", 'mount --make-rshared / && exec "$@"', "sh")
    found: Box = make_box(Runtime(runtime.name, (*words, *runtime.words)))
    return found


@pytest.mark.parametrize("is_mapped", [False, True], ids=["the host's users", "users of its own"])
def test_no_mount_is_tied_to_those_of_a_host_that_shares_its_own(shared_box: Box, is_mapped: bool) -> None:
    """What is mounted on a peer's, devices and root among them, is mounted on the host's."""
    if is_mapped:
        shared_box.in_user_namespace(100000)
    script = "grep -e ' shared:' -e ' master:' /proc/self/mountinfo || wc -l < /proc/self/mountinfo"
    assert shared_box.shell(script).isdecimal()


def test_a_private_mount_is_private_where_the_root_follows_the_host(shared_box: Box, tmp_path: Path) -> None:
    shared_box.linux["rootfsPropagation"] = "rslave"
    shared_box.mount("/tied", "bind", str(tmp_path), "rbind", "rslave")
    shared_box.mount("/private", "bind", str(tmp_path), "rbind", "rprivate")
    lines = shared_box.shell("grep -e ' /tied ' -e ' /private ' /proc/self/mountinfo").splitlines()
    assert [" master:" in line for line in lines] == [True, False]


def test_message_queues_belong_to_root_of_the_user_namespace(box: Box) -> None:
    box.in_user_namespace(100000)
    box.mount("/dev/mqueue", "mqueue", "mqueue")
    assert box.shell("stat -c %u:%g /dev/mqueue; touch /dev/mqueue/queue; stat -c %u /dev/mqueue/queue") == "0:0\n0"


def test_a_new_user_namespace_without_mappings_is_an_error(box: Box) -> None:
    box.namespace("user")
    assert box.create(check=False).returncode == 1


def test_a_user_namespace_of_another_container_is_joined(box: Box, make_box, runtime) -> None:
    box.in_user_namespace()
    first = waiting(box)
    second = make_box(runtime)
    second.in_user_namespace()
    second.namespace("user", f"/proc/{first}/ns/user")
    del second.linux["uidMappings"], second.linux["gidMappings"]
    assert namespace_of(waiting(second), "user") == namespace_of(first, "user")


# ---- Offset for Time Namespace


def test_clocks_of_a_time_namespace_are_set_off(box: Box) -> None:
    box.namespace("time")
    box.linux["timeOffsets"] = {"boottime": {"secs": 604800}, "monotonic": {"secs": 172800, "nanosecs": 5}}
    seen = box.shell("cat /proc/self/timens_offsets; cut -d. -f1 /proc/uptime").split()
    assert seen[:6] == ["monotonic", "172800", "5", "boottime", "604800", "0"]
    assert int(seen[6]) >= 604800


def test_offsets_without_a_time_namespace_are_an_error(box: Box) -> None:
    box.linux["timeOffsets"] = {"boottime": {"secs": 1}}
    assert box.create(check=False).returncode == 1


# ---- Network Devices


class Network:
    """A network namespace of this test's own, which stands for the host's: the runtime is started in it."""

    def __init__(self, box: Box) -> None:
        self.name = f"conformance-{os.getpid()}"
        self.ip("netns", "add", self.name)
        self.inside("ip", "link", "add", "minirun-a", "type", "veth", "peer", "name", "minirun-b")
        self.inside("ip", "link", "set", "minirun-b", "up")
        # Not by `ip netns exec`, which covers /sys, and with it the cgroups.
        box.runtime = Runtime(box.runtime.name, ("nsenter", f"--net=/run/netns/{self.name}", *box.runtime.words))

    def ip(self, *words: str) -> None:
        subprocess.run(["ip", *words], check=True)

    def inside(self, *words: str) -> str:
        return subprocess.run(
            ["ip", "netns", "exec", self.name, *words], check=True, capture_output=True, text=True
        ).stdout

    def remove(self) -> None:
        self.ip("netns", "delete", self.name)


@pytest.fixture
def network(box: Box) -> Iterator[Network]:
    plain = box.runtime
    found = Network(box)
    yield found
    box.runtime = plain
    box.runtime("delete", "--force", box.id)
    found.remove()


def test_a_network_device_is_moved_renamed_brought_up_and_keeps_its_addresses(box: Box, network: Network) -> None:
    for address in ("192.0.2.7/24", "2001:db8::7/64"):
        network.inside("ip", "address", "add", address, "dev", "minirun-a", *(["nodad"] if ":" in address else []))
    network.inside("ip", "link", "set", "minirun-a", "mtu", "1400")
    box.linux["netDevices"] = {"minirun-a": {"name": "inside0"}}
    seen = box.shell("ip address show dev inside0")
    assert "minirun-a" not in network.inside("ip", "link")
    assert "192.0.2.7/24" in seen
    assert "2001:db8::7/64" in seen
    assert "mtu 1400" in seen
    assert "UP" in seen.splitlines()[0]


def test_a_network_device_without_a_new_name_keeps_its_own(box: Box, network: Network) -> None:
    box.linux["netDevices"] = {"minirun-a": {}}
    assert "minirun-a" in box.shell("ip link show dev minirun-a")
    assert network.name


def test_a_template_gives_a_name_that_is_free(box: Box, network: Network) -> None:
    box.linux["netDevices"] = {"minirun-a": {"name": "eth%d"}}
    assert "eth0" in box.shell("ip link show dev eth0")
    assert network.name


def test_a_network_device_moves_into_a_namespace_that_is_joined(box: Box, network: Network, holder: Holder) -> None:
    network.inside("ip", "address", "add", "192.0.2.7/24", "dev", "minirun-a")
    box.namespace("network", holder.path("net"))
    box.linux["netDevices"] = {"minirun-a": {"name": "inside0"}}
    seen = box.shell("ip address show dev inside0")
    assert "192.0.2.7/24" in seen
    assert "UP" in seen.splitlines()[0]


def test_a_template_gives_a_name_that_is_free_in_a_namespace_that_is_joined(
    box: Box, network: Network, holder: Holder
) -> None:
    holder.make_interfaces("eth0", "eth1")
    box.namespace("network", holder.path("net"))
    box.linux["netDevices"] = {"minirun-a": {"name": "eth%d"}}
    assert "eth2" in box.shell("ip link show dev eth2")
    assert "minirun-a" not in network.inside("ip", "link")


def test_a_name_that_is_taken_where_it_is_joined_is_an_error_and_the_device_stays(
    box: Box, network: Network, holder: Holder
) -> None:
    holder.make_interfaces("eth0", "eth1")
    box.namespace("network", holder.path("net"))
    box.linux["netDevices"] = {"minirun-a": {"name": "eth1"}}
    assert "the name eth1 is taken" in box.create(check=False).stderr
    assert "minirun-a" in network.inside("ip", "link")


def test_an_address_for_a_while_stays_outside(box: Box, network: Network) -> None:
    """A lease isn't renewed where nobody knows of it."""
    network.inside("ip", "address", "add", "192.0.2.7/24", "dev", "minirun-a")
    lease = ("valid_lft", "1000", "preferred_lft", "1000")
    network.inside("ip", "address", "add", "192.0.2.9/24", "dev", "minirun-a", *lease)
    box.linux["netDevices"] = {"minirun-a": {"name": "inside0"}}
    seen = box.shell("ip address show dev inside0")
    assert "192.0.2.7/24" in seen
    assert "192.0.2.9" not in seen


def test_a_name_that_is_taken_inside_is_an_error_and_the_device_stays(box: Box, network: Network) -> None:
    box.linux["netDevices"] = {"minirun-a": {"name": "lo"}}
    assert box.create(check=False).returncode == 1
    assert "minirun-a" in network.inside("ip", "link")


def test_a_network_device_that_is_missing_is_an_error(box: Box, network: Network) -> None:
    box.linux["netDevices"] = {"nosuch0": {}}
    assert box.create(check=False).returncode == 1
    assert network.name
    assert not box.exists()


def test_a_user_namespace_on_the_runtimes_network_has_mounts_below_sys(box: Box) -> None:
    """sysfs belongs to the network namespace: what is seen there is the host's, and other file systems lie on it."""
    box.in_user_namespace()
    box.without_namespace("network")
    box.mount("/sys/fs/cgroup", "cgroup", "cgroup", "ro")
    assert box.shell("head -n1 /sys/fs/cgroup/cgroup.procs; [ -d /sys/class/net/lo ] && echo lo").split() == ["1", "lo"]


def test_a_network_device_needs_a_network_namespace(box: Box, network: Network) -> None:
    box.without_namespace("network")
    box.linux["netDevices"] = {"minirun-a": {"name": "inside0"}}
    assert box.create(check=False).returncode == 1
    assert "minirun-a" in network.inside("ip", "link")
