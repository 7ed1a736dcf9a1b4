"""What a user has said once for all commands, in docker's config.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from minirun.cli.main import main
from minirun.cli.options import find
from minirun.cli.parse import parse_command
from minirun.cli.preferences import preference, proxy_variables
from minirun.cli.request import container_config
from tests.unit.cli.fakes import ID, Engine

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))

    def write(**document: Any) -> None:
        (tmp_path / "config.json").write_text(f"\n{json.dumps(document, indent=4)}\n")  # as an editor leaves it

    return write


def test_a_format_for_lists(says: Any, capfd: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minirun.cli.invocation.Invocation.engine", lambda self: Engine())
    says(psFormat="{{.Names}}!")
    assert main(["ps"]) == 0
    assert main(["ps", "--format", "{{.State}}"]) == 0
    assert main(["ps", "-q"]) == 0
    assert capfd.readouterr() == (f"box!\nrunning\n{ID[:12]}\n", "")


def test_config_says_where_the_file_is(
    says: Any, capfd: Captured, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("minirun.cli.invocation.Invocation.engine", lambda self: Engine())
    says(psFormat="{{.Names}}!")
    monkeypatch.setenv("DOCKER_CONFIG", "/nonexistent")
    assert main(["--config", str(tmp_path), "ps"]) == 0
    assert capfd.readouterr().out == "box!\n"


def environment(*words: str) -> tuple[str, ...]:
    command = find("run")
    assert command is not None
    return container_config(parse_command(command, [*words, "busybox"])).environment


def test_proxies_become_variables_that_the_user_overrides(says: Any) -> None:
    assert environment("-e", "A=b") == ("A=b",)
    says(proxies={"default": {"httpProxy": "http://p:1", "noProxy": "", "other": "x", "ftpProxy": 5}})
    assert proxy_variables() == ("HTTP_PROXY=http://p:1", "http_proxy=http://p:1")
    assert environment("-e", "HTTP_PROXY=mine") == ("HTTP_PROXY=http://p:1", "http_proxy=http://p:1", "HTTP_PROXY=mine")


@pytest.mark.parametrize("document", [{}, {"proxies": []}, {"proxies": {"default": None}}, {"psFormat": 5}])
def test_what_is_of_another_kind_says_nothing(says: Any, document: dict[str, Any]) -> None:
    says(**document)
    assert (proxy_variables(), preference("detachKeys")) == ((), None)


def test_a_broken_file_is_warned_of(says: Any, tmp_path: Path, capfd: Captured) -> None:
    (tmp_path / "config.json").write_text('{"psFormat": ')
    assert preference("psFormat") is None
    assert preference("detachKeys") is None  # which isn't in there
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith(f"WARNING: {tmp_path}/config.json is no JSON")
    assert err.count("\n") == 1
