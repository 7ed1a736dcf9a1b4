"""Nothing of the host shows inside a container: descriptors, environment, mounts, processes, names."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.waiting import until


def inside(minirun, busybox, script: str, *options: str) -> str:
    return minirun("run", "--rm", *options, busybox, "sh", "-c", script).stdout


def test_only_three_descriptors_are_open(minirun, busybox):
    # the fourth is ls reading the directory
    assert inside(minirun, busybox, "ls /proc/self/fd | wc -l") == "4\n"


def test_descriptors_that_leaked_into_the_command_line_stay_outside(minirun, busybox, tmp_path):
    leaked = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    os.set_inheritable(leaked, True)
    try:
        done = subprocess.run(
            [*minirun.words, "run", "--rm", busybox, "sh", "-c", "ls -l /proc/1/fd"],
            capture_output=True, text=True, check=True, close_fds=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert str(tmp_path) not in done.stdout
    finally:
        os.close(leaked)


@pytest.mark.parametrize("number", [3, 4, 5, 6, 7, 8, 9, 10, 16, 17, 32, 64])
def test_no_descriptor_of_the_start_serves_as_working_directory(minirun, busybox, number):
    # CVE-2024-21626
    done = minirun("run", "--rm", "-w", f"/proc/self/fd/{number}", busybox, "pwd", check=False)
    assert done.returncode != 0 or done.stdout == f"/proc/self/fd/{number}\n"
    assert (
        minirun(
            "run", "--rm", "-w", f"/proc/self/fd/{number}", busybox, "ls", "../../../../../../../boot/grub", check=False
        ).returncode
        != 0
    )


def test_root_inside_cannot_change_the_hosts_null_device(minirun, busybox, run_container):
    """What masks files and what stands in for stdin is the host's own device: mode and owner are not the container's."""
    before = os.stat("/dev/null")
    script = "for path in /proc/self/fd/0 /proc/interrupts /proc/keys /proc/timer_list; do chmod 667 $path; chown 7 $path; done"
    name = run_container(busybox, "sleep", "1000")
    try:
        minirun("run", "--rm", busybox, "sh", "-c", script, check=False)
        for options in ((), ("-d",), ("-i",)):
            with open("/dev/null", "r+b") as null:
                words = [*minirun.words, "exec", *options, name, "sh", "-c", f"{script}; chmod 667 /proc/self/fd/1"]
                subprocess.run(words, stdin=null, stdout=null, stderr=null, check=False)
        after = os.stat("/dev/null")
        assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    finally:
        os.chmod("/dev/null", before.st_mode & 0o7777)
        os.chown("/dev/null", before.st_uid, before.st_gid)


def test_a_further_process_gets_neither_our_files_nor_our_terminal(minirun, busybox, run_container, tmp_path):
    name = run_container(busybox, "sleep", "1000")
    words = [
        *minirun.words,
        "exec",
        "-i",
        name,
        "sh",
        "-c",
        "chmod 777 /proc/self/fd/*; readlink /proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2",
    ]
    source, target = tmp_path / "in", tmp_path / "out"
    source.write_text("")
    with open(source, "rb") as stdin, open(target, "wb") as stdout:
        subprocess.run(words, stdin=stdin, stdout=stdout, stderr=subprocess.DEVNULL, check=False)
    assert all(line.startswith(("pipe:", "/")) and str(tmp_path) not in line for line in target.read_text().split())
    assert {path.stat().st_mode & 0o777 for path in (source, target)} == {0o644}
    master, slave = os.openpty()
    try:
        subprocess.run(words, stdin=slave, stdout=slave, stderr=slave, check=False)
        assert b"/dev/pts" not in os.read(master, 4096)
        assert os.fstat(slave).st_mode & 0o777 != 0o777
    finally:
        os.close(master)
        os.close(slave)


def test_a_further_process_without_interactive_leaves_our_input_alone(minirun, busybox, run_container):
    name = run_container(busybox, "sleep", "1000")
    assert minirun("exec", name, "cat", stdin="not for you").stdout == ""
    assert minirun("exec", "-i", name, "cat", stdin="for you").stdout == "for you"


def test_the_hosts_environment_stays_outside(minirun, busybox):
    done = minirun("run", "--rm", busybox, "env", env={**os.environ, "HOST_SECRET": "canary"})
    assert "canary" not in done.stdout
    names = {line.partition("=")[0] for line in done.stdout.splitlines()}
    assert names == {"PATH", "HOSTNAME", "HOME"}


def test_a_container_sees_only_its_own_processes(minirun, busybox):
    count, first = inside(minirun, busybox, "ls -d /proc/[0-9]* | wc -l; cat /proc/1/comm; :").split()
    assert int(count) <= 4
    assert first == "sh"


def test_the_hosts_mounts_stay_outside(minirun, busybox, roots):
    mounts = inside(minirun, busybox, "cat /proc/self/mountinfo")
    targets = {line.split()[4] for line in mounts.splitlines()}
    assert "/" in targets
    for line in mounts.splitlines():
        assert not line.split()[4].startswith(("/tmp", "/var", "/home", "/boot")), line


@pytest.mark.parametrize("kind", ["mnt", "pid", "uts", "ipc", "net", "cgroup"])
def test_each_namespace_is_another_than_the_hosts(minirun, busybox, kind):
    assert inside(minirun, busybox, f"readlink /proc/self/ns/{kind}").strip() != os.readlink(f"/proc/self/ns/{kind}")


def test_the_first_process_has_nothing_inheritable_or_ambient(minirun, busybox):
    status = dict(
        line.split(":\t") for line in inside(minirun, busybox, "cat /proc/1/status").splitlines() if ":\t" in line
    )
    assert status["CapInh"] == status["CapAmb"] == "0000000000000000"
    assert status["Seccomp"] == "2"
    assert int(status["CapEff"], 16) == int(status["CapBnd"], 16)


def test_masked_files_read_empty_and_sysctls_are_read_only(minirun, busybox):
    script = "cat /proc/kcore | wc -c; ls /sys/firmware | wc -l; echo x > /proc/sys/kernel/core_pattern; echo $?"
    assert inside(minirun, busybox, script + " 2>/dev/null").split()[:2] == ["0", "0"]
    done = minirun("run", "--rm", busybox, "sh", "-c", "echo x > /proc/sys/kernel/core_pattern", check=False)
    assert done.returncode != 0


def test_privileged_works_with_what_the_host_has(minirun, busybox):
    status = Path("/proc/self/status").read_text()
    host = int(next(line.split()[1] for line in status.splitlines() if line.startswith("CapBnd")), 16)
    seen = inside(minirun, busybox, "grep CapEff /proc/self/status", "--privileged")
    assert int(seen.split()[1], 16) == host


def test_an_image_with_links_in_the_place_of_system_directories_harms_nothing(minirun, busybox, tmp_path):
    canary = tmp_path / "canary"
    canary.mkdir()
    minirun(
        "run",
        "--name",
        "linked",
        busybox,
        "sh",
        "-c",
        f"rm -rf /etc/hosts /etc/resolv.conf; ln -s {canary}/hosts /etc/hosts; ln -s {canary} /data",
    )
    try:
        minirun("start", "linked", check=False)
        minirun("wait", "linked", check=False)
        assert list(canary.iterdir()) == []
    finally:
        minirun("rm", "-f", "linked")


@pytest.mark.parametrize("limit", ["3:3", "5:9", "20:40"])
def test_a_limit_of_open_files_may_be_smaller_than_what_a_start_takes(minirun, busybox, limit):
    done = minirun("run", "--rm", "--ulimit", f"nofile={limit}", busybox, "sh", "-c", "ulimit -n; ulimit -Hn")
    assert done.stdout.split() == limit.split(":")


def test_inspect_lists_the_further_processes_that_run_and_no_others(minirun, busybox, run_container, roots):
    name = run_container("--network", "none", busybox, "sleep", "600")

    def listed() -> list[str]:
        return json.loads(minirun("inspect", "-f", "{{json .ExecIDs}}", name).stdout) or []

    assert minirun("inspect", "-f", "{{json .ExecIDs}}", name).stdout == "null\n"
    minirun("exec", name, "true")
    minirun("exec", "-d", name, "true")
    minirun("exec", "-d", name, "sh", "-c", "echo $$ >/first; exec sleep 601")
    until("one to be left", lambda: len(listed()) == 1)
    (first,) = listed()
    waited = minirun.start("exec", name, "sh", "-c", "echo $$ >/second; exec sleep 602", stdout=subprocess.DEVNULL)
    try:
        until("a second one", lambda: len(listed()) == 2)
        assert listed()[0] == first
        assert len(first) == 64
    finally:
        waited.kill()
        waited.wait()
    minirun("exec", name, "sh", "-c", "kill $(cat /second)")
    until("the first one alone", lambda: listed() == [first])
    minirun("exec", name, "sh", "-c", "kill $(cat /first)")
    until("none", lambda: not listed())
    container_id = minirun("inspect", "-f", "{{.Id}}", name).stdout.strip()
    files = roots.run_root / "containers" / container_id
    until("their files to be gone", lambda: not list(files.glob("exec-*")))
    (files / "exec-lost").symlink_to("1 1")  # all who knew of it were killed, and another process has its number
    assert listed() == []
