"""nginx: pages fetched with curl, its own and one that is mounted from the host."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import MinirunCommand, RunContainer
from tests.waiting import free_port, listening, until


@pytest.fixture(scope="session")
def nginx(fixture_image: Callable[[str], str]) -> str:
    return fixture_image("nginx")


@pytest.fixture
def port() -> int:
    return free_port(8080)


def curl(port: int, path: str = "/") -> str:
    url = f"http://127.0.0.1:{port}{path}"
    done = subprocess.run(["curl", "-fsS", "-m", "20", url], capture_output=True, text=True, timeout=30, check=True)
    return done.stdout


def test_a_page_is_fetched_through_a_published_port(nginx: str, port: int, run_container: RunContainer) -> None:
    run_container("-p", f"{port}:80", nginx)
    until("nginx to listen", listening(port))
    assert "nginx in minirun" in curl(port)


def test_a_mounted_page_is_served_and_changes_with_the_host(
    nginx: str, port: int, run_container: RunContainer, tmp_path: Path
) -> None:
    pages = tmp_path / "pages"
    pages.mkdir()
    (pages / "index.html").write_text("first")
    run_container("-p", f"{port}:80", "-v", f"{pages}:/usr/share/nginx/html:ro", nginx)
    until("nginx to listen", listening(port))
    assert curl(port) == "first"
    (pages / "index.html").write_text("second, and longer")
    assert curl(port) == "second, and longer"


def test_a_request_is_in_the_log(nginx: str, port: int, run_container: RunContainer, minirun: MinirunCommand) -> None:
    name = run_container("-p", f"{port}:80", nginx)
    until("nginx to listen", listening(port))
    curl(port, "/index.html?seen=1")
    until("the request in the log", lambda: "seen=1" in minirun("logs", name).stdout)


def test_stop_sends_the_signal_that_the_image_names(
    nginx: str, port: int, run_container: RunContainer, minirun: MinirunCommand
) -> None:
    name = run_container("-p", f"{port}:80", nginx)
    until("nginx to listen", listening(port))
    minirun("stop", name)
    assert minirun("inspect", "-f", "{{.State.ExitCode}}", name).stdout.strip() == "0"
