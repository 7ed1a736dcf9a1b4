"""redis: its own client talks to it through a published port."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest

from tests.conftest import MinirunCommand, RunContainer
from tests.waiting import free_port, listening, until


@pytest.fixture(scope="session")
def redis(fixture_image: Callable[[str], str]) -> str:
    return fixture_image("redis")


def client(port: int, *words: str) -> str:
    done = subprocess.run(
        ["redis-cli", "-h", "127.0.0.1", "-p", str(port), *words],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    return done.stdout.strip()


def test_a_key_is_set_and_read_through_a_published_port(redis: str, run_container: RunContainer) -> None:
    port = free_port()
    run_container("-p", f"{port}:6379", redis)
    until("redis to listen", listening(port))
    assert client(port, "set", "greeting", "hello") == "OK"
    assert client(port, "get", "greeting") == "hello"


def test_two_servers_run_side_by_side_on_two_ports(redis: str, run_container: RunContainer) -> None:
    ports = [free_port()]
    run_container("-p", f"{ports[0]}:6379", redis)
    until("the first redis to listen", listening(ports[0]))
    ports.append(free_port())
    run_container("-p", f"{ports[1]}:6379", redis)
    until("the second redis to listen", listening(ports[1]))
    for port in ports:
        assert client(port, "set", "port", str(port)) == "OK"
    assert [client(port, "get", "port") for port in ports] == [str(port) for port in ports]


def test_the_server_runs_as_the_user_that_the_image_names(
    redis: str, run_container: RunContainer, minirun: MinirunCommand
) -> None:
    name = run_container(redis)
    assert minirun("exec", name, "id", "-un").stdout.strip() == "redis"
