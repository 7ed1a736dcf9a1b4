"""Health checks as users see them: ps, inspect, events, filters, images' own checks, and the restart of an unhealthy container."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from datetime import UTC, datetime

import pytest

from tests.dockerd import at_once, private_docker
from tests.faults.test_kills import monitors_of
from tests.integration.engine.test_restarts import actions, found, status
from tests.waiting import until

QUICK = ("--health-interval", "100ms", "--health-retries", "2", "--network", "none")
CHECK = ("--health-cmd", "echo looked; test ! -e /dev/shm/sick")  # gone with the run


def health(minirun, name: str) -> dict:
    return found(minirun, name)["State"]["Health"]


def is_now(minirun, name: str, word: str) -> None:
    until(f"{name} to be {word}", lambda: health(minirun, name)["Status"] == word)


@pytest.fixture
def checked(busybox, run_container):
    """Give a function that runs `sleep` with a check that fails when /dev/shm/sick is there."""

    def run(*options: str) -> str:
        return run_container(*QUICK, *CHECK, *options, busybox, "sleep", "600")

    return run


def test_ps_inspect_and_events_say_how_it_is(minirun, checked):
    name = checked()
    is_now(minirun, name, "healthy")

    def line() -> str:
        return minirun("ps", "-f", f"name={name}", "--format", "{{.Status}}").stdout.strip()

    assert line().startswith("Up ")
    assert line().endswith(" (healthy)")
    entry = health(minirun, name)["Log"][0]
    assert (entry["ExitCode"], entry["Output"]) == (0, "looked\n")
    minirun("exec", name, "touch", "/dev/shm/sick")
    is_now(minirun, name, "unhealthy")
    assert line().endswith(" (unhealthy)")
    assert health(minirun, name)["FailingStreak"] >= 2
    until("the event", lambda: "unhealthy" in actions(minirun, name))
    told = [word for word in actions(minirun, name) if word in ("healthy", "unhealthy")]
    assert told == ["healthy", "unhealthy"]
    until("more looks than are kept", lambda: len(health(minirun, name)["Log"]) == 5)
    minirun("stop", name)
    assert health(minirun, name)["Status"] == "unhealthy"
    assert len(health(minirun, name)["Log"]) == 5
    assert minirun("ps", "-a", "-f", f"name={name}", "--format", "{{.Status}}").stdout.startswith("Exited (137) ")


def test_one_that_has_not_been_checked_yet_is_starting(minirun, busybox, run_container):
    name = run_container("--health-cmd", "true", busybox, "sleep", "600")
    assert health(minirun, name) == {"Status": "starting", "FailingStreak": 0, "Log": []}
    assert minirun("ps", "-f", f"name={name}", "--format", "{{.Status}}").stdout.endswith(" (health: starting)\n")
    assert found(minirun, name)["Config"]["Healthcheck"] == {"Test": ["CMD-SHELL", "true"]}


def test_ps_filters_by_health(minirun, busybox, run_container, checked):
    plain, starting = (
        run_container(busybox, "sleep", "600"),
        run_container("--health-cmd", "true", busybox, "sleep", "600"),
    )
    well, sick = checked(), checked()
    minirun("exec", sick, "touch", "/dev/shm/sick")
    is_now(minirun, well, "healthy")
    is_now(minirun, sick, "unhealthy")
    for word, name in (("none", plain), ("starting", starting), ("healthy", well), ("unhealthy", sick)):
        assert minirun("ps", "-f", f"health={word}", "--format", "{{.Names}}").stdout.split() == [name]
    assert "Health" not in found(minirun, plain)["State"]


def test_an_images_own_check_is_used_changed_or_left_out(minirun, busybox, run_container):
    change = 'HEALTHCHECK --interval=100ms --timeout=9s --retries=4 CMD ["test", "-e", "/etc/passwd"]'
    minirun("commit", "-c", change, run_container(busybox, "sleep", "600"), "checked:latest")
    try:
        name = run_container("checked", "sleep", "600")
        is_now(minirun, name, "healthy")
        assert found(minirun, name)["Config"]["Healthcheck"] == {
            "Test": ["CMD", "test", "-e", "/etc/passwd"],
            "Interval": 100_000_000,
            "Timeout": 9_000_000_000,
            "Retries": 4,
        }
        other = run_container("--health-retries", "1", "--health-cmd", "exit 5", "checked", "sleep", "600")
        is_now(minirun, other, "unhealthy")
        assert health(minirun, other)["Log"][0]["ExitCode"] == 5
        without = run_container("--no-healthcheck", "checked", "sleep", "600")
        assert "Health" not in found(minirun, without)["State"]
        assert found(minirun, without)["Config"]["Healthcheck"] == {"Test": ["NONE"]}
        minirun("rm", "-f", name, other, without)
    finally:
        minirun("rmi", "-f", "checked:latest")


@pytest.mark.parametrize("userns", [(), ("--userns", "auto")])
def test_a_check_is_the_containers_own_user_in_its_own_world(minirun, busybox, run_container, userns):
    script = "id -u; pwd; echo $WHO; hostname; echo err > /dev/stderr; cat /proc/1/comm"
    name = run_container(
        *QUICK, "--health-cmd", script, *userns,
        *("--user", "7:8", "--workdir", "/tmp", "--env", "WHO=me", "--hostname", "box"), busybox, "sleep", "600",
    )  # fmt: skip
    is_now(minirun, name, "healthy")
    output = health(minirun, name)["Log"][0]["Output"]
    assert sorted(output.split()) == sorted(["7", "/tmp", "me", "box", "err", "sleep"])


def test_one_that_takes_too_long_is_a_failure_with_dockers_words(minirun, busybox, run_container):
    name = run_container(*QUICK, "--health-timeout", "300ms", "--health-cmd", "sleep 60", busybox, "sleep", "600")
    is_now(minirun, name, "unhealthy")
    entry = health(minirun, name)["Log"][-1]
    assert (entry["ExitCode"], entry["Output"]) == (-1, "Health check exceeded timeout (300ms)")
    running = minirun("top", name, "-o", "pid,args").stdout.splitlines()
    assert sum(line.endswith("sleep 60") for line in running) <= 1, "that of the present check"


def test_a_paused_container_is_not_checked(minirun, checked):
    name = checked()
    is_now(minirun, name, "healthy")
    minirun("pause", name)
    last = health(minirun, name)
    assert last["Status"] == "unhealthy", "docker's word for one that nobody asks"
    until("time to pass", lambda: found(minirun, name)["State"]["Paused"] and ages(health(minirun, name)) > 1.5)
    minirun("unpause", name)
    is_now(minirun, name, "healthy")
    until("another check", lambda: health(minirun, name)["Log"][-1] != last["Log"][-1])


def ages(known: dict) -> float:
    """How many seconds ago the last check ended."""
    ended = datetime.fromisoformat(known["Log"][-1]["End"][:26] + "+00:00")
    return (datetime.now(UTC) - ended).total_seconds()


def test_a_pause_during_a_check_holds_the_monitor_not_up(minirun, busybox, run_container):
    name = run_container(*QUICK, "--health-timeout", "1s", "--health-cmd", "sleep 61", busybox, "sleep", "600")
    until("a check that runs", lambda: "sleep 61" in minirun("top", name, "-o", "pid,args").stdout)
    minirun("pause", name)
    until("a check that was too late", lambda: health(minirun, name)["FailingStreak"] > 0)
    minirun("unpause", name)
    minirun("exec", name, "true")


def test_restart_on_unhealthy_stops_and_starts_it(minirun, checked):
    name = checked("--restart-on-unhealthy")
    is_now(minirun, name, "healthy")
    first = found(minirun, name)["State"]["StartedAt"]
    minirun("exec", name, "touch", "/dev/shm/sick")
    until("another run", lambda: found(minirun, name)["RestartCount"] == 1 and status(minirun, name) == "running")
    assert found(minirun, name)["State"]["StartedAt"] > first
    assert found(minirun, name)["HostConfig"]["RestartOnUnhealthy"] is True
    is_now(minirun, name, "healthy")
    minirun("stop", name)
    assert status(minirun, name) == "exited"


def test_restart_on_unhealthy_stays_away_from_one_that_was_stopped(minirun, roots, checked):
    name = checked("--restart-on-unhealthy", "--restart", "always", "--stop-signal", "USR1")
    minirun("exec", name, "touch", "/dev/shm/sick")
    minirun("stop", name)
    assert status(minirun, name) == "exited"
    until("nobody to watch", lambda: not monitors_of(roots.run_root))
    assert status(minirun, name) == "exited"


def test_a_policy_and_a_check_go_together(minirun, roots, checked):
    name = checked("--restart", "always")
    is_now(minirun, name, "healthy")
    pid = found(minirun, name)["State"]["Pid"]
    os.kill(pid, signal.SIGKILL)
    until("the next run", lambda: found(minirun, name)["RestartCount"] == 1 and status(minirun, name) == "running")
    is_now(minirun, name, "healthy")
    for monitor in monitors_of(roots.run_root):
        with contextlib.suppress(ProcessLookupError):
            os.kill(monitor, signal.SIGKILL)
    until("one more", lambda: found(minirun, name)["RestartCount"] == 2 and status(minirun, name) == "running")
    is_now(minirun, name, "healthy")


def test_what_is_no_check_is_refused(minirun, busybox):
    lines = {
        ("--no-healthcheck", "--health-cmd", "true"): "--no-healthcheck conflicts with --health-* options",
        ("--health-interval", "-1s", "--health-cmd", "true"): "cannot be negative",
        ("--health-interval", "1us", "--health-cmd", "true"): "Interval in Healthcheck cannot be less than 1ms",
        ("--health-timeout", "soon"): 'time: invalid duration "soon"',
        ("--restart-on-unhealthy",): "needs a health check",
    }
    for options, sentence in lines.items():
        done = minirun("run", *options, busybox, "true", check=False)
        assert done.returncode == 125, options
        assert sentence in done.stderr


AS_DOCKER = (
    "ps --format {{.Names}}={{.State}}",
    "ps -q -f health=healthy -f health=starting",
    "ps -f health=unhealthy --format {{.Names}}",
    "inspect -f {{.State.Health.Status}},{{(index .State.Health.Log 0).ExitCode}},{{(index .State.Health.Log 0).Output}} sick",
    "inspect -f {{len(.State.Health.Log)}} sick",
    "inspect -f {{json .Config.Healthcheck}} sick",
    "stop -t 0 sick",
    "inspect -f {{.State.Health.Status}} sick",
    "ps -a -f health=unhealthy --format {{.Names}}",
    "run --no-healthcheck --health-cmd true busybox true",
)


def answers(words: list[str]) -> list[tuple[str, int, str]]:
    """Give each line with its code and output, said to a container that has been looked at five times."""

    def call(*line: str) -> tuple[int, str]:
        done = subprocess.run([*words, *line], capture_output=True, text=True, check=False, timeout=60)
        return done.returncode, done.stdout

    script = "head -c 5000 /dev/zero | tr '\\0' y; exit 3"
    options = (*QUICK[:4], "--health-timeout", "7s", "--health-cmd", script, "--network", "none")
    assert call("run", "-d", "--name", "sick", *options, "busybox", "sleep", "600")[0] == 0
    until("five results", lambda: len(json.loads(call("inspect", "sick")[1])[0]["State"]["Health"]["Log"]) == 5)
    return [(line, *call(*line.split())) for line in AS_DOCKER]


@pytest.mark.no_census  # dockerd keeps processes and mounts of its own while it runs
def test_the_same_words_do_the_same_as_dockers(store, tmp_path_factory, fixture_archive):
    with private_docker(tmp_path_factory.mktemp("docker")) as docker:
        docker("import", str(fixture_archive("busybox")), "busybox:latest")
        theirs, ours = at_once(answers, (docker.words(), store.words))
        assert ours == theirs
