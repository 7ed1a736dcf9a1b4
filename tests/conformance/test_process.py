"""config.md: "Root", "Process", "POSIX process", "Linux Process", "User", "Hostname", "Domainname"."""

from __future__ import annotations

import array
import fcntl
import json
import os
import re
import socket
import subprocess
import termios
from pathlib import Path

import pytest

from tests.conformance.bundles import PATH, Box
from tests.waiting import until


def status(box: Box, *keys: str) -> list[str]:
    """Give fields of the program's own /proc/self/status."""
    box.process["args"] = ["cat", "/proc/self/status"]
    fields = dict(line.partition(":")[::2] for line in box.run().stdout.splitlines())
    return [" ".join(fields[key].split()) for key in keys]


# ---- Root


def test_a_read_only_root_cannot_be_written(box: Box) -> None:
    box.config["root"]["readonly"] = True
    box.mount("/new/place", "tmpfs", "tmpfs")
    assert box.shell("touch /file 2>/dev/null || echo refused; touch /new/place/file && echo mounts can") == (
        "refused\nmounts can"
    )
    assert not (box.rootfs / "file").exists()


@pytest.mark.parametrize("kind", ["relative", "absolute", "elsewhere"])
def test_the_root_path_is_absolute_or_relative_to_the_bundle(box: Box, kind: str) -> None:
    (box.rootfs / "mark").write_text(kind)
    path = {"relative": "./rootfs", "absolute": str(box.rootfs), "elsewhere": f"../{box.path.name}/rootfs"}[kind]
    box.config["root"]["path"] = path
    assert box.shell("cat /mark") == kind


# ---- Process


def test_the_program_starts_in_its_working_directory(box: Box) -> None:
    box.process["cwd"] = "/usr"
    assert box.shell("pwd; readlink /proc/self/cwd") == "/usr\n/usr"


def test_a_working_directory_that_is_missing_is_made(box: Box) -> None:
    box.process["cwd"] = "/not/there/yet"
    assert box.shell("pwd") == "/not/there/yet"


def test_the_environment_is_what_the_configuration_says_and_nothing_else(box: Box) -> None:
    box.process["env"] = [PATH, "EMPTY=", "SPACE=a b", "EQUALS=a=b", "UMLAUT=ä", "NEWLINE=a\nb"]
    box.process["args"] = ["cat", "/proc/self/environ"]
    entries = box.run().stdout.split("\0")[:-1]
    assert entries == [*box.process["env"], "HOME=/root"], "as all runtimes have it, HOME is added where it is missing"


def test_of_two_values_for_one_name_the_last_counts(box: Box) -> None:
    box.process["env"] = [PATH, "A=1", "B=2", "A=3"]
    box.process["args"] = ["cat", "/proc/self/environ"]
    assert box.run().stdout.split("\0")[1:3] == ["A=3", "B=2"]


@pytest.mark.parametrize(("uid", "home"), [(0, "/root"), (77, "/somewhere"), (4242, "/")])
def test_home_comes_from_the_containers_own_accounts(box: Box, uid: int, home: str) -> None:
    accounts = box.rootfs / "etc/passwd"
    accounts.write_text("root:x:0:0:root:/root:/bin/sh\nsomebody:x:77:77::/somewhere:/bin/sh\n")
    accounts.chmod(0o600)
    box.process["user"] = {"uid": uid, "gid": 0}
    assert box.shell("echo $HOME") == home
    box.process["env"] = [*box.process["env"], "HOME="]
    assert box.shell("echo $HOME") == home, "an empty one counts as missing, as under runc"


def test_accounts_that_cannot_be_read_are_no_reason_not_to_start(box: Box) -> None:
    accounts = box.rootfs / "etc/passwd"
    accounts.unlink(missing_ok=True)
    os.mkfifo(accounts)
    assert box.shell("echo $HOME") == "/"


def test_arguments_come_as_they_are(box: Box) -> None:
    box.process["args"] = ["cat", "/proc/self/cmdline", "", "a b", "ä\n", "*"]
    assert box.run(check=False).stdout.startswith("cat\0/proc/self/cmdline\0\0a b\0ä\n\0*\0")


@pytest.mark.parametrize(
    ("program", "found"),
    [("tool", True), ("/opt/bin/tool", True), ("./tool", True), ("bin/tool", True), ("nosuch", False), ("data", False)],
)
def test_the_program_is_searched_for_as_execvp_does(box: Box, program: str, found: bool) -> None:
    place = box.rootfs / "opt/bin"
    place.mkdir(parents=True)
    (place / "tool").write_text("#!/bin/sh\necho found\n")
    (place / "tool").chmod(0o755)
    (place / "data").write_text("no program")
    (box.rootfs / "opt/tool").symlink_to("bin/tool")
    box.process.update(env=["PATH=/nowhere:/opt/bin"], cwd="/opt", args=[program])
    done = box.run(check=False)
    assert (done.returncode == 0, done.stdout) == (found, "found\n" if found else "")


def test_streams_are_the_callers(box: Box) -> None:
    box.process["args"] = ["sh", "-c", "cat; echo to stderr >&2"]
    box.save()
    done = subprocess.run(
        [*box.runtime.words, "run", "--bundle", str(box.path), box.id],
        input=b"typed\n",
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert (done.stdout, done.stderr) == (b"typed\n", b"to stderr\n")


def test_console_size_without_a_terminal_is_ignored(box: Box) -> None:
    box.process["consoleSize"] = {"height": 10, "width": 20}
    assert box.shell("test -t 0 || echo no terminal") == "no terminal"


@pytest.mark.parametrize("mounts", ["its own", "the runtime's"])
def test_a_terminal_has_the_size_and_is_sent_to_the_socket(box: Box, mounts: str) -> None:
    if mounts != "its own":
        box.without_namespace("mount")
    path = str(box.path / "socket")
    box.process.update(terminal=True, consoleSize={"height": 31, "width": 73})
    box.process["args"] = [
        "sh",
        "-c",
        "tty; stty size; test -c /dev/console && echo console; read line; echo got $line",
    ]
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(1)
        listener.settimeout(30)
        box.create("--console-socket", path)
        connection, _ = listener.accept()
        with connection:
            _, descriptors, _, _ = socket.recv_fds(connection, 4096, 1)
    (master,) = descriptors
    size = array.array("H", [0] * 4)
    fcntl.ioctl(master, termios.TIOCGWINSZ, size)
    assert size[:2] == array.array("H", [31, 73])
    box.start()
    seen = b""

    def read_until(text: bytes) -> bool:
        nonlocal seen
        seen += os.read(master, 4096)
        return text in seen

    until("the program's greeting", lambda: read_until(b"console"))
    assert b"/dev/pts/0\r\n31 73\r\nconsole" in seen
    os.write(master, b"hello\n")
    until("the answer", lambda: read_until(b"got hello"))
    box.wait_until_stopped()
    os.close(master)


# ---- POSIX process


def test_resource_limits_are_set(box: Box) -> None:
    box.process["rlimits"] = [
        {"type": "RLIMIT_NOFILE", "soft": 111, "hard": 222},
        {"type": "RLIMIT_CORE", "soft": 0, "hard": 0},
        {"type": "RLIMIT_CPU", "soft": 1000, "hard": 2000},
        {"type": "RLIMIT_STACK", "soft": 8 << 20, "hard": 16 << 20},
    ]
    box.process["args"] = ["cat", "/proc/self/limits"]
    rows = [re.split(r"  +", line) for line in box.run().stdout.splitlines()]
    limits = {row[0]: row[1:3] for row in rows}
    assert limits["Max open files"] == ["111", "222"]
    assert limits["Max core file size"] == ["0", "0"]
    assert limits["Max cpu time"] == ["1000", "2000"]
    assert limits["Max stack size"] == [str(8 << 20), str(16 << 20)]


@pytest.mark.parametrize(
    "limits",
    [
        [{"type": "RLIMIT_NOSUCH", "soft": 1, "hard": 1}],
        [{"type": "RLIMIT_CORE", "soft": 0, "hard": 0}, {"type": "RLIMIT_CORE", "soft": 0, "hard": 0}],
    ],
    ids=["unknown", "twice"],
)
def test_limits_that_cannot_be_mapped_are_errors(box: Box, limits) -> None:
    box.process["rlimits"] = limits
    assert box.create(check=False).returncode == 1
    assert not box.exists()


# ---- Linux Process


def mask(*names: int) -> str:
    return f"{sum(1 << name for name in names):016x}"


def test_each_capability_set_is_what_it_says(box: Box) -> None:
    names = {"CAP_CHOWN": 0, "CAP_KILL": 5, "CAP_SETGID": 6, "CAP_NET_BIND_SERVICE": 10, "CAP_SYS_CHROOT": 18}
    box.process["capabilities"] = {
        "bounding": list(names),
        "permitted": ["CAP_KILL", "CAP_SETGID", "CAP_NET_BIND_SERVICE"],
        "effective": ["CAP_KILL"],
        "inheritable": ["CAP_NET_BIND_SERVICE", "CAP_SETGID"],
        "ambient": ["CAP_NET_BIND_SERVICE"],
    }
    box.process["user"] = {"uid": 1000, "gid": 1000}
    inherited, permitted, bounding, ambient = status(box, "CapInh", "CapPrm", "CapBnd", "CapAmb")
    assert bounding == mask(*names.values())
    assert inherited == mask(6, 10)
    assert ambient == mask(10)
    assert permitted == mask(10), "execve(2) leaves a user other than root what is ambient"


def test_root_gets_what_is_in_its_bounding_set_and_inherits_nothing(box: Box) -> None:
    sets = ["CAP_CHOWN", "CAP_KILL"]
    box.process["capabilities"] = {"bounding": sets, "permitted": sets, "effective": sets}
    assert status(box, "CapBnd", "CapPrm", "CapEff", "CapInh", "CapAmb") == [mask(0, 5)] * 3 + [mask()] * 2


def test_no_capabilities_is_none(box: Box) -> None:
    del box.process["capabilities"]
    assert status(box, "CapBnd", "CapPrm", "CapEff", "CapInh", "CapAmb") == [mask()] * 5


def test_a_capability_that_the_host_lacks_is_only_a_warning(box: Box) -> None:
    """Runtimes SHOULD NOT fail if the configuration requests capabilities that cannot be granted."""
    wanted = ["CAP_CHOWN", "CAP_SYS_BOOT"]
    box.process["capabilities"] = {"bounding": wanted, "permitted": wanted, "effective": wanted}
    box.process["args"] = ["cat", "/proc/self/status"]
    box.save()
    done = subprocess.run(
        [
            *("capsh", "--drop=cap_sys_boot", "--", "-c", 'exec "$@"', "sh"),
            *box.runtime.words,
            "run",
            "--bundle",
            box.path,
            box.id,
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert f"CapBnd:\t{mask(0)}\n" in done.stdout
    assert "warning" in done.stderr
    assert "CAP_SYS_BOOT" in done.stderr


def test_an_unknown_capability_is_refused(box: Box) -> None:
    box.process["capabilities"]["bounding"].append("CAP_NOSUCH")
    done = box.create(check=False)
    assert done.returncode == 1
    assert "CAP_NOSUCH" in done.stderr
    assert not box.exists()


@pytest.mark.parametrize(("wanted", "bit"), [(True, "1"), (False, "0"), (None, "0")])
def test_no_new_privileges(box: Box, wanted: bool | None, bit: str) -> None:
    if wanted is not None:
        box.process["noNewPrivileges"] = wanted
    assert status(box, "NoNewPrivs") == [bit]


@pytest.mark.parametrize("score", [0, 77, 1000])
def test_the_oom_score_is_set(box: Box, score: int) -> None:
    box.process["oomScoreAdj"] = score
    assert box.shell("cat /proc/self/oom_score_adj") == str(score)


def test_an_oom_score_that_is_not_given_stays_as_it_is(box: Box) -> None:
    assert box.shell("cat /proc/self/oom_score_adj") == Path("/proc/self/oom_score_adj").read_text().strip()


@pytest.mark.needs("x86_64")
@pytest.mark.parametrize(
    ("scheduler", "policy", "nice"),
    [
        ({"policy": "SCHED_BATCH", "nice": 7}, 3, 7),
        ({"policy": "SCHED_IDLE"}, 5, None),
        ({"policy": "SCHED_OTHER"}, 0, 0),
    ],
)
def test_the_scheduling_policy_is_set(box: Box, scheduler, policy: int, nice: int | None) -> None:
    box.process["scheduler"] = scheduler
    seen = box.shell("probe native 145 0; cut -d' ' -f19 /proc/self/stat")  # sched_getscheduler(2)
    assert seen.split()[0] == str(policy)
    if nice is not None:
        assert seen.split()[1] == str(nice)


@pytest.mark.needs("x86_64")
@pytest.mark.parametrize(("name", "number"), [("IOPRIO_CLASS_BE", 2), ("IOPRIO_CLASS_IDLE", 3)])
def test_the_io_priority_is_set(box: Box, name: str, number: int) -> None:
    box.process["ioPriority"] = {"class": name, "priority": 5}
    assert box.shell("probe native 252 1 0") == str(number << 13 | 5)  # ioprio_get(2)


def test_the_cpus_of_a_further_process(box: Box) -> None:
    """execCPUAffinity is of processes that are started by exec, and not of the container's first."""
    cpu = str(max(os.sched_getaffinity(0)))
    box.process["args"] = ["sleep", "1000"]
    box.create()
    box.start()
    further = {"args": ["grep", "Cpus_allowed_list", "/proc/self/status"], "cwd": "/", "user": {"uid": 0, "gid": 0}}
    further |= {"env": [PATH], "execCPUAffinity": {"initial": cpu, "final": cpu}}
    file = box.path / "process.json"
    file.write_text(json.dumps(further))
    assert box.runtime("exec", "--process", str(file), box.id).stdout.split()[1] == cpu


def test_the_cpus_of_the_first_process_are_neither_those_nor_the_callers(box: Box) -> None:
    box.process["execCPUAffinity"] = {"initial": "0", "final": "0"}
    box.process["args"] = ["grep", "Cpus_allowed_list", "/proc/self/status"]
    every = box.run().stdout
    (own,) = [
        line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("Cpus_allowed_list")
    ]
    assert every.split() == own.split()
    one = {min(os.sched_getaffinity(0))}
    assert box.run(preexec_fn=lambda: os.sched_setaffinity(0, one)).stdout == every


# ---- User


def test_the_user_and_its_groups(box: Box) -> None:
    box.process["user"] = {"uid": 1234, "gid": 2345, "additionalGids": [7, 99, 65536]}
    uids, gids, groups = status(box, "Uid", "Gid", "Groups")
    assert uids == " ".join(["1234"] * 4)
    assert gids == " ".join(["2345"] * 4)
    assert sorted(groups.split(), key=int) == ["7", "99", "65536"]


def test_no_group_of_the_caller_stays(box: Box) -> None:
    assert set(status(box, "Groups")[0].split()) <= {"0"}


@pytest.mark.parametrize("umask", [0, 0o27, 0o77, 0o777])
def test_the_umask_is_set(box: Box, umask: int) -> None:
    box.process["user"]["umask"] = umask
    assert int(status(box, "Umask")[0], 8) == umask


# ---- Hostname, Domainname


def test_names_are_those_of_the_containers_uts_namespace(box: Box) -> None:
    box.config |= {"hostname": "mrsdalloway", "domainname": "example.test"}
    assert box.shell("hostname; cat /proc/sys/kernel/domainname") == "mrsdalloway\nexample.test"
    assert os.uname().nodename != "mrsdalloway"


def test_a_name_without_a_namespace_for_it_never_reaches_the_host(box: Box) -> None:
    box.config["hostname"] = "mrsdalloway"
    box.without_namespace("uts")
    assert box.run(check=False).returncode != 0
    assert os.uname().nodename != "mrsdalloway"


def test_signals_are_neither_blocked_nor_ignored(box: Box) -> None:
    """execve(2) keeps both: a runtime's own must not reach the program."""
    assert status(box, "SigBlk", "SigIgn") == ["0" * 16] * 2
