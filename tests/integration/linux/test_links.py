"""LINK_MOVE: an interface of the host's that becomes the container's."""

from __future__ import annotations

import errno
import itertools
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from minirun.linux import flags
from minirun.linux import plan as p
from tests.integration.linux.conftest import Walk
from tests.waiting import until

Container = Callable[..., p.Plan]
NAMESPACES = flags.CLONE_NEWNS | flags.CLONE_NEWPID | flags.CLONE_NEWNET
_numbers = itertools.count()


def _exists(name: str) -> bool:
    return Path("/sys/class/net", name).exists()


@pytest.fixture
def link() -> Iterator[str]:
    """One end of a veth pair, up and with an address; gone afterwards wherever it has been moved."""
    number = f"{os.getpid() % 100_000}{next(_numbers) % 100}"
    name, peer = f"mtl{number}", f"mtp{number}"
    subprocess.run(["ip", "link", "add", name, "type", "veth", "peer", "name", peer], check=True)
    subprocess.run(["ip", "address", "add", "192.0.2.1/32", "dev", name], check=True)
    subprocess.run(["ip", "link", "set", name, "up"], check=True)
    try:
        yield name
    finally:
        subprocess.run(["ip", "link", "delete", peer], stderr=subprocess.DEVNULL, check=False)
        until("the pair to be gone", lambda: not _exists(peer) and not _exists(name))


def _moving(container: Container, *moves: p.Operation, script: str = "cat /proc/net/dev") -> p.Plan:
    plan = container("sh", "-c", script, steps=(p.sync(1),), namespaces=NAMESPACES)
    plan.parent += [*moves, p.sync(1)]
    return plan


def _interfaces(output: str) -> list[str]:
    return sorted(line.split(":")[0].strip() for line in output.splitlines() if ":" in line)


@pytest.mark.parametrize("inside", ["eth0", "", "fifteen-letters"])
def test_an_interface_is_moved_and_renamed(walk: Walk, container: Container, link: str, inside: str) -> None:
    outcome = walk(_moving(container, p.link_move(link, inside or link)))
    assert outcome.failed is None
    assert _interfaces(outcome.output) == sorted([inside or link, "lo"])
    assert not _exists(link)


def test_a_template_takes_the_first_free_number(walk: Walk, container: Container, link: str) -> None:
    """config-linux.md, Network Devices: the kernel makes a name that is unique inside."""
    outcome = walk(_moving(container, p.link_move(link, "eth%d")))
    assert outcome.failed is None
    assert _interfaces(outcome.output) == ["eth0", "lo"]


def test_a_name_that_is_taken_inside_is_an_error_and_the_interface_stays(
    walk: Walk, container: Container, link: str
) -> None:
    plan = _moving(container, p.link_move(link, "lo"))
    assert walk(plan).failed == (1, errno.EEXIST)
    shown = subprocess.run(["ip", "address", "show", link], capture_output=True, text=True, check=True).stdout
    assert "192.0.2.1/32" in shown
    assert "UP" in shown.splitlines()[0]


def test_a_name_that_is_taken_on_the_host_is_no_matter(walk: Walk, container: Container, link: str) -> None:
    peer = link.replace("mtl", "mtp")
    outcome = walk(_moving(container, p.link_move(link, peer)))
    assert outcome.failed is None
    assert _interfaces(outcome.output) == sorted(["lo", peer])


@pytest.mark.parametrize(
    ("name", "inside", "number"),
    [
        ("no-such-link", "eth0", errno.ENODEV),
        ("", "eth0", errno.EINVAL),
        ("lo", "", errno.EINVAL),
        ("lo", "sixteen-letters-", errno.EINVAL),
        ("x" * 300, "eth0", errno.EINVAL),
        ("lo", "loopback", errno.EINVAL),
    ],
)
def test_what_cannot_be_moved(walk: Walk, container: Container, name: str, inside: str, number: int) -> None:
    assert walk(_moving(container, p.link_move(name, inside))).failed == (1, number)


@pytest.mark.parametrize("inside", ["a/b", "a b", "a:b", "a\tb", ".", "..", "%d%d", "eth%s", "eth%", "x%dy%s"])
def test_a_name_that_no_interface_may_have_is_an_error_and_the_interface_stays(
    walk: Walk, container: Container, link: str, inside: str
) -> None:
    assert walk(_moving(container, p.link_move(link, inside))).failed == (1, errno.EINVAL)
    assert _exists(link)


def test_only_the_parent_moves(walk: Walk, container: Container, link: str) -> None:
    plan = container("true", steps=(p.link_move(link, "eth0"),), namespaces=NAMESPACES)
    failed = walk(plan).failed
    assert failed is not None
    assert failed[1] == errno.EINVAL
    assert _exists(link)
