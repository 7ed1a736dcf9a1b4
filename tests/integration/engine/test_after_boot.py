"""`system start-all`: what comes back after a reboot, and the systemd unit that runs it."""

from __future__ import annotations

import json
import shutil
import subprocess
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
    assert store("system", "start-all").stdout.split() == ["always", "always-stopped", "unless-stopped"]
    running = {name for name, state in states(store).items() if state == "running"}
    assert running == {"always", "always-stopped", "unless-stopped"}
    assert store("system", "start-all").stdout == ""


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
    assert "@sed 's|@PREFIX@|$(PREFIX)|' packaging/minirun.service >$(UNIT)" in makefile
    assert "rm -rf $(HOME_OF_INSTALL) $(UNIT)" in makefile
    program = tmp_path / "bin/minirun"
    program.parent.mkdir()
    program.symlink_to("/bin/true")
    unit = tmp_path / "minirun.service"
    unit.write_text((CHECKOUT / "packaging/minirun.service").read_text().replace("@PREFIX@", str(tmp_path)))
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    said = [line for line in done.stderr.splitlines() if "minirun" in line]
    assert (done.returncode, said) == (0, [])
    assert f"ExecStart={program} system start-all\n" in unit.read_text()
