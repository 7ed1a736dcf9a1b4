"""What `make uninstall` takes from the host, and when it refuses to."""

from __future__ import annotations

import os

import pytest

from minirun import ContainerConfig, Engine
from minirun.engine.withdraw import main


@pytest.fixture
def own(tmp_path, fixture_archive):
    """Roots of the test's own, with the busybox image; nothing of another test is in them."""
    root, run_root = str(tmp_path / "data"), str(tmp_path / "run")
    with Engine(root, run_root) as engine, open(fixture_archive("busybox"), "rb", buffering=0) as stream:
        engine.images.import_archive(stream, "busybox")
    yield root, run_root
    with Engine(root, run_root) as engine:
        for container in engine.containers(all=True):
            engine.remove(container.id, force=True)
    assert main([root, run_root]) == 0


@pytest.mark.no_census
def test_nothing_stays_but_the_data_root_and_it_can_be_used_again(own, capfd):
    root, run_root = own
    with Engine(root, run_root) as engine:
        kept = engine.create(ContainerConfig(image="busybox", name="kept", command=("sleep", "100")))
        engine.start(kept.id).detach()
        assert main([root, run_root]) == 1
        assert capfd.readouterr().err.endswith(": kept\n")
        engine.stop(kept.id, 0)
        bridge, cgroup = f"mr-{engine.layout.tag()}", engine.hierarchy.root
        assert os.path.isdir(f"/sys/class/net/{bridge}")
    assert main([root, run_root]) == 0
    assert not os.path.exists(f"/sys/class/net/{bridge}")
    assert not os.path.exists(cgroup)
    assert not os.path.exists(run_root)
    with Engine(root, run_root) as engine:
        engine.start(kept.id).detach()
        engine.remove(kept.id, force=True)


def test_no_data_root_is_no_error(tmp_path):
    assert main([str(tmp_path / "none"), str(tmp_path / "run")]) == 0
    assert not (tmp_path / "none").exists()
