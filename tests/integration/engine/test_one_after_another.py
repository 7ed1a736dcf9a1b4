"""A process that starts one container after the other: what it keeps of one start for the next, and that no name goes over."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from minirun import ContainerConfig, Engine
from minirun.errors import CommandNotFound
from minirun.runtime.compile.template import Template
from tests.waiting import until


@pytest.fixture
def engine(roots, busybox) -> Iterator[Engine]:
    with Engine(str(roots.root), str(roots.run_root)) as engine:
        yield engine


@pytest.fixture
def filled(monkeypatch: pytest.MonkeyPatch) -> list[Template]:
    """Give the templates that were filled in."""
    seen = []
    fill = Template.fill

    def note(self, names, endpoint):
        seen.append(self)
        return fill(self, names, endpoint)

    monkeypatch.setattr(Template, "fill", note)
    return seen


# ---- plans


@pytest.mark.parametrize("network", ["none", "bridge"])
def test_each_has_its_own_names_and_addresses(engine, filled, network):
    look = (
        "hostname",
        "cat /etc/hostname",
        "echo $HOSTNAME",
        "ip -4 -o addr show dev eth0 2>/dev/null",
        "grep -F $HOSTNAME /etc/hosts",
    )
    script = "; ".join((*look, ":"))
    config = ContainerConfig(image="busybox", command=("sh", "-c", script), network=network)
    seen = set()
    for _ in range(4):
        with engine.created(config) as container:
            with engine.start(container.id) as session:
                address = engine.container(container.id).address4
                assert session.wait() == 0
            lines = b"".join(entry.data for entry in engine.logs(container.id)).decode().splitlines()
        assert lines[:3] == [container.id[:12]] * 3
        if network == "bridge":
            assert f" {address}/" in lines[3]
            assert f"{address}\t{container.id[:12]}" in lines[4:]
        seen.add((lines[0], address))
    assert len(seen) == 4
    assert len(filled) == 2


def test_another_configuration_is_compiled_anew(engine, filled):
    for words in (("echo", "one"), ("echo", "two"), ("echo", "one"), ("echo", "two")):
        outcome = engine.run(ContainerConfig(image="busybox", command=words, network="none"))
        assert outcome.stdout.decode().split() == [words[1]]
    assert filled == []


def test_an_image_that_moved_is_looked_at_anew(engine, filled, busybox):
    config = ContainerConfig(image="moves", network="none", command=("sh", "-c", "echo $WHICH"))
    engine.images.tag(busybox, "moves")
    for which in ("", "new", "newer"):
        if which:
            with engine.created(ContainerConfig(image=busybox, network="none")) as container:
                engine.commit(container.id, "moves", changes=(f"ENV WHICH={which}",))
        assert [engine.run(config).stdout for _ in range(3)] == [f"{which}\n".encode()] * 3
    assert len(filled) == 3
    engine.images.remove("moves")


def test_a_failure_is_told_in_the_same_words(engine, filled):
    said = set()
    for _ in range(4):
        with engine.created(ContainerConfig(image="busybox", command=("missing",), network="none")) as container:
            with pytest.raises(CommandNotFound) as failure:
                engine.start(container.id)
            said.add(str(failure.value))
    assert len(said) == 1
    assert len(filled) == 2


# ---- monitors


def monitors(engine: Engine) -> list[int]:
    """Give the monitors of all containers, and those that have none yet."""
    return [int(pid) for pid in Path(engine.hierarchy.monitors, "cgroup.procs").read_text().split()]


def life(engine: Engine, network: str = "none") -> None:
    assert engine.run(ContainerConfig(image="busybox", command=("true",), network=network)).exit_code == 0


def ready(engine: Engine) -> int:
    """Start two containers, and give the monitor that waits for the third."""
    life(engine)
    until("an end without monitors", lambda: not monitors(engine))
    life(engine)
    return until("one monitor", lambda: len(monitors(engine)) == 1 and monitors(engine)[0])


def test_it_takes_the_next_container_and_holds_no_stream_of_ours_meanwhile(engine):
    spare = ready(engine)
    until("its streams", lambda: {os.readlink(f"/proc/{spare}/fd/{number}") for number in range(3)} == {"/dev/null"})
    with engine.running(ContainerConfig(image="busybox", command=("sleep", "600"), network="none")) as box:
        assert os.stat(f"/proc/{box.container.pid}/ns/net").st_ino != os.stat("/proc/self/ns/net").st_ino
        assert Path(f"/proc/{spare}/task/{spare}/children").read_text().split() == [str(box.container.pid)]


def test_it_waits_when_the_next_container_needs_another(engine):
    spare = ready(engine)
    life(engine, network="host")
    assert spare in monitors(engine)


def test_one_that_was_killed_is_not_missed(engine):
    spare = ready(engine)
    os.kill(spare, signal.SIGKILL)
    until("its end", lambda: spare not in monitors(engine))
    life(engine)


def test_it_ends_with_the_engine(roots, busybox):
    with Engine(str(roots.root), str(roots.run_root)) as engine:
        spare = ready(engine)
    until("its end", lambda: not Path(f"/proc/{spare}").exists())
