"""What README.md shows works, word for word, but for the data root, the port, and what only a person can do."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import CHECKOUT, MinirunCommand, Roots
from tests.waiting import free_port

README = (CHECKOUT / "README.md").read_text()


def blocks(word: str) -> list[str]:
    """Give the code blocks (indented by four) that contain a word."""
    found = re.findall(r"(?:^(?:    .*)?\n)+", README, re.MULTILINE)
    texts = ["\n".join(line[4:] for line in block.splitlines()).strip() for block in found]
    return [text for text in texts if word in text]


def test_the_commands_work_in_their_order(busybox: str, minirun: MinirunCommand, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("page")
    commands = [line for block in blocks("minirun ") for line in block.splitlines() if line.startswith("minirun ")]
    # A pull takes the Internet: tests/integration/registry has registries of its own.
    commands = [line for line in commands if not any(word in line for word in (" -it ", "hello-world", " pull "))]
    assert len(commands) >= 8
    script = "set -ex\nminirun() { " + " ".join(minirun.words) + ' "$@"; }\n' + "\n".join(commands)
    script = script.replace("8080:80", f"{free_port(8080)}:80").replace("logs -f web", "logs web")
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr


def test_what_the_pages_serve_is_there(busybox: str, minirun: MinirunCommand) -> None:
    """Each `busybox httpd -h DIRECTORY` has one of the image's, or one that its line mounts: without it httpd ends at once."""
    pages = [README, *(page.read_text() for page in (CHECKOUT / "docs").glob("*.md"))]
    lines = [line for page in pages for line in page.splitlines() if line.startswith("    minirun run ")]
    served = [(line, found[1]) for line in lines if (found := re.search(r"busybox httpd .*-h (\S+)", line))]
    assert len(served) >= 3
    directories = {directory for line, directory in served if f":{directory}" not in line}
    minirun("run", "--rm", "--network", "none", "busybox", "ls", "-d", *sorted(directories))


def test_a_root_file_system_is_imported_as_shown(minirun: MinirunCommand, fixture_archive: Any, tmp_path: Path) -> None:
    (command,) = [line for block in blocks("minirun import") for line in block.splitlines() if "tar " in line]
    (tmp_path / "rootfs").mkdir()
    subprocess.run(["tar", "-xf", fixture_archive("busybox"), "-C", tmp_path / "rootfs"], check=True)
    script = "set -e\nminirun() { " + " ".join(minirun.words) + ' "$@"; }\n' + command
    subprocess.run(["bash", "-o", "pipefail", "-c", script], cwd=tmp_path, check=True, stdout=subprocess.DEVNULL)
    try:
        assert minirun("run", "--rm", "mine", "-c", "echo it runs", check=False).returncode != 0  # CMD is replaced
        assert minirun("run", "--rm", "mine", "echo", "it runs").stdout == "it runs\n"
    finally:
        minirun("rmi", "mine")


def test_the_library_works_as_shown(
    busybox: str, roots: Roots, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (code,) = blocks("from minirun import")
    monkeypatch.setattr("minirun.engine.engine.DATA_ROOT", str(roots.root))
    monkeypatch.setattr("minirun.engine.engine.RUN_ROOT", str(roots.run_root))
    exec(compile(code, "README.md", "exec"), {})  # noqa: S102  (our own README)
    assert capfd.readouterr().out == "exit code 0 output hello\n\n"
