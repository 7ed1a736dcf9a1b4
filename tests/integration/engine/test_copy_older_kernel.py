"""Looking into containers on Debian's own kernel in the virtual machine: 6.1 takes layers by a string and clones no detached
mount.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.conftest import MinirunCommand

pytestmark = pytest.mark.vm_guest


def test_files_are_copied_compared_exported_and_committed(
    minirun: MinirunCommand, busybox: str, tmp_path: Path
) -> None:
    (tmp_path / "volume").mkdir()
    (tmp_path / "file").write_text("from outside")
    options = ("--network", "none", "--name", "old", "-v", f"{tmp_path}/volume:/vol")
    minirun("create", *options, busybox, "sleep", "600")
    try:
        minirun("cp", str(tmp_path / "file"), "old:/at-rest")
        minirun("cp", str(tmp_path / "file"), "old:/vol/at-rest")
        minirun("start", "old")
        minirun("cp", str(tmp_path / "file"), "old:/running")
        minirun("cp", str(tmp_path / "file"), "old:/vol/running")
        minirun("cp", "old:/vol", str(tmp_path / "out"))
        assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["at-rest", "running"]
        assert minirun("diff", "old").stdout == "A /at-rest\nA /running\nA /vol\n"
        minirun("export", "-o", str(tmp_path / "x.tar"), "old")
        listed = subprocess.run(["tar", "-tf", tmp_path / "x.tar"], capture_output=True, text=True, check=True).stdout
        assert {"at-rest", "running", "bin/busybox", "vol/"} <= set(listed.splitlines())
        minirun("commit", "old", "made-of-old")
        assert minirun("run", "--rm", "--network", "none", "made-of-old", "cat", "/running").stdout == "from outside"
    finally:
        minirun("rm", "-f", "old")
        minirun("rmi", "made-of-old", check=False)
