"""Names, numbers and texts that mean more than they say: refused, or kept exactly as they are."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from minirun.runtime.create import write_pid_file
from tests.security.conftest import Bundle

BAD_IDS = ["..", ".", "../escape", "a/b", "/tmp/x", "", "a\nb", "a b", "\u00e9\u202e", "x" * 5000, "a\x1b[2J", "*"]


@pytest.mark.parametrize("name", BAD_IDS)
def test_container_ids_stay_in_the_runtimes_directory(bundle: Bundle, name: str, tmp_path: Path) -> None:
    bundle.write()

    def elsewhere() -> set[Path]:
        return {path for path in tmp_path.rglob("*") if bundle.state not in (path, *path.parents)}

    before = elsewhere()
    for words in (("create", "--bundle", str(bundle.path)), ("state",), ("start",), ("kill",), ("delete",)):
        done = bundle(*words, "--", name)
        assert done.returncode == 1, words
        assert "Traceback" not in done.stderr
    bundle("delete", "--force", "--", name)
    assert elsewhere() == before


@pytest.mark.parametrize("path", ["/../../escape", "a/../../../escape", "..", "/a\nb", "/x/./../../.."])
def test_cgroup_paths_stay_in_the_hierarchy(bundle: Bundle, path: str) -> None:
    bundle.config["linux"]["cgroupsPath"] = path
    done = bundle.run("true")
    assert done.returncode == 1
    assert done.stdout == ""


@pytest.mark.parametrize("name", ["..", "a/b", "-x", "a\nb", "a\x1b]0;x\x07", "x" * 5000, "\u202e"])
def test_container_names_are_plain(minirun, busybox, name: str) -> None:
    done = minirun("create", "--name", name, busybox, "true", check=False)
    assert done.returncode != 0
    assert "\x1b" not in done.stderr
    assert name not in minirun("ps", "-a", "--format", "{{.Names}}").stdout.splitlines()


@pytest.mark.parametrize(
    "user", ["4294967296", "2147483648", "-1", "1e3", "0x0", "1000 ", "4294967295", " 0", "0:-1", "+0"]
)
def test_cve_2024_40635_a_number_that_wraps_is_nobody(minirun, busybox, user: str) -> None:
    done = minirun("run", "--rm", "-u", user, busybox, "id", "-u", check=False)
    assert done.returncode != 0 or done.stdout.strip() not in ("", "0")


@pytest.mark.parametrize(("user", "expected"), [("1", "1 1 1"), ("1:1", "1 1 1"), ("7:8", "7 8 8")])
def test_cve_2016_3697_and_2026_30892_a_number_is_itself_for_a_further_process(
    minirun, busybox, run_container, user: str, expected: str
) -> None:
    name = run_container(busybox, "sleep", "1000")
    script = 'echo "$(id -u) $(id -g) $(id -G)"'
    assert minirun("exec", "-u", user, name, "sh", "-c", script).stdout == f"{expected}\n"
    assert minirun("run", "--rm", "-u", user, busybox, "sh", "-c", script).stdout == f"{expected}\n"


def test_cve_2022_36109_groups_are_exactly_those_that_are_named(bundle: Bundle) -> None:
    bundle.config["process"]["user"] = {"uid": 1000, "gid": 1001, "additionalGids": [50, 29]}
    done = bundle.run("sh", "-c", "grep -E 'Uid|Gid|Groups' /proc/self/status")
    values = {line.split(":")[0]: line.split()[1:] for line in done.stdout.splitlines()}
    assert values == {"Uid": ["1000"] * 4, "Gid": ["1001"] * 4, "Groups": ["29", "50"]}


def test_cve_2022_24769_nothing_is_inheritable_unless_it_is_written(bundle: Bundle) -> None:
    for sets in ({"bounding": ["CAP_KILL"], "effective": ["CAP_KILL"], "permitted": ["CAP_KILL"]}, {}):
        bundle.config["process"]["capabilities"] = sets
        for uid in (0, 1000):
            bundle.config["process"]["user"] = {"uid": uid, "gid": uid}
            status = bundle.run("cat", "/proc/self/status").stdout
            found = dict(line.split(":\t") for line in status.splitlines() if line.startswith("Cap"))
            assert int(found["CapInh"], 16) == int(found["CapAmb"], 16) == 0
            assert int(found["CapBnd"], 16) == (1 << 5 if sets else 0)


@pytest.mark.parametrize("value", ["A=1\nLD_PRELOAD=/evil.so", "A=$(id)`id`", "A=\x1b]0;x\x07", "A=\"';|&"])
def test_values_of_the_environment_arrive_as_they_are(bundle: Bundle, minirun, busybox, value: str) -> None:
    bundle.config["process"]["env"] = ["PATH=/bin", value]
    text = bundle.run("cat", "/proc/self/environ").stdout
    assert text.split("\0")[:2] == ["PATH=/bin", value]
    shown = minirun("run", "--rm", "-e", value, busybox, "cat", "/proc/self/environ").stdout
    assert value in shown.split("\0")


@pytest.mark.parametrize(
    "host", ["a\n6.6.6.6 example.org:1.2.3.4", "a:1.2.3.4\n6.6.6.6 b", "a b:1.2.3.4", "a#:1.2.3.4"]
)
def test_a_name_for_hosts_is_one_name(minirun, busybox, host: str) -> None:
    done = minirun("run", "--rm", "--add-host", host, busybox, "cat", "/etc/hosts", check=False)
    assert "6.6.6.6" not in done.stdout
    assert done.returncode != 0


@pytest.mark.parametrize("name", ["a\nb", "a b", "a;b", "x" * 65, "\x1b[2J", "../x"])
def test_a_host_name_is_one_name(minirun, busybox, name: str) -> None:
    assert minirun("run", "--rm", "--hostname", name, busybox, "true", check=False).returncode != 0


def test_texts_of_a_container_do_not_drive_the_terminal(minirun, busybox) -> None:
    """A name of a program, a label, an environment variable: listings show the escape, they don't send it."""
    evil = "\x1b]0;owned\x07\x1b[2J"
    name = f"test-{os.getpid()}-escape"
    minirun("create", "--name", name, "--label", f"note={evil}", "-e", f"X={evil}", busybox, "echo", evil)
    try:
        for words in (("ps", "-a", "--no-trunc"), ("inspect", name), ("ps", "-a", "--format", "{{.Command}}")):
            assert "\x1b" not in minirun(*words).stdout, words
        done = minirun("start", evil, check=False)
        assert "\x1b" not in done.stderr
    finally:
        minirun("rm", "-f", name)


def test_cve_2021_41091_others_reach_neither_data_nor_sockets(minirun, busybox, run_container, roots) -> None:
    """Between our own roots and each of these is a directory, or it is one, that others can't go through."""
    name = run_container("-e", "PASSWORD=secret", busybox, "sleep", "1000")
    identity = minirun("inspect", "--format", "{{.Id}}", name).stdout.strip()

    def is_closed(place: Path, top: Path) -> bool:
        way = [path for path in (place, *place.parents) if path == top or top in path.parents]
        return place.exists() and any(path.stat().st_mode & 0o007 == 0 for path in way)

    for place in (f"containers/{identity}", "minirun.db", "snapshots", "images"):
        assert is_closed(roots.root / place, roots.root), place
    assert is_closed(roots.run_root / "containers" / identity, roots.run_root)


def test_the_state_of_the_oci_runtime_is_closed_to_others(bundle: Bundle) -> None:
    with bundle.running("sleep", "1000") as name:
        assert (bundle.state / name).stat().st_mode & 0o077 == 0
        words = [
            "setpriv",
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
            "cat",
            str(bundle.state / name / "state.json"),
        ]
        assert subprocess.run(words, capture_output=True, check=False).returncode != 0


def test_cve_2026_53488_no_label_of_an_image_is_obeyed(minirun, busybox, fixture_archive) -> None:
    """Keys that engines and their helpers read: of an image they are texts and nothing else."""
    keys = (
        *("privileged", "io.podman.annotations.privileged", "io.podman.annotations.seccomp", "run.oci.hooks.stdout"),
        *(
            "org.criu.config",
            "io.containerd.runtime",
            "run.oci.handler",
            "run.oci.keep_original_groups",
            "minirun.privileged",
        ),
        *("com.docker.compose.config", "module.wasm.image/variant", "io.kubernetes.cri-o.userns-mode", "RUN"),
    )
    changes = [word for key in keys for word in ("--change", f'LABEL "{key}"="TRUE"')]
    minirun("import", *changes, str(fixture_archive("busybox")), "labelled")
    try:
        plain = minirun(
            "run", "--rm", "--network", "none", "busybox", "cat", "/proc/self/status", "/proc/mounts"
        ).stdout
        shown = minirun(
            "run", "--rm", "--network", "none", "labelled", "cat", "/proc/self/status", "/proc/mounts"
        ).stdout

        def confinement(text: str) -> list[str]:
            kept = ("Cap", "NoNewPrivs", "Seccomp", "Groups", "Uid")
            return [
                line for line in text.splitlines() if line.startswith(kept) or (" /" in line and "overlay" not in line)
            ]

        assert confinement(shown) == confinement(plain)
        assert "minirun.privileged" in minirun("inspect", "--format", "{{.Config.Labels}}", "labelled").stdout
    finally:
        minirun("rmi", "labelled")


def test_a_pid_file_is_written_through_no_link_that_somebody_has_laid(
    bundle: Bundle, canary: Path, tmp_path: Path
) -> None:
    """In a directory that everybody writes in, links wait under each name that could be guessed."""
    common = tmp_path / "common"
    common.mkdir()
    common.chmod(0o1777)
    (common / "pid").symlink_to(canary / "secret")
    write_pid_file(str(common / "pid"), 7)
    assert (common / "pid").read_text() == "7"
    (common / f".pid.{os.getpid()}").symlink_to(canary / "secret")
    write_pid_file(str(common / "pid"), 8)
    assert ((common / "pid").read_text(), (common / "pid").is_symlink()) == ("8", False)
