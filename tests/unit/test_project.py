"""The project's own promises: its files name each other rightly, scripts parse."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from tests.conftest import CHECKOUT

README = (CHECKOUT / "README.md").read_text()
MAKEFILE = (CHECKOUT / "Makefile").read_text()
TARGETS = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))


def tracked(*patterns: str) -> list[Path]:
    """Give the files that git knows, or, in an unpacked archive, those that are there."""
    done = subprocess.run(["git", "-C", CHECKOUT, "ls-files", *patterns], capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return [CHECKOUT / line for line in done.stdout.splitlines()]
    return [path for pattern in patterns for path in CHECKOUT.rglob(pattern) if ".venv" not in path.parts]


def test_every_make_command_of_the_readme_is_a_target() -> None:
    mentioned = set(re.findall(r"(?:^    |`)make ([a-z]+)", README, re.MULTILINE))
    assert {"demo", "test", "install"} <= mentioned
    assert mentioned <= TARGETS


def test_ci_runs_the_command_that_the_readme_shows() -> None:
    last = (CHECKOUT / ".ci/run").read_text().strip().splitlines()[-1]
    assert last.removeprefix("exec ") in README


def test_the_first_screen_of_the_readme_shows_the_two_commands() -> None:
    first_screen = "\n".join(README.splitlines()[:24])
    assert "make demo" in first_screen
    assert "make test" in first_screen


def test_what_the_readme_prints_is_what_hello_world_says() -> None:
    source = (CHECKOUT / "rootfs-fixtures/hello-world/hello.c").read_text()
    shown = [line.strip() for line in README.splitlines() if re.match(r"     \d\. ", line)]
    assert len(shown) >= 3
    for line in shown:
        assert line in source


def test_links_of_the_readme_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (CHECKOUT / target).exists(), target


def test_the_vagrantfile_provisions_with_the_script_that_is_there() -> None:
    script = re.search(r'path: "([^"]+)"', (CHECKOUT / "Vagrantfile").read_text())
    assert script is not None
    assert os.access(CHECKOUT / script.group(1), os.X_OK)
    assert "install" in (CHECKOUT / script.group(1)).read_text()


def test_no_port_of_the_virtual_machine_is_open() -> None:
    lines = [line for line in (CHECKOUT / "Vagrantfile").read_text().splitlines() if not line.lstrip().startswith("#")]
    assert not [line for line in lines if "forwarded_port" in line or "public_network" in line]


def test_scripts_parse() -> None:
    scripts = [path for path in tracked() if path.is_file() and path.read_bytes().startswith(b"#!/bin/bash")]
    assert len(scripts) > 5
    for script in scripts:
        done = subprocess.run(["bash", "-n", script], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_no_machine_of_a_developer_is_named() -> None:
    """Addresses of package mirrors and registries come from the host's own configuration."""
    for path in tracked("Makefile", "*.sh", "*.py", "*.toml", "Vagrantfile", "rootfs-fixtures/*"):
        text = path.read_text(errors="replace")
        assert not re.search(r"https?://(deb|archive|security|mirror|snapshot)\.[a-z.]*(debian|ubuntu)", text), path


def test_files_that_comments_and_documents_name_are_there() -> None:
    """What moves takes its name along. linux/ is left out: it is the word before each architecture, too."""
    packages = {path.name for path in (CHECKOUT / "minirun").iterdir() if (path / "__init__.py").is_file()} - {"linux"}
    tops = ("minirun", "native", "docs", "bench")
    named = re.compile(rf"(?<![\w./-])((?:{'|'.join(tops)})/[\w./-]*\w|(?:{'|'.join(packages)})/\w+)(?![\w/.-])")
    built = {"minirun/_native", "minirun/monitor/minirun-monitor", "minirun/runtime/minirun-spawn", "minirun/run"}
    missing = []
    for path in tracked("minirun/*.py", "native/*.[ch]", "docs/*.md"):
        for name in named.findall(path.read_text()):
            target = name if name.startswith(tops) else f"minirun/{name}"
            if target not in built and not any(CHECKOUT.glob(f"{target}*")):
                missing.append(f"{path.relative_to(CHECKOUT)}: {name}")
    assert missing == []
