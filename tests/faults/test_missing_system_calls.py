"""On a kernel that lacks a system call: a container starts without it, or a sentence names the call and the kernel it takes.

Each call that is younger than Linux 5.0 is answered with ENOSYS, in the command and all that it starts (native/tests/without.c).
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from minirun.runtime.syscall_table import numbers
from tests.conftest import CHECKOUT, MinirunCommand

CALLS = (
    "clone3", "close_range", "faccessat2", "fsconfig", "fsmount", "fsopen", "mount_setattr", "move_mount", "open_tree",
    "openat2", "pidfd_open", "pidfd_send_signal",
)  # fmt: skip
pytestmark = pytest.mark.needs("x86_64")
each_call = pytest.mark.parametrize("call", CALLS)


@pytest.fixture(scope="session")
def without(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("without") / "without"
    source = CHECKOUT / "native/tests/without.c"
    subprocess.run(["gcc", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-o", program, source], check=True)
    return program


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory, fixture_archive: Callable[[str], Path]) -> Path:
    place = tmp_path_factory.mktemp("bundle")
    (place / "rootfs").mkdir()
    subprocess.run(["tar", "-xf", fixture_archive("busybox"), "-C", place / "rootfs"], check=True)
    subprocess.run([Path(sys.executable).parent / "minirun-oci", "spec", "--bundle", place], check=True)
    config = json.loads((place / "config.json").read_text())
    config["process"].update(terminal=False, args=["echo", "it runs"])
    (place / "config.json").write_text(json.dumps(config))
    return place


def check(done: subprocess.CompletedProcess[str], call: str) -> None:
    if done.returncode == 0:
        assert done.stdout == "it runs\n"
    else:
        check_sentence(done, call)


def check_sentence(done: subprocess.CompletedProcess[str], call: str) -> None:
    (line,) = done.stderr.strip().splitlines()
    said = re.search(r"this kernel lacks the system calls? (.*) \(or .*\); minirun needs Linux 5\.15 or newer", line)
    assert said is not None
    assert call in re.split(", | and ", said[1])  # alone, but in a run that lacks others anyway (tests/missing)


def run(without: Path, call: str, *words: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    command = [str(without), str(numbers("x86_64")[call]), *words]
    return subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False, env=env
    )


@each_call
def test_minirun_says_so(call: str, without: Path, minirun: MinirunCommand, busybox: str) -> None:
    done = run(without, call, *minirun.words, "run", "--rm", "--network", "none", busybox, "echo", "it runs")
    assert done.returncode in (0, 125)
    check(done, call)


@each_call
def test_a_user_namespace_says_so(call: str, without: Path, minirun: MinirunCommand, busybox: str) -> None:
    words = ["run", "--rm", "--network", "none", "--userns", "auto", busybox, "echo", "it runs"]
    done = run(without, call, *minirun.words, *words)
    assert done.returncode in (0, 125)
    check(done, call)


@each_call
def test_a_load_says_so(call: str, without: Path, minirun: MinirunCommand, busybox: str, tmp_path: Path) -> None:
    archive = str(tmp_path / "saved.tar")
    minirun("save", "-o", archive, busybox)
    done = run(without, call, *minirun.words, "load", "-i", archive)
    if done.returncode != 0:
        check_sentence(done, call)


@each_call
def test_the_oci_runtime_says_so(call: str, without: Path, bundle: Path, tmp_path: Path) -> None:
    program = str(Path(sys.executable).parent / "minirun-oci")
    words = [program, "--root", str(tmp_path), "run", "--bundle", str(bundle), f"without-{call.replace('_', '-')}"]
    done = run(without, call, *words)
    assert done.returncode in (0, 1)
    check(done, call)
    assert not [path for path in tmp_path.iterdir() if path.name != ".shared"]


@each_call
def test_an_import_says_so_and_leaves_nothing(
    call: str, without: Path, tmp_path: Path, fixture_archive: Callable[[str], Path]
) -> None:
    program, roots = (
        str(Path(sys.executable).parent / "minirun"),
        ("--root", f"{tmp_path}/d", "--run-root", f"{tmp_path}/r"),
    )
    done = run(without, call, program, *roots, "import", str(fixture_archive("busybox")), "box")
    if done.returncode != 0:
        check_sentence(done, call)
        assert not [path for path in tmp_path.glob("d/*/*/*") if path.is_dir()]


@each_call
def test_a_preloaded_process_serves_or_says_so(call: str, without: Path, tmp_path: Path) -> None:
    """It is started, used and stopped without the call: a command that it can't serve runs all the same."""
    command = str(Path(sys.executable).parent / "minirun")
    environment = {**os.environ, "MINIRUN_WARM": str(tmp_path / "run/warm.sock")}
    started = run(without, call, command, "system", "warm", "start", env=environment)
    try:
        assert "Version:" in run(without, call, command, "version", env=environment).stdout
    finally:
        stopped = run(without, call, command, "system", "warm", "stop", env=environment)
        if stopped.returncode != 0:
            subprocess.run([command, "system", "warm", "stop"], check=True, capture_output=True, env=environment)
    for done in (started, stopped):
        if done.returncode != 0:
            check_sentence(done, call)


def test_no_volume_is_made_that_could_not_be_removed(without: Path, minirun: MinirunCommand) -> None:
    done = run(without, "openat2", *minirun.words, "volume", "create", "unremovable")
    assert done.returncode == 1
    check_sentence(done, "openat2")
    assert "unremovable" not in minirun("volume", "ls").stdout


@pytest.mark.parametrize(
    ("words", "warning"),
    [
        ((), ""),
        (("--cap-add", "MKNOD"), "the container has no CAP_MKNOD"),
        (("--device", "/dev/null:/dev/x:r"), "of --device the permissions don't count, only the node's own mode"),
    ],
)
def test_a_refused_device_filter_is_told_to_who_asked_for_what_it_takes(
    words: tuple[str, ...], warning: str, without: Path, minirun: MinirunCommand, busybox: str
) -> None:
    """And on each start of that container, for nobody else."""
    name = "no-device-filter"
    said = "WARNING: this host refuses the device filter (function not implemented): " + warning + "\n"
    script = (
        "mknod /node c 1 3 2>/dev/null || echo it has no right; echo x >/dev/null; test ! -e /dev/x || echo >/dev/x"
    )
    run_words = ("run", "--name", name, "--network", "none", *words, busybox, "sh", "-c", script)
    try:
        for command in (run_words, ("start", "-a", name), ("start", name)):
            done = run(without, "bpf", *minirun.words, *command)
            assert (done.returncode, done.stderr) == (0, said if warning else "")
            assert done.stdout == (f"{name}\n" if command == ("start", name) else "it has no right\n")
            minirun("wait", name)
    finally:
        minirun("rm", "-f", name, check=False)
