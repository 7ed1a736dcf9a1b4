"""The archive of compiled modules: a command that imports from it does what it does without, and never runs old code."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib.util import MAGIC_NUMBER
from pathlib import Path

import pytest

from minirun import freeze
from tests.conftest import CHECKOUT

SHOW = """
import sys, json
sys.path.insert(0, {home!r})
from minirun.frozen import thaw
thaw()
import minirun.units
import minirun.errors
loaded = {{name: type(module.__spec__.loader).__name__ for name, module in sys.modules.items() if name.startswith("minirun")}}
print(json.dumps([loaded, minirun.units.__file__, getattr(minirun.units, "ADDED", None)]))
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of the package's leaves with an archive of its own."""
    home = tmp_path / "minirun"
    home.mkdir()
    for file in (CHECKOUT / "minirun").glob("*.py"):
        shutil.copy2(file, home)
    (tmp_path / "bin").mkdir()
    subprocess.run([sys.executable, "-I", "-c", freezing(home)], check=True)
    return home


def freezing(home: Path) -> str:
    """Give a program that freezes the package at `home`, as if it were installed beside a `bin`."""
    return f"""
import sys, os
sys.path.insert(0, {str(home.parent)!r})
sys.executable = {str(home.parent / "bin/python")!r}
from minirun import freeze
freeze._paths_of_site = lambda: []
freeze.main()
"""


def shown(package: Path):
    done = subprocess.run(
        [sys.executable, "-I", "-c", SHOW.format(home=str(package.parent))], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def test_modules_come_from_the_archive(package):
    loaded, file, _ = shown(package)
    assert loaded["minirun.units"] == loaded["minirun.errors"] == "Archive"
    assert file == str(package / "units.py")


def test_a_changed_source_is_imported_in_the_ordinary_way(package):
    with (package / "units.py").open("a") as source:
        source.write("\nADDED = 1\n")
    loaded, _, added = shown(package)
    assert (loaded["minirun.units"], loaded["minirun.errors"], added) == ("SourceFileLoader", "Archive", 1)


def test_a_source_with_another_time_is_imported_in_the_ordinary_way(package):
    os.utime(package / "units.py", (1, 1))
    assert shown(package)[0]["minirun.units"] == "SourceFileLoader"


def test_the_archive_of_another_python_is_left_alone(package):
    (archive,) = (package / "__pycache__").glob(f"frozen.{sys.implementation.cache_tag}")
    content = archive.read_bytes()
    assert content.count(MAGIC_NUMBER) >= 1
    archive.write_bytes(content.replace(MAGIC_NUMBER, bytes(4), 1))
    assert shown(package)[0]["minirun.units"] == "SourceFileLoader"


def test_without_an_archive_everything_works(package):
    (archive,) = (package / "__pycache__").glob(f"frozen.{sys.implementation.cache_tag}")
    archive.unlink()
    assert shown(package)[0]["minirun.units"] == "SourceFileLoader"


def test_a_closed_standard_stream_stays_closed(package):
    script = SHOW.format(home=str(package.parent)) + "\nimport os\ntry: os.fstat(0)\nexcept OSError: print('closed')"
    words = ["sh", "-c", 'exec "$@" <&-', "sh", sys.executable, "-I", "-c", script]
    assert "closed" in subprocess.run(words, capture_output=True, text=True, check=True).stdout


def test_a_package_in_the_archive_finds_its_ordinary_children(tmp_path, package):
    """Both ways mix: a module that came after the archive was written lies below a package that is in it."""
    (package / "fresh.py").write_text("VALUE = 3\n")
    script = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from minirun.frozen import thaw; thaw(); "
    done = subprocess.run(
        [sys.executable, "-I", "-c", script + "from minirun.fresh import VALUE; print(VALUE)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "3\n"


def test_a_traceback_shows_the_source(package):
    script = f"import sys; sys.path.insert(0, {str(package.parent)!r}); from minirun.frozen import thaw; thaw(); "
    done = subprocess.run(
        [sys.executable, "-I", "-c", script + "from minirun.units import parse_size; parse_size(None)"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert f'File "{package}/units.py"' in done.stderr


@pytest.mark.parametrize("program", ["minirun", "minirun-oci"])
def test_the_scripts_start_the_interpreter_themselves_and_say_where_modules_are(package, program):
    text = (package.parent / "bin" / program).read_text()
    assert text.startswith(f"#!{package.parent}/bin/python3 -IS\n")
    assert "sys.path += []\n" in text
    assert os.access(package.parent / "bin" / program, os.X_OK)


@pytest.mark.parametrize("program", ["minirun", "minirun-oci", "minirun-warm"])
def test_what_the_launcher_runs_takes_the_path_it_was_called_by_as_its_own(package, program):
    text = (package.parent / "share/minirun" / program).read_text()
    assert text.startswith(f"#!{package.parent}/bin/python3 -IS\n")
    assert "del sys.argv[0]\n" in text


def test_a_launcher_is_left_in_its_place(package):
    command = package.parent / "bin/minirun"
    command.write_bytes(b"\x7fELF, a launcher")
    subprocess.run([sys.executable, "-I", "-c", freezing(package)], check=True)
    assert command.read_bytes() == b"\x7fELF, a launcher"


def test_this_installation_imports_its_command_from_its_archive():
    script = Path(freeze.script("minirun")).read_text().removesuffix("entry()\n").replace("del sys.argv[0]\n", "")
    show = "print(type(sys.modules['minirun.cli.parse'].__spec__.loader).__name__)"
    done = subprocess.run([sys.executable, "-IS", "-c", script + show], capture_output=True, text=True, check=True)
    assert done.stdout == "Archive\n"


def test_a_truncated_archive_is_not_used(package):
    archive = package / "__pycache__" / f"frozen.{sys.implementation.cache_tag}"
    os.truncate(archive, archive.stat().st_size - 1)
    assert shown(package)[0]["minirun.units"] == "SourceFileLoader"
