"""`manifest create annotate inspect push rm`: an image for several platforms, and what other clients make of it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from minirun import Engine
from tests.registries import DOCKER_MANIFEST, DockerRegistry, Faulty, Served, layer_of

MINIRUN = str(Path(sys.executable).parent / "minirun")
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerRegistry]:
    running = DockerRegistry(tmp_path_factory.mktemp("registry"))
    yield running
    running.end()


@pytest.fixture
def minirun(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    roots = ("--root", str(tmp_path / "cli"), "--run-root", str(tmp_path / "cli-run"))

    def run(*words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run([MINIRUN, *roots, *words], capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done

    return run


def served(architecture: str, **more: Any) -> Served:
    return Served(layer_of({"arch": architecture.encode()}), architecture=architecture, **more)


def push_both(
    registry: DockerRegistry, repository: str, tmp_path: Path, *, docker_types: bool = False
) -> dict[str, str]:
    """Put an image for amd64 and one for arm64 into a registry; gives their digests."""
    faulty = Faulty()
    kind = ["--format", "v2s2" if docker_types else "oci"]
    digests = {}
    try:
        for architecture in ("amd64", "arm64"):
            source = faulty.add("made", architecture, served(architecture))
            target = f"{registry.name}/{repository}:{architecture}"
            words = ["skopeo", "copy", *kind, "--src-tls-verify=false", "--dest-tls-verify=false"]
            words += ["--digestfile", str(tmp_path / "digest"), f"docker://{source}", f"docker://{target}"]
            subprocess.run(words, check=True, capture_output=True)
            digests[architecture] = (tmp_path / "digest").read_text().strip()
    finally:
        faulty.end()
    return digests


def test_a_list_is_made_inspected_pushed_and_pulled_for_each_platform(
    minirun: Callable[..., subprocess.CompletedProcess[str]], registry: DockerRegistry, tmp_path: Path
) -> None:
    digests = push_both(registry, "team/app", tmp_path)
    name = f"{registry.name}/team/app:1"
    sources = [f"{registry.name}/team/app:{each}" for each in digests]
    assert minirun("manifest", "create", name, *sources).stdout == f"Created manifest list {name}\n"
    text = minirun("manifest", "inspect", name).stdout
    index = json.loads(text)
    assert index["mediaType"] == OCI_INDEX
    found = {each["platform"]["architecture"]: each["digest"] for each in index["manifests"]}
    assert found == digests
    minirun("manifest", "annotate", "--variant", "v8", "--os-version", "9", name, sources[1])
    second = json.loads(minirun("manifest", "inspect", name).stdout)["manifests"][1]["platform"]
    assert second == {"architecture": "arm64", "os": "linux", "os.version": "9", "variant": "v8"}
    pushed = minirun("manifest", "push", "--purge", name).stdout.splitlines()
    assert pushed[:2] == [
        f"Pushed ref {registry.name}/team/app@{each} with digest: {each}" for each in digests.values()
    ]
    # what lies there has that digest, and other clients read it
    seen = subprocess.run(
        ["skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{name}"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert [each["platform"]["architecture"] for each in json.loads(seen)["manifests"]] == ["amd64", "arm64"]
    for architecture in digests:
        said = minirun("pull", "--platform", f"linux/{architecture}", name).stdout
        assert f"Digest: {pushed[-1]}" in said
        assert minirun("image", "inspect", "-f", "{{.Architecture}}", name).stdout == f"{architecture}\n"
    # purged here; asked of the registry now
    assert json.loads(minirun("manifest", "inspect", name).stdout) == json.loads(seen)
    assert minirun("manifest", "rm", name, code=1).stderr == f"Error: No such manifest: {name}\n"


def test_images_of_other_repositories_are_taken_over(
    minirun: Callable[..., subprocess.CompletedProcess[str]], registry: DockerRegistry, tmp_path: Path
) -> None:
    digests = push_both(registry, "built/app", tmp_path, docker_types=True)
    name = f"{registry.name}/released/app:2"
    minirun("manifest", "create", name, f"{registry.name}/built/app:amd64")
    assert "--amend" in minirun("manifest", "create", name, f"{registry.name}/built/app:arm64", code=1).stderr
    minirun("manifest", "create", "--amend", name, f"{registry.name}/built/app@{digests['arm64']}")
    assert json.loads(minirun("manifest", "inspect", name).stdout)["mediaType"] == DOCKER_LIST
    verbose = json.loads(minirun("manifest", "inspect", "-v", name).stdout)
    assert [each["Descriptor"]["digest"] for each in verbose] == list(digests.values())
    assert verbose[0]["SchemaV2Manifest"]["mediaType"] == DOCKER_MANIFEST
    minirun("manifest", "push", name)
    minirun("pull", "-q", "--platform", "linux/arm64", name)
    assert minirun("image", "inspect", "--raw", "manifest", name).stdout.encode()
    minirun("manifest", "rm", name)


def test_what_can_not_be_a_list_is_a_sentence(
    minirun: Callable[..., subprocess.CompletedProcess[str]], registry: DockerRegistry, tmp_path: Path
) -> None:
    push_both(registry, "odd/app", tmp_path)
    name, source = f"{registry.name}/odd/app:1", f"{registry.name}/odd/app:amd64"
    assert "not found" in minirun("manifest", "create", name, f"{registry.name}/odd/app:none", code=1).stderr
    assert minirun("manifest", "push", name, code=1).stderr == f"Error: No such manifest: {name}\n"
    minirun("manifest", "create", name, source)
    assert "does not exist in" in minirun("manifest", "annotate", "--arch", "x", name, f"{source}2", code=1).stderr
    minirun("manifest", "push", name)
    assert "is a manifest list" in minirun("manifest", "create", f"{name}2", name, code=1).stderr
    elsewhere = "elsewhere.example/odd/app:1"
    minirun("manifest", "create", elsewhere, source)
    assert "different registry" in minirun("manifest", "push", elsewhere, code=1).stderr


def test_an_image_is_pushed_only_for_the_platform_that_was_asked_for(
    registry: DockerRegistry, tmp_path: Path, minirun: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    push_both(registry, "one/app", tmp_path)
    name = f"{registry.name}/one/app:arm64"
    minirun("pull", "-q", "--platform", "linux/arm64", name)
    assert (
        "does not provide the specified platform" in minirun("push", "--platform", "linux/amd64", name, code=1).stderr
    )
    minirun("push", "--platform", "linux/arm64", name)


def test_create_takes_the_image_for_the_platform_that_was_asked_for(
    registry: DockerRegistry, tmp_path: Path, minirun: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    digests = push_both(registry, "run/app", tmp_path)
    name = f"{registry.name}/run/app:1"
    minirun("manifest", "create", name, *(f"{registry.name}/run/app:{each}" for each in digests))
    minirun("manifest", "push", name)
    first = minirun("create", "--platform", "linux/arm64", name, "true")
    assert f"Unable to find image '{name}' locally" in first.stderr
    assert minirun("create", "--platform", "linux/arm64", name, "true").stderr == ""
    # the one that is here is for something else
    assert "does not provide" in minirun("create", "--pull", "never", "--platform", "linux/amd64", name, code=1).stderr
    assert "Downloaded newer image" in minirun("create", "--platform", "linux/amd64", name, "true").stderr
    with Engine(str(tmp_path / "cli"), str(tmp_path / "cli-run")) as engine:
        assert engine.images.resolve(name).architecture == "amd64"
        for container in engine.rows.all():
            engine.remove(container.id)


def test_a_damaged_list_is_a_sentence(
    registry: DockerRegistry, tmp_path: Path, minirun: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    push_both(registry, "damaged/app", tmp_path)
    name = f"{registry.name}/damaged/app:1"
    minirun("manifest", "create", name, f"{registry.name}/damaged/app:amd64")
    (kept,) = (tmp_path / "cli" / "images" / "lists").iterdir()
    kept.write_text("{}")
    assert "remove the list and create it again" in minirun("manifest", "inspect", name, code=1).stderr
    minirun("manifest", "rm", name)


# ---- documents and trees


def test_documents_of_an_image_are_given_byte_for_byte(
    registry: DockerRegistry, tmp_path: Path, minirun: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    faulty = Faulty()
    image = served("amd64", author="somebody")
    name = faulty.add("raw/app", "1", image)
    try:
        minirun("pull", "-q", name)
    finally:
        faulty.end()
    assert minirun("image", "inspect", "--raw", "config", name).stdout.encode() == image.config
    assert minirun("image", "inspect", "--raw", "manifest", name).stdout.encode() == image.manifest
    assert "invalid document: 'x'" in minirun("image", "inspect", "--raw", "x", name, code=125).stderr
    assert "does not provide" in minirun("image", "inspect", "--platform", "linux/arm64", name, code=1).stderr
    assert json.loads(minirun("image", "inspect", "--platform", "linux/amd64", name).stdout)[0]["Author"] == "somebody"


def test_the_tree_shows_the_platform_of_each_image(
    tmp_path: Path, minirun: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    faulty = Faulty()
    image = served("arm64", variant="v8")
    name = faulty.add("tree/app", "1", image)
    try:
        minirun("pull", "-q", "--platform", "linux/arm64", name)
    finally:
        faulty.end()
    minirun("tag", name, f"{name}-again")
    container = minirun("create", name).stdout.strip()
    lines = minirun("images", "--tree").stdout.splitlines()
    assert lines[0].split() == ["IMAGE", "ID", "DISK", "USAGE", "CONTENT", "SIZE", "EXTRA"]
    content = sum(len(data) for data in image.blobs.values()) + len(image.manifest)
    assert lines[1] == name
    assert lines[2].split() == [f"{name}-again", image.id[7:19], f"{content + len('arm64')}B", f"{content}B", "U"]
    assert lines[3].split() == ["└─", "linux/arm64/v8", *lines[2].split()[1:]]
    assert "--quiet is not yet supported with --tree" in minirun("images", "--tree", "-q", code=1).stderr
    minirun("rm", container)


# ---- search


def test_search_asks_the_registry_that_its_word_names(
    tmp_path: Path, minirun: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    faulty = Faulty()
    results = [
        {"name": "me/small", "description": "not much\n of it", "star_count": 3, "is_official": False},
        {"name": "redis", "description": "x" * 60, "star_count": 900, "is_official": True, "is_automated": False},
        {"name": "evil\x1b[31m", "description": None, "star_count": 0, "is_official": False},
    ]
    document = {"num_results": 3, "query": "red", "results": results}
    faulty.content["/v1/search"] = ("application/json", json.dumps(document).encode())
    try:
        term = f"{faulty.name}/red is"
        rows = minirun("search", term).stdout.splitlines()
        assert rows[0].split() == ["NAME", "DESCRIPTION", "STARS", "OFFICIAL"]
        assert rows[1].split() == ["redis", "x" * 44 + "…", "900", "[OK]"]
        assert rows[2].split() == ["me/small", "not", "much", "of", "it", "3"]
        assert rows[3].startswith("evil?[31m")
        assert faulty.requests("/v1/search?q=red+is&n=25")
        assert (
            minirun("search", "--limit", "1", "--no-trunc", "--format", "{{.Description}}", term).stdout
            == "x" * 60 + "\n"
        )
        assert minirun("search", "-f", "is-official=true", "--format", "{{.Name}}", term).stdout == "redis\n"
        assert minirun("search", "-f", "stars=3", "--format", "{{.Name}}", term).stdout == "redis\nme/small\n"
        assert (
            minirun("search", "--limit", "101", term, code=1).stderr
            == "Error: limit 101 is outside the range of [1, 100]\n"
        )
        assert "invalid filter 'x'" in minirun("search", "-f", "x=1", term, code=1).stderr
        faulty.content["/v1/search"] = ("application/json", b'{"results": 3}')
        assert "gave no results" in minirun("search", term, code=1).stderr
        del faulty.content["/v1/search"]
        assert "search for red is" in minirun("search", term, code=1).stderr
    finally:
        faulty.end()


# ---- media types


def test_an_image_of_docker_types_keeps_them_through_commit_push_save_and_load(
    registry: DockerRegistry, tmp_path: Path, minirun: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    digests = push_both(registry, "types/app", tmp_path, docker_types=True)
    name = f"{registry.name}/types/app:amd64"
    minirun("pull", "-q", name)
    made = f"{registry.name}/types/app:made"
    container = minirun("create", name, "true").stdout.strip()
    (tmp_path / "file").write_text("more")
    minirun("cp", str(tmp_path / "file"), f"{container}:/more")
    minirun("commit", container, made)
    minirun("rm", container)
    manifest = json.loads(minirun("image", "inspect", "--raw", "manifest", made).stdout)
    assert manifest["mediaType"] == DOCKER_MANIFEST
    assert manifest["config"]["mediaType"] == "application/vnd.docker.container.image.v1+json"
    assert [each["mediaType"] for each in manifest["layers"]] == [
        "application/vnd.docker.image.rootfs.diff.tar.gzip",
        "application/vnd.docker.image.rootfs.diff.tar",
    ]
    said = minirun("push", made).stdout
    seen = subprocess.run(
        ["skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{made}"], check=True, capture_output=True
    ).stdout
    assert json.loads(seen) == manifest
    digest = said.rpartition("digest: ")[2].partition(" ")[0]
    # an archive brings the manifest along, so the image is known elsewhere by the same digest
    minirun("save", "-o", str(tmp_path / "archive.tar"), name, made)
    minirun("rmi", name, made)
    minirun("load", "-i", str(tmp_path / "archive.tar"))
    assert f"digest: {digest} " in minirun("push", made).stdout
    assert f"digest: {digests['amd64']} " in minirun("push", name).stdout
