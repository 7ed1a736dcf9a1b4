"""`--userns auto` on Debian's own kernel in the virtual machine: 6.1 takes layers by a string, and maps no tmpfs."""

from __future__ import annotations

import os
import pathlib
import subprocess
from collections.abc import Iterator

import pytest

from tests.conftest import CHECKOUT, MinirunCommand, _Roots, _take_down

pytestmark = [pytest.mark.vm_guest, pytest.mark.no_census]


@pytest.fixture
def on_ext4(tmp_path: pathlib.Path) -> Iterator[MinirunCommand]:
    """The command line on roots of its own, on a file system that can map ids, with the image busybox."""
    place, image = tmp_path / "ext4", tmp_path / "ext4.img"
    place.mkdir()
    subprocess.run(["modprobe", "-a", "loop", "ext4"], check=True)
    subprocess.run(["truncate", "-s", "128M", image], check=True)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, place], check=True)
    roots = _Roots(place)
    command = MinirunCommand(roots)
    try:
        recipes = str(CHECKOUT / "rootfs-fixtures/fixture.py")
        subprocess.run([recipes, "import", "busybox", "--minirun", " ".join(command.words)], check=True)
        yield command
    finally:
        _take_down(roots)
        subprocess.run(["umount", "-l", place], check=True)


def test_layers_are_mapped(on_ext4: MinirunCommand) -> None:
    script = "cat /proc/self/uid_map; stat -c %u /bin/busybox; echo x > /etc/passwd; touch /made; stat -c %u /made"
    options = ("--userns", "auto", "--network", "none", "--name", "box")
    out = on_ext4("run", *options, "busybox", "sh", "-c", script).stdout.split()
    assert out == ["0", str(1 << 31), "65536", "0", "0"]
    upper = pathlib.Path(on_ext4("inspect", "-f", "{{.GraphDriver.Data.UpperDir}}", "box").stdout.strip())
    assert {os.stat(upper / name).st_uid for name in ("", "made", "etc", "etc/passwd")} == {1 << 31}
    assert "ext4" in pathlib.Path("/proc/self/mountinfo").read_text()
    on_ext4("start", "-a", "box")
    on_ext4("rm", "box")


def test_a_tmpfs_that_cannot_map_ids_is_named(minirun: MinirunCommand, busybox: str) -> None:
    done = minirun("run", "--rm", "--network", "none", "--userns", "auto", busybox, "id", "-u", check=False)
    if tuple(map(int, os.uname().release.split("-")[0].split(".")[:2])) >= (6, 3):
        assert done.stdout == "0\n"
        return
    assert (done.returncode, done.stderr.count("\n")) == (125, 1)
    assert "can't be mapped: its file system has no ID-mapped mounts" in done.stderr
    assert minirun("ps", "-aq").stdout == ""
