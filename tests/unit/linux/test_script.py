"""The installed command imports nothing from where it is called, however it is called."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(sys.executable).parent / "minirun"
MODULES = ("sitecustomize", "usercustomize", "json", "os", "errno", "minirun", "encodings")


@pytest.mark.parametrize("linked", [False, True])
def test_no_module_of_the_caller_is_imported(tmp_path: Path, linked: bool) -> None:
    for name in MODULES:
        (tmp_path / f"{name}.py").write_text("import builtins\nbuiltins.open('marker', 'w')\n")
    script = SCRIPT
    if linked:
        script = tmp_path / "linked"
        script.symlink_to(SCRIPT)
    environment = {
        "PYTHONPATH": str(tmp_path),
        "PYTHONSTARTUP": str(tmp_path / "json.py"),
        "PATH": "/usr/bin:/bin",
        "MINIRUN_WARM": "0",
    }
    done = subprocess.run(
        [script, "--help"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "marker").exists()
