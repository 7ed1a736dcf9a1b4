"""HOOK: a program that the plan runs on the way, before the pivot with the host's files, later as confined as the container."""

from __future__ import annotations

import errno
import os
import platform
import signal
import struct
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from minirun.linux import flags
from minirun.linux import plan as p
from tests.integration.linux.conftest import Outcome, Walk
from tests.waiting import until

Container = Callable[..., p.Plan]
PATH = ("PATH=/usr/bin:/bin",)
PIPE_BYTES = 1 << 16
ENVIRONMENT = "import sys; sys.stderr.write(str(open('/proc/self/environ').read().split(chr(0))[:-1]))"


def _index(plan: p.Plan, name: str) -> int:
    return next(i for i, (_, operation) in enumerate(plan.operations()) if operation.name == name)


def _shell(
    script: str, *, head: str = "", tail: str = "", timeout_ms: int = 0, environment: Sequence[str] = PATH
) -> p.Operation:
    """A shell that says on standard error what it has to say: the container's output is closed to it."""
    return p.hook("/bin/sh", ("sh", "-c", f"exec >&2; {script}"), environment, head, tail, timeout_ms)


def _failure(walk: Walk, plan: p.Plan) -> int:
    outcome = walk(plan)
    if outcome.failed is None:
        return 0
    assert outcome.failed[0] == _index(plan, "HOOK")
    return outcome.failed[1]


def test_a_hook_before_the_pivot_is_a_program_of_the_host_in_the_containers_namespaces(
    walk: Walk, container: Container, tmp_path: Path
) -> None:
    script = f"cat > {tmp_path}/state; readlink /proc/self/ns/uts > {tmp_path}/uts; echo said; echo aloud >&2"
    hook = p.hook("/bin/sh", ("sh", "-c", script), PATH, '{"pid": ', ', "status": "creating"}', 0)
    outcome = walk(container("echo", "container", steps=(hook,)))
    assert (outcome.failed, outcome.output, outcome.diagnostics) == (None, "container\n", "aloud\n")
    assert (tmp_path / "state").read_text() == '{"pid": 1, "status": "creating"}'
    assert (tmp_path / "uts").read_text().strip() != os.readlink("/proc/self/ns/uts")


def test_the_process_id_in_the_state_is_that_of_who_becomes_the_program(walk: Walk, container: Container) -> None:
    plan = container("sh", "-c", "echo $$", steps=(_shell("cat; echo"),), namespaces=flags.CLONE_NEWNS, procfs=False)
    outcome = walk(plan)
    first, second = outcome.diagnostics.strip(), outcome.output.strip()
    assert first == second


def test_a_hook_after_everything_is_as_confined_as_the_program(walk: Walk, container: Container) -> None:
    """startContainer: no capability, another user, no new privileges, a filter that allows what an ordinary program needs."""
    confinement = (p.bounding(0), p.identity(1000, 1001), p.capabilities(0, 0, 0), p.no_new_privileges())
    hook = _shell(
        "cat; echo; grep -E '^(Cap(Prm|Eff|Bnd)|NoNewPrivs|Uid)' /proc/self/status",
        head="in",
        environment=("PATH=/bin", "MINE=yes"),
    )
    tail = (*confinement, *_only_ordinary_calls(), hook)
    outcome = walk(container("true", tail=tail))
    assert (outcome.failed, outcome.exit_code) == (None, 0)
    state, *lines = outcome.diagnostics.splitlines()
    assert state == "in1"
    assert [line.split()[1] for line in lines] == ["1000", "0" * 16, "0" * 16, "0" * 16, "1"]


def _only_ordinary_calls() -> tuple[p.Operation, ...]:
    """A filter that knows neither clone3 nor pidfd_open, as those that were written before these calls."""
    if platform.machine() != "x86_64":
        return ()
    unknown = (435, 434)
    program = [(0x20, 0, 0, 0)]
    for left, number in zip(range(len(unknown), 0, -1), unknown, strict=True):
        program.append((0x15, left, 0, number))
    program += [(0x06, 0, 0, 0x7FFF0000), (0x06, 0, 0, 0x00050000 | errno.ENOSYS)]
    return (p.seccomp(0, b"".join(struct.pack("<HBBI", *instruction) for instruction in program)),)


def test_a_filter_without_pidfd_open_takes_no_time_limit_away(walk: Walk, container: Container) -> None:
    """Nobody tells when it ends then: it is looked at."""
    quick = _shell("cat", head="x" * 2 * PIPE_BYTES, timeout_ms=60_000, environment=("PATH=/bin",))
    outcome = walk(container("true", tail=(*_only_ordinary_calls(), quick)))
    assert outcome.failed is None
    assert len(outcome.diagnostics) == 2 * PIPE_BYTES + 1
    slow = _shell("sleep 1000", head="x" * 2 * PIPE_BYTES, timeout_ms=200, environment=("PATH=/bin",))
    assert _failure(walk, container("true", tail=(*_only_ordinary_calls(), slow))) == errno.ETIMEDOUT


def test_environment_and_arguments_are_those_given_and_no_more(walk: Walk, container: Container) -> None:
    hook = p.hook("/usr/bin/python3", ("python3", "-ISc", ENVIRONMENT), ("A=b", "C="), "", "", 0)
    assert walk(container("true", steps=(hook,))).diagnostics == "['A=b', 'C=']"
    hook = p.hook("/bin/sh", ("name", "-c", 'echo "$0" "$@" >&2', "zero", "", "x y"), PATH, "", "", 0)
    assert walk(container("true", steps=(hook,))).diagnostics == "zero  x y\n"


def test_a_hook_has_no_descriptor_but_0_1_2_and_no_signal_set(walk: Walk, container: Container) -> None:
    leaked = os.open("/", os.O_RDONLY)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGUSR1})
    old = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        hook = p.hook(
            "/bin/sh",
            ("sh", "-c", "exec >&2; ls /proc/self/fd; grep -E 'Sig(Blk|Ign)' /proc/self/status"),
            PATH,
            "",
            "",
            0,
        )
        outcome = walk(container("true", steps=(hook,)), descriptors=(leaked,))
    finally:
        signal.signal(signal.SIGHUP, old)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        os.close(leaked)
    assert outcome.diagnostics.split() == [
        "0",
        "1",
        "2",
        "3",
        "SigBlk:",
        "0" * 16,
        "SigIgn:",
        "0" * 16,
    ]  # 3: what ls reads with


def test_hooks_run_one_after_the_other(walk: Walk, container: Container) -> None:
    steps = tuple(_shell(f"cat; echo {number}") for number in range(3))
    assert walk(container("true", steps=steps)).diagnostics == "10\n11\n12\n"


@pytest.mark.parametrize("script", ["exit 1", "exit 127", "kill -KILL $$", "kill -PIPE $$"])
def test_a_hook_that_is_not_happy_ends_the_start(walk: Walk, container: Container, script: str) -> None:
    assert _failure(walk, container("true", steps=(_shell(script),))) == errno.ECANCELED


@pytest.mark.parametrize(
    ("path", "number"),
    [("/nonexistent", errno.ENOENT), ("/etc", errno.EACCES), ("/etc/passwd", errno.EACCES)],
)
def test_a_hook_that_cannot_be_executed_says_why(walk: Walk, container: Container, path: str, number: int) -> None:
    hook = p.hook(path, ("x",), (), "state", "", 0)
    assert _failure(walk, container("true", steps=(hook,))) == number


def test_a_script_without_its_interpreter_says_so(walk: Walk, container: Container, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/nonexistent\n")
    script.chmod(0o755)
    hook = p.hook(str(script), ("x",), (), "", "", 0)
    assert _failure(walk, container("true", steps=(hook,))) == errno.ENOENT


# ---- Time ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 4 * PIPE_BYTES], ids=["small", "larger-than-a-pipe"])
def test_a_hook_whose_time_is_up_is_killed(walk: Walk, container: Container, tmp_path: Path, size: int) -> None:
    """Also one that leaves its state unread, when that is more than a pipe holds."""
    hook = _shell(f"echo $$ > {tmp_path}/pid; exec sleep 1000", head="x" * size, timeout_ms=200)
    plan = container("true", steps=(hook,), namespaces=flags.CLONE_NEWNS, procfs=False)
    started = time.monotonic()
    assert _failure(walk, plan) == errno.ETIMEDOUT
    assert 0.2 <= time.monotonic() - started < 10
    pid = (tmp_path / "pid").read_text().strip()
    until("the hook to be gone", lambda: not os.path.exists(f"/proc/{pid}"))


def test_a_hook_that_is_quick_enough_is_left_alone(walk: Walk, container: Container) -> None:
    assert walk(container("true", steps=(_shell("cat", timeout_ms=60_000),))).diagnostics == "1"


def test_a_limit_beyond_what_the_kernel_counts_is_no_limit(walk: Walk, container: Container) -> None:
    assert walk(container("true", steps=(_shell("cat", timeout_ms=2**63),))).diagnostics == "1"


def test_a_hook_that_becomes_somebody_else_cannot_outstay_its_time(
    walk: Walk, container: Container, rootfs: Path
) -> None:
    """A set-user-id program can't be killed by a container without CAP_KILL. It isn't waited for either."""
    (rootfs / "bin/other").write_bytes((rootfs / "bin/busybox").read_bytes())
    (rootfs / "bin/other").chmod(0o4755)
    hook = p.hook("/bin/other", ("sleep", "1000"), (), "", "", 200)
    plan = container("true", tail=(p.identity(1000, 1000), p.capabilities(0, 0, 0), hook))
    started = time.monotonic()
    assert _failure(walk, plan) == errno.ETIMEDOUT
    assert time.monotonic() - started < 10


# ---- The state -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, PIPE_BYTES - 1, PIPE_BYTES, PIPE_BYTES + 1, 8 * PIPE_BYTES])
def test_a_state_of_any_length_arrives_whole(walk: Walk, container: Container, tmp_path: Path, size: int) -> None:
    hook = _shell(f"cat > {tmp_path}/state", head="h" * size, tail="t" * size)
    assert walk(container("true", steps=(hook,))).failed is None
    assert (tmp_path / "state").read_text() == "h" * size + "1" + "t" * size


@pytest.mark.parametrize("size", [10, 8 * PIPE_BYTES])
@pytest.mark.parametrize("script", ["exec <&-; true", "exec 0</dev/null; sleep 0.2", "true", "head -c 5 >/dev/null"])
def test_a_hook_that_does_not_read_its_state_is_no_failure(
    walk: Walk, container: Container, size: int, script: str
) -> None:
    """Neither blocked nor killed (SIGPIPE), and the next one gets its own."""
    steps = (_shell(script, head="x" * size), _shell("cat"))
    outcome = walk(container("true", steps=steps, namespaces=flags.CLONE_NEWNS, procfs=False))
    assert outcome.failed is None
    assert outcome.exit_code == 0
    assert outcome.diagnostics.isdigit()


def test_a_descendant_of_a_hook_may_keep_the_input_open(walk: Walk, container: Container) -> None:
    """A hook that leaves a daemon behind has ended all the same."""
    script = "exec 3<&0; sleep 1000 <&3 >/dev/null 2>&1 &"  # a shell gives it /dev/null otherwise
    plan = container("true", steps=(_shell(script, head="x" * 8 * PIPE_BYTES),))
    assert walk(plan).failed is None  # and the end of the pid namespace takes it along


def test_ignored_children_of_the_caller_do_not_hide_how_a_hook_ended(walk: Walk, container: Container) -> None:
    old = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        outcomes: list[Outcome] = []
        for script in ("exit 0", "exit 3"):
            outcomes.append(walk(container("true", steps=(_shell(script),))))
    finally:
        signal.signal(signal.SIGCHLD, old)
    assert outcomes[0].failed is None
    assert outcomes[1].failed is not None
    assert outcomes[1].failed[1] == errno.ECANCELED
