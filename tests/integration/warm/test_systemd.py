"""A preloaded process beside a real systemd: the units that `make install` puts down, and services that run commands."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from minirun.warm import control
from tests.conftest import CHECKOUT
from tests.systemd import Systemd, booted
from tests.waiting import until

from .conftest import Installation

QUIET = "[Unit]\nDefaultDependencies=no\n"
# A process from outside is in no cgroup that can be seen from inside.
INSIDE = 'mkdir -p /sys/fs/cgroup/beside; echo $$ >/sys/fs/cgroup/beside/cgroup.procs; exec "$@"'
SOCKET, SERVICE = "minirun-warm.socket", "minirun-warm.service"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    return Installation(tmp_path_factory.mktemp("prefix") / "lib/minirun")


@pytest.fixture(scope="module")
def systemd(tmp_path_factory: pytest.TempPathFactory, place: Installation) -> Iterator[Systemd]:
    prefix = str(place.top.parent.parent)
    units = {
        name: (CHECKOUT / "packaging" / name).read_text().replace("@PREFIX@", prefix) for name in (SOCKET, SERVICE)
    }
    targets = dict.fromkeys(("test.target", "sysinit.target", "basic.target", "shutdown.target"), QUIET)
    caller = f"[Service]\nType=oneshot\nExecStart={place.program()} version\n"
    broken = place.top / "broken/bin/minirun"  # as a command that could not start one of the containers
    broken.parent.mkdir(parents=True)
    broken.write_text('#!/bin/sh\necho "$2" >>"$0.log"\nexit 1\n')
    broken.chmod(0o755)
    machine = (CHECKOUT / "packaging/minirun.service").read_text().replace("@PREFIX@", str(broken.parent.parent))
    services = {"caller.service": caller, "minirun.service": machine}
    with booted(tmp_path_factory.mktemp("systemd"), {**units, **targets, **services}) as manager:
        yield manager


Minirun = Callable[..., str]


@pytest.fixture
def minirun(systemd: Systemd, place: Installation) -> Minirun:
    """Run a command there, with nothing said of how it is to be run."""

    def run(*words: str) -> str:
        return systemd.run("sh", "-c", INSIDE, "sh", "env", "-u", control.VARIABLE, place.program(), *words)

    return run


@pytest.fixture
def version(minirun: Minirun, place: Installation) -> Callable[[], str]:
    """Run a command there and give how it was run."""

    def run() -> str:
        place.ran_cold()
        assert "Version" in minirun("version")
        return "cold" if place.ran_cold() else "warm"

    return run


def show(systemd: Systemd, unit: str, name: str) -> str:
    return systemd.run("systemctl", "show", "--value", f"--property={name}", unit).strip()


def test_the_units_are_ones_that_systemd_takes(tmp_path):
    python = tmp_path / "lib/minirun/bin/python3"
    python.parent.mkdir(parents=True)
    python.symlink_to("/bin/true")
    makefile = (CHECKOUT / "Makefile").read_text()
    assert "sed 's|@PREFIX@|$(PREFIX)|g' packaging/$${unit##*/} >$$unit" in makefile
    assert "enable --now minirun-warm.socket minirun.service" in makefile
    assert "disable --now minirun-warm.socket" in makefile
    for name in (SOCKET, SERVICE):
        (tmp_path / name).write_text((CHECKOUT / "packaging" / name).read_text().replace("@PREFIX@", str(tmp_path)))
    words = ["systemd-analyze", "verify", tmp_path / SOCKET, tmp_path / SERVICE]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    said = [line for line in done.stderr.splitlines() if "minirun" in line]
    assert (done.returncode, said) == (0, [])


def test_a_service_leaves_one_that_keeps_nothing_of_it(systemd, version):
    """Its cgroup ends with its last process, and systemd, which waits for that, sees it end."""

    def start() -> str:
        systemd.run("systemctl", "start", "caller.service")
        return systemd.run("sh", "-c", "cat /sys/fs/cgroup/minirun-warm/cgroup.procs 2>/dev/null; true")

    pid = until("a process that has left the service's cgroup in time", start).strip()
    assert show(systemd, "caller.service", "ActiveState") == "inactive"
    assert not (systemd.root / "sys/fs/cgroup/system.slice/caller.service").exists()
    until("a command that it runs", lambda: version() == "warm")
    systemd.run("kill", pid)
    until("its end", lambda: not (systemd.root / "proc" / pid).exists())
    assert not (systemd.root / "sys/fs/cgroup/minirun-warm").exists()


def test_a_container_that_could_not_be_started_keeps_none_from_being_stopped(systemd, place):
    systemd.run("systemctl", "start", "minirun.service")
    systemd.run("systemctl", "stop", "minirun.service")
    log = place.top / "broken/bin/minirun.log"
    assert log.read_text() == "start-all\nstop-all\n"
    # An uninstallation takes the file away first: then nothing runs any more.
    systemd.run("systemctl", "start", "minirun.service")
    systemd.run("rm", "/run/units/minirun.service")
    systemd.run("systemctl", "daemon-reload")
    systemd.run("systemctl", "is-active", "minirun.service")
    systemd.run("systemctl", "stop", "minirun.service")
    assert log.read_text() == "start-all\nstop-all\nstart-all\n"


def test_the_socket_unit_starts_it_for_the_first_command(systemd, place, minirun, version):
    systemd.run("systemctl", "start", SOCKET)
    assert version() == "cold"
    until("the next command to be served", lambda: version() == "warm")
    pid = show(systemd, SERVICE, "MainPID")
    assert pid in minirun("system", "warm", "status")
    assert version() == "warm"
    systemd.run("systemctl", "start", "caller.service")
    assert place.ran_cold(), "who stops a service signals all its processes: a worker would hear it twice"
    minirun("system", "warm", "stop")
    until("its end", lambda: show(systemd, SERVICE, "MainPID") != pid)
    started = minirun("system", "warm", "start")
    assert f"process {show(systemd, SERVICE, 'MainPID')}," in started
    systemd.run("systemctl", "stop", SOCKET, SERVICE)
    assert Path(f"/proc/{systemd.pid}").exists()
