"""The life of a container by its verbs, in order and out of order. runtime.md, "Lifecycle" and "Operations"."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import stat
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from minirun.errors import Conflict
from minirun.linux import syscalls
from minirun.runtime import selinux
from minirun.runtime.container import Runtime, find
from minirun.runtime.state import Directory, State
from tests.integration.oci.conftest import Oci
from tests.waiting import until
from tests.warm import looked_into

ID = f"life-{os.getpid()}"


def test_create_start_kill_delete(oci: Oci) -> None:
    oci.config("sh", "-c", "echo on > /data/ran; exec sleep 1000")
    oci("create", "--pid-file", str(oci.top / "pid"), ID)
    state = oci.state(ID)
    assert (state["status"], state["id"], state["bundle"]) == ("created", ID, str(oci.bundle))
    assert (oci.top / "pid").read_text() == str(state["pid"])
    assert not (oci.rootfs / "data/ran").exists()
    oci("start", ID)
    oci.wait_until(ID, "running")
    until("the program to have run", (oci.rootfs / "data/ran").exists)
    oci("kill", ID, "KILL")
    oci.wait_until(ID, "stopped")
    assert oci.state(ID)["pid"] == 0
    oci("delete", ID)
    assert "container does not exist" in oci("state", ID, check=False).stderr


def test_an_id_is_taken_once(oci: Oci, container: str) -> None:
    done = oci("create", container, check=False)
    assert done.returncode == 1
    assert "container with given ID already exists" in done.stderr
    assert oci.state(container)["status"] == "running"


def test_of_two_creates_at_once_one_wins(oci: Oci) -> None:
    oci.config("sleep", "1000")
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    racers = [oci.start_process("create", ID, **quiet) for _ in range(4)]
    assert sorted(racer.wait(60) for racer in racers) == [0, 1, 1, 1]
    assert oci.state(ID)["status"] == "created"
    oci("start", ID)
    oci.wait_until(ID, "running")


def test_a_container_starts_once(oci: Oci, container: str) -> None:
    done = oci("start", container, check=False)
    assert (done.returncode, oci.state(container)["status"]) == (1, "running")
    assert "cannot start an already running container" in done.stderr


def test_of_two_starts_at_once_one_wins(oci: Oci) -> None:
    oci.config("sleep", "1000")
    oci("create", ID)
    racers = [oci.start_process("start", ID, stderr=subprocess.DEVNULL) for _ in range(4)]
    assert sorted(racer.wait(60) for racer in racers) == [0, 1, 1, 1]


def test_a_stopped_container_cannot_be_started_nor_killed(oci: Oci) -> None:
    oci.config("true")
    oci("run", "--detach", ID)
    oci.wait_until(ID, "stopped")
    assert "cannot start a container that has stopped" in oci("start", ID, check=False).stderr
    assert "container not running" in oci("kill", ID, "TERM", check=False).stderr
    assert oci("kill", ID, "KILL", check=False).returncode == 1
    assert oci("kill", ID, "0", check=False).returncode == 1
    oci("kill", "--all", ID, "KILL")  # who wants nobody left has it


def test_signal_0_asks_whether_there_is_a_process(oci: Oci, container: str) -> None:
    oci("kill", container, "0")
    oci("kill", "--all", container, "0")
    assert oci.state(container)["status"] == "running"
    for words in ((container, "65"), (container, "--", "-9"), (container, "00x")):
        assert "unknown signal" in oci("kill", *words, check=False).stderr


def test_a_container_killed_before_its_start_is_stopped(oci: Oci) -> None:
    oci.config("true")
    oci("create", ID)
    oci("kill", ID, "KILL")
    oci.wait_until(ID, "stopped")
    assert "cannot start a container that has stopped" in oci("start", ID, check=False).stderr
    oci("delete", ID)


def test_a_running_container_is_deleted_only_by_force(oci: Oci, container: str) -> None:
    done = oci("delete", container, check=False)
    assert done.returncode == 1
    assert f"cannot delete container {container} that is not stopped: running" in done.stderr
    assert oci.state(container)["status"] == "running"
    oci("delete", "--force", container)
    oci.assert_nothing_is_left()


def test_a_created_container_is_deleted_only_by_force(oci: Oci) -> None:
    oci.config("true")
    oci("create", ID)
    done = oci("delete", ID, check=False)
    assert f"cannot delete container {ID} that is not stopped: created" in done.stderr
    assert oci.state(ID)["status"] == "created"
    oci("delete", "--force", ID)
    oci.assert_nothing_is_left()


def test_what_cannot_be_deleted_does_not_keep_the_others(oci: Oci) -> None:
    others = [f"{ID}-{number}" for number in range(2)]
    for name in others:
        oci.config("true")
        oci("run", "--detach", name)
        oci.wait_until(name, "stopped")
    oci.config("sleep", "1000")
    oci("run", "--detach", ID)
    done = oci("delete", others[0], ID, "nonesuch", others[1], check=False)
    assert done.returncode == 1
    assert f"cannot delete container {ID} that is not stopped: running" in done.stderr
    assert "container does not exist" in done.stderr
    assert oci.containers() == [ID]
    oci("delete", "--force", ID)
    oci.assert_nothing_is_left()


@pytest.mark.parametrize("name", ["runc", "crun"])
def test_called_by_their_name_it_deletes_a_created_container_as_they_do(oci: Oci, tmp_path: Path, name: str) -> None:
    oci.config("true")
    oci("create", ID)
    program, *options = oci.words("delete", ID)
    (tmp_path / name).symlink_to(program)
    subprocess.run([tmp_path / name, *options], check=True)
    oci.assert_nothing_is_left()


def test_what_does_not_exist(oci: Oci) -> None:
    for verb in ("state", "start", "kill", "delete", "pause", "resume", "ps"):
        done = oci(verb, "nonesuch", check=False)
        assert done.returncode == 1
        assert "container does not exist" in done.stderr
    assert oci("delete", "--force", "nonesuch").stderr == ""
    assert not oci.root.exists(), "asking makes nothing"


@pytest.mark.parametrize("name", ["", "..", ".", "a/b", "../x", "a\nb", "é", "x" * 2000, ".shared"])
def test_an_id_that_is_no_name(oci: Oci, name: str) -> None:
    oci.config("true")
    done = oci("create", name, check=False)
    oci.ids.clear()
    assert done.returncode == 1
    assert "invalid container ID format" in done.stderr
    assert oci("delete", "--force", name, check=False).returncode == 1


def test_deleting_while_it_starts_ends_in_nothing(oci: Oci) -> None:
    oci.config("sleep", "1000")
    for number in range(10):
        oci("create", f"{ID}-{number}")
        start = oci.start_process("start", f"{ID}-{number}", stderr=subprocess.DEVNULL)
        oci("delete", "--force", f"{ID}-{number}")
        assert start.wait(60) in (0, 1)
    oci.assert_nothing_is_left()


def test_deleting_while_it_is_created_waits_and_ends_in_nothing(oci: Oci) -> None:
    """What the deleting command has read of a container before it got the lock may be out of date."""
    fifo = oci.top / "go"
    os.mkfifo(fifo)
    hook = {"path": "/bin/sh", "args": ["sh", "-c", f"echo > {oci.top}/inside; cat {fifo}"]}
    oci.config("sleep", "1000", hooks={"createRuntime": [hook]})
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    create = oci.start_process("create", ID, **quiet)
    until("the hook to run", (oci.top / "inside").exists)
    delete = oci.start_process("delete", "--force", ID, env=looked_into())
    until("delete to wait for the lock", lambda: is_waiting_for_lock(delete.pid))
    fifo.write_text("go")
    assert create.wait(60) == 0
    assert delete.wait(60) == 0
    oci.assert_nothing_is_left()


def test_a_container_without_a_process_is_being_created_as_long_as_somebody_does_it(oci: Oci) -> None:
    directory = Directory(str(oci.root), ID)
    with directory.taken():
        assert oci.state(ID)["status"] == "creating"
        directory.write(State(id=ID, bundle=str(oci.bundle)))
        assert (oci.state(ID)["status"], oci.state(ID)["pid"]) == ("creating", 0)
        assert json.loads(oci("list", "--format", "json").stdout)[0]["status"] == "creating"
    assert oci.state(ID)["status"] == "stopped"
    oci("delete", ID)


def test_what_was_recorded_while_a_command_waited_counts(oci: Oci) -> None:
    """A process whose number is written down only after `delete` has looked for the first time."""
    directory = Directory(str(oci.root), ID)
    with directory.taken():
        directory.write(State(id=ID, bundle=str(oci.bundle)))
    with subprocess.Popen(["sleep", "1000"]) as process:
        with directory.locked():
            delete = oci.start_process("delete", "--force", ID, env=looked_into())
            until("delete to wait for the lock", lambda: is_waiting_for_lock(delete.pid))
            start_time = syscalls.process_start_time(process.pid) or 0
            directory.write(State(id=ID, bundle=str(oci.bundle), pid=process.pid, start_time=start_time))
        assert delete.wait(60) == 0
        assert process.wait(60) == -signal.SIGKILL


def test_a_process_at_the_gate_that_nobody_has_recorded_is_removed(oci: Oci) -> None:
    """What is left when `create` is killed between the process and its record, here without a cgroup to find it by."""
    oci.config("sleep", "1000")
    oci("--cgroup-manager=disabled", "create", ID)
    directory = Directory(str(oci.root), ID)
    pid = oci.state(ID)["pid"]
    directory.write(directory.read().replace(pid=0, start_time=0))
    oci("delete", "--force", ID)
    assert not Path(f"/proc/{pid}").exists() or is_zombie(pid)
    oci.assert_nothing_is_left()


def is_zombie(pid: int) -> bool:
    """Say whether nothing is left of a process but its exit code."""
    with suppress(FileNotFoundError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    return True


def is_waiting_for_lock(pid: int) -> bool:
    """Say whether a process is blocked on a flock, by the kernel's list: "1: -> FLOCK ADVISORY WRITE PID ..."."""
    return any(
        line.split()[1] == "->" and line.split()[5] == str(pid) for line in Path("/proc/locks").read_text().splitlines()
    )


def test_pause_and_resume(oci: Oci, container: str) -> None:
    oci("pause", container)
    assert oci.state(container)["status"] == "paused"
    assert "cannot exec in a paused container" in oci("exec", container, "true", check=False).stderr
    assert oci("pause", container, check=False).returncode == 1
    assert oci("delete", container, check=False).returncode == 1
    oci("resume", container)
    assert oci.state(container)["status"] == "running"
    assert "container not paused" in oci("resume", container, check=False).stderr


def test_a_paused_container_is_deleted_by_force(oci: Oci, container: str) -> None:
    oci("pause", container)
    oci("delete", "--force", container)
    oci.assert_nothing_is_left()


def test_a_container_paused_before_its_start_is_paused(oci: Oci) -> None:
    oci.config("sleep", "1000")
    oci("create", ID)
    oci("pause", ID)
    assert oci.state(ID)["status"] == "paused"
    assert oci("start", ID, check=False, timeout=20).returncode == 1
    oci("resume", ID)
    assert oci.state(ID)["status"] == "created"
    oci("start", ID)
    oci.wait_until(ID, "running")


def test_kill_all_reaches_every_process(oci: Oci) -> None:
    oci.config("sh", "-c", "for i in 1 2 3; do sleep 1000 & done; echo > /data/ready; wait")
    oci("run", "--detach", ID)
    until("the children to be there", lambda: len(json.loads(oci("ps", "--format", "json", ID).stdout)) == 4)
    oci("kill", "--all", ID, "KILL")
    oci.wait_until(ID, "stopped")


def test_without_a_pid_namespace_nobody_outlives_the_first_process(oci: Oci) -> None:
    oci.config("sh", "-c", "sleep 1000 & echo > /data/ready; exec sleep 1000", namespaces=("ipc", "uts", "mount"))
    oci("run", "--detach", ID)
    until("the second process", lambda: len(json.loads(oci("ps", "--format", "json", ID).stdout)) == 2)
    first = oci.state(ID)["pid"]
    os.kill(first, signal.SIGKILL)
    oci.wait_until(ID, "stopped")
    oci("delete", ID)
    oci.assert_nothing_is_left()


def test_killing_without_a_pid_namespace_takes_all_along(oci: Oci) -> None:
    oci.config("sh", "-c", "sleep 1000 & exec sleep 1000", namespaces=("ipc", "uts", "mount"))
    oci("run", "--detach", ID)
    until("the second process", lambda: len(json.loads(oci("ps", "--format", "json", ID).stdout)) == 2)
    oci("kill", ID, "KILL")
    until("both to be gone", lambda: not oci.processes())


def test_a_program_that_is_not_there_fails_at_creation_and_leaves_nothing(oci: Oci) -> None:
    for command, said in (
        ("nonesuch", 'exec: "nonesuch": executable file not found in $PATH'),
        ("/nonesuch", 'exec: "/nonesuch": stat /nonesuch: no such file or directory'),
        ("/etc", "is a directory"),
    ):
        oci.config(command)
        done = oci("create", ID, check=False)
        assert done.returncode == 1
        assert said in done.stderr.replace('\\"', '"')
        oci.assert_nothing_is_left()


def test_a_pid_file_that_cannot_be_written_leaves_nothing(oci: Oci) -> None:
    oci.config("sleep", "1000")
    assert oci("create", "--pid-file", "/nonexistent/pid", ID, check=False).returncode == 1
    oci.assert_nothing_is_left()
    (oci.top / "taken").mkdir()
    assert oci("create", "--pid-file", str(oci.top / "taken"), ID, check=False).returncode == 1
    oci.assert_nothing_is_left()
    assert not [path for path in oci.top.iterdir() if path.name.startswith(".taken")]


def test_the_list_has_what_there_is(oci: Oci, container: str) -> None:
    (listed,) = json.loads(oci("list", "--format", "json").stdout)
    assert {key: listed[key] for key in ("id", "status")} == {"id": container, "status": "running"}
    assert oci("list", "-q").stdout.split() == [container]


def test_a_create_is_not_disturbed_by_deletions(oci: Oci) -> None:
    """Whoever deletes the container while it is made gets it whole, or nothing: never a directory under construction."""
    oci.config("true")
    quiet: Any = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    deletion = shlex.join(oci.words("delete", "--force", ID))
    oci.start_process("create", ID, **quiet).wait(60)
    deleter = subprocess.Popen(["sh", "-c", f"while :; do {deletion}; done"], start_new_session=True, **quiet)
    try:
        said = [oci("create", ID, check=False).stderr for _ in range(25)]
    finally:
        os.killpg(deleter.pid, signal.SIGKILL)
        deleter.wait()
    assert {text for text in said if text and "container with given ID already exists" not in text} == set()


def test_an_id_is_taken_from_who_has_lost_its_directory(tmp_path: Path) -> None:
    """A directory that was made, deleted, and made by somebody else is no longer the first one's."""
    mine = Directory(str(tmp_path), "box")
    locked = mine._lock
    others: list[Directory] = []

    def lock_too_late(how: int = 0) -> int:
        (tmp_path / "box").rmdir()
        others.append(Directory(str(tmp_path), "box"))
        with others[0].taken():
            others[0].make_gate()
        return locked(how)

    mine._lock = lock_too_late  # type: ignore[method-assign]
    with pytest.raises(Conflict), mine.taken():
        pass
    assert sorted(os.listdir(tmp_path / "box")) == ["gate", "verdict"]


def test_a_forced_delete_does_not_wait_for_a_hook_inside(oci: Oci) -> None:
    """A program of the image that never ends must not keep its container from being removed."""
    oci.config(
        "true", hooks={"startContainer": [{"path": "/bin/sh", "args": ["sh", "-c", "echo > /data/on; sleep 1000"]}]}
    )
    oci("create", ID)
    start = oci.start_process("start", ID, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until("the hook to run", (oci.rootfs / "data/on").exists)
    oci("delete", "--force", ID, timeout=20)
    start.wait(20)
    oci.assert_nothing_is_left()


def test_all_processes_of_a_container_without_a_cgroup_can_be_killed_but_not_told(oci: Oci) -> None:
    oci.config("sleep", "1000")
    oci("--cgroup-manager=disabled", "run", "--detach", ID)
    done = oci("kill", "--all", ID, "TERM", check=False)
    assert (done.returncode, "made without a cgroup" in done.stderr) == (1, True)
    oci("kill", "--all", ID, "KILL")
    oci.wait_until(ID, "stopped")


def test_a_process_that_ends_as_its_gate_is_opened_is_stopped(oci: Oci, monkeypatch: pytest.MonkeyPatch) -> None:
    """The writer of a FIFO that nobody reads any more gets EPIPE, which is no reader of our output that has gone."""
    oci.config("true")
    oci("create", ID)
    container = find(Runtime(root=str(oci.root)), ID)
    opened = container.directory.open_gate

    def kill_first() -> int | None:
        gate = opened()
        container.signal(signal.SIGKILL)
        until("its end", lambda: not container.pid)
        return gate

    monkeypatch.setattr(container.directory, "open_gate", kill_first)
    with pytest.raises(Conflict, match="has stopped"):
        container.start()


def test_device_nodes_of_the_image_lead_nowhere_where_none_are_filtered(oci: Oci) -> None:
    """Without a cgroup there is no device filter; a copy of the image's directory is no way around."""
    for place in ("data", "tmp"):
        os.mknod(oci.rootfs / place / "zero", 0o666 | stat.S_IFCHR, os.makedev(1, 5))
    copied = {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup"]}
    read = "for n in /dev/zero /data/zero /tmp/zero; do head -c 1 $n >/dev/null 2>&1; echo $?; done"
    mounts = [*oci.config()["mounts"], copied]
    oci.config("sh", "-c", read, mounts=mounts)
    assert oci("--cgroup-manager=disabled", "run", ID).stdout.split() == ["0", "1", "1"]
    everything = {"devices": [{"allow": True, "access": "rwm"}]}
    oci.config("sh", "-c", read, mounts=mounts, linux={"resources": everything})
    assert oci("--cgroup-manager=disabled", "run", ID).stdout.split() == ["0", "0", "0"]
    elsewhere = [{"path": "/data/null", "type": "c", "major": 1, "minor": 3, "fileMode": 0o606, "uid": 7}]
    oci.config("sh", "-c", f"echo > /data/null; stat -c %a:%u /data/null; {read}", linux={"devices": elsewhere})
    assert oci("--cgroup-manager=disabled", "run", ID).stdout.split() == ["606:7", "0", "1", "1"]


@pytest.mark.parametrize("dev", ["none", "copied"])
def test_nor_do_they_where_the_image_has_dev(oci: Oci, dev: str) -> None:
    """The nodes that every container has are mounts then, as the file system beneath opens none."""
    for place in ("data", "dev"):
        os.mknod(oci.rootfs / place / "mine", 0o666 | stat.S_IFCHR, os.makedev(1, 5))
    proc, tmpfs, pts = oci.config()["mounts"]
    mounts = [proc] if dev == "none" else [proc, tmpfs | {"options": [*tmpfs["options"], "tmpcopyup"]}, pts]
    read = "for n in /dev/zero /dev/mine /data/mine; do head -c 1 $n >/dev/null 2>&1; echo $?; done; echo > /dev/null"
    oci.config("sh", "-c", read, mounts=mounts)
    assert oci("--cgroup-manager=disabled", "run", ID).stdout.split() == ["0", "1", "1"]
    assert sorted(os.listdir(oci.rootfs / "data")) == ["mine"]


def test_what_is_not_granted_without_a_device_filter_is_said(oci: Oci) -> None:
    sets = {key: ["CAP_MKNOD", "CAP_CHOWN"] for key in ("bounding", "effective", "permitted", "inheritable", "ambient")}
    oci.config("sleep", "1000", process={"capabilities": sets})
    done = oci("--cgroup-manager=disabled", "run", "--detach", ID)
    assert done.stderr.count("\n") == 1
    assert "without a device filter CAP_MKNOD isn't granted: cgroups are disabled" in done.stderr
    assert oci("exec", ID, "sh", "-c", "mknod /data/x c 1 5 2>/dev/null; echo $?").stdout == "1\n"
    oci("delete", "--force", ID)
    oci.config("true", process={"capabilities": {key: ["CAP_CHOWN"] for key in sets}})
    assert oci("--cgroup-manager=disabled", "run", ID).stderr == ""


@pytest.mark.parametrize("word", ["unspoken", "spoken"])
def test_a_start_that_is_killed_leaves_a_container_that_says_what_it_is(
    oci: Oci, monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    """Before the word it waits as it did, and can be started again; after it, it runs."""
    oci.config("sleep", "1000")
    oci("create", ID)
    container = find(Runtime(root=str(oci.root)), ID)

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    if word == "unspoken":
        monkeypatch.setattr("minirun.runtime.gate.os.write", die)
    else:
        monkeypatch.setattr(container.directory, "close_gate", die)
    with pytest.raises(KeyboardInterrupt):
        container.start()
    monkeypatch.undo()
    if word == "unspoken":
        assert oci.state(ID)["status"] == "created"
        oci("start", ID)
    oci.wait_until(ID, "running")
    assert "cannot start an already running container" in oci("start", ID, check=False).stderr
    assert oci("exec", ID, "cat", "/proc/1/cmdline").stdout.split("\0")[:2] == ["sleep", "1000"]


def test_delete_force_ends_a_start_that_waits_for_a_hook_whatever_state_it_is_in(oci: Oci) -> None:
    hook = {"path": "/bin/sleep", "args": ["sleep", "1000"]}
    oci.config("true", hooks={"startContainer": [hook]})
    oci("create", ID)
    starting = oci.start_process("start", ID, stderr=subprocess.DEVNULL)
    until("the hook", lambda: len(oci.processes()) > 1)
    oci("delete", "--force", ID, timeout=20)
    assert starting.wait(timeout=20) in (0, 1)
    assert "container does not exist" in oci("state", ID, check=False).stderr


DAMAGED = {"cut": '{"id":"cut","pi', "empty": "", "other": "[]", "typed": '{"pid":[]}', "zeros": "\0" * 4096}


def test_a_state_that_cannot_be_read_is_said_hides_no_other_and_is_deleted_by_force(oci: Oci, container: str) -> None:
    """What a full disk or a power cut leaves of a root that lies on a disk."""
    for name, content in DAMAGED.items():
        (oci.root / name).mkdir()
        (oci.root / name / "state.json").write_text(content)
        (oci.root / name / ".copy").write_text(content)
        for verb in ("state", "delete"):
            refused = oci(verb, name, check=False)
            assert refused.returncode == 1
            assert f"{name}/state.json can't be read" in refused.stderr
    listed = oci("list", "--quiet")
    assert listed.stdout.split() == [container]
    assert listed.stderr.count("level=warning") == len(DAMAGED)
    deleted = oci("delete", "--force", *DAMAGED)
    assert deleted.stderr.count("its state was lost") == len(DAMAGED)
    assert oci.containers() == [container]


def test_a_container_of_another_runtime_in_the_same_root_is_left_alone_also_by_force(oci: Oci, container: str) -> None:
    """containerd gives all of its runtimes one root; who removed the state would leave a container that nobody can end."""
    (oci.root / "theirs").mkdir()
    written = oci.root / "theirs" / "state.json"
    written.write_text('{"id":"theirs","init_process_pid":1,"init_process_start":0,"config":{},"cgroup_paths":{}}')
    for words in (["state"], ["kill"], ["delete"], ["delete", "--force"]):
        refused = oci(*words, "theirs", check=False)
        assert refused.returncode == 1
        assert "theirs/state.json was written by another runtime" in refused.stderr
    assert written.exists()
    assert "already exists" in oci("create", "theirs", check=False).stderr
    listed = oci("list", "--quiet")
    assert listed.stdout.split() == [container]
    assert listed.stderr.count("level=warning") == 1
    shutil.rmtree(written.parent)


@pytest.mark.parametrize("manager", ["cgroupfs", "disabled"])
def test_of_a_container_whose_state_was_damaged_a_copy_tells_all(oci: Oci, manager: str) -> None:
    oci.config("sleep", "1000")
    oci(f"--cgroup-manager={manager}", "run", "--detach", ID)
    before = oci.state(ID)
    for content in DAMAGED.values():
        (oci.root / ID / "state.json").write_text(content)
        assert oci.state(ID) == before
    assert oci("list", "--quiet").stdout == f"{ID}\n"
    oci("delete", "--force", ID)
    oci.assert_nothing_is_left()


def test_a_container_that_waits_is_told_to_go_when_all_was_lost(oci: Oci) -> None:
    oci.config("sleep", "1000")
    oci("--cgroup-manager=disabled", "create", ID)
    for path in (oci.root / ID).iterdir():
        if path.is_file():
            path.write_text("")
    oci("delete", "--force", ID)
    oci.assert_nothing_is_left()


def test_a_label_of_the_mounts_is_left_out_where_nothing_would_come_of_it(oci: Oci) -> None:
    tmpfs = {"destination": "/scratch", "type": "tmpfs", "source": "tmpfs"}
    oci.config("true", mounts=[tmpfs], linux={"mountLabel": "system_u:object_r:svirt_sandbox_file_t:s0:c1,c2"})
    done = oci("run", ID)
    assert ("this host has no SELinux" in done.stderr) is not selinux.is_enabled()
