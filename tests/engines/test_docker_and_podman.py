"""docker and podman run, exec into, pause, stop and remove containers through minirun-oci, and see what they see elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engines.conftest import Engine

pytestmark = pytest.mark.no_census  # the engines keep things of their own; conftest looks for ours


@pytest.fixture(params=["docker", "podman"])
def engine(request: pytest.FixtureRequest) -> Engine:
    found: Engine = request.getfixturevalue(request.param)
    return found


def test_output_input_and_exit_codes_are_the_programs_own(engine: Engine) -> None:
    done = engine.run("-i", "--", "sh", "-c", "cat; echo oops >&2; exit 7", stdin="typed\n", check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("typed\n", "oops\n", 7)


@pytest.mark.parametrize(("command", "code"), [("nope", 127), ("/etc/passwd", 126)])
def test_what_cannot_be_executed_has_dockers_exit_codes(engine: Engine, command: str, code: int) -> None:
    done = engine.run("--", command, check=False)
    assert done.returncode == code
    assert command in done.stderr


def test_a_terminal_is_the_containers_own(engine: Engine) -> None:
    with engine.container("terminal", "-t", command=("sh", "-c", "tty; sleep 1000")):
        assert engine("exec", "-t", "terminal", "tty").stdout.strip() == "/dev/pts/1"
        assert "/dev/pts/0" in engine("logs", "terminal").stdout


def test_a_further_process_has_its_user_directory_and_environment(engine: Engine) -> None:
    with engine.container("further"):
        script = 'id -u; id -g; pwd; echo "$A"; exit 5'
        words = ["exec", "-u", "1000:1001", "-w", "/tmp", "-e", "A=b", "further", "sh", "-c", script]
        done = engine(*words, check=False)
        assert done.stdout.split() == ["1000", "1001", "/tmp", "b"]
        assert done.returncode == 5


def test_a_container_stops_when_asked_and_is_killed_when_told(engine: Engine) -> None:
    trap = ("sh", "-c", "trap 'exit 3' TERM; while :; do sleep 0.1; done")
    with engine.container("polite", command=trap):
        engine("stop", "-t", "20", "polite")
        assert engine("inspect", "-f", "{{.State.ExitCode}}", "polite").stdout.strip() == "3"
        engine("start", "polite")
        engine("kill", "polite")
        assert engine("wait", "polite").stdout.strip() == "137"


def test_a_paused_container_is_frozen_until_it_is_let_go(engine: Engine) -> None:
    with engine.container("frozen"):
        engine("pause", "frozen")
        assert engine("inspect", "-f", "{{.State.Status}}", "frozen").stdout.strip() == "paused"
        assert engine("exec", "frozen", "true", check=False).returncode != 0
        engine("unpause", "frozen")
        engine("exec", "frozen", "true")


def test_privileges_are_those_that_were_asked_for(engine: Engine) -> None:
    options = ["--cap-drop", "all", "--security-opt", "no-new-privileges", "--user", "1000"]
    status = engine.run(*options, "--", "cat", "/proc/self/status").stdout
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(fields[name], 16) == 0, name
    assert (fields["NoNewPrivs"], fields["Seccomp"]) == ("1", "2")
    assert fields["Uid"].split() == ["1000"] * 4


def test_mounts_and_a_read_only_root(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "there").write_text("from the host")
    options = ["-v", f"{tmp_path}:/data:ro", "--read-only", "--tmpfs", "/scratch"]
    script = "cat /data/there; for at in /data /etc /scratch; do touch $at/new 2>/dev/null && echo $at; done; true"
    assert engine.run(*options, "--", "sh", "-c", script).stdout == "from the host/scratch\n"


def test_privileged_has_what_the_host_can_give(engine: Engine) -> None:
    script = "grep CapEff /proc/self/status; ls /dev | wc -l; cat /proc/keys >/dev/null && echo open"
    words = engine.run("--privileged", "--", "sh", "-c", script).stdout.split()
    assert int(words[1], 16) & 1 << 21, "CAP_SYS_ADMIN"
    assert int(words[2]) > 15
    assert words[3] == "open"
