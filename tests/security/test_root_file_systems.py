"""Root file systems made to lead `minirun-oci` astray, at rest and while it looks: refused or harmless, the host untouched."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.security.conftest import SECRET, Bundle, Swap

RACE_SECONDS = 2.0
UP = "../" * 20


@pytest.mark.parametrize("name", ["proc", "sys", "dev"])
@pytest.mark.parametrize("kind", ["absolute", "relative", "inside"])
def test_cve_2019_19921_a_link_in_place_of_proc_sys_dev_is_refused(
    bundle: Bundle, canary: Path, name: str, kind: str
) -> None:
    (bundle.rootfs / "elsewhere").mkdir()
    bundle.replace(name, {"absolute": str(canary), "relative": UP + str(canary), "inside": "/elsewhere"}[kind])
    done = bundle.run("echo", "started")
    assert done.returncode == 1
    assert done.stdout == ""
    assert os.listdir(bundle.rootfs / "elsewhere") == []


@pytest.mark.parametrize("kind", ["absolute", "relative"])
def test_cve_2026_41579_a_link_in_place_of_dev_that_no_mount_covers(bundle: Bundle, canary: Path, kind: str) -> None:
    bundle.without_mount("/dev")
    bundle.replace("dev", str(canary) if kind == "absolute" else UP + str(canary))
    done = bundle.run("echo", "started")
    assert (done.returncode, done.stdout) in ((0, "started\n"), (1, ""))


@pytest.mark.parametrize("name", ["null", "console", "ptmx", "fd", "stdin", "tty"])
def test_cve_2026_88264_links_in_a_dev_that_no_mount_covers(bundle: Bundle, canary: Path, name: str) -> None:
    bundle.without_mount("/dev")
    bundle.replace(f"dev/{name}", f"{canary}/secret")
    done = bundle.run("sh", "-c", f"cat /dev/{name} 2>/dev/null </dev/null; chmod 777 /dev/{name} 2>/dev/null; :")
    assert SECRET not in done.stdout


def test_cve_2025_31133_what_masks_is_not_taken_from_the_image(bundle: Bundle, canary: Path) -> None:
    bundle.without_mount("/dev")
    bundle.replace("dev/null", "/proc/sys/kernel/core_pattern")
    before = Path("/proc/sys/kernel/core_pattern").read_text()
    done = bundle.run("sh", "-c", "cat /proc/kcore /proc/timer_list; echo owned >/proc/kcore; :")
    assert Path("/proc/sys/kernel/core_pattern").read_text() == before
    assert done.stdout == ""


@pytest.mark.parametrize("kind", ["absolute", "relative", "magic"])
def test_cve_2019_18837_and_2024_45310_mount_targets_are_made_beneath_the_root(
    bundle: Bundle, canary: Path, tmp_path: Path, kind: str
) -> None:
    volume = tmp_path / "volume"
    volume.mkdir()
    bundle.replace("a", {"absolute": str(canary), "relative": UP + str(canary), "magic": "/proc/1/root"}[kind])
    bundle.bind(volume, "/a/b/c")
    done = bundle.run("echo", "started")
    assert done.returncode == 1 or done.stdout == "started\n"
    assert os.listdir(volume) == []


def test_cve_2019_16884_a_link_does_not_lead_a_volume_over_proc(bundle: Bundle, canary: Path) -> None:
    bundle.replace("innocent", "/proc/self")
    bundle.bind(canary, "/innocent/attr", "ro")
    assert bundle.run("cat", "/proc/self/attr/secret").stdout == ""


@pytest.mark.parametrize("kind", ["absolute", "relative"])
def test_ghsa_q6r4_3wmg_fwcq_a_working_directory_behind_a_link_is_made_inside(
    bundle: Bundle, canary: Path, kind: str
) -> None:
    bundle.replace("w", str(canary) if kind == "absolute" else UP + str(canary))
    bundle.config["process"]["cwd"] = "/w/new"
    assert SECRET not in bundle.run("cat", "../secret").stdout


def test_masked_and_read_only_paths_behind_links_change_nothing_on_the_host(bundle: Bundle, canary: Path) -> None:
    bundle.replace("hidden", str(canary))
    bundle.config["linux"]["maskedPaths"] += ["/hidden", "/hidden/secret"]
    bundle.config["linux"]["readonlyPaths"] += ["/hidden"]
    bundle.run("true")
    (canary / "made").touch()
    (canary / "made").unlink()


# ---- Races ---------------------------------------------------------------------------------------------------------


def attempts() -> Iterator[int]:
    """Count for as long as a race may take; a race with few attempts proves nothing."""
    end = time.monotonic() + RACE_SECONDS
    number = 0
    while time.monotonic() < end or number < 10:
        yield number
        number += 1


def test_cve_2021_30465_a_volume_whose_directory_is_swapped_for_a_link(
    bundle: Bundle, canary: Path, tmp_path: Path, swapping: Swap
) -> None:
    """The target of the second mount lies in a volume where somebody swaps a directory and a link to the host."""
    volume = tmp_path / "volume"
    (volume / "a").mkdir(parents=True)
    (volume / "b").symlink_to("/")
    source = tmp_path / "source"
    source.mkdir()
    (source / "mark").write_text("volume\n")
    bundle.bind(volume, "/volume")
    bundle.bind(source, "/volume/a/mounted")
    with swapping(volume / "a", volume / "b"):
        for _ in attempts():
            done = bundle.run("sh", "-c", f"cat /volume/a{canary}/secret /volume/b{canary}/secret; ls -d /root")
            assert SECRET not in done.stdout
    assert not Path("/mounted").exists()


def test_cve_2024_45310_parents_of_a_target_that_are_swapped(
    bundle: Bundle, canary: Path, tmp_path: Path, swapping: Swap
) -> None:
    volume = tmp_path / "volume"
    (volume / "a").mkdir(parents=True)
    (volume / "b").symlink_to(canary)
    source = tmp_path / "source"
    source.mkdir()
    bundle.bind(volume, "/volume")
    bundle.bind(source, "/volume/a/b/c/d")
    with swapping(volume / "a", volume / "b"):
        for _ in attempts():
            bundle.run("true")
            assert os.listdir(canary) == ["secret"]


def test_cve_2025_31133_a_shared_dev_whose_null_is_swapped(
    bundle: Bundle, canary: Path, tmp_path: Path, swapping: Swap
) -> None:
    shared = tmp_path / "dev"
    shared.mkdir()
    os.mknod(shared / "null", 0o20666, os.makedev(1, 3))
    (shared / "other").symlink_to("/proc/sys/kernel/core_pattern")
    bundle.without_mount("/dev")
    bundle.bind(shared, "/dev")
    before = Path("/proc/sys/kernel/core_pattern").read_text()
    with swapping(shared / "null", shared / "other"):
        for _ in attempts():
            done = bundle.run("sh", "-c", "cat /proc/kcore /proc/keys; echo owned >/proc/kcore; :")
            assert done.stdout == ""
            assert Path("/proc/sys/kernel/core_pattern").read_text() == before


def test_cve_2023_27561_a_proc_that_is_swapped_for_a_link_while_it_is_mounted(
    bundle: Bundle, canary: Path, swapping: Swap
) -> None:
    (bundle.rootfs / "fake").symlink_to("/tmp")
    with swapping(bundle.rootfs / "proc", bundle.rootfs / "fake"):
        for _ in attempts():
            done = bundle.run(
                "sh", "-c", "cat /proc/sysrq-trigger >/dev/null && echo b >/proc/sysrq-trigger && echo owned"
            )
            assert "owned" not in done.stdout
