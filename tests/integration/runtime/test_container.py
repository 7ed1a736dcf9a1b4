"""What a container sees and may do, by default: one property per test, against a real kernel."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from minirun.engine.config import BindMount, Device, TmpfsMount, Ulimit
from minirun.engine.spec import DEFAULT_CAPABILITIES
from minirun.engine.spec_mounts import masked_paths
from minirun.runtime import capabilities
from minirun.runtime.cgroups import Hierarchy
from minirun.runtime.spec import READONLY_PATHS
from minirun.runtime.syscall_table import numbers
from tests.integration.runtime.conftest import Container


def sets(status: str) -> dict[str, int]:
    return {line[:6]: int(line[7:], 16) for line in status.splitlines() if line.startswith("Cap")}


def test_root_holds_exactly_the_promised_capabilities(container: Container) -> None:
    held = sets(container.shell("cat /proc/self/status"))
    expected = DEFAULT_CAPABILITIES & capabilities.of_host()
    assert held == {"CapInh": 0, "CapAmb": 0, "CapPrm": expected, "CapEff": expected, "CapBnd": expected}


def test_cve_2022_24769_no_user_has_inheritable_or_ambient_capabilities(container: Container) -> None:
    held = sets(container.shell("cat /proc/self/status", user="alice"))
    expected = DEFAULT_CAPABILITIES & capabilities.of_host()
    assert held == {"CapInh": 0, "CapAmb": 0, "CapPrm": 0, "CapEff": 0, "CapBnd": expected}


def test_dropped_and_added_capabilities(container: Container) -> None:
    held = sets(
        container.shell("cat /proc/self/status", capabilities_drop=("ALL",), capabilities_add=("KILL", "chown"))
    )
    assert held["CapBnd"] == held["CapEff"] == capabilities.mask(["KILL", "CHOWN"])


def test_a_capability_that_this_process_has_lost_is_none_that_the_host_gives() -> None:
    look = (
        "from minirun.runtime.capabilities import has, of_host; print(has(of_host(), 'CHOWN'), has(of_host(), 'KILL'))"
    )
    words = ["setpriv", "--bounding-set", "-chown", sys.executable, "-c", look]
    assert subprocess.check_output(words, text=True) == "False True\n"


def test_masked_paths_show_nothing(container: Container) -> None:
    script = (
        'for path in "$@"; do if [ -d "$path" ]; then ls -A "$path"; elif [ -e "$path" ]; then cat "$path"; fi; done'
    )
    outcome = container.run("sh", "-c", script, "sh", *masked_paths())
    assert (outcome.output, outcome.exit_code, outcome.diagnostics) == ("", 0, "")


def test_kernel_files_cannot_be_written(container: Container) -> None:
    for path in (*READONLY_PATHS, "/proc/sys/kernel/core_pattern", "/sys/kernel", "/sys/fs/cgroup"):
        outcome = container.run("sh", "-c", f"if [ -d {path} ]; then touch {path}/new; else echo x > {path}; fi")
        assert outcome.exit_code != 0, path
    assert "Read-only file system" in container.run("sh", "-c", "echo x > /proc/sys/kernel/core_pattern").diagnostics


def test_dev_holds_what_docker_gives_and_nothing_else(container: Container) -> None:
    names = container.shell("ls -A /dev").split()
    core = "core " if os.path.exists("/proc/kcore") else ""  # as docker: a link that leads somewhere
    expected = core + "fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero"
    assert " ".join(sorted(names)) == expected
    assert container.shell("ls -A /dev/shm /dev/mqueue") == "/dev/mqueue:\n\n/dev/shm:"
    assert container.shell("echo gone > /dev/null; head -c 4 /dev/zero | wc -c") == "4"


def test_every_namespace_is_its_own(container: Container) -> None:
    kinds = sorted(os.listdir("/proc/self/ns"))
    script = "for kind in $(ls /proc/self/ns); do readlink /proc/self/ns/$kind; done"
    inside, sibling = container.shell(script).split(), container.shell(script).split()
    outside = [os.readlink(f"/proc/self/ns/{kind}") for kind in kinds]
    assert len(inside) == len(outside)
    for mine, his, host in zip(inside, sibling, outside, strict=True):
        if not host.startswith("user:"):
            assert len({mine, his, host}) >= 2, (mine, his, host)
            assert host not in (mine, his)


def test_mounts_are_those_of_the_container_with_their_flags(container: Container) -> None:
    mounts: dict[str, tuple[str, set[str]]] = {}
    for line in container.shell("cat /proc/self/mounts").splitlines():
        _, target, kind, options, *_ = line.split()
        mounts.setdefault(target, (kind, set(options.split(","))))
    assert mounts["/"][0] == "overlay"
    assert mounts["/proc"] == ("proc", {"rw", "nosuid", "nodev", "noexec", "relatime"})
    assert {"nosuid", "size=65536k", "mode=755"} <= mounts["/dev"][1]
    assert {"nosuid", "noexec", "gid=5", "mode=620", "ptmxmode=666"} <= mounts["/dev/pts"][1]
    assert {"ro", "nosuid", "nodev", "noexec"} <= mounts["/sys"][1]
    assert {"ro", "nosuid", "nodev", "noexec"} <= mounts["/sys/fs/cgroup"][1]
    assert {"nosuid", "nodev", "noexec", "size=65536k"} <= mounts["/dev/shm"][1]
    own = {"/", "/proc", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue", "/sys", "/sys/fs/cgroup"}
    files = {"/etc/hosts", "/etc/hostname", "/etc/resolv.conf"}
    covered = set(masked_paths()) | set(READONLY_PATHS)
    assert set(mounts) - own - files <= covered


def test_no_descriptor_of_the_host_is_open(container: Container) -> None:
    leaked = os.open("/", os.O_RDONLY)
    os.set_inheritable(leaked, True)
    try:
        assert container.shell("ls /proc/self/fd").split() == ["0", "1", "2", "3"]  # 3 is ls reading the directory
    finally:
        os.close(leaked)


def test_files_of_the_network_are_ours(container: Container) -> None:
    text = container.shell("cat /etc/hosts /etc/hostname /etc/resolv.conf; hostname")
    assert text == "our hosts\nour hostname\nour resolv.conf\n0123456789ab"


def test_the_cgroup_is_the_root_of_its_namespace_and_cannot_be_changed(container: Container) -> None:
    assert "0::/" in container.shell("cat /proc/self/cgroup").splitlines()
    outcome = container.run("sh", "-c", "echo 1 > /sys/fs/cgroup/cgroup.procs")
    assert outcome.exit_code != 0


def test_kernel_parameters_of_the_containers_own_network(container: Container) -> None:
    script = "cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/net/ipv4/ping_group_range"
    assert container.shell(script).split() == ["0", "0", "2147483647"]
    given = {"kernel.shm_rmid_forced": "1", "net.ipv4.ip_forward": "1", "net.ipv6.conf.lo.disable_ipv6": "1"}
    script = (
        "cat /proc/sys/kernel/shm_rmid_forced /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/lo/disable_ipv6"
    )
    assert container.shell(script, sysctls=given).split() == ["1", "1", "1"]


def test_the_user_is_looked_up_in_the_image(container: Container) -> None:
    assert container.shell("id; echo $HOME", user="alice", groups_add=("audio", "4711")) == (
        "uid=1000(alice) gid=1001(alice) groups=29(audio),50(staff),1001(alice),4711\n/home/alice"
    )
    assert container.shell("id -u; id -g; echo $HOME", user="7:8") == "7\n8\n/"


def test_environment_of_the_container_is_complete_and_nothing_else(container: Container) -> None:
    os.environ["MINIRUN_SECRET"] = "host"
    try:
        lines = set(container.shell("exec env", environment=("A=1 2",)).splitlines())
    finally:
        del os.environ["MINIRUN_SECRET"]
    path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    assert lines - {"PWD=/", "SHLVL=1"} == {path, "HOSTNAME=0123456789ab", "A=1 2", "HOME=/root"}


def test_the_working_directory_is_made(container: Container) -> None:
    assert container.shell("pwd; stat -c %a .", working_directory="/new/place") == "/new/place\n755"


def test_a_read_only_root_lets_nothing_be_written_but_tmpfs(container: Container) -> None:
    options = {"read_only": True, "tmpfs": (TmpfsMount(target="/scratch", options=("size=1m", "mode=700", "exec")),)}
    assert container.shell("touch /scratch/x /dev/shm/x; ls /scratch", **options) == "x"
    for path in ("/x", "/etc/x", "/etc/hosts", "/dev/../bin/x"):
        assert container.run("touch", path, **options).exit_code != 0


def test_a_tmpfs_has_dockers_flags_and_the_users(container: Container) -> None:
    tmpfs = TmpfsMount(target="/scratch", options=("size=1m", "mode=700", "exec"))
    line = container.shell("grep ' /scratch ' /proc/self/mounts", tmpfs=(tmpfs,))
    options = line.split()[3].split(",")
    assert {"nosuid", "nodev", "size=1024k", "mode=700"} <= set(options)
    assert "noexec" not in options


def test_binds_of_files_and_directories(container: Container, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / "page").write_text("hello\n")
    binds = (
        BindMount(source=str(shared), target="/data/deep/er"),
        BindMount(source=str(shared / "page"), target="/etc/page", read_only=True),
    )
    script = "cat /data/deep/er/page /etc/page; echo new > /data/deep/er/made; ! echo no 2>/dev/null > /etc/page"
    assert container.shell(script, binds=binds) == "hello\nhello"
    assert (shared / "made").read_text() == "new\n"
    assert (shared / "page").read_text() == "hello\n"


def test_a_read_only_bind_is_so_in_all_depth(container: Container, tmp_path: Path) -> None:
    """A file system mounted beneath the source would otherwise stay writable."""
    script = "echo x > /data/shm/../shm/new"
    bind = BindMount(source="/dev", target="/data", read_only=True)
    assert container.run("sh", "-c", script, binds=(bind,)).exit_code != 0


def test_resource_limits(container: Container) -> None:
    limits = (Ulimit(name="nofile", soft=64, hard=128), Ulimit(name="core", soft=0, hard=0))
    assert container.shell("ulimit -Sn; ulimit -Hn; ulimit -c", ulimits=limits).split() == ["64", "128", "0"]


def test_no_new_privileges_reaches_the_process(container: Container) -> None:
    script = "grep -E 'NoNewPrivs|Seccomp:' /proc/self/status"
    assert container.shell(script).split() == ["NoNewPrivs:", "0", "Seccomp:", "2"]
    options = {"security_options": ("no-new-privileges",)}
    assert container.shell(script, **options).split() == ["NoNewPrivs:", "1", "Seccomp:", "2"]
    assert container.shell(script, user="alice", **options).split() == ["NoNewPrivs:", "1", "Seccomp:", "2"]


def test_no_new_privileges_keeps_setuid_programs_down(container: Container) -> None:
    (container.root / "bin/probe").chmod(0o4755)
    geteuid = f"probe native {numbers(os.uname().machine)['geteuid']}"
    assert container.shell(geteuid, user="alice") == "0"
    assert container.shell(geteuid, user="alice", security_options=("no-new-privileges",)) == "1000"


def test_privileged_has_what_the_host_has(container: Container) -> None:
    script = "cat /proc/self/status; ls /dev; grep -E ' /sys | /sys/fs/cgroup ' /proc/self/mounts"
    output = container.shell(script, privileged=True)
    assert sets(output)["CapEff"] == capabilities.of_host()
    assert "Seccomp:\t0" in output
    assert {name for name in os.listdir("/dev") if stat.S_ISBLK(os.lstat(f"/dev/{name}").st_mode)} <= set(
        output.split()
    )
    assert " ro," not in output
    assert (
        container.shell("test -w /proc/sys/kernel/core_pattern; cat /proc/interrupts | wc -l", privileged=True) != "0"
    )


def test_all_paths_are_shown_when_asked(container: Container) -> None:
    options = {"security_options": ("systempaths=unconfined",)}
    assert container.shell("cat /proc/keys > /dev/null; grep -c /proc/ /proc/self/mounts || true", **options) == "0"


def test_a_device_is_made_available_with_its_rights(container: Container) -> None:
    device = Device(host_path="/dev/null", container_path="/dev/nothing")
    assert container.shell("stat -c '%t %T %a' /dev/nothing; echo x > /dev/nothing", devices=(device,)) == "1 3 666"


def test_devices_of_the_host_cannot_be_opened(container: Container) -> None:
    numbers = [f"{kind} {major} {minor}" for kind in "bc" for major in range(1, 12) for minor in (0, 1, 2)]
    script = """
        while read kind major minor; do
            rm -f /tmp/node
            mknod /tmp/node $kind $major $minor || continue
            if dd if=/tmp/node of=/dev/null bs=1 count=0 2>/dev/null; then echo $kind $major $minor; fi
        done"""
    numbers_text = "\\n".join(numbers)
    (container.root / "bin/rm").symlink_to("busybox")
    (container.root / "bin/printf").symlink_to("busybox")
    opened = container.shell(f"printf '{numbers_text}\\n' | (set +e; {script})").splitlines()
    assert set(opened) <= {"c 5 0", "c 5 1", "c 5 2"}


def test_the_session_keyring_is_not_that_of_the_caller(container: Container) -> None:
    get_session_keyring = f"probe native {numbers(os.uname().machine)['keyctl']} 0 0xfffffffffffffffd 0"
    inside = container.shell(get_session_keyring, security_options=("seccomp=unconfined",))
    sibling = container.shell(get_session_keyring, security_options=("seccomp=unconfined",))
    assert inside != sibling
    assert int(inside) > 0


def test_limits_without_controller_name_it(hierarchy: Hierarchy, container: Container) -> None:
    from minirun.errors import NotSupported

    if "memory" in hierarchy.controllers():
        assert container.run("echo", memory_bytes=64 << 20).exit_code == 0
        return
    with pytest.raises(NotSupported, match="'memory'"):
        container.run("echo", memory_bytes=64 << 20)


# ---- exec


def test_exec_joins_every_namespace_and_the_cgroup(container: Container) -> None:
    links = (
        "for kind in cgroup ipc mnt net pid time uts; do readlink /proc/self/ns/$kind; readlink /proc/1/ns/$kind; done"
    )
    with container.running() as execute:
        pairs = execute("sh", "-c", links).output.split()
        assert pairs[::2] == pairs[1::2]
        assert len(pairs) == 14
        assert "0::/" in execute("cat", "/proc/self/cgroup").output.splitlines()


def test_exec_is_as_confined_as_the_container(container: Container) -> None:
    with container.running() as execute:
        status = execute("cat", "/proc/self/status").output
        expected = DEFAULT_CAPABILITIES & capabilities.of_host()
        assert sets(status) == {"CapInh": 0, "CapAmb": 0, "CapPrm": expected, "CapEff": expected, "CapBnd": expected}
        assert "Seccomp:\t2" in status
        assert execute("ls", "/proc/self/fd").output.split() == ["0", "1", "2", "3"]


def test_exec_with_privileges_and_as_a_user(container: Container) -> None:
    with container.running() as execute:
        privileged = sets(execute("cat", "/proc/self/status", privileged=True).output)
        assert privileged["CapEff"] == capabilities.of_host()
        assert privileged["CapInh"] == privileged["CapAmb"] == 0
        outcome = execute(
            "sh", "-c", "id -un; pwd; echo $A", user="alice", working_directory="/tmp", environment=("A=1",)
        )
        assert outcome.output.split() == ["alice", "/tmp", "1"]


def test_exec_refuses_a_working_directory_that_is_not_there(container: Container) -> None:
    with container.running() as execute:
        assert execute("pwd", working_directory="/nowhere").failed is not None
        for number in range(3, 20):
            outcome = execute("pwd", working_directory=f"/proc/self/fd/{number}")
            assert outcome.failed is not None
