"""`system check`: each kind of damage is found and said, and --repair leaves a store in which everything is whole."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.integration.engine.test_disk import make_layered_image, root_of

WHOLE = "Everything is whole\n"


def checked(store, *words: str) -> str:
    done = store("system", "check", *words, check=False)
    assert done.returncode == (0 if not done.stderr else 1)
    return done.stdout


def repaired(store) -> str:
    """Repair everything; afterwards nothing is damaged."""
    done = store("system", "check", "--repair")
    assert checked(store) == WHOLE
    return done.stdout


def snapshot(store) -> Path:
    (number,) = (
        path for path in (root_of(store) / "snapshots").iterdir() if path.name.isdecimal() and path.name != "0"
    )
    return number / "fs"


def test_a_store_in_use_is_whole(store, tmp_path):
    make_layered_image(store, tmp_path)
    store("run", "-d", "--name", "running", "-p", "127.0.0.1::80", "busybox", "sleep", "600")
    store("run", "--name", "ended", "layered", "touch", "/x")
    store("run", "-d", "--name", "paused", "busybox", "sleep", "600")
    store("pause", "paused")
    assert checked(store) == WHOLE
    assert checked(store, "--repair") == WHOLE
    store("exec", "running", "true")


@pytest.mark.parametrize("damage", ["changed", "missing", "mode"])
def test_a_layer_is_unpacked_again(store, damage):
    layer = snapshot(store)
    file = layer / "etc/passwd"
    before = file.read_bytes()
    if damage == "changed":
        file.write_bytes(before + b"evil::0:0::/:/bin/sh\n")
    elif damage == "missing":
        shutil.rmtree(layer)
    else:
        file.chmod(0o666)
    found = checked(store)
    assert found.startswith("layer sha256:")
    assert ("is missing from" if damage == "missing" else "has changed in") in found
    assert found.rstrip().endswith("" if damage == "missing" else "/etc/passwd")
    assert "unpacked again" in repaired(store)
    assert file.read_bytes() == before
    assert file.stat().st_mode & 0o777 == 0o644
    store("run", "--rm", "busybox", "true")


def test_a_layer_that_a_container_runs_on_waits_for_it(store):
    store("run", "-d", "--name", "running", "busybox", "sleep", "600")
    (snapshot(store) / "etc/extra").write_text("")
    done = store("system", "check", "--repair", check=False)
    assert done.returncode == 1
    assert "container running runs on it: stop it and check again" in done.stdout
    store("stop", "running")
    repaired(store)


def test_a_changed_blob_is_taken_away_and_loading_brings_it_back(store, fixture_archive):
    config = json.loads(store("inspect", "busybox").stdout)[0]
    (layer,) = config["RootFS"]["Layers"]
    blob = root_of(store) / "images/blobs/sha256" / layer.removeprefix("sha256:")
    good = blob.read_bytes()
    blob.write_bytes(good[:-1] + b"x")
    assert f"blob {layer} has changed: its digest is sha256:" in checked(store)
    assert "taken away: load the image again" in store("system", "check", "--repair", check=False).stdout
    done = store("system", "check", check=False)
    assert (done.returncode, done.stdout) == (1, f"blob {layer} is missing\n")
    assert done.stderr == "Error: 1 of 1 damaged: --repair removes or rebuilds what can be\n"
    store("import", str(fixture_archive("busybox")), "again")
    assert blob.read_bytes() == good
    assert checked(store) == WHOLE


def test_what_belongs_to_nobody_is_removed(store):
    root = root_of(store)
    orphans = [root / "containers/stray", root / "snapshots/4711", root / "images/blobs/sha256" / ("0" * 64)]
    for path in orphans[:2]:
        path.mkdir()
    orphans[2].write_text("")
    found = checked(store)
    for path in orphans:
        assert f"{path} belongs to no " in found
    repaired(store)
    assert not any(path.exists() for path in orphans)


def test_a_container_without_its_directory_starts_again_but_has_lost_what_it_wrote(store):
    store("run", "--name", "box", "busybox", "touch", "/kept")
    identifier = store("inspect", "-f", "{{.Id}}", "box").stdout.strip()
    shutil.rmtree(root_of(store) / "containers" / identifier)
    assert "container box has lost" in checked(store)
    assert "what it had written is lost" in repaired(store)
    store("start", "-a", "box")


def test_the_index_is_written_again(store):
    index = root_of(store) / "images/index.json"
    before = index.read_bytes()
    index.write_bytes(b"{}")
    assert "index.json doesn't list the images that are here" in checked(store)
    repaired(store)
    assert index.read_bytes() == before


def test_what_a_run_held_is_given_back(store):
    from minirun import Engine
    from minirun.engine import userns

    root = root_of(store)
    store("run", "--rm", "busybox", "true")  # the network is there
    stray = "f" * 64
    with Engine(str(root), str(root.parent / "run")) as engine:
        engine.networks.lease(stray)
        (root.parent / "run/containers" / stray).mkdir()
        cgroup = Path(engine.hierarchy.root, stray)
        cgroup.mkdir()
        assert userns.holders(engine.connection) == []
        engine.connection.execute("INSERT INTO id_leases VALUES (?, 200000, 200000, 1024)", (stray,))
    assert checked(store) == (
        f"addresses and ports and cgroup and files of a run of {stray[:12]} belong to no running container\n"
        f"user ids of {stray[:12]} belong to no container\n"
    )
    repaired(store)
    assert not (root.parent / "run/containers" / stray).exists()
    assert not cgroup.exists()


def test_a_name_without_an_image_is_removed(store):
    from minirun import Engine

    root = root_of(store)
    with Engine(str(root), str(root.parent / "run")) as engine:
        engine.connection.execute("PRAGMA foreign_keys=OFF")
        engine.connection.execute("INSERT INTO tags VALUES ('docker.io/library/lost:1', 'sha256:0', 0)")
    assert "the name docker.io/library/lost:1 leads to no image" in checked(store)
    repaired(store)
