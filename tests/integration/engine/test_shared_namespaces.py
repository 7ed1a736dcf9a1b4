"""`--pid`, `--ipc`, `--uts`, `--cgroupns`: whose namespaces a container lives in; and the options of one line each beside them."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.hosts import cgroup_mount

NONE = ("--network", "none")


def runs(pid: int) -> bool:
    """Also of the host's, whose first process reads the exit code of an orphan when it likes."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False


def namespace(kind: str, pid: int | str = "self") -> str:
    return os.readlink(f"/proc/{pid}/ns/{kind}")


@pytest.mark.parametrize(
    ("option", "file"), [("--pid", "pid"), ("--ipc", "ipc"), ("--uts", "uts"), ("--cgroupns", "cgroup")]
)
def test_a_namespace_is_the_hosts_or_its_own(minirun, busybox, option, file):
    look = ("busybox", "readlink", f"/proc/self/ns/{file}")
    assert minirun("run", "--rm", *NONE, option, "host", *look).stdout.strip() == namespace(file)
    assert minirun("run", "--rm", *NONE, *look).stdout.strip() != namespace(file)


def test_with_the_hosts_pids_it_is_a_process_among_others(minirun, busybox, run_container):
    name = run_container(*NONE, "--pid", "host", "busybox", "sleep", "1000")
    pid = int(minirun("inspect", "-f", "{{.State.Pid}}", name).stdout)
    assert minirun("exec", name, "cat", f"/proc/{pid}/comm").stdout == "sleep\n"
    assert minirun("exec", name, "cat", "/proc/1/comm").stdout == Path("/proc/1/comm").read_text()
    assert minirun("inspect", "-f", "{{.HostConfig.PidMode}}", name).stdout == "host\n"


def test_it_hears_signals_that_pid_1_would_not(minirun, busybox, run_container):
    name = run_container(*NONE, "--pid", "host", "busybox", "sleep", "1000")
    done = minirun("stop", name)
    assert done.stderr == ""
    assert minirun("inspect", "-f", "{{.State.ExitCode}}", name).stdout == f"{128 + signal.SIGTERM}\n"


def test_none_of_its_processes_outlives_it(minirun, busybox, run_container):
    name = run_container(*NONE, "--pid", "host", "busybox", "sh", "-c", "sleep 987654 & exec sleep 1000")
    pids = [int(line.split()[1]) for line in minirun("top", name).stdout.splitlines()[1:]]
    assert len(pids) == 2
    minirun("stop", name)
    assert not [pid for pid in pids if runs(pid)]


def test_the_pids_of_another_container(minirun, busybox, run_container):
    lender = run_container(*NONE, "busybox", "sleep", "1000")
    name = run_container(*NONE, "--pid", f"container:{lender}", "busybox", "sleep", "2000")
    assert minirun("exec", name, "cat", "/proc/1/cmdline").stdout.split("\0")[:2] == ["sleep", "1000"]
    assert "sleep 2000" in minirun("exec", lender, "ps").stdout
    assert [line.split()[-1] for line in minirun("top", name).stdout.splitlines()[1:]] == ["2000"]
    minirun("stop", name)
    assert minirun("inspect", "-f", "{{.State.Running}}", lender).stdout == "true\n"


@pytest.mark.parametrize("state", ["created", "missing"])
def test_only_a_running_container_lends_its_pids(minirun, busybox, state):
    if state == "created":
        minirun("create", "--name", "lender", *NONE, "busybox", "true")
    done = minirun("run", "--rm", *NONE, "--pid", "container:lender", "busybox", "true", check=False)
    assert done.returncode == 125
    assert ("cannot join PID of a non running container" if state == "created" else "No such container") in done.stderr
    if state == "created":
        minirun("rm", "lender")


def test_the_hosts_shared_memory_comes_with_its_ipc(minirun, busybox):
    file = Path("/dev/shm/of-the-host")
    file.write_text("here")
    try:
        look = ("cat", "/dev/shm/of-the-host")
        if os.path.ismount("/dev/shm"):
            assert minirun("run", "--rm", *NONE, "--ipc", "host", "busybox", *look).stdout == "here"
        assert minirun("run", "--rm", *NONE, "busybox", *look, check=False).returncode == 1
    finally:
        file.unlink()
    assert " /dev/shm " not in minirun("run", "--rm", *NONE, "--ipc", "none", "busybox", "cat", "/proc/mounts").stdout


def test_a_lender_leads_nobody_along_a_link_into_a_process(minirun, busybox, run_container):
    """/proc/self is there whoever looks: of a borrower that is not complete yet, and holds what is the host's."""
    lender = run_container(*NONE, "--ipc", "shareable", "--privileged", "busybox", "sleep", "1000")
    minirun(
        "exec",
        lender,
        "sh",
        "-c",
        "umount -l /dev; mv /dev /before; ln -s /proc/self/root/before /dev; mkdir -p /before/shm",
    )
    borrow = ("--ipc", f"container:{lender}", "--pid", f"container:{lender}")
    done = minirun("run", "--rm", *NONE, *borrow, "busybox", "true", check=False)
    assert done.returncode == 125
    assert "/dev/shm" in done.stderr


def test_the_memory_of_another_container(minirun, busybox, run_container):
    lender = run_container(*NONE, "--ipc", "shareable", "--shm-size", "1m", "busybox", "sleep", "1000")
    first = run_container(*NONE, "--ipc", f"container:{lender}", "busybox", "sleep", "1000")
    of_first = run_container(
        *NONE, "--ipc", f"container:{first}", "--pid", f"container:{lender}", "busybox", "sleep", "1000"
    )
    containers = (lender, first, of_first)
    minirun("exec", first, "sh", "-c", "echo shared > /dev/shm/word")
    look = (
        "sh",
        "-c",
        "cat /dev/shm/word; readlink /proc/self/ns/ipc; grep -e ' /dev/shm ' -e ' /dev/mqueue ' /proc/mounts | sort",
    )
    (seen,) = {minirun("exec", name, *look).stdout for name in containers}
    assert seen.startswith("shared\nipc:")
    assert "size=1024k" in seen
    assert len({minirun("exec", name, "readlink", "/proc/self/ns/mnt").stdout for name in containers}) == 3
    lender_id = minirun("inspect", "-f", "{{.Id}}", lender).stdout.strip()
    assert minirun("inspect", "-f", "{{.HostConfig.IpcMode}}", first).stdout == f"container:{lender_id}\n"
    assert minirun("cp", f"{first}:/dev/shm/word", "-", check=False).returncode == 1, (
        "memory is no file system that cp shows"
    )
    minirun("rm", "-f", lender)
    assert minirun("exec", first, "cat", "/dev/shm/word").stdout == "shared\n"


@pytest.mark.parametrize(
    ("lender", "says"),
    [
        (("run", "-d"), "non-shareable IPC (hint: use IpcMode:shareable for the donor container)"),
        (("run", "-d", "--ipc", "none"), "non-shareable IPC (hint: use IpcMode:shareable for the donor container)"),
        (("create", "--ipc", "shareable"), " is not running"),
        ((), "No such container: lender"),
    ],
)
def test_memory_that_nobody_lends(minirun, busybox, lender, says):
    if lender:
        minirun(*lender, "--name", "lender", *NONE, "busybox", "sleep", "1000")
    done = minirun("run", "--rm", *NONE, "--ipc", "container:lender", "busybox", "true", check=False)
    assert (done.returncode, says in done.stderr) == (125, True), done.stderr
    minirun("rm", "-f", "lender")


def test_the_hosts_name_comes_with_its_uts(minirun, busybox):
    assert minirun("run", "--rm", *NONE, "--uts", "host", "busybox", "hostname").stdout.strip() == os.uname().nodename
    done = minirun("run", "--rm", "--uts", "host", "--hostname", "x", "busybox", "true", check=False)
    assert (done.returncode, "conflicting options: hostname and the UTS mode" in done.stderr) == (125, True)


@pytest.mark.parametrize("words", [("--pid", "host"), ("--ipc", "host"), ("--uts", "host")])
def test_ids_of_its_own_have_no_rights_in_the_hosts_namespaces(minirun, busybox, words):
    done = minirun("run", "--rm", *NONE, "--userns", "auto", *words, "busybox", "true", check=False)
    assert done.returncode == 125
    assert "can't go with --userns auto" in done.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--pid", "x"), "--pid: invalid PID mode"),
        (("--ipc", "x"), "Invalid IPC mode: x"),
        (("--cgroup-parent", "a--b.slice"), "isn't the name of a systemd slice"),
        (("--log-opt", "tag={{.Nope}}"), "there is no {{.Nope}}"),
        (("--log-opt", "tag={{"), "an action is not closed"),
        (("--log-opt", "env-regex=("), "is no regular expression"),
        (("--uts", "container:x"), "--uts: invalid UTS mode"),
        (("--cgroupns", "x"), "--cgroupns: invalid CGROUP mode"),
        (("--expose", "1:2"), "invalid port format for --expose: 1:2"),
        (("--expose", "x"), "invalid range format for --expose: x"),
        (("--oom-score-adj", "1001"), "range for oom score adj is [-1000, 1000]"),
        (("--cpu-quota", "10"), "CPU cfs quota can not be less than 1ms"),
        (("--cpu-period", "10"), "CPU cfs period can not be less than 1ms"),
        (("--cpus", "1", "--cpu-quota", "5000"), "Nano CPUs and CPU Quota cannot both be set"),
        (("--blkio-weight", "5"), "Range of blkio weight is from 10 to 1000"),
        (("--device-cgroup-rule", "c 1:3"), "invalid device cgroup format 'c 1:3'"),
        (("--device-read-bps", "/etc/passwd:1"), "bad format for device path"),
        (("--device-read-bps", "/dev/null"), "bad format: /dev/null"),
        (("--device-read-bps", "/dev/null:x"), "invalid rate for device: /dev/null:x"),
        (("--sysctl", "kernel.msgmax=1", "--ipc", "host"), "not allowed in host ipc namespace"),
    ],
)  # fmt: skip
def test_what_can_not_be_is_said_at_once(minirun, busybox, words, message):
    done = minirun("create", *NONE, *words, "busybox", "true", check=False)
    assert done.returncode in (1, 125), done
    assert message in done.stderr
    assert minirun("ps", "-aq").stdout == ""


def test_a_cgroup_in_somebody_elses(minirun, busybox, run_container):
    """Everything that is done by a container's cgroup finds it there; the parent is the user's and stays."""
    parent = cgroup_mount() / "minirun-test-parent"
    try:
        name = run_container(*NONE, "--cgroup-parent", parent.name, "busybox", "sleep", "1000")
        full = minirun("inspect", "-f", "{{.Id}} {{.HostConfig.CgroupParent}}", name).stdout.split()
        assert full[1] == parent.name
        assert [path.name for path in parent.iterdir() if path.is_dir()] == [full[0]]
        assert "sleep 1000" in minirun("top", name).stdout
        minirun("pause", name)
        assert (parent / full[0] / "cgroup.freeze").read_text() == "1\n"
        assert minirun("ps", "--format", "{{.State}}").stdout == "paused\n"
        minirun("unpause", name)
        assert minirun("exec", name, "cat", "/proc/1/cgroup").stdout.endswith(":/\n")
        memory = ("sh", "-c", "mknod /memory c 1 1 && exec 3</memory")
        done = minirun("run", "--rm", *NONE, "--cgroup-parent", f"/{parent.name}/deep", "busybox", *memory, check=False)
        assert done.returncode != 0, "its devices are as limited as elsewhere"
        minirun("rm", "-f", name)
        assert [path.name for path in parent.iterdir() if path.is_dir()] == ["deep"]
    finally:
        for path in (parent / "deep", parent):
            if path.exists():
                path.rmdir()


def test_what_is_asked_for_is_what_a_process_has(minirun, busybox):
    script = "cat /proc/self/oom_score_adj /proc/sys/kernel/domainname"
    done = minirun(
        "run", "--rm", *NONE, "--oom-score-adj", "321", "--domainname", "nis.example", "busybox", "sh", "-c", script
    )
    assert done.stdout.split() == ["321", "nis.example"]


def test_exposed_ports_are_shown_and_published(minirun, busybox, run_container):
    name = run_container("--expose", "8000-8001", "--expose", "53/udp", "-P", "busybox", "sleep", "1000")
    ports = minirun(
        "inspect", "-f", "{{range $port, $to := .Config.ExposedPorts}}{{$port}} {{end}}", name
    ).stdout.split()
    assert ports == ["53/udp", "8000/tcp", "8001/tcp"]
    assert [line.split()[0] for line in minirun("port", name).stdout.splitlines() if "[" not in line] == ports


def test_an_annotation_is_kept(minirun, busybox):
    name = minirun("create", *NONE, "--annotation", "a=b", "busybox", "true").stdout.strip()
    assert minirun("inspect", "-f", "{{.HostConfig.Annotations.a}}", name).stdout == "b\n"
    minirun("rm", name)


def test_docker_says_the_same_of_them(minirun, busybox):
    """The client refuses these by itself: no daemon is asked."""
    for words in (("--pid", "x"), ("--uts", "x"), ("--cgroupns", "x"), ("--expose", "1:2")):
        command = ["docker", "create", *words, "busybox"]
        theirs = subprocess.run(command, capture_output=True, text=True, check=False).stderr.strip().splitlines()[0]
        assert theirs.removeprefix("docker: ") in minirun("create", *words, "busybox", check=False).stderr
