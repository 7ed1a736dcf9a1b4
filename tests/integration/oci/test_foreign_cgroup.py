"""A cgroup in which somebody else's processes live is no container's, whatever becomes of the attempt to take it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from minirun.errors import Conflict
from minirun.runtime import bundle as bundles
from minirun.runtime.cgroups import ContainerCgroup, Hierarchy
from minirun.runtime.cgroups.members import remove
from minirun.runtime.container import Runtime
from minirun.runtime.create import CreateOptions, create
from tests.integration.oci.conftest import Oci

NAME = "minirun-test-foreign"


@pytest.fixture
def foreign() -> Iterator[subprocess.Popen[bytes]]:
    """A process in a cgroup of its own."""
    directory = Path(Hierarchy.detect().mountpoint, NAME)
    directory.mkdir()
    process = subprocess.Popen(["sleep", "1000"])
    (directory / "cgroup.procs").write_text(str(process.pid))
    yield process
    process.kill()
    process.wait()
    directory.rmdir()


@pytest.fixture
def bundle(tmp_path: Path) -> bundles.Bundle:
    (tmp_path / "rootfs").mkdir()
    config = {
        "ociVersion": "1.2.0",
        "root": {"path": "rootfs"},
        "process": {"args": ["true"], "cwd": "/", "user": {"uid": 0, "gid": 0}},
        "linux": {"namespaces": [{"type": "mount"}, {"type": "pid"}], "cgroupsPath": f"/{NAME}"},
    }
    return bundles.parse(str(tmp_path), json.dumps(config).encode())


def test_a_container_that_wants_it_is_refused_and_kills_nobody(
    foreign: subprocess.Popen[bytes], bundle: bundles.Bundle, tmp_path: Path
) -> None:
    with pytest.raises(Conflict):
        create(Runtime(root=str(tmp_path / "state")), "wants", bundle, CreateOptions())
    assert foreign.poll() is None


def test_a_state_names_it_at_no_moment(
    foreign: subprocess.Popen[bytes], bundle: bundles.Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def look(self: ContainerCgroup, *_: object) -> str:
        seen.append(json.loads((tmp_path / "state/wants/state.json").read_text())["cgroup"])
        raise Conflict("processes live in it")

    monkeypatch.setattr(ContainerCgroup, "create", look)
    with pytest.raises(Conflict):
        create(Runtime(root=str(tmp_path / "state")), "wants", bundle, CreateOptions())
    assert seen == [""]
    assert foreign.poll() is None


def run_in(cgroup: Path, *words: str) -> None:
    """Run a command to its end as a process of a cgroup."""
    script = 'echo $$ > "$0"/cgroup.procs; exec "$@"'
    quiet: Any = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run(["sh", "-c", script, str(cgroup), *words], timeout=60, check=True, **quiet)


def test_a_relative_path_is_read_once(foreign: subprocess.Popen[bytes], oci: Oci) -> None:
    """A cgroup that has the same path beside the one that `delete` is called in is somebody else's."""
    here = Path(Hierarchy.detect().mountpoint, f"{NAME}-callers")
    creator, deleter = here / "creator", here.parent / f"{NAME}-deleter"
    for directory in (here, creator, deleter):
        directory.mkdir()
    try:
        oci.config("sleep", "1000", linux={"cgroupsPath": NAME})
        run_in(creator, *oci.words("create", "relative"))
        assert (here / NAME).exists()
        run_in(deleter, *oci.words("delete", "--force", "relative"))
        assert foreign.poll() is None
        assert not (here / NAME).exists()
    finally:
        for directory in (here / NAME, creator, here, deleter):
            remove(str(directory))


def test_the_cgroup_of_a_stopped_container_is_not_shared(oci: Oci) -> None:
    """To delete the stopped one would end the other."""
    oci.config("true", linux={"cgroupsPath": f"/{NAME}-shared"})
    oci("run", "--keep", "first")
    done = oci("create", "second", check=False)
    assert (done.returncode, "cgroup is that of container first" in done.stderr) == (1, True)
    oci("delete", "first")
    oci("create", "second")
    oci("delete", "--force", "second")
    assert not Path(Hierarchy.detect().mountpoint, f"{NAME}-shared").exists()


@pytest.mark.parametrize("path", ["/cgroup.procs/box", f"/{('a' * 250 + '/') * 17}"])
def test_a_path_where_no_cgroup_can_be_is_refused_and_leaves_no_container(oci: Oci, path: str) -> None:
    oci.config("true", linux={"cgroupsPath": path})
    done = oci("create", "nowhere", check=False)
    assert done.returncode == 1
    assert "a file, not a cgroup" in done.stderr or "make the cgroup" in done.stderr
    assert oci.containers() == []
