"""A container from a request, without engine, images and monitor: spec, plan, and the driver of native/tests that walks it."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from minirun.engine import spec as engine_spec
from minirun.engine.config import ContainerConfig
from minirun.engine.container import ExecConfig
from minirun.engine.spec import Surroundings
from minirun.linux.syscalls import process_start_time
from minirun.runtime import capabilities
from minirun.runtime.cgroups import Hierarchy
from minirun.runtime.compile import Placement, Target, compile_container, compile_exec
from tests import drivers
from tests.integration.linux.conftest import Outcome, Walk, walk
from tests.waiting import until

__all__ = ["walk"]  # a fixture of its neighbour's


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compile the driver; the sanitizers' turn is in tests/integration/linux."""
    return drivers.program("container", tmp_path_factory.mktemp("driver"))


@pytest.fixture(scope="session")
def probe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compile the program that makes one raw system call."""
    return drivers.program("probe", tmp_path_factory.mktemp("probe"))


@pytest.fixture
def hierarchy() -> Iterator[Hierarchy]:
    """The host's cgroup2 tree with a directory of this test's own; gone afterwards."""
    found = Hierarchy.detect(f"minirun-test-{os.getpid()}")
    yield found
    if os.path.isdir(found.root):
        found.destroy()


@pytest.fixture
def rootfs(tmp_path: Path, probe: Path) -> Path:
    """What the image holds: busybox, a probe, two users."""
    root = tmp_path / "layer"
    for name in ("bin", "etc", "tmp", "root", "proc", "sys", "dev"):
        (root / name).mkdir(parents=True)
    (root / "tmp").chmod(0o1777)
    shutil.copy("/bin/busybox", root / "bin/busybox")
    shutil.copy(probe, root / "bin/probe")
    applets = "sh cat id ls mount umount hostname echo grep sleep touch stat mknod wc pwd ulimit df readlink head su dd test env"
    for name in applets.split():
        (root / "bin" / name).symlink_to("busybox")
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1001:Alice:/home/alice:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\nstaff:x:50:alice\naudio:x:29:\nalice:x:1001:\n")
    return root


class _Image:
    config: dict[str, Any] = {"Cmd": ["sh"]}


class Container:
    """Runs requests in containers of one root file system; `root` is what the image holds, and can be changed before."""

    def __init__(self, root: Path, top: Path, walk: Walk, hierarchy: Hierarchy) -> None:
        self.root = root
        self.walk = walk
        self.hierarchy = hierarchy
        self.top = top
        self.count = 0

    def run(self, *command: str, **options: Any) -> Outcome:
        """Start a container with these fields of ContainerConfig, wait, give its output."""
        name = f"c{self.count}"
        self.count += 1
        config = ContainerConfig(**{"image": "test", "command": command, "network": "none", **options})
        engine_spec.check(config, _Image())
        around = self.surroundings(name)
        spec = engine_spec.build(config, _Image(), around)
        made = self.hierarchy.create(name, spec.linux.resources)
        try:
            if made.device_filter_refused:
                spec = engine_spec.without_device_filter(spec)
            return self.walk(compile_container(spec, self.placement(name, made.path)))
        finally:
            self.hierarchy.remove(name)

    def shell(self, script: str, **options: Any) -> str:
        """Run a script that has to succeed; give its output without the last newline."""
        outcome = self.run("sh", "-ec", script, **options)
        assert outcome.failed is None, outcome
        assert outcome.exit_code == 0, outcome
        return outcome.output.removesuffix("\n")

    def surroundings(self, name: str) -> Surroundings:
        for file in ("hosts", "hostname", "resolv.conf"):
            (self.top / file).write_text(f"our {file}\n")
        return Surroundings(
            id="0123456789ab" * 5,
            hostname="0123456789ab",
            host_capabilities=capabilities.of_host(),
            hosts_file=str(self.top / "hosts"),
            hostname_file=str(self.top / "hostname"),
            resolv_file=str(self.top / "resolv.conf"),
            cgroup_path=self.hierarchy.path(name),
        )

    def placement(self, name: str, cgroup: str) -> Placement:
        for directory in ("mountpoint", f"{name}/upper", f"{name}/work"):
            (self.top / directory).mkdir(parents=True, exist_ok=True)
        return Placement(
            run_directory=str(self.top),
            mountpoint=str(self.top / "mountpoint"),
            base=str(self.top),
            lowers=(self.root.name,),
            upper=f"{name}/upper",
            work=f"{name}/work",
            cgroup=cgroup,
            keyring=f"minirun-test-{name}",
            cache_directory=str(self.top / "cache"),
            await_owner=False,
        )

    @contextlib.contextmanager
    def running(self, **options: Any) -> Iterator[Callable[..., Outcome]]:
        """Keep a container with a sleeping first process; give a function that executes a command in it."""
        name = f"c{self.count}"
        outcomes: list[Outcome] = []
        thread = threading.Thread(target=lambda: outcomes.append(self.run("sleep", "60", **options)))
        thread.start()
        try:
            pid = self._first_process(name)
            config = ContainerConfig(**{"image": "test", "network": "none", **options})

            def execute(*command: str, **changes: Any) -> Outcome:
                request = ExecConfig(command=command, **changes)
                spec = engine_spec.build_exec(config, _Image(), request, self.surroundings(name))
                start_time = process_start_time(pid)
                assert start_time is not None
                target = Target(
                    pid=pid,
                    start_time=start_time,
                    cgroup=self.hierarchy.path(name),
                    cache_directory=str(self.top / "cache"),
                    await_owner=False,
                )
                return self.walk(compile_exec(spec, target))

            yield execute
        finally:
            self.hierarchy.kill(name)
            thread.join()

    def _first_process(self, name: str) -> int:
        """Wait for the sleeping process: exec has happened when its name is `sleep`."""

        def look() -> int | None:
            for pid in self.hierarchy.processes(name):
                with contextlib.suppress(OSError):
                    if Path(f"/proc/{pid}/comm").read_text() == "sleep\n":
                        return pid
            return None

        pid = until("the container's first process", look)
        assert pid is not None
        return pid


@pytest.fixture
def container(rootfs: Path, tmp_path: Path, walk: Walk, hierarchy: Hierarchy) -> Container:
    """Give a maker of containers."""
    return Container(rootfs, tmp_path, walk, hierarchy)
