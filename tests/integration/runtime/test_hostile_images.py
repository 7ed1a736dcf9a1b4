"""Root file systems made to lead a runtime astray. Each is refused or harmless, and the host stays as it was."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from minirun.engine.config import BindMount, TmpfsMount
from minirun.errors import InvalidInput
from tests.integration.runtime.conftest import Container


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Path]:
    """A directory of the host that must stay as it is."""
    directory = tmp_path / "host"
    directory.mkdir()
    (directory / "secret").write_text("canary\n")
    yield directory
    assert sorted(os.listdir(directory)) == ["secret"]
    assert (directory / "secret").read_text() == "canary\n"


def replace(container: Container, name: str, target: str) -> None:
    path = container.root / name
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)


@pytest.mark.parametrize("name", ["proc", "sys", "dev"])
@pytest.mark.parametrize("kind", ["absolute", "relative", "inside"])
def test_cve_2019_19921_and_2026_41579_a_link_in_place_of_proc_sys_dev(
    container: Container, canary: Path, name: str, kind: str
) -> None:
    (container.root / "elsewhere").mkdir()
    target = {"absolute": str(canary), "relative": "../" * 20 + str(canary), "inside": "/elsewhere"}[kind]
    replace(container, name, target)
    outcome = container.run("echo", "started")
    assert outcome.failed is not None
    assert outcome.output == ""


def test_cve_2019_16884_nothing_is_mounted_over_proc(container: Container, canary: Path) -> None:
    for target in ("/proc", "/proc/self/attr", "/proc/../proc/sys", "/proc/sys/kernel"):
        with pytest.raises(InvalidInput):
            container.run("echo", binds=(BindMount(source=str(canary), target=target),))
        with pytest.raises(InvalidInput):
            container.run("echo", tmpfs=(TmpfsMount(target=target),))


def test_cve_2019_16884_nor_through_a_link_of_the_image(container: Container, canary: Path) -> None:
    replace(container, "innocent", "/proc/sys")
    outcome = container.run("echo", "started", binds=(BindMount(source=str(canary), target="/innocent"),))
    assert outcome.failed is not None


@pytest.mark.parametrize("name", ["etc/hosts", "etc/hostname", "etc/resolv.conf"])
@pytest.mark.parametrize("kind", ["file", "up", "missing"])
def test_cve_2025_24965_our_files_never_reach_a_links_target_on_the_host(
    container: Container, canary: Path, name: str, kind: str
) -> None:
    target = {"file": f"{canary}/secret", "up": "../" * 20 + f"{canary}/secret", "missing": f"{canary}/new"}[kind]
    replace(container, name, target)
    outcome = container.run("cat", f"/{name}")
    assert outcome.failed is None
    assert outcome.output.startswith("our ")


@pytest.mark.parametrize("kind", ["directory", "fifo"])
def test_our_files_where_the_image_has_something_else_are_refused_without_hanging(
    container: Container, kind: str
) -> None:
    path = container.root / "etc/hosts"
    if kind == "directory":
        path.mkdir()
    else:
        os.mkfifo(path)
    outcome = container.run("cat", "/etc/hosts")
    assert outcome.failed is not None or outcome.output == "our hosts\n"


@pytest.mark.parametrize("target", ["absolute", "relative", "magic"])
def test_cve_2024_45310_bind_targets_are_made_beneath_the_root(
    container: Container, canary: Path, tmp_path: Path, target: str
) -> None:
    source = tmp_path / "volume"
    source.mkdir()
    replace(
        container, "a", {"absolute": str(canary), "relative": "../" * 20 + str(canary), "magic": "/proc/1/root"}[target]
    )
    outcome = container.run("echo", "started", binds=(BindMount(source=str(source), target="/a/b/c"),))
    assert outcome.failed is not None or outcome.output == "started\n"


@pytest.mark.parametrize("kind", ["absolute", "relative"])
def test_ghsa_q6r4_3wmg_fwcq_a_working_directory_behind_a_link_is_made_in_the_container(
    container: Container, canary: Path, kind: str
) -> None:
    replace(container, "w", str(canary) if kind == "absolute" else "../" * 20 + str(canary))
    outcome = container.run("pwd", working_directory="/w/new")
    assert outcome.failed is not None or outcome.exit_code == 0


@pytest.mark.parametrize("number", range(3, 32))
def test_cve_2024_21626_no_working_directory_through_a_descriptor(container: Container, number: int) -> None:
    outcome = container.run("pwd", working_directory=f"/proc/self/fd/{number}")
    assert outcome.failed is not None


def test_cve_2025_31133_masks_are_not_taken_from_the_image(container: Container, canary: Path) -> None:
    """The image's own /dev/null is under our /dev, and what masks is the host's."""
    replace(container, "dev/null", f"{canary}/secret")
    assert container.shell("cat /proc/interrupts /proc/timer_list /dev/null; stat -c '%t %T' /dev/null") == "1 3"


def test_cve_2026_88264_device_nodes_of_the_image_are_not_ours(container: Container, canary: Path) -> None:
    for name in ("console", "ptmx", "tty", "pts"):
        replace(container, f"dev/{name}", str(canary))
    assert container.shell("stat -c '%t %T' /dev/tty; readlink /dev/ptmx") == "5 0\npts/ptmx"


def test_cve_2024_9676_account_files_that_never_end(container: Container) -> None:
    for target in ("/dev/zero", "/dev/random"):
        replace(container, "etc/passwd", target)
        outcome = container.run("id", user="alice")
        assert outcome.failed is not None
    (container.root / "etc/passwd").unlink()
    os.mkfifo(container.root / "etc/passwd")
    assert container.run("id", user="alice").failed is not None


def test_cve_2024_9676_account_files_of_the_host_are_not_read(container: Container, tmp_path: Path) -> None:
    secret = tmp_path / "passwd"
    secret.write_text("mallory:x:4242:4242::/:/bin/sh\n")
    replace(container, "etc/passwd", str(secret))
    assert container.run("id", user="mallory").failed is not None


def test_cve_2022_0811_a_parameter_is_one_parameter(container: Container) -> None:
    for sysctls in (
        {"kernel.shm_rmid_forced": "1\nkernel.core_pattern=|/x"},
        {"kernel.core_pattern": "|/x"},
        {"net.ipv4/../../kernel/core_pattern": "|/x"},
        {"net/ipv4/../../kernel/core_pattern": "|/x"},
        {"net...kernel.core_pattern": "|/x"},
        {"kernel.shm_rmid_forced=1+kernel.core_pattern": "|/x"},
        {"net": "1"},
        {"": "1"},
    ):
        with pytest.raises(InvalidInput):
            container.run("echo", sysctls=sysctls)
    before = Path("/proc/sys/kernel/core_pattern").read_text()
    outcome = container.run("echo", "started", sysctls={"kernel.shm_rmid_forced": "1+kernel.core_pattern=|/x"})
    assert outcome.failed is not None  # one write(2) to one file: the kernel refuses the value
    assert Path("/proc/sys/kernel/core_pattern").read_text() == before


def test_cve_2022_0492_no_cgroup_hierarchy_can_be_mounted(container: Container) -> None:
    for kind in ("cgroup", "cgroup2", "proc", "tmpfs", "debugfs"):
        assert container.run("mount", "-t", kind, "none", "/tmp").exit_code != 0


def test_mounts_of_the_container_never_reach_the_host(container: Container, tmp_path: Path) -> None:
    before = Path("/proc/self/mountinfo").read_text()
    with container.running(tmpfs=(TmpfsMount(target="/scratch"),)):
        assert Path("/proc/self/mountinfo").read_text() == before
