"""Fixtures: a host of its own for each test, a network on it, containers and neighbours."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from minirun.database import transaction
from minirun.engine.config import PortMapping
from minirun.network.networks import Networks
from minirun.network.schema import SCHEMA
from tests.integration.network.wires import Container, Lan, Neighbour


@pytest.fixture
def lan() -> Iterator[Lan]:
    """The test runs on this host from here on."""
    lan = Lan()
    try:
        yield lan
    finally:
        lan.close()


@pytest.fixture
def neighbour(lan: Lan) -> Neighbour:
    return lan.neighbour()


@pytest.fixture
def networks(lan: Lan) -> Networks:
    """A network on the host, made."""
    networks = Networks(open_database(), bridge="test0", table="test")
    networks.ensure()
    return networks


def open_database() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.executescript(SCHEMA)
    return connection


@pytest.fixture
def start(networks: Networks) -> Iterator[Callable[..., Container]]:
    """Start a container: start("name", PortMapping(...), ...)."""
    with ExitStack() as undo:

        def start(name: str, *mappings: PortMapping) -> Container:
            with transaction(networks.connection):
                endpoint = networks.lease(name)
                reservation = networks.reserve(name, endpoint, mappings)
            undo.callback(reservation.close)
            networks.publish(name)
            container = Container(endpoint)
            undo.callback(container.close)
            return container

        yield start
