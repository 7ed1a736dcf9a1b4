"""Hooks: when, where and with what they run, and what becomes of a container whose hook fails. config.md, "Hooks"."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.integration.oci.conftest import Oci
from tests.waiting import until

ID = f"hooks-{os.getpid()}"
OUTSIDE = ("prestart", "createRuntime", "poststart", "poststop")
BEFORE_START = ("prestart", "createRuntime", "createContainer")
KINDS = (*OUTSIDE, "createContainer", "startContainer")


def hook(kind: str, script: str, **more: Any) -> dict[str, Any]:
    """Give a hook that runs a shell script: the host's shell, or the container's where there is no other."""
    return {"path": "/bin/sh", "args": ["sh", "-c", script, kind], **more}


def test_hooks_run_in_order_each_in_its_namespaces(oci: Oci) -> None:
    log = oci.rootfs / "data/log"
    log.touch()
    hooks = {}
    for kind in KINDS:
        path = "/data/log" if kind == "startContainer" else str(log)
        tools = "PATH=/bin:/usr/bin; "
        look = "n=$(readlink /proc/self/ns/mnt); [ -e /bin/busybox ] && [ ! -e /usr ] && n=inside; "
        hooks[kind] = [hook(kind, f"{tools}{look}echo {kind} $n $0 >> {path}")]
    oci.config("sh", "-c", "echo program >> /data/log", hooks=hooks)
    oci("create", ID)
    before = [line.split()[0] for line in log.read_text().splitlines()]
    assert before == ["prestart", "createRuntime", "createContainer"]
    oci("start", ID)
    oci.wait_until(ID, "stopped")
    oci("delete", ID)
    words = {line.split()[0]: line.split()[1:] for line in log.read_text().splitlines()}
    assert [*words][:3] == before
    assert list(words).index("startContainer") < list(words).index("program")
    assert [*words][-1] == "poststop"
    assert {"program", "poststart"} <= set(words)
    ours = os.readlink("/proc/self/ns/mnt")
    for kind in OUTSIDE:
        assert words[kind] == [ours, kind]
    assert words["createContainer"][0] not in (ours, "inside")
    assert words["startContainer"] == ["inside", "startContainer"]


def test_a_hook_reads_the_state(oci: Oci) -> None:
    hooks = {}
    for kind in KINDS:
        place = "/data" if kind == "startContainer" else oci.rootfs / "data"
        hooks[kind] = [hook(kind, f"cat > {place}/{kind}")]
    oci.config("sleep", "1000", hooks=hooks, annotations={"a": "b\nc", "pid": '"pid":0'})
    oci("create", "--pid-file", str(oci.top / "pid"), ID)
    pid = int((oci.top / "pid").read_text())
    oci("start", ID)
    oci("delete", "--force", ID)
    for kind in KINDS:
        state = json.loads((oci.rootfs / "data" / kind).read_text())
        assert (state["id"], state["bundle"]) == (ID, str(oci.bundle))
        assert state["ociVersion"] == "1.2.0"
        assert state["annotations"] == {"a": "b\nc", "pid": '"pid":0'}
        if kind != "poststop":
            assert state["pid"] == (1 if kind in ("createContainer", "startContainer") else pid)


@pytest.mark.parametrize("kind", BEFORE_START)
def test_a_hook_that_fails_before_the_start_leaves_nothing(oci: Oci, kind: str) -> None:
    stopped = oci.top / "stopped"
    hooks = {kind: [hook(kind, "echo no luck >&2; exit 3")], "poststop": [hook("poststop", f"echo > {stopped}")]}
    oci.config("sleep", "1000", hooks=hooks)
    done = oci("create", ID, check=False)
    assert done.returncode == 1
    assert kind in done.stderr
    oci.assert_nothing_is_left()
    assert stopped.exists(), "runtime.md, Lifecycle: on failure go on at the removal, whose hooks are called"


@pytest.mark.parametrize("kind", BEFORE_START)
def test_a_hook_that_hangs_is_killed_in_time(oci: Oci, kind: str) -> None:
    oci.config("sleep", "1000", hooks={kind: [hook(kind, f"echo > {oci.top}/began; exec sleep 1000", timeout=1)]})
    done = oci("create", ID, check=False, timeout=30)
    assert done.returncode == 1
    assert (oci.top / "began").exists()
    oci.assert_nothing_is_left()


@pytest.mark.parametrize("kind", BEFORE_START)
def test_a_hook_that_is_not_there_fails(oci: Oci, kind: str) -> None:
    oci.config("sleep", "1000", hooks={kind: [hook(kind, "exit 0"), {"path": "/nonexistent/hook"}]})
    done = oci("create", ID, check=False)
    assert done.returncode == 1
    assert f"error running {kind} hook #1: " in done.stderr
    assert "/nonexistent/hook" in done.stderr
    assert "no such file or directory" in done.stderr.lower()
    oci.assert_nothing_is_left()


@pytest.mark.parametrize(("script", "more"), [("exit 3", {}), ("exec sleep 1000", {"timeout": 1})])
def test_a_hook_that_fails_at_the_start_stops_the_container(oci: Oci, script: str, more: dict[str, Any]) -> None:
    hooks = [hook("startContainer", "exit 0"), hook("startContainer", script, **more)]
    oci.config("sleep", "1000", hooks={"startContainer": hooks})
    oci("create", ID)
    done = oci("start", ID, check=False, timeout=30)
    assert done.returncode == 1
    assert "error running startContainer hook #1: " in done.stderr
    oci.wait_until(ID, "stopped")
    oci("delete", ID)


def test_a_poststart_hook_that_fails_ends_the_container(oci: Oci) -> None:
    oci.config("sleep", "1000", hooks={"poststart": [hook("poststart", "exit 3")]})
    oci("create", ID)
    done = oci("start", ID, check=False)
    assert done.returncode == 1
    assert "poststart" in done.stderr
    oci.wait_until(ID, "stopped")
    assert oci("run", "--detach", f"{ID}-2", check=False).returncode == 1
    assert oci.containers() == [ID]


def test_poststop_hooks_all_run_and_do_not_hold_the_removal_up(oci: Oci) -> None:
    hooks = [hook("poststop", "echo first >&2; exit 3"), hook("poststop", f"echo > {oci.top}/second")]
    oci.config("true", hooks={"poststop": hooks})
    oci("create", ID)
    done = oci("delete", "--force", ID)
    assert "poststop" in done.stderr
    assert (oci.top / "second").exists()
    oci.assert_nothing_is_left()


@pytest.mark.parametrize("kind", KINDS)
def test_a_hook_gets_its_environment_and_nothing_of_ours(oci: Oci, kind: str) -> None:
    place = "/data" if kind == "startContainer" else oci.rootfs / "data"
    script = f"(env; ls /proc/self/fd) > {place}/out"
    oci.config("sleep", "1000", hooks={kind: [hook(kind, script, env=["PATH=/bin", "A=b c"])]})
    leak = os.open("/", os.O_RDONLY)
    try:
        oci("create", ID, pass_fds=(leak,))
        oci("start", ID)
        oci("delete", ID, "--force")
    finally:
        os.close(leak)
    lines = (oci.rootfs / "data/out").read_text().split("\n")
    assert "A=b c" in lines
    assert not [line for line in lines if line.startswith(("HOME=", "PYTEST", "LANG="))]
    assert [line for line in lines if line.isdigit()] == ["0", "1", "2", "3"]  # 3: the directory that ls reads


def test_hooks_do_not_write_into_the_streams_of_the_container(oci: Oci) -> None:
    hooks = {kind: [hook(kind, "echo HOOK")] for kind in KINDS}
    oci.config("echo", "program", hooks=hooks)
    assert oci("run", ID).stdout == "program\n"


@pytest.mark.parametrize("kind", ["createRuntime", "createContainer", "startContainer"])
def test_a_hook_need_not_read_even_a_long_state(oci: Oci, kind: str) -> None:
    oci.config("sleep", "1000", hooks={kind: [hook(kind, "exit 0")]}, annotations={"long": "x" * 300_000})
    oci("run", "--detach", ID, timeout=30)
    oci.wait_until(ID, "running")


@pytest.mark.parametrize("kind", ["createRuntime", "createContainer"])
def test_a_hook_that_hangs_without_reading_a_long_state_is_killed_in_time(oci: Oci, kind: str) -> None:
    hanging = hook(kind, "exec sleep 1000", timeout=1)
    oci.config("sleep", "1000", hooks={kind: [hanging]}, annotations={"long": "x" * 300_000})
    assert oci("create", ID, check=False, timeout=30).returncode == 1
    oci.assert_nothing_is_left()


def test_a_hook_may_ask_for_the_state_of_its_container(oci: Oci) -> None:
    program = " ".join(oci.words("state", ID))
    oci.config("sleep", "1000", hooks={"createRuntime": [hook("createRuntime", f"{program} > {oci.top}/seen")]})
    oci("create", ID, timeout=30)
    assert json.loads((oci.top / "seen").read_text())["id"] == ID


def test_a_hook_may_leave_a_process_behind(oci: Oci) -> None:
    """What still holds the hook's streams doesn't hold the start up."""
    script = f"sleep 1000 & echo $! > {oci.top}/pid"
    oci.config("true", hooks={"createRuntime": [hook("createRuntime", script)]})
    oci("create", ID, timeout=20)
    pid = int((oci.top / "pid").read_text())
    os.kill(pid, 9)
    until("it to be gone", lambda: not os.path.exists(f"/proc/{pid}/exe"))


def test_a_start_whose_maker_is_killed_says_so(oci: Oci) -> None:
    """While a hook runs nobody listens to the process that walks the plan: that it has gone is found out afterwards."""
    kill_parent = "kill -9 $(sed -n 's/PPid:[[:space:]]*//p' /proc/$(sed 's/.*\"pid\":\\([0-9]*\\).*/\\1/')/status)"
    oci.config("true", hooks={"createRuntime": [hook("createRuntime", f"PATH=/bin:/usr/bin; {kill_parent}")]})
    done = oci("create", ID, check=False)
    assert done.returncode == 1
    assert "start the container's first process: what makes it was killed" in done.stderr
    oci.assert_nothing_is_left()


@pytest.mark.parametrize("kind", KINDS)
def test_a_hook_may_be_a_script(oci: Oci, kind: str) -> None:
    """Its interpreter opens it by name."""
    script = oci.rootfs / "data/hook"
    outside = kind != "startContainer"
    script.write_text(f"#!/bin/sh\necho $0 $1 > {oci.rootfs if outside else ''}/data/ran\n")
    script.chmod(0o755)
    path = str(script) if outside else "/data/hook"
    oci.config("true", hooks={kind: [{"path": path, "args": ["name", "first"]}]})
    oci("run", ID)
    assert (oci.rootfs / "data/ran").read_text() == f"{path} first\n"


def test_an_interrupted_create_leaves_no_hook_behind(oci: Oci) -> None:
    number = oci.top / "number"
    oci.config(
        "true",
        hooks={
            "createRuntime": [
                hook(
                    "createRuntime",
                    f"PATH=/bin:/usr/bin; echo $$ > {number}.new; mv {number}.new {number}; exec /bin/sleep 1000",
                )
            ]
        },
    )
    # A shell leaves SIGINT ignored for what it starts in the background, and then for all that is started there.
    heard = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}
    create = oci.start_process("create", ID, stdin=subprocess.DEVNULL, **heard)
    until("the hook to run", number.exists)
    create.send_signal(signal.SIGINT)
    assert create.wait(30) == 130
    assert not Path(f"/proc/{number.read_text().strip()}").exists()
    oci.assert_nothing_is_left()


def test_hooks_outside_run_in_the_directory_of_the_bundle(oci: Oci, tmp_path: Path) -> None:
    """Whoever calls, from wherever: what a hook's arguments name beside config.json is there. As under runc and crun."""
    log = oci.rootfs / "data/log"
    kinds = (*OUTSIDE, "createContainer")
    oci.config("true", hooks={kind: [hook(kind, f"pwd >> {log}")] for kind in kinds})
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    oci("create", "--pid-file", "pid", ID, cwd=elsewhere)
    oci("start", ID, cwd=elsewhere)
    oci.wait_until(ID, "stopped")
    oci("delete", ID, cwd=elsewhere)
    assert log.read_text().split() == [str(oci.bundle)] * len(kinds)
    assert os.listdir(elsewhere) == ["pid"]


@pytest.mark.parametrize("variables", [{}, {"LC_CTYPE": "C"}, {"LC_CTYPE": "C.UTF-8"}, {"LANG": "C", "NEW": "a\nb"}])
def test_a_hook_without_an_environment_gets_the_callers(oci: Oci, variables: dict[str, str]) -> None:
    log = oci.rootfs / "data/log"
    oci.config(
        "true",
        hooks={"createRuntime": [{"path": "/usr/bin/env", "args": ["env", "cp", "/proc/self/environ", str(log)]}]},
    )
    given = {name: os.environ[name] for name in ("PATH", "MINIRUN_WARM")} | variables
    oci("run", ID, env=given)
    assert dict(entry.split("=", 1) for entry in log.read_text().split("\0")[:-1]) == given


@pytest.mark.parametrize("kind", [*OUTSIDE, "createContainer"])
def test_an_empty_environment_is_one(oci: Oci, kind: str) -> None:
    log = oci.rootfs / "data/log"
    program = {"path": "/bin/cp", "args": ["cp", "/proc/self/environ", str(log)], "env": []}
    oci.config("true", hooks={kind: [program]})
    oci("run", ID)
    assert log.read_text() == ""
