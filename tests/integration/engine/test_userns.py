"""`--userns auto`: a container whose root is nobody on the host, from inside, from outside, and through its life."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import re
import signal
import sqlite3
import stat
import subprocess

import pytest

from tests.conftest import open_way
from tests.terminal import Terminal
from tests.waiting import until

FIRST = 1 << 31


@pytest.fixture(autouse=True)
def no_reserve(monkeypatch: pytest.MonkeyPatch) -> None:
    """What these tests expect of numbers holds where nobody has reserved ids for containers."""
    for file in ("/etc/subuid", "/etc/subgid"):
        path = pathlib.Path(file)
        assert not path.exists() or "containers:" not in path.read_text(), f"{file} reserves ids for containers"


@pytest.fixture
def box(run_container, busybox) -> str:
    """A running container with ids of its own."""
    return run_container("--userns", "auto", busybox, "sleep", "1000")


def inside(minirun, busybox, script: str, *options: str, check: bool = True) -> str:
    done = minirun(
        "run", "--rm", "--userns", "auto", *options, busybox, "sh", "-c", f"exec 2>&1; {script}", check=check
    )
    return done.stdout


def details(minirun, name: str) -> dict:
    return json.loads(minirun("inspect", name).stdout)[0]


def upper_of(minirun, name: str) -> pathlib.Path:
    return pathlib.Path(details(minirun, name)["GraphDriver"]["Data"]["UpperDir"])


def ids_of(minirun, name: str) -> dict[str, list[int]]:
    """Give the user and group ids of a container's first process as the host sees them."""
    status = pathlib.Path(f"/proc/{details(minirun, name)['State']['Pid']}/status").read_text()
    return {
        key: list(map(int, re.findall(rf"^{key}:\t(.*)", status, re.MULTILINE)[0].split())) for key in ("Uid", "Gid")
    }


def leases(roots) -> list[tuple]:
    connection = sqlite3.connect(f"file:{roots.root}/minirun.db?mode=ro", uri=True)
    try:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'id_leases'").fetchall():
            return []  # the first lease makes the table
        return connection.execute("SELECT uid, gid, size FROM id_leases ORDER BY uid").fetchall()
    finally:
        connection.close()


# ---- from inside


def test_the_container_has_a_map_of_its_own(minirun, busybox):
    lines = inside(minirun, busybox, "cat /proc/self/uid_map /proc/self/gid_map; id -u").split("\n")
    assert [line.split() for line in lines[:2]] == [["0", str(FIRST), "65536"]] * 2
    assert lines[2] == "0"


def test_the_image_belongs_to_the_containers_root(minirun, busybox):
    listed = inside(minirun, busybox, "stat -c '%u:%g %n' / /bin /bin/busybox /etc /tmp /dev /dev/shm /dev/pts /etc/hosts"
                    " /etc/hostname /etc/resolv.conf")  # fmt: skip
    assert {line.split()[0] for line in listed.splitlines()} == {"0:0"}


def test_what_a_container_expects_works(minirun, busybox):
    script = """
        echo new > /made && chown 1:2 /made && stat -c %u:%g /made
        echo 10.0.0.1 db >> /etc/hosts && grep -c '1 db$' /etc/hosts
        echo x > /dev/shm/x && echo x > /dev/null && head -c 3 /dev/zero | wc -c
        echo out > /dev/stdout; echo err > /dev/stderr; echo fd > /proc/self/fd/1
        ls /sys/class/net | tr '\\n' ' '; cat /sys/fs/cgroup/cgroup.procs | head -1; ls -d /dev/mqueue
        touch /etc/passwd && cp /bin/busybox /tmp && /tmp/busybox true && rm /bin/stat && echo removed"""
    assert inside(minirun, busybox, script).split() == [
        *("1:2", "1", "3", "out", "err", "fd", "eth0", "lo", "1", "/dev/mqueue", "removed"),
    ]  # fmt: skip


def test_root_inside_has_no_power_outside_its_namespace(minirun, busybox):
    script = """
        mknod /device c 1 3; mount -t tmpfs tmpfs /tmp; chmod 666 /dev/null; chown 0 /dev/null; hostname other
        echo 1 > /proc/sys/kernel/panic; dmesg -c; echo -17 > /proc/self/oom_score_adj"""
    for line in script.strip().replace("\n", ";").split(";"):
        assert inside(minirun, busybox, f"({line.strip()}) >/dev/null 2>&1 && echo DONE", check=False) == "", line


def test_all_capabilities_are_good_for_the_container_alone(minirun, busybox):
    """As for `--privileged`: it mounts and names its host, and still is nobody outside."""
    script = """
        mount -t tmpfs tmpfs /tmp && hostname other && hostname
        mknod /device c 1 3 2>/dev/null || echo no device; cat /dev/mem >/dev/null 2>&1 || echo no memory
        (echo 1 > /proc/sys/kernel/panic) 2>/dev/null || echo no parameter"""
    for options in (("--privileged",), ("--cap-add", "ALL", "--security-opt", "seccomp=unconfined")):
        assert inside(minirun, busybox, script, *options).splitlines() == [
            "other", "no device", "no memory", "no parameter",
        ]  # fmt: skip


def test_users_other_than_root(minirun, busybox):
    script = "id -u; id -g; echo hi > /dev/stderr; touch /tmp/x && stat -c %u:%g /tmp/x; touch /x || true"
    out = inside(minirun, busybox, script, "-u", "33:44", "--group-add", "55").splitlines()
    assert out == ["33", "44", "hi", "33:44", "touch: /x: Permission denied"]
    refused = minirun("run", "--rm", "--userns", "auto:size=100", "-u", "100", busybox, "true", check=False)
    assert (refused.returncode, refused.stderr.count("\n")) == (125, 1)
    assert "100 isn't among the container's ids, 0 to 99" in refused.stderr


def test_resource_limits(minirun, busybox):
    assert inside(minirun, busybox, "ulimit -n; ulimit -Hn", "--ulimit", "nofile=20:25").split() == ["20", "25"]


def test_as_small_as_it_gets(minirun, busybox):
    out = minirun("run", "--rm", "--userns", "auto:size=11", busybox, "sh", "-c", "tail -c 4 /proc/self/uid_map; id -u")
    assert out.stdout.split() == ["11", "0"]
    refused = minirun("run", "--rm", "--userns", "auto:size=3", busybox, "true", check=False)
    assert "ids, of groups too" in refused.stderr, "root is in group 10 there"


def test_the_default_is_the_hosts_namespace(minirun, busybox):
    own = os.readlink("/proc/self/ns/user")
    for options in ((), ("--userns", "host"), ("--userns", "")):
        assert minirun("run", "--rm", *options, busybox, "readlink", "/proc/self/ns/user").stdout.strip() == own


def test_an_init_and_a_terminal(minirun, busybox):
    with Terminal([*minirun.words, "run", "--rm", "-it", "--init", "--userns", "auto", busybox, "sh"]) as terminal:
        terminal.send("stat -c '%u:%g' $(tty); echo to > $(tty); exit 7\n")
        terminal.expect("0:5")
        assert terminal.wait() == 7


# ---- from outside


def test_two_containers_share_no_id_and_none_with_the_host(minirun, busybox, run_container):
    one = run_container("--userns", "auto", busybox, "sleep", "1000")
    other = run_container("--userns", "auto:size=1000", "-u", "7:8", busybox, "sleep", "1000")
    assert ids_of(minirun, one) == {"Uid": [FIRST] * 4, "Gid": [FIRST] * 4}
    assert ids_of(minirun, other) == {"Uid": [FIRST + 65536 + 7] * 4, "Gid": [FIRST + 65536 + 8] * 4}


def test_what_it_writes_belongs_to_its_own_ids_on_the_disk_too(minirun, busybox, run_container):
    """A setuid program of the container's root is nobody's of importance on the host."""
    script = "cp /bin/busybox /suid; chmod 4755 /suid; touch /user; chown 5:6 /user; sleep 1000"
    name = run_container("--userns", "auto", busybox, "sh", "-c", script)
    upper = upper_of(minirun, name)
    until("the files", lambda: (upper / "user").exists() and (upper / "user").stat().st_uid != FIRST)
    suid, user = (upper / "suid").stat(), (upper / "user").stat()
    assert suid.st_mode & stat.S_ISUID
    assert (suid.st_uid, suid.st_gid, user.st_uid, user.st_gid) == (FIRST, FIRST, FIRST + 5, FIRST + 6)


def test_the_image_stays_as_it_was(minirun, busybox, roots):
    def content() -> list[tuple]:
        found = []
        for place, directories, files in os.walk(roots.root / "snapshots"):
            for name in sorted((*directories, *files)):
                path = pathlib.Path(place, name)
                status = path.lstat()
                found.append(
                    (str(path), status.st_uid, status.st_gid, status.st_mode, status.st_size, status.st_ctime_ns)
                )
        return sorted(found)

    before = content()
    inside(minirun, busybox, "chown -R 7:7 /etc /bin /home; chmod 700 /bin/busybox; rm -rf /usr; echo x > /etc/passwd")
    assert content() == before
    assert minirun("run", "--rm", busybox, "stat", "-c", "%u", "/bin/busybox").stdout == "0\n"


def test_the_hosts_mount_table_never_holds_any_of_it(minirun, box, roots):
    assert str(roots.root) not in pathlib.Path("/proc/self/mountinfo").read_text()


# ---- through its life


def test_its_files_are_its_own_after_stop_and_start(minirun, box):
    minirun("exec", box, "sh", "-c", "touch /made; chown 7:8 /made")
    before = ids_of(minirun, box)
    for again in (("stop", "-t", "0"), ("kill",), ("restart", "-t", "0")):
        minirun(*again, box)
        if again[0] != "restart":
            minirun("wait", box)
            minirun("start", box)
        assert ids_of(minirun, box) == before
        assert minirun("exec", box, "stat", "-c", "%u:%g", "/made").stdout == "7:8\n"
        minirun("exec", box, "sh", "-c", "echo more >> /made; rm -f /etc/group; touch /etc/group")


def test_exec_logs_attach_ps_inspect(minirun, busybox, run_container):
    name = run_container("--userns", "auto", "-i", busybox, "sh", "-c", "echo begun; read line; echo got $line")
    map_of_exec = minirun("exec", name, "cat", "/proc/self/uid_map").stdout.split()
    assert map_of_exec == ["0", str(FIRST), "65536"]
    assert minirun("exec", "-u", "12", name, "sh", "-c", "id -u; echo x > /dev/stderr").stdout == "12\n"
    assert "CapEff:\t000001ff" in minirun("exec", "--privileged", name, "cat", "/proc/self/status").stdout
    assert minirun("exec", name, "mknod", "/x", "c", "1", "3", check=False).returncode == 1
    assert details(minirun, name)["HostConfig"]["UsernsMode"] == "auto"
    assert name in minirun("ps").stdout
    assert minirun("attach", name, stdin="word\n").stdout == "got word\n"
    assert minirun("logs", name).stdout == "begun\ngot word\n"


def test_ids_are_leased_from_creation_to_removal(minirun, busybox, roots):
    one = minirun("create", "--userns", "auto", busybox, "true").stdout.strip()
    other = minirun("create", "--userns", "auto:size=10", busybox, "true").stdout.strip()
    assert leases(roots) == [(FIRST, FIRST, 65536), (FIRST + 65536, FIRST + 65536, 10)]
    minirun("start", "-a", one)
    assert len(leases(roots)) == 2
    minirun("rm", one)
    assert leases(roots) == [(FIRST + 65536, FIRST + 65536, 10)]
    assert inside(minirun, busybox, "cat /proc/self/uid_map").split()[1] == str(FIRST)
    minirun("rm", other)
    assert leases(roots) == []


@pytest.mark.parametrize("victim", ["container", "monitor"])
def test_a_kill_gives_everything_back(minirun, busybox, roots, victim):
    started = minirun("run", "-d", "--rm", "--userns", "auto", "-p", "127.0.0.1:0:80", busybox, "sleep", "1000")
    name = started.stdout.strip()
    pid = details(minirun, name)["State"]["Pid"]
    if victim == "monitor":
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
        pid = int(re.findall(r"^PPid:\t(\d+)", status, re.MULTILINE)[0])
    os.kill(pid, signal.SIGKILL)
    until("it has gone", lambda: name[:12] not in minirun("ps", "-a").stdout)
    assert leases(roots) == []


def test_a_command_that_is_killed_leaves_no_lease(minirun, busybox, roots):
    for delay in range(12):
        command = minirun.start(
            "run", "--userns", "auto", "--name", "victim", busybox, "true", stdin=subprocess.DEVNULL
        )
        with contextlib.suppress(subprocess.TimeoutExpired):
            command.wait(timeout=0.01 * delay)
        command.kill()
        command.wait()
        minirun("rm", "-f", "victim", check=False)
        until("nothing is leased", lambda: not minirun("ps", "-aq").stdout and not leases(roots))


# ---- what is mounted into it


@pytest.fixture
def shared(tmp_path: pathlib.Path) -> pathlib.Path:
    """A directory of the host's root with a file that nobody else may read."""
    place = tmp_path / "shared"
    place.mkdir()
    open_way(place)
    (place / "secret").write_text("secret\n")
    (place / "secret").chmod(0o600)
    return place


def test_a_bind_mount_is_the_hosts(minirun, busybox, shared):
    script = "stat -c %u /x /x/secret; cat /x/secret; chmod 644 /x/secret; touch /x/made; rm /x/secret"
    out = inside(minirun, busybox, script, "-v", f"{shared}:/x", check=False).splitlines()
    assert out[:2] == ["65534", "65534"]
    assert out[2] == "cat: can't open '/x/secret': Permission denied"
    assert len(out) == 6
    assert sorted(os.listdir(shared)) == ["secret"]
    assert stat.S_IMODE((shared / "secret").stat().st_mode) == 0o600


def test_a_bind_mount_with_its_ids_mapped(minirun, busybox, shared):
    script = "stat -c %u /x /x/secret; cat /x/secret; touch /x/made; chown 5:6 /x/made"
    assert inside(minirun, busybox, script, "-v", f"{shared}:/x:idmap").split() == ["0", "0", "secret"]
    made = (shared / "made").stat()
    assert (made.st_uid, made.st_gid) == (5, 6)
    refused = minirun("run", "--rm", "-v", f"{shared}:/x:idmap", busybox, "true", check=False)
    assert (refused.returncode, refused.stderr.count("\n")) == (125, 1)
    assert "goes with --userns auto" in refused.stderr


@pytest.mark.parametrize("user", ["0:0", "7:8"])
def test_a_bind_mount_for_its_owner(minirun, busybox, shared, user):
    os.chown(shared, 1234, 1235)
    script = "stat -c %u:%g /x; touch /x/made; cat /x/secret"
    out = inside(minirun, busybox, script, "-u", user, "-v", f"{shared}:/x:owner", check=False).splitlines()
    assert out == [user, "cat: can't open '/x/secret': Permission denied"]
    made = (shared / "made").stat()
    assert (made.st_uid, made.st_gid) == (1234, 1235)


def test_a_tmpfs_belongs_to_the_containers_users(minirun, busybox):
    out = inside(minirun, busybox, "stat -c %u:%g /a /b", "--tmpfs", "/a", "--tmpfs", "/b:uid=5,gid=6")
    assert out.split() == ["0:0", "5:6"]


def test_a_device_is_the_hosts_under_its_new_name(minirun, busybox):
    out = inside(
        minirun,
        busybox,
        "echo x > /dev/nothing && stat -c '%t:%T %u' /dev/nothing",
        "--device",
        "/dev/null:/dev/nothing",
    )
    assert out == "1:3 65534\n"


def test_a_read_only_root(minirun, busybox):
    out = inside(
        minirun, busybox, "touch /x; touch /etc/hosts; touch /dev/shm/x && echo shm", "--read-only", check=False
    )
    assert out.count("Read-only file system") == 2
    assert out.endswith("shm\n")


# ---- networks


@pytest.mark.parametrize("lender", [(), ("--userns", "auto")], ids=["of-the-host", "of-another"])
def test_another_containers_network(minirun, busybox, run_container, lender):
    name = run_container(
        *lender, busybox, "sh", "-c", "mkdir /www; echo page > /www/index.html; httpd -f -p 80 -h /www"
    )
    script = "ls /sys/class/net | tr '\\n' ' '; ip link set eth0 down 2>/dev/null || echo not mine"
    options = ("--network", f"container:{name}", "--cap-add", "NET_ADMIN")
    assert inside(minirun, busybox, script, *options) == "eth0 lo not mine\n"
    page = until("the page", lambda: inside(minirun, busybox, "wget -qO- http://127.0.0.1/", *options, check=False))
    assert page == "page\n"
    guest = run_container("--userns", "auto", *options[:2], busybox, "sleep", "1000")
    assert minirun("exec", guest, "wget", "-qO-", "http://127.0.0.1/").stdout == "page\n"


def test_the_hosts_network(minirun, busybox):
    out = inside(minirun, busybox, "ls /sys/class/net", "--network", "host").split()
    assert sorted(out) == sorted(os.listdir("/sys/class/net"))
    assert inside(minirun, busybox, "ip link set lo down", "--network", "host", "--cap-add", "NET_ADMIN", check=False)


def test_a_published_port_and_its_own_interface(minirun, busybox, run_container):
    script = "mkdir /www; echo page > /www/index.html; httpd -f -p 80 -h /www"
    name = run_container(
        "--userns", "auto", "-u", "33", "-p", "127.0.0.1::80", "--tmpfs", "/www:uid=33", busybox, "sh", "-c", script
    )
    port = details(minirun, name)["NetworkSettings"]["Ports"]["80/tcp"][0]["HostPort"]

    def page() -> str:
        return subprocess.run(
            ["busybox", "wget", "-qO-", f"http://127.0.0.1:{port}/"], capture_output=True, text=True, check=False
        ).stdout

    assert until("the page", page) == "page\n"
    assert minirun("exec", name, "cat", "/proc/sys/net/ipv4/ping_group_range").stdout.split() == ["0", "65535"]


# ---- errors


@pytest.mark.parametrize("text", ["keep-id", "auto:size=none", "auto:gidmapping=0:1:2"])
def test_other_modes_are_one_line(minirun, busybox, text):
    refused = minirun("run", "--rm", "--userns", text, busybox, "true", check=False)
    assert (refused.returncode, refused.stderr.count("\n")) == (125, 1)


def test_exhaustion_is_one_line_and_leaves_nothing(minirun, busybox, roots):
    huge = minirun("create", "--userns", "auto:size=2147000000", busybox, "true").stdout.strip()
    try:
        refused = minirun("run", "--userns", "auto:size=1000000", busybox, "true", check=False)
        assert (refused.returncode, refused.stderr.count("\n")) == (125, 1)
        assert "lease 1000000 ids for the container" in refused.stderr
        assert len(leases(roots)) == 1
        assert len(minirun("ps", "-aq").stdout.split()) == 1
        assert inside(minirun, busybox, "id -u") == "0\n", "there is room for a smaller one"
    finally:
        minirun("rm", huge)


def test_a_file_system_without_mapped_mounts_is_named_before_anything_is_made(minirun, busybox, monkeypatch, engine):
    from minirun.engine.config import ContainerConfig
    from minirun.errors import NotSupported

    monkeypatch.setattr(engine.snapshots, "root", "/proc")
    with pytest.raises(NotSupported, match="the ids of /proc can't be mapped: its file system has no ID-mapped mounts"):
        engine.create(ContainerConfig(image=busybox, command=("true",), userns="auto"))
    assert not minirun("ps", "-aq").stdout


def test_explain_shows_the_ids_and_leases_none(minirun, busybox, roots):
    text = minirun("run", "--explain", "--userns", "auto", busybox, "true").stdout
    steps = [line.removeprefix("engine   ") for line in text.splitlines() if line.startswith("engine ")]
    assert [steps.index(step) for step in ("start the monitor", "hand the plan to the monitor")] == [2, len(steps) - 1]
    assert f"lease 65536 user ids from {FIRST} on" in text
    assert "with mapped ids" in text
    assert leases(roots) == []
