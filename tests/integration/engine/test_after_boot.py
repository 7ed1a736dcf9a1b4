"""`system start-all`: what comes back after a reboot, and the systemd unit that runs it."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest

from tests.conftest import CHECKOUT
from tests.faults.test_killed_restarts import hooks_of
from tests.faults.test_kills import kill, monitors_of
from tests.waiting import until

FOREVER = ("busybox", "sleep", "600")


def power_cut(store) -> None:
    """All processes of ours end at once, and what doesn't survive a reboot is gone."""
    root, run_root = (Path(store.words[store.words.index(option) + 1]) for option in ("--root", "--run-root"))

    def ours() -> list[int]:
        return hooks_of(root) + monitors_of(run_root)

    def are_gone() -> bool:
        for pid in ours():
            kill(pid)
        return not ours()

    until("all to be dead", are_gone)
    shutil.rmtree(run_root)


def states(store) -> dict[str, str]:
    lines = store("ps", "-a", "--format", "{{.Names}} {{.State}}").stdout.splitlines()
    return dict(line.split() for line in lines)


@pytest.fixture
def run(store):
    def run(name: str, *options: str) -> None:
        store("run", "-d", "--name", name, "--network", "none", *options, *FOREVER)

    return run


def test_a_reboot_brings_back_what_policies_ask_for(store, run):
    for policy in ("no", "on-failure", "always", "unless-stopped"):
        run(policy, "--restart", policy)
        run(f"{policy}-stopped", "--restart", policy)
        store("stop", f"{policy}-stopped")
    store("create", "--name", "never-ran", "--restart", "always", *FOREVER)
    store("run", "-d", "--name", "failing", "--network", "none", "--restart", "on-failure", "busybox", "false")
    until("a delay", lambda: states(store)["failing"] == "restarting")
    power_cut(store)
    assert set(states(store).values()) == {"created", "exited"}
    assert json.loads(store("inspect", "always").stdout)[0]["State"]["ExitCode"] == 255
    back = ["on-failure", "on-failure-stopped", "always", "always-stopped", "unless-stopped"]
    assert store("system", "start-all").stdout.split() == [*back, "failing"]
    store("rm", "-f", "failing")
    assert {name for name, state in states(store).items() if state == "running"} == set(back)
    assert store("system", "start-all").stdout == ""


def test_a_power_cut_in_the_middle_of_a_restart(store, run):
    """Nothing but `system start-all` begins anew what no longer runs."""
    run("box", "--restart", "always")
    power_cut(store)
    database = Path(store.words[store.words.index("--root") + 1]) / "minirun.db"
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE containers SET status = 'starting', restart_at_ns = 1, restart_delay_ms = 100")
    assert states(store) == {"box": "exited"}
    assert store("system", "start-all").stdout == "box\n"


def test_what_a_shutdown_stops_comes_back_with_the_machine(store, run):
    """All are asked at once, each has its own time, and none counts as stopped by hand."""
    patient = ("sh", "-c", "trap 'exit 0' TERM; sleep 600 & wait")
    stubborn = ("sh", "-c", "trap '' TERM; trap : USR1; sleep 600 & wait; sleep 600 & wait")
    for policy in ("no", "on-failure", "always", "unless-stopped"):
        run(policy, "--restart", policy)
    run("by-hand", "--restart", "unless-stopped")
    store("stop", "by-hand")
    run("paused", "--restart", "always")
    store("pause", "paused")
    run("passing", "--rm")
    for name, policy, program in (
        ("polite", "on-failure", patient),
        ("stubborn-1", "always", stubborn),
        ("stubborn-2", "no", stubborn),
        ("stubborn-3", "no", stubborn),
        ("stubborn-4", "no", stubborn),
    ):
        words = ("--stop-timeout", "1", "--stop-signal", "USR1") if "stubborn" in name else ()
        store("run", "-d", "--name", name, "--network", "none", "--restart", policy, *words, "busybox", *program)
    store("run", "-d", "--name", "failing", "--network", "none", "--restart", "on-failure", "busybox", "false")
    until("a delay", lambda: states(store)["failing"] == "restarting")
    begin = time.monotonic()
    done = store("system", "stop-all")
    assert time.monotonic() - begin < 3.9, "the stubborn ones, a second each, are waited for together"
    assert sorted(done.stdout.split()) == sorted({*states(store), "passing"} - {"by-hand"})
    assert "always: killed without waiting" in done.stderr
    assert set(states(store).values()) == {"exited"}
    assert "passing" not in states(store)
    assert store("system", "stop-all").stdout == ""
    power_cut(store)
    assert store("system", "start-all").stdout.split() == [
        "on-failure",
        "always",
        "unless-stopped",
        "paused",
        "stubborn-1",
        "failing",
    ]


def test_one_that_fails_holds_no_other_up_and_lenders_come_first(store, run):
    run("lender", "--restart", "always")
    run("borrower", "--restart", "always", "--network", "container:lender")
    store(
        "run",
        "-d",
        "--name",
        "broken",
        "--network",
        "none",
        "--restart",
        "always",
        "busybox",
        "sh",
        "-c",
        "rm /bin/sh; sleep 600",
    )
    store("update", "--restart", "unless-stopped", "borrower")
    until(
        "its shell to be gone", lambda: store("exec", "broken", "/bin/sh", "-c", "true", check=False).returncode == 127
    )
    power_cut(store)
    done = store("system", "start-all", check=False)
    assert done.returncode == 1
    assert done.stdout.split() == ["lender", "borrower"]
    assert "/bin/sh" in done.stderr or "sh" in done.stderr


def test_the_unit_is_one_that_systemd_takes(tmp_path):
    """As `make install PREFIX=...` writes it: the Makefile's own line."""
    makefile = (CHECKOUT / "Makefile").read_text()
    assert "@sed 's|@PREFIX@|$(PREFIX)|g' packaging/minirun.service >$(UNIT)" in makefile
    assert "rm -rf $(HOME_OF_INSTALL) $(UNIT)" in makefile
    program = tmp_path / "bin/minirun"
    program.parent.mkdir()
    program.symlink_to("/bin/true")
    unit = tmp_path / "minirun.service"
    unit.write_text((CHECKOUT / "packaging/minirun.service").read_text().replace("@PREFIX@", str(tmp_path)))
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    said = [line for line in done.stderr.splitlines() if "minirun" in line]
    assert (done.returncode, said) == (0, [])
    assert f"ExecStart=-{program} system start-all\nExecStop={program} system stop-all\n" in unit.read_text()
    assert "enable --now minirun-warm.socket minirun.service" in makefile, (
        "or it would stop nothing before the first reboot"
    )
