"""What `make uninstall` takes from the host, and when it refuses to."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from minirun import ContainerConfig, Engine
from minirun.engine.withdraw import main

CHECKOUT = Path(__file__).resolve().parents[3]


@pytest.fixture
def own(tmp_path, fixture_archive):
    """Roots of the test's own, with the busybox image; nothing of another test is in them."""
    root, run_root, oci_root = (str(tmp_path / name) for name in ("data", "run", "oci"))
    with Engine(root, run_root) as engine, open(fixture_archive("busybox"), "rb", buffering=0) as stream:
        engine.images.import_archive(stream, "busybox")
    yield root, run_root, oci_root
    with Engine(root, run_root) as engine:
        for container in engine.containers(all=True):
            engine.remove(container.id, force=True)
    assert main([root, run_root, oci_root]) == 0


@pytest.mark.no_census
def test_nothing_stays_but_the_data_root_and_it_can_be_used_again(own, capfd):
    root, run_root, oci_root = own
    with Engine(root, run_root) as engine:
        kept = engine.create(ContainerConfig(image="busybox", name="kept", command=("sleep", "100")))
        engine.start(kept.id).detach()
        assert main([root, run_root, oci_root]) == 1
        assert capfd.readouterr().err.endswith(": minirun stop kept\n")
        engine.stop(kept.id, 0)
        bridge, cgroup = f"mr-{engine.layout.tag()}", engine.hierarchy.root
        assert os.path.isdir(f"/sys/class/net/{bridge}")
    assert main([root, run_root, oci_root]) == 0
    assert not os.path.exists(f"/sys/class/net/{bridge}")
    assert not os.path.exists(cgroup)
    assert not os.path.exists(run_root)
    with Engine(root, run_root) as engine:
        engine.start(kept.id).detach()
        engine.remove(kept.id, force=True)


@pytest.mark.parametrize("installed", [True, False], ids=["install", "demo"])
def test_uninstall_asks_the_program_that_was_used(tmp_path, installed):
    """The installed one; where nothing was installed the checkout's own, which is what `make demo` runs."""
    homes = [tmp_path / "venv", *([tmp_path / "usr/lib/minirun"] if installed else [])]
    for home in homes:
        (home / "bin").mkdir(parents=True)
        for name in ("python", "minirun"):
            script = home / "bin" / name
            script.write_text(f'#!/bin/sh\necho "{name} $*" >>{home}.said\n')
            script.chmod(0o755)
    kept = tmp_path / "kept"
    kept.mkdir()
    words = [f"PREFIX={tmp_path}/usr", f"VENV={tmp_path}/venv", f"KEPT={kept} {tmp_path}/not-there"]
    done = subprocess.run(["make", "-s", "uninstall", *words], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert Path(f"{homes[-1]}.said").read_text() == "minirun system warm stop\npython -I -m minirun.engine.withdraw\n"
    assert Path(f"{homes[0]}.said").exists() is not installed
    assert not (tmp_path / "usr/lib/minirun").exists()
    assert done.stdout.endswith(f"rm -rf --one-file-system {kept}\n")


def test_no_data_root_is_no_error(tmp_path):
    """Whoever uses minirun-oci alone has none, but the run root that the preloaded process has left."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run/warm.sock.lock").touch()
    assert main([str(tmp_path / name) for name in ("none", "run", "oci")]) == 0
    assert not list(tmp_path.iterdir())


def test_containers_of_other_engines_keep_their_runtime_and_nothing_of_it_stays_without_them(tmp_path, capfd):
    """podman can neither stop nor remove what minirun-oci has made once the program is gone."""
    roots = [str(tmp_path / name) for name in ("none", "run", "oci")]
    (tmp_path / "oci/.shared/rootfs").mkdir(parents=True)
    record = tmp_path / "oci/podmans"
    record.mkdir()
    (record / "state.json").write_text("{}")
    assert main(roots) == 1
    assert capfd.readouterr().err.endswith("or: minirun-oci delete --force podmans\n")
    assert (tmp_path / "oci/.shared/rootfs").is_dir()
    (record / "state.json").unlink()  # one that is being made
    assert main(roots) == 0
    assert (tmp_path / "oci/.shared/rootfs").is_dir()
    record.rmdir()
    assert main(roots) == 0
    assert not (tmp_path / "oci").exists()
