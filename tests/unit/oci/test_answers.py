"""What the commands that answer say: state, list, ps, events, spec, features."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from minirun.errors import NotFound
from minirun.oci import present
from minirun.oci.main import main
from minirun.runtime import config
from tests.unit.oci.fakes import Container, World

Captured = pytest.CaptureFixture[str]


def run(line: str) -> int:
    return main(line.split(), "minirun-oci")


def test_the_state_has_one_member_on_each_line(world: World, capfd: Captured) -> None:
    assert run("state box") == 0
    out = capfd.readouterr().out
    assert json.loads(out) == world.held[0].state()
    assert out == json.dumps(world.held[0].state(), indent=2) + "\n"


@pytest.mark.parametrize(
    "value", [{}, [], {"a": []}, {"a": {"b": [1, {"c": None}], "é\n": True}}, [[]], "x", {"a": 1.5, "b": -1}]
)
def test_indented_json_is_what_the_library_writes(value: Any) -> None:
    for step in ("  ", "\t", "    "):
        assert present.pretty(value, step) == json.dumps(value, indent=step)


def test_the_table_of_containers(world: World, capfd: Captured) -> None:
    world.held = [Container(world, "a" * 14), Container(world, "b", "stopped")]
    assert run("list") == 0
    assert capfd.readouterr().out == (
        "ID               PID         STATUS      BUNDLE      CREATED                   OWNER\n"
        "aaaaaaaaaaaaaa   7           running     /b          2026-01-02T03:04:05.12Z   root\n"
        "b                0           stopped     /b          2026-01-02T03:04:05.12Z   root\n"
    )
    assert run("list -q") == 0
    assert capfd.readouterr().out == "aaaaaaaaaaaaaa\nb\n"
    assert run("list --format json") == 0
    out = capfd.readouterr().out
    assert [state["id"] for state in json.loads(out)] == ["aaaaaaaaaaaaaa", "b"]
    assert " " not in out


def test_no_containers(world: World, capfd: Captured) -> None:
    world.held = []
    for line, out in (
        ("list", "ID          PID         STATUS      BUNDLE      CREATED     OWNER\n"),
        ("list -q", ""),
        ("list -f json", "[]\n"),
    ):
        assert run(line) == 0
        assert capfd.readouterr().out == out
    assert main(["list", "-f", "json"], "runc") == 0
    assert capfd.readouterr().out == "null\n"


def test_a_container_that_is_deleted_meanwhile_is_left_out(
    world: World, capfd: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(self: Container) -> dict[str, Any]:
        raise NotFound("container does not exist")

    monkeypatch.setattr(Container, "state", gone)
    assert run("list -q") == 0
    assert capfd.readouterr() == ("", "")


def test_processes_are_shown_as_the_hosts_ps_shows_them(world: World, capfd: Captured) -> None:
    world.pids = [os.getpid()]
    assert run("ps box") == 0
    heading, *lines = capfd.readouterr().out.splitlines()
    assert heading.split()[:3] == ["UID", "PID", "PPID"]
    assert [line.split()[1] for line in lines] == [str(os.getpid())]
    assert run("ps box -e -o pid,ppid") == 0
    assert capfd.readouterr().out.split() == ["PID", "PPID", str(os.getpid()), str(os.getppid())]
    assert run("ps -f json box") == 0
    assert capfd.readouterr().out == f"[{os.getpid()}]\n"


def test_ps_says_why_it_cannot(world: World, capfd: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("ps box -o comm") == 1
    assert "shows no column PID" in capfd.readouterr().err
    assert run("ps box --no-such-option") == 1
    assert "ps: " in capfd.readouterr().err
    monkeypatch.setenv("PATH", "/nonexistent")
    assert run("ps box") == 1
    assert "this host has no such program" in capfd.readouterr().err


def test_a_command_that_has_a_number_is_no_process_of_the_container() -> None:
    listing = "UID PID CMD\nroot 17 sleep 7\nroot 7 sleep 17\nshort\n"
    assert present.processes_of(listing, [7]) == "UID PID CMD\nroot 7 sleep 17\n"


def test_statistics_are_printed_once(world: World, capfd: Captured) -> None:
    assert run("events --stats box") == 0
    assert json.loads(capfd.readouterr().out) == {"type": "stats", "id": "box", "data": {"pids": {"current": 1}}}


def test_a_stopped_container_has_no_events(world: World, capfd: Captured) -> None:
    world.held = [Container(world, "box", "stopped")]
    assert run("events box") == 1
    assert "container with id box is not running" in capfd.readouterr().err


def test_events_go_on_until_the_container_ends(world: World, capfd: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    box = world.held[0]
    looks = iter(["first", "killed", "second", "gone"])

    def find(runtime: object, container_id: str) -> Container:
        look = next(looks)
        if look == "gone":
            raise NotFound("container does not exist")
        box.cgroup.kills += look == "killed"
        return box

    monkeypatch.setattr(world, "find", find)
    assert run("events --interval 1ms box") == 0
    printed = [json.loads(line)["type"] for line in capfd.readouterr().out.splitlines()]
    assert printed[0] == "oom"
    assert set(printed[1:]) == {"stats"}


@pytest.mark.parametrize("rootless", [False, True])
def test_the_configuration_to_begin_with_can_be_read(rootless: bool, world: World, tmp_path: Path) -> None:
    assert run(f"spec --bundle {tmp_path}" + " --rootless" * rootless) == 0
    text = (tmp_path / "config.json").read_bytes()
    assert text.startswith(b'{\n\t"ociVersion": "1.2.0",\n')
    spec, raw = config.parse(text)
    assert spec.process.arguments == ("sh",)
    assert spec.hostname == "minirun-oci"
    assert [item.kind for item in spec.linux.namespaces] == [
        "pid", "user" if rootless else "network", "ipc", "uts", "mount", "cgroup",
    ]  # fmt: skip
    assert bool(spec.linux.uid_mappings) == rootless
    assert "resources" in raw["linux"] or rootless


def test_a_configuration_is_never_overwritten(world: World, tmp_path: Path, capfd: Captured) -> None:
    (tmp_path / "config.json").write_text("mine")
    assert run(f"spec -b {tmp_path}") == 1
    assert capfd.readouterr().err.endswith('msg="File config.json exists. Remove it first"\n')
    assert (tmp_path / "config.json").read_text() == "mine"
    assert run(f"spec -b {tmp_path} -f other.json") == 0
    assert (tmp_path / "other.json").stat().st_mode & 0o777 == 0o666 & ~current_umask()
    assert run(f"spec -b {tmp_path}/no") == 1


def current_umask() -> int:
    with open("/proc/self/status") as status:
        return next(int(line.split()[1], 8) for line in status if line.startswith("Umask:"))


def test_features_is_json(world: World, capfd: Captured) -> None:
    assert run("features") == 0
    assert json.loads(capfd.readouterr().out)["ociVersionMin"] == "1.0.0"
