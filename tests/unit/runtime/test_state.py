"""What is kept of a container, read back."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from minirun.errors import Corrupt
from minirun.files import write_new
from minirun.runtime.container import Runtime, listing
from minirun.runtime.state import Directory, State


@pytest.mark.parametrize("text", ["", "{", "{bad", "[]", "{}", '{"sentences":[],"other":1}'])
def test_a_state_that_cannot_be_read_is_named_and_hides_no_other(tmp_path: Path, text: str) -> None:
    (tmp_path / "c1").mkdir()
    (tmp_path / "c1/state.json").write_text(text)
    with pytest.raises(Corrupt, match=r"c1/state\.json can't be read"):
        Directory(str(tmp_path), "c1").read()
    assert listing(Runtime(root=str(tmp_path))) == []


def test_a_copy_tells_what_the_state_was(tmp_path: Path) -> None:
    directory = Directory(str(tmp_path), "c1")
    Path(directory.path).mkdir()
    state = State(id="c1", bundle="/b", pid=7, annotations={"a": "b"}, sentences=("x",))
    directory.write(state)
    for damage in ("", "[" * 100_000, '{"id":"c1","bundle":"/b","later_hooks":[],"sentences":[],"pid":"7"}'):
        Path(directory.path, "state.json").write_text(damage)
        assert directory.read() == state
    Path(directory.path, "state.json").unlink()
    assert directory.read() == state


def test_a_state_that_could_not_be_written_is_named(tmp_path: Path) -> None:
    Path(tmp_path, "c1").mkdir()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        with pytest.raises(OSError, match=r"File too large: '.*/c1/config\.json'"):
            Directory(str(tmp_path), "c1").write_config(b"{}")
        with pytest.raises(OSError, match=r"File too large: '.*/new'"):
            write_new(str(tmp_path / "new"), b"{}")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_malformed_text_is_a_value_error_without_the_json_package() -> None:
    code = "from minirun.jsontext import loads\ntry: loads('{bad')\nexcept ValueError: print('told')"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "told\n"
