"""config.md: "POSIX-platform Hooks"; runtime.md: "Lifecycle", steps 3 to 13."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from tests.conformance.bundles import Box, has_ended, namespace_of

OUTSIDE = ("prestart", "createRuntime", "poststart", "poststop")
INSIDE = ("createContainer", "startContainer")
ORDER = ("prestart", "createRuntime", "createContainer", "startContainer", "program", "poststart", "poststop")


@pytest.fixture
def notes(box: Box) -> Path:
    """A directory that every hook reaches, inside as /notes."""
    found = box.path / "notes"
    found.mkdir()
    found.chmod(0o777)
    box.mount("/notes", "bind", str(found), "bind")
    return found


def script(box: Box, kind: str, text: str, **more) -> None:
    """Add a hook that runs this shell script; "$NOTES" is the directory of notes as the hook sees it."""
    # Before the pivot createContainer hooks still see the host's paths, as its path has to resolve there.
    notes = "/notes" if kind == "startContainer" else str(box.path / "notes")
    hook = {
        "path": "/bin/sh",
        "args": ["sh", "-c", text],
        "env": [f"NOTES={notes}", f"PATH={os.environ['PATH']}"],
        **more,
    }
    box.config.setdefault("hooks", {}).setdefault(kind, []).append(hook)


def test_hooks_are_called_at_their_point_of_the_life_and_in_order(box: Box, notes: Path) -> None:
    for kind in (*OUTSIDE, *INSIDE):
        for number in (1, 2):
            script(box, kind, f'echo {kind} {number} >> "$NOTES/log"')
    box.process["args"] = ["sh", "-c", "echo program >> /notes/log; sleep 1000"]

    def log() -> list[str]:
        return (notes / "log").read_text().splitlines()

    create = [f"{kind} {number}" for kind in ("prestart", "createRuntime", "createContainer") for number in (1, 2)]
    box.create()
    assert log() == create
    box.start()
    started = [*create, "startContainer 1", "startContainer 2"]
    assert log()[: len(started)] == started
    rest = log()[len(started) :]
    assert [line for line in rest if line != "program"] == ["poststart 1", "poststart 2"]
    box.kill()
    box.wait_until_stopped()
    box.delete()
    assert log()[-2:] == ["poststop 1", "poststop 2"]


@pytest.mark.parametrize("kind", OUTSIDE)
def test_a_hook_of_the_runtime_runs_in_its_namespaces(box: Box, notes: Path, kind: str) -> None:
    script(box, kind, 'for n in mnt pid net ipc uts; do readlink /proc/self/ns/$n; done > "$NOTES/seen"')
    box.complete()
    assert (notes / "seen").read_text().split() == [
        namespace_of("self", name) for name in ("mnt", "pid", "net", "ipc", "uts")
    ]


@pytest.mark.parametrize("kind", INSIDE)
def test_a_hook_of_the_container_runs_in_its_namespaces(box: Box, notes: Path, kind: str) -> None:
    names = ("mnt", "net", "ipc", "uts")
    script(box, kind, 'for n in mnt net ipc uts; do readlink /proc/self/ns/$n; done > "$NOTES/seen"')
    box.process["args"] = ["sleep", "1000"]
    box.create()
    box.start()
    pid = box.state()["pid"]
    assert (notes / "seen").read_text().split() == [namespace_of(pid, name) for name in names]


def test_mounts_are_there_when_hooks_of_creation_run(box: Box, notes: Path) -> None:
    script(box, "createContainer", 'grep -c /rootfs/ /proc/self/mountinfo > "$NOTES/inside"; true')
    script(
        box,
        "createRuntime",
        'test -e /proc/$(sed -n "s/.*\\"pid\\": *\\([0-9]*\\).*/\\1/p")/ns/net && echo yes > "$NOTES/net"',
    )
    box.complete()
    assert (notes / "inside").exists()
    assert (notes / "net").read_text() == "yes\n"


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("prestart", "created"),
        ("createRuntime", "created"),
        ("createContainer", "created"),
        ("startContainer", "created"),
        ("poststart", "running"),
        ("poststop", "stopped"),
    ],
)
def test_a_hook_reads_the_state_from_its_input(box: Box, notes: Path, kind: str, status: str) -> None:
    box.config["annotations"] = {"com.example.key": "value"}
    script(box, kind, 'cat > "$NOTES/state"; echo $$ > "$NOTES/hook"')
    box.create()
    pid = box.state()["pid"]
    box.start()
    box.wait_until_stopped()
    box.delete()
    state = json.loads((notes / "state").read_text())
    assert state["ociVersion"].startswith("1.")
    assert (state["id"], state["status"], state["bundle"]) == (box.id, status, str(box.path))
    assert state["annotations"] == {"com.example.key": "value"}
    if kind in INSIDE:
        assert state["pid"] == 1, "in the container the process is seen by the container's own number"
    elif kind != "poststop":
        assert state["pid"] == pid


def test_path_arguments_and_environment_of_a_hook(box: Box, notes: Path) -> None:
    box.config["hooks"] = {
        "prestart": [
            {
                "path": "/bin/sh",
                "args": ["own name", "-c", f'echo "$0|$1|$A" > {notes}/seen', "zero", "one two"],
                "env": ["A=b c"],
            }
        ]
    }
    box.complete()
    assert (notes / "seen").read_text() == "zero|one two|b c\n"


@pytest.mark.parametrize("kind", ["prestart", "createRuntime", "createContainer"])
@pytest.mark.parametrize("failure", ["exit 3", "kill -9 $$"])
def test_a_failed_hook_of_creation_ends_it(box: Box, notes: Path, kind: str, failure: str) -> None:
    script(box, kind, failure)
    script(box, kind, 'touch "$NOTES/second"')
    script(box, "poststop", 'touch "$NOTES/poststop"')
    box.process["args"] = ["touch", "/notes/ran"]
    done = box.create(check=False)
    assert done.returncode == 1
    assert done.stderr.strip()
    assert not box.exists()
    assert not (notes / "second").exists()
    assert not (notes / "ran").exists()
    assert (notes / "poststop").exists(), "runtime.md, Lifecycle: continue at step 12, and 13 is poststop"


def test_a_failed_start_container_hook_ends_the_start(box: Box, notes: Path) -> None:
    script(box, "startContainer", "exit 3")
    box.process["args"] = ["touch", "/notes/ran"]
    box.create()
    assert box.start(check=False).returncode == 1
    assert not (notes / "ran").exists()
    assert not box.exists() or box.state()["status"] == "stopped"


def test_a_failed_poststart_hook_stops_the_container(box: Box, notes: Path) -> None:
    script(box, "poststart", "exit 3")
    box.process["args"] = ["sleep", "1000"]
    box.create()
    pid = box.state()["pid"]
    assert box.start(check=False).returncode == 1
    if box.exists():
        box.wait_until_stopped()
    assert has_ended(pid)
    assert notes.exists()


def test_a_failed_poststop_hook_is_a_warning_and_the_others_run(box: Box, notes: Path) -> None:
    script(box, "poststop", "exit 3")
    script(box, "poststop", 'touch "$NOTES/second"')
    box.create()
    box.start()
    box.wait_until_stopped()
    done = box.delete()
    assert "poststop" in done.stderr
    assert (notes / "second").exists()
    assert not box.exists()


@pytest.mark.parametrize("kind", ["prestart", "createRuntime", "createContainer", "startContainer"])
def test_a_hook_is_ended_when_its_time_is_up(box: Box, notes: Path, kind: str) -> None:
    script(box, kind, 'echo $$ > "$NOTES/pid"; exec sleep 1000', timeout=1)
    before = time.monotonic()
    code = box.create(check=False).returncode or box.start(check=False).returncode
    assert code == 1
    assert time.monotonic() - before < 30
    if kind in ("prestart", "createRuntime"):
        assert has_ended(int((notes / "pid").read_text()))


@pytest.mark.parametrize(
    "hook",
    [{"path": "sh"}, {"path": ""}, {}, {"path": "/bin/sh", "timeout": 0}, {"path": "/bin/sh", "timeout": -1}],
    ids=["relative", "empty", "missing", "no time", "less than no time"],
)
def test_a_hook_that_the_specification_forbids_is_an_error(box: Box, hook) -> None:
    box.config["hooks"] = {"prestart": [hook]}
    assert box.create(check=False).returncode == 1
    assert not box.exists()


def test_a_hook_that_is_not_there_is_an_error(box: Box) -> None:
    box.config["hooks"] = {"createRuntime": [{"path": "/no/such/hook"}]}
    done = box.create(check=False)
    assert done.returncode == 1
    assert "/no/such/hook" in done.stderr
    assert not box.exists()
