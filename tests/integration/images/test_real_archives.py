"""Archives that other tools have written, and the layout that other tools read: skopeo, umoci, Debian's docker."""

from __future__ import annotations

import gzip
import io
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from minirun.images.check import fingerprint
from tests.corpora.archives import tar
from tests.corpora.archives.images import Content, docker_old, pack
from tests.dockerd import Docker, private_docker
from tests.integration.images.view import listing

LAYERS = [
    tar.archive(
        tar.directory("usr/"),
        tar.directory("usr/bin/", mode=0o711),
        tar.file("usr/bin/tool", b"#!/bin/sh\n", mode=0o4755),
        tar.symlink("bin", "usr/bin"),
        tar.directory("var/", uid=33),
        tar.file("var/old"),
        tar.file("var/gone"),
        tar.hardlink("var/again", "var/old"),
        tar.with_xattrs(tar.file("cap", mode=0o755), {"user.note": b"x"}),
    ),
    tar.archive(
        tar.directory("var/", uid=33),
        tar.file("var/.wh.gone", b""),
        tar.file("var/new", b"new"),
        tar.directory("usr/"),
        tar.directory("usr/bin/", mode=0o711),
        tar.file("usr/bin/second", b"2"),
    ),
]
CONTENT = Content(layers=LAYERS, names=["docker.io/library/real:1"], config={"Cmd": ["/bin/tool"], "Env": ["A=b"]})


def run(*words: str | Path, **options: object) -> str:
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]
    assert done.returncode == 0, f"{words}: {done.stderr}"
    return str(done.stdout)


@pytest.fixture(scope="module")
def docker_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("real") / "docker.tar"
    path.write_bytes(pack(docker_old(CONTENT)))
    return path


@pytest.fixture
def loaded(store):
    """The image as our own archive gives it: what all others are compared with."""
    store.load(io.BytesIO(pack(docker_old(CONTENT))))
    image = store.resolve("real:1")
    return image, tree_of(store, image)


def tree_of(store, image) -> list[dict[str, list[object]]]:
    return [listing(f"{store.snapshots.root}/{lower}") for lower in store.snapshots.lowers(image.chain_id)]


def reload(store, path: Path):
    """Load another tool's archive into an empty store and give its image."""
    for image in store.list():
        store.remove(image.id, force=True)
    with open(path, "rb") as stream:
        (result,) = store.load(stream)
    return result, store.resolve(result.id)


@pytest.mark.parametrize(
    "transport",
    ["docker-archive:{}:real:1", "oci-archive:{}:docker.io/library/real:1"],
    ids=["docker-archive", "oci-archive"],
)
@pytest.mark.parametrize("outer", ["plain", "gzip"])
def test_archives_of_skopeo(transport, outer, docker_archive, store, loaded, tmp_path):
    image, tree = loaded
    target = tmp_path / "skopeo.tar"
    run("skopeo", "--insecure-policy", "copy", f"docker-archive:{docker_archive}", transport.format(target))
    if outer == "gzip":
        target.write_bytes(gzip.compress(target.read_bytes()))
    result, ours = reload(store, target)
    assert result.reference == "real:1"
    assert ours.layers == image.layers
    assert ours.config["Cmd"] == ["/bin/tool"]
    assert tree_of(store, ours) == tree
    assert store.check(ours) == []


def test_skopeo_and_umoci_read_our_layout(store, loaded, tmp_path):
    name = "docker.io/library/real:1"
    facts = json.loads(run("skopeo", "inspect", f"oci:{store.root}:{name}"))
    assert facts["Layers"] == [f"sha256:{digest}" for digest in layers_of(store)]
    assert facts["Env"] == ["A=b"]
    run("skopeo", "--insecure-policy", "copy", f"oci:{store.root}:{name}", f"oci:{tmp_path}/copy:copied")
    run("umoci", "raw", "unpack", "--image", f"{tmp_path}/copy:copied", f"{tmp_path}/rootfs")
    seen = listing(f"{tmp_path}/rootfs")
    assert set(seen) == {
        *("usr", "usr/bin", "usr/bin/tool", "usr/bin/second", "bin", "var", "var/old", "var/again", "var/new", "cap"),
    }


def layers_of(store) -> list[str]:
    (text,) = store.connection.execute("SELECT blobs FROM images").fetchone()
    return [digest[7:] for digest in json.loads(text)]


# ---- a docker daemon of our own


@pytest.fixture(scope="module")
def docker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Docker]:
    with private_docker(tmp_path_factory.mktemp("docker"), in_memory=False) as daemon:
        yield daemon


@pytest.mark.no_census
def test_docker_save_and_docker_load(docker, docker_archive, store, loaded, tmp_path):
    """Docker loads our archive, saves it, and we load that; then it imports, saves, and we load two images at once."""
    image, tree = loaded
    assert "Loaded image: real:1" in docker("load", "-q", "-i", str(docker_archive))
    docker("save", "-o", str(tmp_path / "saved.tar"), "real:1")
    result, ours = reload(store, tmp_path / "saved.tar")
    assert (result.id, result.reference) == (image.id, "real:1")
    assert tree_of(store, ours) == tree

    (tmp_path / "rootfs.tar").write_bytes(LAYERS[0])
    identity = docker(
        "import", "-c", 'CMD ["/bin/tool"]', "-c", "ENV X=1", str(tmp_path / "rootfs.tar"), "imported:2"
    ).strip()
    docker("save", "-o", str(tmp_path / "both.tar"), "real:1", "imported:2")
    with open(tmp_path / "both.tar", "rb") as stream:
        assert sorted(each.reference for each in store.load(stream)) == ["imported:2", "real:1"]
    theirs = store.resolve("imported:2")
    assert theirs.id == identity
    with open(tmp_path / "rootfs.tar", "rb") as stream:
        ours = store.import_archive(stream, "imported:3", ['CMD ["/bin/tool"]', "ENV X=1"])
    assert ours.config["Cmd"] == theirs.config["Cmd"]
    assert ours.config["Env"][-1] == "X=1"
    assert ours.chain_id == theirs.chain_id
    assert fingerprint(store, ours) == fingerprint(store, theirs)
