"""mariadb: configured by environment variables, used with its own client, stopped and started again."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest

from tests.conftest import MinirunCommand, RunContainer
from tests.waiting import free_port, until


@pytest.fixture(scope="session")
def mariadb(fixture_image: Callable[[str], str]) -> str:
    return fixture_image("mariadb")


CONFIGURATION = [
    "-e", "MARIADB_ROOT_PASSWORD=r00t's",
    "-e", "MARIADB_DATABASE=shop",
    "-e", "MARIADB_USER=keeper",
    "-e", "MARIADB_PASSWORD=k3y",
]  # fmt: skip


def sql(port: int, statement: str, *, user: str = "keeper", password: str = "k3y") -> subprocess.CompletedProcess[str]:
    words = ["mariadb", "--no-defaults", "-h", "127.0.0.1", "-P", str(port), "-u", user, f"-p{password}", "-N", "-B"]
    return subprocess.run([*words, "-e", statement, "shop"], capture_output=True, text=True, timeout=60, check=False)


def answers(port: int) -> Callable[[], bool]:
    return lambda: sql(port, "SELECT 1").stdout == "1\n"


def test_a_table_survives_stop_and_start(mariadb: str, run_container: RunContainer, minirun: MinirunCommand) -> None:
    port = free_port()
    name = run_container(*CONFIGURATION, "-p", f"{port}:3306", mariadb)
    until("mariadb to answer", answers(port), seconds=90)
    assert sql(port, "CREATE TABLE goods (name TEXT); INSERT INTO goods VALUES ('lamp')").returncode == 0
    minirun("stop", "-t", "60", name)
    assert minirun("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", name).stdout.strip() == "exited 0"
    minirun("start", name)
    until("mariadb to answer again", answers(port), seconds=90)
    assert sql(port, "SELECT name FROM goods").stdout == "lamp\n"


def test_a_wrong_password_is_refused_and_the_root_password_holds(mariadb: str, run_container: RunContainer) -> None:
    port = free_port()
    run_container(*CONFIGURATION, "-p", f"{port}:3306", mariadb)
    until("mariadb to answer", answers(port), seconds=90)
    assert "Access denied" in sql(port, "SELECT 1", password="wrong").stderr
    assert sql(port, "SELECT 1", user="root", password="r00t's").stdout == "1\n"


def test_a_missing_password_ends_the_container_with_the_reason_in_the_log(
    mariadb: str, minirun: MinirunCommand
) -> None:
    done = minirun("run", "--rm", mariadb, check=False)
    assert done.returncode != 0
    assert "MARIADB_ROOT_PASSWORD" in done.stderr
