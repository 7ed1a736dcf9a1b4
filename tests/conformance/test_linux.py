"""config-linux.md: "Default Filesystems", "Devices", "Default Devices", "Cgroups Path", "Memory policy", "Sysctl",
"Rootfs Mount Propagation", "Masked Paths", "Readonly Paths", "Personality"; runtime-linux.md: "File descriptors", "/dev
symbolic links".
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.bundles import Box

# ---- Default Filesystems, Default Devices, links


@pytest.mark.parametrize(
    ("path", "type"), [("/proc", "proc"), ("/sys", "sysfs"), ("/dev/pts", "devpts"), ("/dev/shm", "tmpfs")]
)
def test_the_default_file_systems_are_there(box: Box, path: str, type: str) -> None:
    assert f" {path} {type} " in box.shell("cat /proc/mounts")


@pytest.mark.parametrize(
    ("name", "major", "minor"),
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)],
)
@pytest.mark.parametrize("user_namespace", [False, True])
def test_the_default_devices_are_there_for_everybody(
    box: Box, name: str, major: int, minor: int, user_namespace: bool
) -> None:
    if user_namespace:
        box.in_user_namespace()
    assert box.shell(f"stat -c '%F %t %T %a' /dev/{name}") == f"character special file {major:x} {minor:x} 666"


def test_ptmx_is_the_containers_own(box: Box) -> None:
    assert box.shell("readlink /dev/ptmx || stat -c '%t %T' /dev/ptmx") in ("pts/ptmx", "/dev/pts/ptmx", "5 2")


@pytest.mark.parametrize(
    ("link", "target"),
    [
        ("/dev/fd", "/proc/self/fd"),
        ("/dev/stdin", "/proc/self/fd/0"),
        ("/dev/stdout", "/proc/self/fd/1"),
        ("/dev/stderr", "/proc/self/fd/2"),
    ],
)
def test_the_links_of_dev(box: Box, link: str, target: str) -> None:
    assert box.shell(f"readlink {link}") == target


def test_only_the_standard_streams_are_open(box: Box) -> None:
    """runtime-linux.md, "File descriptors"."""
    box.process["args"] = ["ls", "-l", "/proc/self/fd"]
    rows = [line.split() for line in box.run().stdout.splitlines() if "->" in line]
    assert {row[-3] for row in rows if not row[-1].startswith("/proc/")} == {"0", "1", "2"}


def test_as_many_further_descriptors_as_asked_for_stay(box: Box) -> None:
    box.process["args"] = ["sh", "-c", "cat <&3; readlink /proc/self/fd/4 >/dev/null && echo four"]
    file = box.path / "three"
    file.write_text("three\n")
    box.save()
    words = [*box.runtime.words, "run", "--preserve-fds", "1", "--bundle", str(box.path), box.id]
    done = subprocess.run(
        ["sh", "-c", 'exec 3<"$0" 4<"$0"; exec "$@"', str(file), *words], capture_output=True, text=True, check=False
    )
    assert done.stdout == "three\n", done.stderr


# ---- Devices


def device(path: str, kind: str, major: int = 0, minor: int = 0, **more: int) -> dict[str, Any]:
    return {"path": path, "type": kind, **more} | ({} if kind == "p" else {"major": major, "minor": minor})


@pytest.mark.parametrize(
    ("entry", "seen"),
    [
        (device("/dev/fuse", "c", 10, 229, fileMode=0o640, uid=3, gid=4), "character special file a e5 640 3 4"),
        (device("/dev/disk/by-id/x", "b", 8, 0, fileMode=0o600), "block special file 8 0 600 0 0"),
        (device("/dev/unbuffered", "u", 1, 3, fileMode=0o666), "character special file 1 3 666 0 0"),
        (device("/dev/pipe", "p", fileMode=0o622, uid=5), "fifo 0 0 622 5 0"),
        (device("/opt/elsewhere", "c", 1, 5, fileMode=0o444), "character special file 1 5 444 0 0"),
    ],
    ids=lambda value: value["path"] if isinstance(value, dict) else "",
)
def test_a_device_is_there_with_number_mode_and_owner(box: Box, entry, seen: str) -> None:
    box.linux["devices"] = [entry]
    box.linux["resources"] = {"devices": [{"allow": True, "access": "rwm"}]}
    assert box.shell(f"stat -c '%F %t %T %a %u %g' {entry['path']}") == seen


def test_a_device_may_be_named_twice_and_with_a_slash_at_its_end(box: Box) -> None:
    box.linux["devices"] = [device("/dev/twice/", "c", 1, 3), device("/dev/twice", "c", 1, 3)]
    assert box.shell("stat -c '%F %t %T' /dev/twice") == "character special file 1 3"


def test_a_file_that_is_not_the_device_is_an_error(box: Box) -> None:
    (box.rootfs / "opt").mkdir()
    (box.rootfs / "opt/device").write_text("a file of the image")
    box.linux["devices"] = [device("/opt/device", "c", 1, 3)]
    assert box.create(check=False).returncode == 1
    assert (box.rootfs / "opt/device").read_text() == "a file of the image"


def test_a_device_through_a_link_stays_inside(box: Box) -> None:
    outside = box.path / "outside"
    outside.mkdir()
    (box.rootfs / "link").symlink_to(outside)
    box.linux["devices"] = [device("/link/device", "c", 1, 3)]
    box.create(check=False)
    assert list(outside.iterdir()) == []


# ---- Cgroups Path


def own_cgroup(box: Box) -> Path:
    """Give the directory of the container's cgroup v2, looked up from outside."""
    (line,) = [
        line for line in Path(f"/proc/{box.state()['pid']}/cgroup").read_text().splitlines() if line.startswith("0::")
    ]
    (mount,) = {row.split()[4] for row in Path("/proc/self/mountinfo").read_text().splitlines() if " - cgroup2 " in row}
    return Path(mount + line[3:])


def test_an_absolute_path_is_relative_to_the_mount_of_cgroups(box: Box) -> None:
    box.linux["cgroupsPath"] = f"/{box.id}-top/{box.id}"
    box.create()
    found = own_cgroup(box)
    assert found.parts[-2:] == (f"{box.id}-top", box.id)
    box.delete("--force")
    assert not found.exists()
    if found.parent.exists():
        found.parent.rmdir()


def test_the_same_path_leads_to_the_same_place(box: Box) -> None:
    places = []
    for _ in range(2):
        box.linux["cgroupsPath"] = f"{box.id}-relative"
        box.create()
        places.append(own_cgroup(box))
        box.delete("--force")
    assert places[0] == places[1]


@pytest.mark.parametrize("path", ["../outside", "/a/../../outside", "a\nb"])
def test_a_path_that_leaves_the_tree_is_refused(box: Box, path: str) -> None:
    box.linux["cgroupsPath"] = path
    assert box.create(check=False).returncode == 1
    assert not box.exists()


def test_a_unified_key_without_its_controller_is_an_error(box: Box) -> None:
    box.linux["resources"] = {"unified": {"nosuch.max": "1"}}
    assert box.create(check=False).returncode == 1
    assert not box.exists()


# ---- Memory policy, Personality, Sysctl


@pytest.mark.needs("x86_64")
@pytest.mark.parametrize(
    ("policy", "shown"),
    [
        ({"mode": "MPOL_BIND", "nodes": "0"}, "bind:0"),
        ({"mode": "MPOL_INTERLEAVE", "nodes": "0"}, "interleave:0"),
        ({"mode": "MPOL_PREFERRED", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]}, "prefer=static:0"),
        ({"mode": "MPOL_LOCAL"}, "local"),
        ({"mode": "MPOL_DEFAULT"}, "default"),
    ],
    ids=lambda value: value["mode"] if isinstance(value, dict) else "",
)
def test_the_memory_policy_is_set(box: Box, policy, shown: str) -> None:
    if not Path("/proc/self/numa_maps").exists():
        pytest.fail("this kernel has no NUMA")
    box.linux["memoryPolicy"] = policy
    assert box.shell("head -n 1 /proc/self/numa_maps").split()[1] == shown


@pytest.mark.parametrize(
    "policy",
    [
        {"mode": "MPOL_NOSUCH"},
        {"mode": "MPOL_BIND"},
        {"mode": "MPOL_DEFAULT", "nodes": "0"},
        {"mode": "MPOL_BIND", "nodes": "a"},
    ],
)
def test_a_memory_policy_that_cannot_be_is_an_error(box: Box, policy) -> None:
    box.linux["memoryPolicy"] = policy
    assert box.create(check=False).returncode == 1


@pytest.mark.needs("x86_64")
@pytest.mark.parametrize(("domain", "machine"), [("LINUX", "x86_64"), ("LINUX32", "i686")])
def test_the_personality_is_what_uname_shows(box: Box, domain: str, machine: str) -> None:
    box.linux["personality"] = {"domain": domain}
    assert box.shell("uname -m") == machine


def test_an_unknown_personality_is_an_error(box: Box) -> None:
    box.linux["personality"] = {"domain": "BSD"}
    assert box.create(check=False).returncode == 1


def test_kernel_parameters_of_own_namespaces_are_set(box: Box) -> None:
    box.linux["sysctl"] = {"net.core.somaxconn": "256", "kernel.msgmax": "4096", "net.ipv4.ip_forward": "1"}
    before = Path("/proc/sys/kernel/msgmax").read_text()
    assert box.shell("cd /proc/sys; cat net/core/somaxconn kernel/msgmax net/ipv4/ip_forward") == "256\n4096\n1"
    assert Path("/proc/sys/kernel/msgmax").read_text() == before


@pytest.mark.parametrize(
    ("name", "kind"), [("net.core.somaxconn", "network"), ("kernel.msgmax", "ipc"), ("vm.swappiness", "")]
)
def test_a_kernel_parameter_of_the_host_is_refused(box: Box, name: str, kind: str) -> None:
    if kind:
        box.without_namespace(kind)
    box.linux["sysctl"] = {name: "100"}
    before = Path("/proc/sys", *name.split(".")).read_text()
    assert box.create(check=False).returncode == 1
    assert Path("/proc/sys", *name.split(".")).read_text() == before


# ---- Rootfs Mount Propagation


@pytest.mark.parametrize("kind", ["shared", "slave", "private", "unbindable"])
def test_the_propagation_of_the_root(box: Box, kind: str) -> None:
    subprocess.run(["mount", "--bind", box.path, box.path], check=True)
    try:
        subprocess.run(["mount", "--make-shared", box.path], check=True)
        box.linux["rootfsPropagation"] = kind
        (line,) = [row for row in box.shell("cat /proc/self/mountinfo").splitlines() if row.split()[4] == "/"]
    finally:
        subprocess.run(["umount", "-l", box.path], check=True)
    ties = {tie.partition(":")[0] for tie in line.partition(" - ")[0].split()[6:]}
    assert ties == {"shared": {"shared"}, "slave": {"master"}, "private": set(), "unbindable": {"unbindable"}}[
        kind
    ] or (kind == "shared" and "shared" in ties)


# ---- Masked Paths, Readonly Paths


def test_masked_files_and_directories_cannot_be_read(box: Box) -> None:
    (box.rootfs / "secret").mkdir()
    (box.rootfs / "secret/file").write_text("secret")
    (box.rootfs / "secret.txt").write_text("secret")
    box.linux["maskedPaths"] = ["/secret", "/secret.txt", "/proc/kcore", "/not/there"]
    script = "ls /secret | wc -l; cat /secret.txt; cat /proc/kcore; touch /secret/new 2>/dev/null || echo refused"
    assert box.shell(script).split() == ["0", "refused"]


def test_read_only_paths_cannot_be_written_and_all_beneath_neither(box: Box) -> None:
    (box.rootfs / "settings/below").mkdir(parents=True)
    (box.rootfs / "settings/file").write_text("value\n")
    box.mount("/settings/below", "tmpfs", "tmpfs")
    box.linux["readonlyPaths"] = ["/settings", "/proc/sys", "/not/there"]
    script = (
        "cat /settings/file; for f in settings/file settings/below/new proc/sys/kernel/hostname; do "
        "(echo x > /$f) 2>/dev/null || echo refused; done"
    )
    assert box.shell(script).split() == ["value", "refused", "refused", "refused"]


@pytest.mark.parametrize("key", ["maskedPaths", "readonlyPaths"])
def test_a_path_that_is_a_link_of_the_image_leads_nowhere_outside(box: Box, key: str) -> None:
    victim = box.path / "victim"
    victim.write_text("of the host")
    (box.rootfs / "link").symlink_to(victim)
    box.linux[key] = ["/link"]
    box.run(check=False)
    assert victim.read_text() == "of the host"
    assert os.access(victim, os.W_OK)


@pytest.mark.parametrize("path", ["proc/kcore", "/bin/.."])
def test_a_path_that_cannot_be_masked_is_an_error(box: Box, path: str) -> None:
    box.linux["maskedPaths"] = [path]
    assert box.create(check=False).returncode == 1


def test_the_root_may_be_a_read_only_path(box: Box) -> None:
    box.linux["readonlyPaths"] = ["/."]
    assert box.shell("touch /new 2>/dev/null || echo refused; touch /dev/shm/new && echo made") == "refused\nmade"
