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


def test_a_working_directory_that_is_swapped_for_a_link(bundle: Bundle, canary: Path, swapping: Swap) -> None:
    (bundle.rootfs / "place").mkdir()
    (bundle.rootfs / "link").symlink_to(canary)
    bundle.config["process"]["cwd"] = "/place/new"
    with swapping(bundle.rootfs / "place", bundle.rootfs / "link"):
        for _ in attempts():
            done = bundle.run("sh", "-c", "touch made; cat secret ../secret")
            assert SECRET not in done.stdout
            assert os.listdir(canary) == ["secret"]


@pytest.mark.parametrize("what", ["whole", "inner", "file", "fifo"])
def test_what_a_tmpfs_is_filled_with_is_swapped_for_a_link(
    bundle: Bundle, canary: Path, swapping: Swap, what: str
) -> None:
    """A copy is read from the image's directory while another container writes there."""
    inner = bundle.rootfs / "data/inner"
    inner.mkdir(parents=True)
    (inner / "secret").write_text("of the image\n")
    other = bundle.rootfs / "data/other"
    one = {"whole": bundle.rootfs / "data", "inner": inner}.get(what, inner / "secret")
    if what == "fifo":
        os.mkfifo(other)
    else:
        other = bundle.rootfs / "other" if what == "whole" else other
        other.symlink_to(canary / "secret" if what == "file" else canary)
    options = ["tmpcopyup", "size=1m"]
    bundle.config["mounts"].append({"destination": "/data", "type": "tmpfs", "source": "tmpfs", "options": options})
    read = "echo ran; for f in /data/secret /data/inner/secret /data/other/secret; do [ -f $f ] && cat $f; done"
    ran = 0
    with swapping(one, other):
        for _ in attempts():
            done = bundle.run("sh", "-c", read, timeout=10)
            assert SECRET not in done.stdout
            ran += "ran" in done.stdout
            assert "defect" not in done.stderr
    assert ran


def test_the_target_of_a_file_that_is_swapped_for_a_link(
    bundle: Bundle, canary: Path, tmp_path: Path, swapping: Swap
) -> None:
    (bundle.rootfs / "etc/hosts").touch()
    (bundle.rootfs / "etc/other").symlink_to(canary / "secret")
    (tmp_path / "hosts").write_text("ours\n")
    bundle.bind(tmp_path / "hosts", "/etc/hosts")
    with swapping(bundle.rootfs / "etc/hosts", bundle.rootfs / "etc/other"):
        for _ in attempts():
            done = bundle.run("sh", "-c", "cat /etc/hosts /etc/other")
            assert SECRET not in done.stdout
            assert (canary / "secret").read_text() == SECRET
    assert not canary.is_mount()


@pytest.mark.parametrize("manager", ["cgroupfs", "disabled"])
def test_a_dev_of_the_image_that_is_swapped_for_a_link(
    bundle: Bundle, canary: Path, swapping: Swap, manager: str
) -> None:
    """Nodes and links of /dev go beneath the root, made there or mounted."""
    bundle.without_mount("/dev")
    bundle.words.append(f"--cgroup-manager={manager}")
    (bundle.rootfs / "other").symlink_to(canary)
    with swapping(bundle.rootfs / "dev", bundle.rootfs / "other"):
        for _ in attempts():
            bundle.run("true")
            assert os.listdir(canary) == ["secret"]


def test_account_files_and_directories_that_are_swapped_while_a_process_enters(bundle: Bundle, canary: Path) -> None:
    """The container's own program swaps what an `exec` looks up: never the host's, never for ever."""
    (bundle.rootfs / "work").mkdir()
    (bundle.rootfs / "away").symlink_to("/proc/1/root")
    (bundle.rootfs / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\n")
    os.mkfifo(bundle.rootfs / "etc/fifo")
    swap = "attack exchange /etc/passwd /etc/fifo & attack exchange /work /away & echo ready; sleep 1000"
    with bundle.running("sh", "-c", swap) as name:
        bundle.wait_for(name, "ready")
        entered = 0
        for _ in attempts():
            done = bundle(
                "exec", "--cwd", "/work", name, "sh", "-c", f"echo in $HOME; cat .{canary}/secret", timeout=10
            )
            assert SECRET not in done.stdout
            entered += done.stdout.startswith(("in /root\n", "in /\n"))
            assert done.returncode in (0, 1, 255), done.stderr
        assert entered
