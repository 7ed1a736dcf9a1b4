#!/usr/bin/python3
"""Builds the root file systems of this folder, keeps the archives outside the checkout, imports them as images.

Owns: the cache of archives and the mark that an imported image carries. Leaves to others: what is in a root file system
(each NAME/recipe). Needs nothing but Debian's Python; tests and benchmarks import it as well.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).resolve().parent
MARK = "minirun.fixture"  # label of an imported image: the recipe's hash


class FixtureError(Exception):
    """A recipe is unknown, failed, or its image could not be imported."""


def names() -> list[str]:
    """Give the names of all recipes."""
    return sorted(recipe.parent.name for recipe in HERE.glob("*/recipe"))


def cache_directory() -> Path:
    """Give the directory of the archives: ${XDG_CACHE_HOME:-/var/cache}/minirun-fixtures."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "/var/cache") / "minirun-fixtures"


def key(name: str) -> str:
    """Give the hash over everything that decides what the recipe makes, but for the state of Debian's mirror."""
    if name not in names():
        raise FixtureError(f"there is no fixture {name!r}; there are: {' '.join(names())}")
    digest = hashlib.sha256(os.uname().machine.encode())
    digest.update(Path("/etc/os-release").read_bytes())
    for path in [HERE / "bootstrap.sh", *sorted((HERE / name).iterdir())]:
        digest.update(f"\0{path.name}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def changes(name: str) -> list[str]:
    """Give the instructions that the image's configuration is made of, and the mark."""
    lines = (HERE / name / "changes").read_text().splitlines()
    return [line for line in lines if line.strip()] + [f"LABEL {MARK}={key(name)}"]


def archive(name: str) -> Path:
    """Give the path of the fixture's tar archive; run its recipe first when it isn't in the cache.

    Blocks while another process builds the same one. A recipe that fails leaves nothing behind.
    """
    cache = cache_directory()
    path = cache / f"{name}-{key(name)}.tar"
    if path.exists():
        return path
    cache.mkdir(parents=True, exist_ok=True)
    with _lock(cache / f"{name}.lock"):
        if not path.exists():
            print(f"building the {name} root file system ...", file=sys.stderr, flush=True)
            _run_recipe(name, path)
            for old in cache.glob(f"{name}-" + "[0-9a-f]" * 16 + ".*"):
                if old != path:  # an earlier recipe's archive, or what a killed build left
                    old.unlink(missing_ok=True)
    return path


def import_image(name: str, command: list[str], reference: str = "") -> bool:
    """Import the fixture as an image with `command` (minirun and its global options); False when it is there already."""
    reference = reference or name
    mark = subprocess.run(
        [*command, "inspect", "-f", f'{{{{index .Config.Labels "{MARK}"}}}}', reference],
        capture_output=True,
        text=True,
        check=False,
    )
    if mark.returncode == 0 and mark.stdout.strip() == key(name):
        return False
    options = [word for change in changes(name) for word in ("-c", change)]
    done = subprocess.run(
        [*command, "import", *options, str(archive(name)), reference], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise FixtureError(f"import of the {name} fixture failed: {done.stderr.strip() or done.stdout.strip()}")
    return True


def _run_recipe(name: str, path: Path) -> None:
    with tempfile.TemporaryDirectory(prefix=f"minirun-fixture-{name}-") as scratch:
        partial = path.with_suffix(f".{os.getpid()}.partial")
        environment = {**os.environ, "RECIPE": str(HERE / name), "FIXTURES": str(HERE), "LC_ALL": "C.UTF-8"}
        done = subprocess.run(
            ["bash", HERE / name / "recipe", partial],
            cwd=scratch,
            env=environment,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        if done.returncode != 0 or not partial.exists():
            partial.unlink(missing_ok=True)
            raise FixtureError(f"the recipe of {name} failed:\n{(done.stdout + done.stderr).strip()[-4000:]}")
        partial.rename(path)


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def main() -> int:
    """Run the command line of this file."""
    parser = argparse.ArgumentParser(description="Root file systems for minirun's tests and demo.")
    parser.add_argument("action", choices=("list", "archive", "import"))
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--minirun", default="minirun", help="the command to import with")
    options = parser.parse_args()
    try:
        if options.action == "list":
            print("\n".join(names()))
        for name in options.names:
            if options.action == "archive":
                print(archive(name))
            elif options.action == "import":
                fresh = import_image(name, options.minirun.split())
                print(f"image {name}: {'imported' if fresh else 'there already'}")
    except FixtureError as error:
        print(f"fixture: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
