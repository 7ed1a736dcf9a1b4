"""Archives that other tools wrote are loaded and run: Debian's docker and skopeo, as people have them."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.peers import private_docker
from tests.conftest import MinirunCommand

NAME = "example.test/team/box:1.0"
CHANGES = ["--change", 'CMD ["echo", "from the image"]', "--change", "ENV KIND=real", "--change", "WORKDIR /tmp"]


@pytest.fixture(scope="session")
def docker_save(fixture_archive: Callable[[str], Path]) -> Iterator[Path]:
    """What `docker save` wrote: two layers, the second of which changes and deletes files of the first."""
    place = Path(tempfile.mkdtemp(prefix="minirun-docker-", dir="/var/tmp"))
    try:
        with private_docker(place, enter=["unshare", "--mount", "--net", "--propagation", "private"]) as (docker, _):
            subprocess.run(
                [*docker, "import", *CHANGES, fixture_archive("busybox"), "base"], check=True, capture_output=True
            )
            script = (
                "echo second >/etc/hostname.image; rm /etc/group; rm -r /var/www; mkdir /var/www; touch /var/www/new"
            )
            run = [*docker, "run", "--name", "made", "--network", "none", "base", "sh", "-c", script]
            subprocess.run(run, check=True, capture_output=True)
            commit = [*docker, "commit", "--change", CHANGES[1], "made", NAME]
            subprocess.run(commit, check=True, capture_output=True)
            subprocess.run([*docker, "save", "-o", place / "saved.tar", NAME], check=True, capture_output=True)
        yield place / "saved.tar"
    finally:
        shutil.rmtree(place, ignore_errors=True)


@pytest.fixture
def loaded(minirun: MinirunCommand) -> Iterator[Callable[[Path], str]]:
    """Load an archive, check what `load` says, and remove the image after the test."""
    names = set()

    def load(archive: Path) -> str:
        said = minirun("load", "-i", str(archive)).stdout.strip().splitlines()[-1]
        assert said.startswith("Loaded image")
        name = said.partition(": ")[2]
        names.add(name)
        return name

    yield load
    for name in names:
        minirun("rmi", name)


def skopeo(*words: str) -> None:
    done = subprocess.run(
        ["skopeo", "--insecure-policy", "copy", "-q", *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def runs_as_made(minirun: MinirunCommand, image: str) -> None:
    """The configuration arrived, and the second layer lies over the first."""
    assert minirun("run", "--rm", "--network", "none", image).stdout == "from the image\n"
    script = 'echo "$KIND $PWD"; cat /etc/hostname.image; ls /var/www; ls /etc/group 2>/dev/null || echo none'
    assert (
        minirun("run", "--rm", "--network", "none", image, "sh", "-c", script).stdout
        == "real /tmp\nsecond\nnew\nnone\n"
    )


def test_what_docker_saved(docker_save: Path, minirun: MinirunCommand, loaded: Callable[[Path], str]) -> None:
    assert loaded(docker_save) == NAME
    runs_as_made(minirun, NAME)


def test_what_docker_saved_through_a_pipe(docker_save: Path, minirun: MinirunCommand) -> None:
    with docker_save.open("rb") as file:
        done = subprocess.run([*minirun.words, "load"], stdin=file, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    minirun("rmi", NAME)


def test_what_docker_saved_and_gzip_packed(
    docker_save: Path, minirun: MinirunCommand, loaded: Callable[[Path], str], tmp_path: Path
) -> None:
    with (tmp_path / "saved.tar.gz").open("wb") as file:
        subprocess.run(["gzip", "-1", "-c", docker_save], stdout=file, check=True)
    assert loaded(tmp_path / "saved.tar.gz") == NAME
    runs_as_made(minirun, NAME)


def test_what_skopeo_wrote_as_an_oci_archive_with_gzipped_layers(
    docker_save: Path, minirun: MinirunCommand, loaded: Callable[[Path], str], tmp_path: Path
) -> None:
    archive = tmp_path / "oci.tar"
    skopeo("--dest-compress-format", "gzip", f"docker-archive:{docker_save}", f"oci-archive:{archive}:{NAME}")
    runs_as_made(minirun, loaded(archive))


def test_what_skopeo_wrote_as_a_docker_archive(
    docker_save: Path, minirun: MinirunCommand, loaded: Callable[[Path], str], tmp_path: Path
) -> None:
    archive = tmp_path / "docker.tar"
    skopeo(f"docker-archive:{docker_save}", f"docker-archive:{archive}:{NAME}")
    assert loaded(archive) == NAME
    runs_as_made(minirun, NAME)


def test_other_tools_can_open_our_image_store(
    docker_save: Path, minirun: MinirunCommand, loaded: Callable[[Path], str], tmp_path: Path
) -> None:
    loaded(docker_save)
    root = minirun.words[minirun.words.index("--root") + 1]
    index = json.loads(Path(root, "images", "index.json").read_text())
    assert any(NAME in str(entry.get("annotations", {})) for entry in index["manifests"])
    skopeo(f"oci:{root}/images:{NAME}", f"docker-archive:{tmp_path / 'again.tar'}:{NAME}")
    minirun("rmi", NAME)
    assert loaded(tmp_path / "again.tar") == NAME
    runs_as_made(minirun, NAME)
