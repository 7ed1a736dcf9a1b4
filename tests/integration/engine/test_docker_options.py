"""Options of run in the forms that docker takes, one container for several of them: what is inside, and what `inspect` says."""

from __future__ import annotations

import json
import os
import socket
import stat

from tests.waiting import free_port


def test_names_and_a_hardware_address_of_ones_own(minirun, busybox):
    mac = "02:42:ac:11:00:99"
    done = minirun(
        "run", "--rm", "--mac-address", mac.upper(), "-h", "box", "--domainname", "example.org", busybox,
        "sh", "-c", "cat /sys/class/net/eth0/address; grep box /etc/hosts | cut -f 2 | uniq",
    )  # fmt: skip
    assert done.stdout == f"{mac}\nbox.example.org box\n"


def test_a_directory_that_a_bind_makes_is_for_all_users_to_enter(minirun, busybox, tmp_path):
    before = os.umask(0o077)
    try:
        minirun("run", "--rm", "--network", "none", "-u", "1", "-v", f"{tmp_path}/a/b:/x", busybox, "ls", "/x")
    finally:
        os.umask(before)
    assert [stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "a", tmp_path / "a/b")] == [0o755, 0o755]


def test_ports_of_a_container_on_the_hosts_network_are_said_to_be_discarded(minirun, busybox):
    done = minirun("run", "--rm", "--network", "host", "-p", "80:80", busybox, "true")
    assert done.stderr == "WARNING: Published ports are discarded when using host network mode\n"


def test_without_a_log_there_is_no_file_and_output_comes_all_the_same(minirun, busybox):
    minirun("run", "--name", "quiet", "--log-driver", "none", "--network", "none", busybox, "echo", "heard")
    try:
        assert minirun("start", "-a", "quiet").stdout == "heard\n"
        done = minirun("logs", "quiet", check=False)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == "Error: configured logging driver does not support reading\n"
        kind, path = minirun("inspect", "-f", "{{.HostConfig.LogConfig.Type}} {{.LogPath}}", "quiet").stdout.split(
            " ", 1
        )
        assert (kind, path) == ("none", "\n")
    finally:
        minirun("rm", "-f", "quiet")


def test_mounts_written_out(minirun, busybox, tmp_path):
    """One bind without its submounts, one whose submounts can be written, one whose path has a comma."""
    (tmp_path / "a,b").mkdir()
    (tmp_path / "a,b" / "file").write_text("here\n")
    done = minirun(
        "run", "--rm", "--network", "none",
        "--mount", "type=bind,src=/sys,dst=/alone,ro,bind-nonrecursive",
        "--mount", "type=bind,src=/sys,dst=/writable,ro,bind-recursive=writable",
        "--mount", f'type=bind,"src={tmp_path}/a,b",dst=/comma',
        "-v", f"{tmp_path}:/twice", "-v", f"{tmp_path}:/twice", "--tmpfs", "/t", "--tmpfs", "/t:size=4k",
        busybox, "sh", "-c",
        "cat /comma/file; grep -c ' /alone' /proc/mounts; grep ' /writable ' /proc/mounts | cut -d ' ' -f 4 | cut -d , -f 1;"
        "grep ' /t ' /proc/mounts | grep -o size=4k",
    )  # fmt: skip
    assert done.stdout == "here\n1\nro\nsize=4k\n"


def test_the_first_free_port_of_a_range(minirun, busybox):
    first = free_port()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", first))
        taken.listen()
        minirun("run", "-d", "--name", "ranged", "-p", f"127.0.0.1:{first}-{first + 20}:80", busybox, "sleep", "600")
        try:
            host, port = minirun("port", "ranged", "80").stdout.strip().split(":")
            assert host == "127.0.0.1"
            assert first < int(port) <= first + 20
            asked = json.loads(minirun("inspect", "-f", "{{json .HostConfig.PortBindings}}", "ranged").stdout)
            assert asked == {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": f"{first}-{first + 20}"}]}
            only = f"127.0.0.1:{first}-{first}:80"
            done = minirun("run", "--rm", "-p", only, busybox, "true", check=False)
            assert (done.returncode, "already in use by a program" in done.stderr) == (125, True)
        finally:
            minirun("rm", "-f", "ranged")


def test_what_could_not_be_started_is_named_and_keeps_the_reason(minirun, busybox):
    done = minirun("run", "-d", "--network", "none", busybox, "no-such", check=False)
    assert done.returncode == 127
    shown = minirun(
        "inspect", "-f", "{{.State.Status}} {{.State.ExitCode}} {{.Config.AttachStdout}}", done.stdout.strip()
    )
    assert shown.stdout == "created 127 false\n"
    minirun("rm", done.stdout.strip())
