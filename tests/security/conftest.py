"""What attackers' tests share: bundles with hostile root file systems, a canary of the host, programs that race.

Owns: `Bundle`, which runs `minirun-oci` on a root of its own, and the canary that has to stay as it is.
Leaves to others: the attacks (the tests), the programs in C beside this file.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import until

HERE = Path(__file__).parent
APPLETS = "sh cat id ls echo stat readlink sleep touch env pwd chmod grep mkdir true head mknod"
SECRET = "canary of the host\n"


@pytest.fixture(scope="session")
def attack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program of attack.c, static."""
    target = tmp_path_factory.mktemp("attack") / "attack"
    flags = ["-std=gnu11", "-O1", "-static", "-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Werror"]
    subprocess.run(["gcc", *flags, "-o", target, HERE / "attack.c"], check=True)
    return target


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Path]:
    """A directory of the host that nobody may read, write or change."""
    directory = tmp_path / "host"
    directory.mkdir(mode=0o755)
    (directory / "secret").write_text(SECRET)
    (directory / "secret").chmod(0o640)
    yield directory
    assert sorted(os.listdir(directory)) == ["secret"]
    assert (directory / "secret").read_text() == SECRET
    assert [(directory / name).stat().st_mode & 0o7777 for name in (".", "secret")] == [0o755, 0o640]


class Bundle:
    """A bundle of busybox's, to be spoiled, and the runtime on a root of its own."""

    def __init__(self, path: Path, attack: Path) -> None:
        self.path = path
        self.rootfs = path / "rootfs"
        self.state = path / "state"
        self.words = [str(Path(sys.executable).parent / "minirun-oci"), "--root", str(self.state)]
        for name in ("bin", "etc", "tmp", "proc", "sys", "dev", "root"):
            (self.rootfs / name).mkdir(parents=True)
        shutil.copy("/bin/busybox", self.rootfs / "bin/busybox")
        shutil.copy(attack, self.rootfs / "bin/attack")
        for applet in APPLETS.split():
            (self.rootfs / "bin" / applet).symlink_to("busybox")
        self("spec", "--bundle", str(path))
        self.config: dict[str, Any] = json.loads((path / "config.json").read_text())
        self.config["process"]["terminal"] = False
        self.config["root"]["readonly"] = False
        # A host without the right to load a device program refuses it; what it would keep shut isn't what is tested here.
        self.config["linux"]["resources"] = {}
        self.count = 0

    def __call__(self, *words: str, timeout: float = 60, **options: Any) -> subprocess.CompletedProcess[str]:
        options = {"stdin": subprocess.DEVNULL, **options}
        command = [*self.words, *words]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout, **options)

    def write(self) -> None:
        (self.path / "config.json").write_text(json.dumps(self.config))

    def run(self, *command: str, flags: tuple[str, ...] = (), **options: Any) -> subprocess.CompletedProcess[str]:
        """`run` the command in a new container; it is gone afterwards."""
        self.count += 1
        self.config["process"]["args"] = list(command)
        self.write()
        return self("run", "--bundle", str(self.path), *flags, f"c{self.count}", **options)

    @contextlib.contextmanager
    def running(self, *command: str) -> Iterator[str]:
        """Keep a container while the block runs; give its id."""
        self.count += 1
        self.config["process"]["args"] = list(command)
        self.write()
        name = f"c{self.count}"
        with open(self.path / f"{name}.out", "wb") as output:
            words = [*self.words, "run", "--detach", "--bundle", str(self.path), name]
            done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, check=False)
        try:
            assert done.returncode == 0, self.output(name)
            yield name
        finally:
            self("delete", "--force", name)

    def output(self, name: str) -> str:
        """Give what a container of `running` has printed until now."""
        return (self.path / f"{name}.out").read_text()

    def wait_for(self, name: str, text: str) -> None:
        until(f"{text!r} from {name}", lambda: text in self.output(name))

    def replace(self, name: str, target: str) -> None:
        """Put a link in the place of a file or directory of the image."""
        path = self.rootfs / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(target)

    def without_mount(self, destination: str) -> None:
        """Take a mount and those beneath it out of the configuration."""
        mounts = self.config["mounts"]
        beneath = destination + "/"
        self.config["mounts"] = [mount for mount in mounts if not (mount["destination"] + "/").startswith(beneath)]

    def bind(self, source: Path, destination: str, *options: str) -> None:
        self.config["mounts"].append(
            {"destination": destination, "type": "bind", "source": str(source), "options": ["bind", *options]}
        )


@pytest.fixture
def bundle(tmp_path: Path, attack: Path) -> Iterator[Bundle]:
    """A bundle; whatever a test left running ends with it."""
    made = Bundle(tmp_path / "bundle", attack)
    yield made
    for name in made("list", "--quiet").stdout.split():
        made("delete", "--force", name)


Swap = Callable[[Path, Path], contextlib.AbstractContextManager[None]]


@pytest.fixture
def swapping(attack: Path) -> Swap:
    """Swap two names on the host for the length of a block, as a container does that shares their directory."""

    @contextlib.contextmanager
    def swap(one: Path, other: Path) -> Iterator[None]:
        process = subprocess.Popen([attack, "exchange", one, other])
        try:
            yield
        finally:
            process.kill()
            process.wait()

    return swap
