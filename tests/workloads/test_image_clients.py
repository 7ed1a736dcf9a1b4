"""Images go to other programs and come back: podman and umoci in both directions, docker with real images, zstd and pipes."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zstandard

from tests.census import Census
from tests.conftest import MinirunCommand, _Roots, _take_down
from tests.dockerd import Docker, private_docker
from tests.registries import DockerRegistry, layer_of

pytestmark = pytest.mark.usefixtures("forget")


@pytest.fixture
def forget(minirun: MinirunCommand) -> Iterator[None]:
    """Remove what images a test brings."""
    before = set(minirun("images", "-q", "--no-trunc").stdout.split())
    yield
    for image in set(minirun("images", "-q", "--no-trunc").stdout.split()) - before:
        minirun("rmi", "-f", image)


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory in memory: these images are large, and each program waits for the disk after each."""
    directory = Path(tempfile.mkdtemp(prefix="minirun-clients-", dir="/var/tmp"))
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", directory], check=True)
    yield directory
    subprocess.run(["umount", "-l", directory], check=True)
    directory.rmdir()


@pytest.fixture
def in_memory(place: Path) -> Iterator[MinirunCommand]:
    """The command line on roots in memory, with a census of their own: a large image waits for the disk when it comes and goes."""
    roots = _Roots(place / "minirun")
    command = MinirunCommand(roots)
    command("ps")
    count = Census(roots.root, roots.run_root)
    yield command
    for image in command("images", "-q", "--no-trunc").stdout.split():
        command("rmi", "-f", image)
    leaks = count.leaks()
    _take_down(roots)
    assert not leaks


def run(*words: str | Path, **options: object) -> str:
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]
    if done.returncode != 0:
        pytest.fail(f"{' '.join(map(str, words))}: {done.stderr}", pytrace=False)
    return str(done.stdout)


# ---- docker, with real images


@pytest.fixture(scope="module")
def docker() -> Iterator[Docker]:
    with private_docker(Path(tempfile.mkdtemp(prefix="minirun-docker-", dir="/var/tmp"))) as daemon:
        yield daemon


def what_docker_has(docker: Docker, name: str) -> tuple[str, list[str], object]:
    """Give id, layers and configuration of an image."""
    found = json.loads(docker("inspect", name))[0]
    return found["Id"], found["RootFS"]["Layers"], found["Config"]


@pytest.mark.parametrize(
    ("fixture", "command"),
    [
        ("debian", "cat /etc/debian_version"),
        ("redis", "redis-server --version"),
        ("nginx", "nginx -v 2>&1"),
        ("mariadb", "mariadbd --version"),
    ],
)
def test_what_docker_saved_is_loaded_run_saved_and_loaded_into_docker_unchanged(
    docker: Docker,
    in_memory: MinirunCommand,
    fixture_archive: Callable[[str], Path],
    place: Path,
    fixture: str,
    command: str,
) -> None:
    name = f"example.test/real/{fixture}:1"
    docker("import", "--change", "ENV KIND=real", "--change", 'CMD ["true"]', str(fixture_archive(fixture)), "base")
    (place / "more").write_text("the second layer\n")
    docker("create", "--name", "made", "base")
    docker("cp", str(place / "more"), "made:/more")
    docker("commit", "made", name)
    docker("rm", "made")
    docker("rmi", "base")
    before = what_docker_has(docker, name)
    docker("save", "-o", str(place / "docker.tar"), name)
    docker("rmi", name)

    assert in_memory("load", "-i", str(place / "docker.tar")).stdout == f"Loaded image: {name}\n"
    script = f"echo $KIND; cat /more; {command}"
    said = in_memory("run", "--rm", "--network", "none", "--entrypoint", "sh", name, "-c", script).stdout.splitlines()
    assert said[:2] == ["real", "the second layer"]
    assert len(said) == 3
    assert in_memory("image", "inspect", "-f", "{{.Id}}", name).stdout.strip() == before[0]
    in_memory("save", "-o", str(place / "ours.tar"), name)

    assert f"Loaded image: {name}" in docker("load", "-i", str(place / "ours.tar"))
    assert what_docker_has(docker, name) == before
    docker("rmi", name)


# ---- podman


@pytest.fixture
def podman(place: Path) -> Callable[..., str]:
    """Call podman on a store of its own."""
    words = [
        "podman",
        "--root",
        f"{place}/podman",
        "--runroot",
        f"{place}/podman-run",
        "--tmpdir",
        f"{place}/podman-tmp",
    ]

    def call(*more: str) -> str:
        return run(*words, "--storage-driver", "vfs", *more)

    return call


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[DockerRegistry]:
    running = DockerRegistry(tmp_path / "registry")
    yield running
    running.end()


def test_podman_pulls_what_we_push_and_we_pull_what_it_pushes(
    minirun: MinirunCommand, podman: Callable[..., str], registry: DockerRegistry, busybox: str
) -> None:
    name, back = f"{registry.name}/to/podman:1", f"{registry.name}/from/podman:1"
    minirun("tag", busybox, name)
    minirun("push", name)
    podman("pull", "-q", "--tls-verify=false", name)
    image_id = minirun("image", "inspect", "-f", "{{.Id}}", name).stdout.strip()
    assert podman("image", "inspect", "--format", "{{.Id}}", name).strip() == image_id.removeprefix("sha256:")
    podman("tag", name, back)
    podman("push", "--tls-verify=false", back)
    minirun("pull", "-q", back)
    assert minirun("run", "--rm", "--network", "none", back, "echo", "came").stdout == "came\n"
    assert minirun("image", "inspect", "-f", "{{.RootFS.Layers}}", back).stdout == (
        minirun("image", "inspect", "-f", "{{.RootFS.Layers}}", busybox).stdout
    )


@pytest.mark.parametrize("form", ["docker-archive", "oci-archive"])
def test_podman_loads_what_we_save_and_we_load_what_it_saves(
    minirun: MinirunCommand, podman: Callable[..., str], place: Path, busybox: str, form: str
) -> None:
    name = "example.test/podman/box:1"
    minirun("tag", busybox, name)
    minirun("save", "-o", str(place / "ours.tar"), name)
    podman("load", "-q", "-i", str(place / "ours.tar"))
    layers = minirun("image", "inspect", "-f", "{{.RootFS.Layers}}", name).stdout
    minirun("rmi", name)
    podman("save", "-q", "--format", form, "-o", str(place / "theirs.tar"), name)
    minirun("load", "-i", str(place / "theirs.tar"))
    assert minirun("image", "inspect", "-f", "{{.RootFS.Layers}}", name).stdout == layers
    assert minirun("run", "--rm", "--network", "none", name, "echo", "came").stdout == "came\n"


# ---- umoci


def test_umoci_changes_what_we_saved_and_we_load_what_it_made(
    minirun: MinirunCommand, place: Path, busybox: str
) -> None:
    name = "example.test/umoci/box:1"
    minirun("tag", busybox, name)
    minirun("save", "-o", str(place / "ours.tar"), name)
    layout = place / "layout"
    layout.mkdir()
    run("tar", "-xf", place / "ours.tar", "-C", layout)
    run("umoci", "unpack", "--image", f"{layout}:1", place / "bundle")
    (place / "bundle/rootfs/changed-by-umoci").write_text("by umoci\n")
    (place / "bundle/rootfs/etc/passwd").unlink()
    run("umoci", "repack", "--image", f"{layout}:2", place / "bundle")
    run("umoci", "config", "--image", f"{layout}:2", "--config.env", "KIND=umoci")
    for leftover in ("manifest.json", "repositories"):  # docker's, which name what we saved
        (layout / leftover).unlink()
    index = json.loads((layout / "index.json").read_text())
    index["manifests"] = [
        each for each in index["manifests"] if each["annotations"]["org.opencontainers.image.ref.name"] == "2"
    ]
    (layout / "index.json").write_text(json.dumps(index))
    run("tar", "-cf", place / "theirs.tar", "-C", layout, ".")
    image = minirun("load", "-i", str(place / "theirs.tar")).stdout.strip().rpartition(" ")[2]
    script = "echo $KIND; cat /changed-by-umoci; ls /etc/passwd || echo none"
    assert minirun("run", "--rm", "--network", "none", image, "sh", "-c", script).stdout == "umoci\nby umoci\nnone\n"


def test_umoci_opens_our_store(minirun: MinirunCommand, place: Path, busybox: str) -> None:
    root = minirun.words[minirun.words.index("--root") + 1]
    name = f"docker.io/library/{busybox}:latest"
    copied = place / "copied"
    run("skopeo", "copy", "-q", f"oci:{root}/images:{name}", f"oci:{copied}:box")
    run("umoci", "unpack", "--image", f"{copied}:box", place / "bundle")
    assert (place / "bundle/rootfs/bin/busybox").exists()
    assert "box" in run("umoci", "ls", "--layout", copied)


# ---- pipes, zstd, several images


def test_several_images_go_through_a_pipe_as_zstd(minirun: MinirunCommand, busybox: str, place: Path) -> None:
    archive = place / "other.tar"
    archive.write_bytes(layer_of({"other": b"content"}))
    minirun("import", str(archive), "example.test/other:1")
    minirun("tag", busybox, "example.test/box:1")
    minirun("tag", busybox, "example.test/box:2")
    names = ("example.test/box:1", "example.test/box:2", "example.test/other:1")
    ids = minirun("image", "inspect", "-f", "{{.Id}}", *names).stdout
    saving = minirun.start("save", *names, stdout=subprocess.PIPE)
    assert saving.stdout is not None
    packed = zstandard.ZstdCompressor().compress(saving.stdout.read())
    saving.stdout.close()
    assert saving.wait() == 0
    minirun("rmi", *names)
    loaded = minirun("load", stdin=packed).stdout.splitlines()
    assert sorted(loaded) == [f"Loaded image: {name}" for name in names]
    assert minirun("image", "inspect", "-f", "{{.Id}}", *names).stdout == ids


def test_layers_of_an_archive_may_be_zstd_and_go_back_as_they_came(
    minirun: MinirunCommand, place: Path, busybox: str
) -> None:
    name = "example.test/zstd:1"
    minirun("tag", busybox, name)
    minirun("save", "-o", str(place / "plain.tar"), name)
    run(
        *("skopeo", "copy", "-q", "--dest-compress-format", "zstd", "--dest-compress"),
        *(f"docker-archive:{place / 'plain.tar'}", f"oci-archive:{place / 'zstd.tar'}:{name}"),
    )
    minirun("rmi", name)
    minirun("load", "-i", str(place / "zstd.tar"))
    manifest = json.loads(minirun("image", "inspect", "--raw", "manifest", name).stdout)
    assert [each["mediaType"] for each in manifest["layers"]] == ["application/vnd.oci.image.layer.v1.tar+zstd"]
    assert minirun("run", "--rm", "--network", "none", name, "echo", "zstd").stdout == "zstd\n"
    minirun("save", "-o", str(place / "again.tar"), name)
    with tarfile.open(place / "again.tar") as saved:
        (layer,) = [saved.extractfile(f"blobs/{each['digest'].replace(':', '/')}") for each in manifest["layers"]]
        assert layer is not None
        head = io.BytesIO(layer.read()).read(4)
    assert head == b"\x28\xb5\x2f\xfd"
    assert os.path.getsize(place / "again.tar") < os.path.getsize(place / "plain.tar")
