"""The words of `pull` and `push` beside docker's own, of the same image at the same registry, with ids and digests."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from minirun.images.reference import parse
from tests.conftest import MinirunCommand, _Roots, _take_down
from tests.dockerd import Docker, private_docker
from tests.registries import DockerRegistry, digest_of, layer_of

pytestmark = pytest.mark.no_census  # of a docker daemon and a registry


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerRegistry]:
    served = DockerRegistry(tmp_path_factory.mktemp("registry"))
    yield served
    served.end()


@pytest.fixture(scope="module")
def docker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Docker]:
    with private_docker(tmp_path_factory.mktemp("docker")) as daemon:
        yield daemon


@pytest.fixture
def command(tmp_path: Path) -> Iterator[MinirunCommand]:
    """The command line on a data root that has no image."""
    roots = _Roots(tmp_path / "own")
    yield MinirunCommand(roots)
    _take_down(roots)


@pytest.fixture(scope="module")
def from_docker(registry: DockerRegistry, docker: Docker, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """An image of two layers that docker has pushed: its name and id; the second lies under another tag, too."""
    place = tmp_path_factory.mktemp("build")
    (place / "rootfs.tar").write_bytes(layer_of({"bin/tool": b"#!/bin/none\n", "etc/name": b"x" * 300_000}))
    name = f"{registry.name}/from/docker"
    docker("import", "-c", 'CMD ["/bin/tool"]', "-c", "ENV X=1", str(place / "rootfs.tar"), f"{name}:1")
    docker("tag", f"{name}:1", f"{name}:2")
    docker("push", "-a", name)
    return f"{name}:1", docker("image", "inspect", "-f", "{{.Id}}", f"{name}:1").strip()


def manifest_at(name: str) -> bytes:
    return subprocess.run(
        ["skopeo", "inspect", "--tls-verify=false", "--raw", f"docker://{name}"], check=True, capture_output=True
    ).stdout


def shape(text: str, registry: DockerRegistry) -> list[str]:
    """Give the lines without what differs from run to run and without steps that we don't have."""
    lines = [re.sub(r"^[0-9a-f]{12}: ", "LAYER: ", line) for line in text.replace(registry.name, "HOST").splitlines()]
    passing = ("LAYER: Verifying Checksum", "LAYER: Waiting", "LAYER: Preparing")
    return [line for line in lines if line not in passing]


def test_what_docker_pushed_is_pulled_with_its_words_id_and_digest(registry, docker, from_docker, command):
    name, identity = from_docker
    ours = command("pull", name).stdout
    docker("rmi", "-f", identity)
    theirs = docker("pull", name)
    assert shape(ours, registry) == shape(theirs, registry)
    assert command("pull", name).stdout.splitlines()[-3:] == docker("pull", name).splitlines()[-3:]
    assert command("pull", "-q", name).stdout == docker("pull", "-q", name) == f"{name}\n"
    assert command("inspect", "-f", "{{.Id}}", name).stdout.strip() == identity
    digests = command("inspect", "-f", "{{json .RepoDigests}}", name).stdout
    assert digests == docker("image", "inspect", "-f", "{{json .RepoDigests}}", name)
    assert json.loads(digests) == [f"{parse(name).name}@{digest_of(manifest_at(name))}"]
    assert digest_of(manifest_at(name)) in command("images", "--digests").stdout


def test_by_digest_and_all_tags_are_in_dockers_words(registry, docker, from_docker, command):
    name, identity = from_docker
    by_digest = f"{parse(name).name}@{digest_of(manifest_at(name))}"
    docker("rmi", "-f", identity)
    assert shape(command("pull", by_digest).stdout, registry) == shape(docker("pull", by_digest), registry)
    assert command("images", "-q").stdout == docker("images", "-q")
    docker("rmi", "-f", identity)
    ours, theirs = command("pull", "-a", parse(name).name).stdout, docker("pull", "-a", parse(name).name)
    assert [line for line in shape(ours, registry) if "LAYER" not in line and "Status" not in line] == [
        line for line in shape(theirs, registry) if "LAYER" not in line and "Status" not in line
    ]


def test_a_pulled_image_is_pushed_byte_for_byte(registry, docker, from_docker, command):
    name, identity = from_docker
    target = f"{registry.name}/again/here"
    command("pull", name)
    command("tag", name, target)
    ours = command("push", target).stdout
    assert manifest_at(f"{target}:latest") == manifest_at(name)
    docker("pull", "-q", target)
    assert docker("image", "inspect", "-f", "{{.Id}}", target).strip() == identity
    assert shape(ours, registry)[-1] == (
        f"latest: digest: {digest_of(manifest_at(name))} size: {len(manifest_at(name))}"
    )
    assert "Mounted from from/docker" in ours
    docker("tag", target, f"{target}:theirs")
    theirs = docker("push", f"{target}:theirs").splitlines()
    again = command("push", target).stdout.splitlines()
    assert again[:2] == docker("push", target).splitlines()[:2]
    assert [line for line in again if line.endswith("Layer already exists")] == [
        line for line in theirs if line.endswith("Layer already exists")
    ]
