"""Restart policies: who is started again, when, and what every verb makes of a container that waits for its next run."""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from minirun.engine.restarts import FIRST_DELAY_MS
from tests.dockerd import at_once, private_docker
from tests.faults.test_kills import monitors_of
from tests.waiting import catching, until

FAILS = ("busybox", "sh", "-c", "exit 1")
FIFTH_DELAY_MS = FIRST_DELAY_MS * 2**4


def found(minirun, name: str) -> dict:
    return json.loads(minirun("inspect", name).stdout)[0]


def status(minirun, name: str) -> str:
    return found(minirun, name)["State"]["Status"]


@pytest.fixture
def failing_from_the_first(busybox, run_container):
    """A container that fails whenever it is started."""
    return run_container("--restart", "always", "--network", "none", *FAILS)


@pytest.fixture
def failing(engine, failing_from_the_first):
    """One with seconds to go until the next time: a sixth run, as far as its row knows."""
    wait_for_long_delay(engine, failing_from_the_first, short_cut=True)
    return failing_from_the_first


def wait_for_long_delay(engine, name: str, *, short_cut: bool = False) -> None:
    """Wait until there are 2.5 seconds to go; with a short cut, its row says meanwhile that five delays are over."""

    def is_long() -> bool:
        container = engine.container(name)
        if short_cut and container.restart_delay_ms < FIFTH_DELAY_MS:
            engine.rows.update(container.id, restart_count=5, restart_delay_ms=FIFTH_DELAY_MS)
        return container.status == "restarting" and container.restart_at_ns - time.time_ns() > 2.5 * 10**9

    until("a long delay", is_long, seconds=90)


def has_just_begun_to_wait(container: dict) -> bool:
    """For 12 seconds, or so: as `inspect` has it, docker's too."""
    state = container["State"]
    ended = datetime.fromisoformat(state["FinishedAt"][:19] + "+00:00")
    return container["RestartCount"] >= 8 and state["Restarting"] and (datetime.now(UTC) - ended).total_seconds() < 3


@pytest.fixture
def trapping(minirun, busybox, run_container):
    """Give a function that runs a container with a policy, which ends with 5 when it is told so by a file."""

    def run(*options: str) -> str:
        script = "trap 'echo heard' HUP; trap 'exit 7' TERM; until test -e /tmp/end; do sleep 0.05; done; rm /tmp/end; exit 5"
        name = run_container("--network", "none", *options, busybox, "sh", "-c", script)
        until("its traps", catching(found(minirun, name)["State"]["Pid"], signal.SIGTERM))
        return name

    return run


def end_by_itself(minirun, name: str) -> None:
    minirun("exec", name, "touch", "/tmp/end")


def actions(minirun, name: str) -> list[str]:
    chosen = f"container={found(minirun, name)['Id']}"
    words = ("events", "--since", "10m", "--until", "0s", "--filter", chosen, "--format", "{{.Action}}")
    return minirun(*words).stdout.split()


def processes_of(roots) -> list[str]:
    """Give the command lines of all processes that were told of our roots."""
    lines = []
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        try:
            line = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(roots.root) in line:
            lines.append(line)
    return lines


def test_on_failure_tries_as_often_as_it_says(minirun, busybox, run_container):
    name = run_container("--restart", "on-failure:2", "--network", "none", busybox, "sh", "-c", "echo here; exit 3")
    until("the last try", lambda: status(minirun, name) == "exited")
    container = found(minirun, name)
    assert container["RestartCount"] == 2
    assert container["State"]["ExitCode"] == 3
    assert container["HostConfig"]["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 2}
    assert minirun("logs", name).stdout == "here\n" * 3
    assert actions(minirun, name) == ["create", *("start", "die") * 3]


def test_on_failure_leaves_success_alone(minirun, busybox, run_container):
    name = run_container("--restart", "on-failure", "--network", "none", busybox, "true")
    minirun("wait", name)
    assert status(minirun, name) == "exited"
    assert found(minirun, name)["RestartCount"] == 0


def test_run_in_the_foreground_ends_with_the_first_run(minirun, busybox):
    try:
        done = minirun(
            "run", "--name", "fore", "--restart", "on-failure:1", busybox, "sh", "-c", "echo x; exit 3", check=False
        )
        assert (done.returncode, done.stdout) == (3, "x\n")
        until("the second run", lambda: status(minirun, "fore") == "exited")
        assert minirun("logs", "fore").stdout == "x\nx\n"
    finally:
        minirun("rm", "-f", "fore")


def test_a_signal_that_the_foreground_passes_on_ends_the_policy(minirun, busybox):
    words = (
        "run",
        "--name",
        "passed",
        "--restart",
        "always",
        busybox,
        "sh",
        "-c",
        "trap 'exit 4' INT; echo up; while :; do sleep 0.05; done",
    )
    try:
        with minirun.start(*words, stdout=subprocess.PIPE) as running:
            assert running.stdout.readline() == b"up\n"
            running.send_signal(signal.SIGINT)
            assert running.wait(60) == 4
        assert status(minirun, "passed") == "exited"
        assert actions(minirun, "passed")[-2:] == ["kill", "die"]
    finally:
        minirun("rm", "-f", "passed")


def test_delays_double(engine, failing_from_the_first):
    failing = failing_from_the_first
    wait_for_long_delay(engine, failing)
    moments = [
        (event.action, event.time_ns)
        for event in engine.events(
            since_ns=0, until_ns=time.time_ns(), filters={"container": [engine.container(failing).id]}
        )
        if event.action in ("start", "die")
    ]
    pauses = [(after[1] - before[1]) / 1e6 for before, after in itertools.pairwise(moments) if before[0] == "die"]
    assert len(pauses) >= 5
    for number, pause in enumerate(pauses):
        assert pause >= FIRST_DELAY_MS * 2**number * 0.9, pauses
    container = engine.container(failing)
    assert container.restart_delay_ms == FIRST_DELAY_MS * 2 ** (container.restart_count - 1)


def test_ps_says_that_it_is_restarting(minirun, failing):
    line = minirun("ps", "-f", f"name={failing}", "--format", "{{.State}} {{.Status}}").stdout
    assert re.fullmatch(r"restarting Restarting \(1\) (Less than a second|\d seconds?) ago\n", line)
    assert failing in minirun("ps", "-f", "status=restarting", "--format", "{{.Names}}").stdout
    assert failing not in minirun("ps", "-f", "status=running", "--format", "{{.Names}}").stdout
    state = found(minirun, failing)["State"]
    assert (state["Running"], state["Restarting"], state["Pid"], state["ExitCode"]) == (True, True, 0, 1)


def test_nothing_of_python_is_in_memory_meanwhile(minirun, roots, failing):
    until("the end of the hook that recorded the exit", lambda: not processes_of(roots))
    (waiting,) = until("the other monitor's end", lambda: len(found := monitors_of(roots.run_root)) == 1 and found)
    resident = int(re.search(r"RssAnon:\s+(\d+)", Path(f"/proc/{waiting}/status").read_text())[1])
    assert resident < 500, "KiB of its own"


@pytest.mark.parametrize("verb", ["exec", "pause", "top", "attach", "rm"])
def test_a_verb_that_needs_processes_is_refused(minirun, failing, verb):
    identifier = found(minirun, failing)["Id"]
    done = minirun(verb, failing, *(("true",) if verb == "exec" else ()), check=False)
    sentences = {
        "attach": "You cannot attach to a restarting container, wait until it is running",
        "rm": f"You cannot remove a restarting container {identifier}. Stop the container before attempting removal",
    }
    default = f"Container {identifier} is restarting, wait until the container is running"
    assert done.returncode == 1
    assert sentences.get(verb, default) in done.stderr


@pytest.mark.parametrize(
    ("words", "event"), [(("stop",), "stop"), (("kill",), "die"), (("kill", "-s", "WINCH"), "die")]
)
def test_stop_and_kill_call_the_next_run_off(minirun, roots, failing, words, event):
    began = time.monotonic()
    assert minirun(*words, failing).stdout == f"{failing}\n"
    assert time.monotonic() - began < 8, "not the ten seconds that a stop gives a process: there is none"
    state = found(minirun, failing)["State"]
    assert (state["Status"], state["Restarting"], state["ExitCode"]) == ("exited", False, 1)
    assert actions(minirun, failing)[-1] == event
    until("nobody to wait any more", lambda: not monitors_of(roots.run_root))
    assert minirun("kill", failing, check=False).returncode == 1


def test_rm_force_takes_it_away(minirun, roots, failing):
    minirun("rm", "-f", failing)
    until("nobody to wait any more", lambda: not monitors_of(roots.run_root))
    assert processes_of(roots) == []


@pytest.mark.parametrize("verb", ["start", "restart"])
def test_a_start_by_hand_comes_at_once_and_counts_from_nothing(minirun, failing, verb):
    minirun(verb, failing)
    until("a policy that begins anew", lambda: 1 <= found(minirun, failing)["RestartCount"] < 5)


@pytest.mark.parametrize("policy", ["always", "unless-stopped", "on-failure"])
def test_who_is_stopped_by_hand_stays_so(minirun, trapping, policy):
    name = trapping("--restart", policy)
    minirun("stop", name)
    state = found(minirun, name)["State"]
    assert (state["Status"], state["ExitCode"]) == ("exited", 7)
    minirun("start", name)
    end_by_itself(minirun, name)
    until("its policy to hold again", lambda: found(minirun, name)["RestartCount"] == 1)


def test_restart_by_hand_keeps_the_policy(minirun, trapping):
    name = trapping("--restart", "always")
    minirun("restart", name)
    assert found(minirun, name)["RestartCount"] == 0
    end_by_itself(minirun, name)
    until("its policy to hold", lambda: found(minirun, name)["RestartCount"] == 1)


def test_any_signal_by_hand_ends_the_policy_as_dockers_does(minirun, trapping):
    name = trapping("--restart", "always")
    minirun("kill", "-s", "HUP", name)
    end_by_itself(minirun, name)
    assert minirun("wait", name).stdout == "5\n"
    assert found(minirun, name)["State"]["Status"] == "exited"


def test_wait_gives_the_code_of_the_present_run_or_else_the_next(minirun, engine, trapping, failing):
    name = trapping("--restart", "always")
    waiting = minirun.start("wait", name, stdout=subprocess.PIPE)
    end_by_itself(minirun, name)
    assert waiting.communicate(timeout=30)[0] == b"5\n"
    minirun("start", failing)
    until("a delay", lambda: found(minirun, failing)["State"]["Restarting"])
    count = found(minirun, failing)["RestartCount"]
    assert minirun("wait", failing).stdout == "1\n"
    assert found(minirun, failing)["RestartCount"] > count
    wait_for_long_delay(engine, failing, short_cut=True)
    waiting = minirun.start("wait", failing, stdout=subprocess.PIPE)
    minirun("stop", failing)
    assert waiting.communicate(timeout=30)[0] == b"1\n"


def test_a_new_policy_holds_from_the_next_end_on(minirun, trapping):
    name = trapping()
    minirun("update", "--restart", "on-failure:1", name)
    assert found(minirun, name)["HostConfig"]["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 1}
    assert actions(minirun, name)[-1] == "update"
    end_by_itself(minirun, name)
    until("its one try", lambda: found(minirun, name)["RestartCount"] == 1 and status(minirun, name) == "running")
    minirun("update", "--restart", "no", name)
    end_by_itself(minirun, name)
    minirun("wait", name)
    assert status(minirun, name) == "exited"


def test_a_published_port_and_an_address_come_back(minirun, busybox, run_container):
    script = "test -e /once && exec httpd -f -h /; touch /once; exit 1"
    name = run_container("--restart", "on-failure", "-p", "127.0.0.1::80", busybox, "sh", "-c", script)
    until("the second run", lambda: found(minirun, name)["RestartCount"] == 1 and status(minirun, name) == "running")
    port = minirun("port", name, "80").stdout.strip().rpartition(":")[2]
    until(
        "an answer",
        lambda: subprocess.run(["curl", "-s", f"http://127.0.0.1:{port}/etc/hostname"], check=False).returncode == 0,
    )


def test_a_next_run_that_fails_to_start_is_the_last_word(minirun, busybox, run_container):
    script = "rm /bin/sh; exit 1"
    name = run_container("--restart", "always", "--network", "none", busybox, "/bin/sh", "-c", script)
    until("the failure", lambda: status(minirun, name) == "exited")
    state = found(minirun, name)["State"]
    assert state["ExitCode"] == 127
    assert "/bin/sh" in state["Error"]


def test_a_delay_that_was_killed_is_begun_again_by_the_next_command(minirun, engine, roots, failing):
    for pid in monitors_of(roots.run_root):
        os.kill(pid, signal.SIGKILL)
    engine.rows.update(engine.container(failing).id, restart_at_ns=time.time_ns() + 3 * 10**8)  # nothing to wait for
    count = found(minirun, failing)["RestartCount"]  # which begins it again
    until("the next run", lambda: found(minirun, failing)["RestartCount"] > count)


def test_a_monitor_that_was_killed_is_an_end_like_any_other(minirun, roots, trapping):
    name = trapping("--restart", "on-failure:1")
    for pid in monitors_of(roots.run_root):
        os.kill(pid, signal.SIGKILL)
    until("the next run", lambda: found(minirun, name)["RestartCount"] == 1 and status(minirun, name) == "running")
    minirun("exec", name, "true")


def test_policies_that_are_none_are_refused(minirun, busybox, run_container):
    lines = {
        "foo": "invalid restart policy 'foo'",
        "always:3": "maximum retry count cannot be used with restart policy 'always'",
        "on-failure:-1": "maximum retry count cannot be negative",
        "on-failure:x": "invalid restart policy format: maximum retry count must be an integer",
        ":": "invalid restart policy format: no policy provided before colon",
    }
    for policy, sentence in lines.items():
        done = minirun("run", "--restart", policy, busybox, "true", check=False)
        assert done.returncode == 125
        assert sentence in done.stderr
    done = minirun("run", "--rm", "--restart", "always", busybox, "true", check=False)
    assert done.returncode == 125
    assert "conflicting options: cannot specify both --restart and --rm" in done.stderr
    name = run_container("--rm", busybox, "sleep", "600")
    done = minirun("update", "--restart", "always", name, check=False)
    assert done.returncode == 1
    assert "Restart policy cannot be updated because AutoRemove is enabled for the container" in done.stderr


AS_DOCKER = (
    "ps --format {{.Names}}={{.State}}",
    "ps -q -f status=running",
    "ps -q -f exited=1",
    "inspect -f {{.State.Status}},{{.State.Running}},{{.State.Restarting}},{{.State.Pid}},{{.State.ExitCode}} failing",
    "inspect -f {{json .HostConfig.RestartPolicy}} failing",
    "exec failing true",
    "pause failing",
    "unpause failing",
    "top failing",
    "attach failing",
    "rm failing",
    "diff failing",
    "port failing",
    "container prune -f",
    "update --restart foo failing",
    "update --restart always:3 failing",
    "update --restart unless-stopped failing",
    "inspect -f {{json .HostConfig.RestartPolicy}} failing",
    "stop failing",
    "inspect -f {{.State.Status}},{{.State.Restarting}},{{.State.ExitCode}} failing",
    "kill failing",
    "rm failing",
)


def answers(words: list[str]) -> list[tuple[str, int, str]]:
    """Give each line with its code and output, said to a container that has just begun to wait."""

    def call(*line: str) -> tuple[int, str]:
        done = subprocess.run([*words, *line], capture_output=True, text=True, check=False, timeout=60)
        return done.returncode, done.stdout

    call("run", "-d", "--name", "failing", "--network", "none", "--restart", "always", *FAILS)
    until("a long delay", lambda: has_just_begun_to_wait(json.loads(call("inspect", "failing")[1])[0]), seconds=120)
    return [(line, *call(*line.split())) for line in AS_DOCKER]


@pytest.mark.no_census  # dockerd keeps processes and mounts of its own while it runs
def test_the_same_words_do_the_same_as_dockers(store, tmp_path_factory, fixture_archive):
    with private_docker(tmp_path_factory.mktemp("docker")) as docker:
        docker("import", str(fixture_archive("busybox")), "busybox:latest")
        theirs, ours = at_once(answers, (docker.words(), store.words))
        sizes = AS_DOCKER.index("container prune -f")  # are counted otherwise
        del ours[sizes], theirs[sizes]
        assert ours == theirs
