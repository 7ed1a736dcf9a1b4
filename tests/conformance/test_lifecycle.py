"""runtime.md: "State", "Lifecycle", "Errors", "Operations"."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests.conformance.bundles import Box, Runtime, has_ended
from tests.conformance.conftest import BoxMaker
from tests.waiting import until

# ---- State


def test_the_state_of_a_created_container_has_all_properties(box: Box) -> None:
    box.config["annotations"] = {"com.example.key": "value", "com.example.empty": ""}
    box.create()
    state = box.state()
    assert state["ociVersion"].startswith("1.")
    assert state["id"] == box.id
    assert state["status"] == "created"
    assert os.path.isabs(state["bundle"])
    assert os.path.samefile(state["bundle"], box.path)
    assert state["annotations"] == {"com.example.key": "value", "com.example.empty": ""}
    assert Path(f"/proc/{state['pid']}").exists()


def test_the_status_follows_the_life(box: Box) -> None:
    box.process["args"] = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.05; done"]
    box.create()
    assert box.state()["status"] == "created"
    box.start()
    running = box.state()
    assert running["status"] == "running"
    box.kill("TERM")
    box.wait_until_stopped()
    assert has_ended(running["pid"])


def test_the_pid_is_that_of_the_containers_process(box: Box) -> None:
    box.process["args"] = ["sleep", "1000"]
    box.create()
    box.start()
    command = Path(f"/proc/{box.state()['pid']}/cmdline").read_bytes()
    assert command == b"sleep\x001000\x00"


# ---- Query State


def test_state_of_what_is_not_there_is_an_error(box: Box) -> None:
    assert box.runtime("state", box.id, check=False).returncode == 1
    assert box.runtime("state", check=False).returncode == 1


# ---- Create


def test_create_does_not_run_the_program(box: Box) -> None:
    box.process["args"] = ["sh", "-c", "echo ran > /ran"]
    box.create()
    assert not (box.rootfs / "ran").exists()
    box.start()
    until("the program's work", (box.rootfs / "ran").exists)


def test_create_needs_an_id_and_a_bundle(box: Box) -> None:
    box.save()
    assert box.runtime("create", "--bundle", str(box.path), check=False).returncode == 1
    assert box.runtime("create", "--bundle", str(box.path / "nowhere"), box.id, check=False).returncode == 1
    assert not box.exists()


@pytest.mark.parametrize("container_id", ["", ".", "..", "a/b", "../x", "a b", "a\nb"])
def test_an_id_that_is_no_id_is_refused(box: Box, container_id: str) -> None:
    box.save()
    done = box.runtime("create", "--bundle", str(box.path), container_id, check=False)
    assert done.returncode == 1
    assert box.id not in box.runtime("list", "-q").stdout


def test_an_id_in_use_is_refused_and_its_container_stays(box: Box, make_box: BoxMaker) -> None:
    box.process["args"] = ["sleep", "1000"]
    box.create()
    before = box.state()
    second = make_box(box.runtime)
    second.id = box.id
    assert second.create(check=False).returncode == 1
    assert box.state() == before
    box.start()
    assert second.create(check=False).returncode == 1
    assert box.state()["status"] == "running"


def test_an_id_is_free_again_after_delete(box: Box) -> None:
    assert box.complete() == ""
    box.process["args"] = ["echo", "second"]
    assert box.complete() == "second"


def test_changes_of_the_configuration_after_create_have_no_effect(box: Box) -> None:
    box.process["args"] = ["echo", "first"]
    box.create()
    box.process["args"] = ["echo", "second"]
    box.save()
    box.start()
    box.wait_until_stopped()
    assert box.printed == "first\n"


@pytest.mark.parametrize(
    "breakage",
    [
        lambda config: config["process"].update(cwd="relative"),
        lambda config: config["process"].update(args=[]),
        lambda config: config["root"].update(path="nowhere"),
        lambda config: config.update(ociVersion="2.0.0"),
        lambda config: config["linux"]["namespaces"].append({"type": "uts"}),
        lambda config: config["linux"]["namespaces"].append({"type": "galaxy"}),
        lambda config: config["mounts"].append({"destination": "/x", "type": "nosuchfs", "source": "x"}),
        lambda config: config["linux"].update(sysctl={"kernel.panic": "1"}),
        lambda config: config["linux"].update(intelRdt={"closID": "group"}),
    ],
    ids=["cwd", "args", "root", "version", "twice", "kind", "file system", "sysctl", "rdt"],
)
def test_what_cannot_be_applied_is_an_error_and_no_container(box: Box, breakage) -> None:
    breakage(box.config)
    done = box.create(check=False)
    assert done.returncode == 1
    assert done.stderr.strip()
    assert not box.exists()


def test_unknown_properties_and_annotations_are_ignored(box: Box) -> None:
    """config.md, "Extensibility"."""
    box.config["org.example.unknown"] = {"a": [1, 2]}
    box.config["annotations"] = {"org.example.unknown": "value"}
    box.process["unknown"] = None
    box.linux["unknown"] = 7
    assert box.shell("echo fine") == "fine"


@pytest.mark.parametrize("version", ["1.0.0", "1.0.2-dev", "1.2.1", "1.3.0", "1.9.0"])
def test_any_version_one_is_accepted(box: Box, version: str) -> None:
    """config.md, "Specification version"."""
    box.config["ociVersion"] = version
    assert box.shell("echo fine") == "fine"


# ---- Start


def test_start_of_a_container_that_is_not_created_is_an_error_without_effect(box: Box) -> None:
    assert box.start(check=False).returncode == 1
    box.process["args"] = ["sh", "-c", "echo ran >> /runs; sleep 1000"]
    box.create()
    box.start()
    until("the program's work", (box.rootfs / "runs").exists)
    assert box.start(check=False).returncode == 1
    assert box.state()["status"] == "running"
    box.kill()
    box.wait_until_stopped()
    assert box.start(check=False).returncode == 1
    assert (box.rootfs / "runs").read_text() == "ran\n"


# ---- Kill


def test_kill_sends_the_signal_to_the_process(box: Box) -> None:
    script = "trap 'echo got USR1; exit 0' USR1; echo ready; while :; do sleep 0.05; done"
    box.process["args"] = ["sh", "-c", script]
    box.create()
    box.start()
    until("the trap", lambda: "ready" in box.printed)
    box.kill("USR1")
    box.wait_until_stopped()
    assert box.printed == "ready\ngot USR1\n"


@pytest.mark.parametrize("name", ["KILL", "SIGKILL", "9", str(int(signal.SIGKILL))])
def test_a_signal_has_three_spellings(box: Box, name: str) -> None:
    box.process["args"] = ["sleep", "1000"]
    box.create()
    box.start()
    box.kill(name)
    box.wait_until_stopped()


@pytest.mark.parametrize("name", ["KILL", "TERM"])
def test_a_created_container_can_be_killed(box: Box, name: str) -> None:
    """By TERM too, although its process is the first of a namespace."""
    box.create()
    box.kill(name)
    box.wait_until_stopped()
    assert box.start(check=False).returncode == 1


def test_kill_of_a_stopped_or_missing_container_is_an_error_without_effect(box: Box) -> None:
    assert box.kill(check=False).returncode == 1
    box.create()
    box.start()
    box.wait_until_stopped()
    before = box.state()
    assert box.kill(check=False).returncode == 1
    assert box.state() == before
    assert box.runtime("kill", box.id, "NOSUCH", check=False).returncode == 1


# ---- Delete


def test_delete_of_a_running_or_missing_container_is_an_error_without_effect(box: Box) -> None:
    assert box.delete(check=False).returncode == 1
    box.process["args"] = ["sleep", "1000"]
    box.create()
    box.start()
    assert box.delete(check=False).returncode == 1
    assert box.state()["status"] == "running"


def test_delete_of_a_created_container_is_an_error_without_effect(box: Box) -> None:
    """Attempting to delete a container that is not stopped MUST have no effect, and MUST generate an error."""
    box.create()
    before = box.state()
    assert "that is not stopped: created" in box.delete(check=False).stderr
    assert box.state() == before
    box.start()
    box.wait_until_stopped()
    box.delete()
    assert not box.exists()


def test_delete_takes_away_what_create_made_and_nothing_else(box: Box) -> None:
    kept = box.path / "kept"
    kept.mkdir()
    (kept / "file").write_text("mine")
    box.mount("/kept", "bind", str(kept), "bind")
    mounts, state_root = Path("/proc/self/mountinfo").read_text(), Path(box.runtime.words[-1])
    box.create()
    pid = box.state()["pid"]
    groups = Path(f"/proc/{pid}/cgroup").read_text()
    assert box.id in groups
    box.start()
    box.wait_until_stopped()
    box.delete()
    assert not box.exists()
    assert not (state_root / box.id).exists()
    assert Path("/proc/self/mountinfo").read_text() == mounts
    assert (kept / "file").read_text() == "mine"
    (group,) = [line.rpartition(":")[2] for line in groups.splitlines() if line.startswith("0::")]
    assert not list(Path("/sys/fs/cgroup").glob(f"**{group}"))


def test_forced_delete_ends_a_running_container(box: Box) -> None:
    box.process["args"] = ["sleep", "1000"]
    box.create()
    box.start()
    pid = box.state()["pid"]
    box.delete("--force")
    assert not box.exists()
    assert has_ended(pid)


# ---- The whole way


def test_the_exit_code_is_the_programs(box: Box) -> None:
    box.process["args"] = ["sh", "-c", "exit 42"]
    assert box.run(check=False).returncode == 42
    box.process["args"] = ["sh", "-c", "kill -9 $$"]
    box.without_namespace("pid")  # a pid namespace's first process can't be killed from inside
    assert box.run(check=False).returncode == 128 + signal.SIGKILL
    assert not box.exists()


def test_containers_are_listed(box: Box, runtime: Runtime) -> None:
    box.create()
    rows = json.loads(runtime("list", "--format", "json").stdout)
    (row,) = [row for row in rows if row["id"] == box.id]
    assert (row["status"], row["bundle"]) == ("created", str(box.path))
