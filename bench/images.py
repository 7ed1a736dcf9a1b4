"""Images: `pull`, `load`, extraction alone, `images`, and the memory of a large pull.

Owns: these rows and their targets. Leaves to others: who takes part (image_programs), timing (measure).

Before each time the store of whoever is timed is emptied. Layers come from the registry as gzip, as docker pushes them.
"""

from __future__ import annotations

import io
import os
import random
import shutil
import subprocess
import tarfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from .commands import compared
from .image_programs import ImagePrograms, image_programs
from .measure import BenchError, Subject, clean_environment, compare, quietly
from .report import Row
from .setting import Setting

if TYPE_CHECKING:
    from minirun import Engine

ROUNDS_MAX = 5  # what docker takes seconds for
PULLED = ("debian", "mariadb")
SMALL_FILES = 50_000
LISTED_IMAGES = 200
LARGE_BYTES, LARGE_LAYERS = 1_000_000_000, 3
PULL_MEMORY_MB = 120

_PEAK = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def rows(setting: Setting) -> list[Row]:
    """Measure them all."""
    with image_programs(setting) as programs:
        small = programs.place / "small.tar"
        _write_small_files(small)
        archives = {name: Path(_fixture("archive", name).strip()) for name in PULLED}
        found = []
        if programs.registry:
            found += [_pull(setting, programs, name, archives[name]) for name in PULLED]
        for what, archive in ((PULLED[0], archives[PULLED[0]]), (f"{SMALL_FILES:,} small files", small)):
            plain = programs.place / "plain.tar"
            shutil.copyfile(archive, plain)
            quietly(["gzip", "-kf", str(plain)])
            found.append(_load(setting, programs, what, plain))
            found.append(_extract(setting, programs, f"{what}, gzip", Path(f"{plain}.gz"), 0.5))
            found.append(_extract(setting, programs, f"{what}, plain", plain, 1.0))
        if programs.registry:
            found.append(_memory(setting, programs))
        found.append(_list(setting, programs))
        return found


def _fixture(*words: str) -> str:
    program = Path(__file__).resolve().parent.parent / "rootfs-fixtures" / "fixture.py"
    return subprocess.check_output([program, *words], text=True)


def _pull(setting: Setting, programs: ImagePrograms, name: str, archive: Path) -> Row:
    """From the registry to a store that has nothing of it."""
    image = f"{programs.registry}/{name}:bench"
    pusher = programs.programs[1] if programs.programs[1:] else programs.minirun
    quietly([*pusher.words, "import", str(archive), image])
    quietly([*pusher.words, "push", *(["--tls-verify=false"] if pusher.name == "podman" else []), image])
    subjects = [
        Subject(each.name, programs.pull(each, f"{name}:bench"), before=partial(programs.forget, each))
        for each in programs.programs
    ]
    return _against_peers(f"pull {name}", subjects, setting).fraction_of("podman", 1 / 4)


def _load(setting: Setting, programs: ImagePrograms, what: str, archive: Path) -> Row:
    """What `save` wrote, in docker's form."""
    saved = programs.place / "saved.tar"
    quietly([*programs.minirun.words, "import", str(archive), "loaded:bench"])
    quietly([*programs.minirun.words, "save", "-o", str(saved), "loaded:bench"])
    subjects = [
        Subject(each.name, [*each.words, "load", "-q", "-i", str(saved)], before=partial(programs.forget, each))
        for each in programs.programs
    ]
    row = _against_peers(f"load, {what}", subjects, setting)
    saved.unlink()
    return row


def _against_peers(what: str, subjects: list[Subject], setting: Setting) -> Row:
    compare(subjects, min(setting.rounds, ROUNDS_MAX))
    return Row(what, "ms", {each.name: each.median_ms for each in subjects}).fraction_of("docker", 1 / 4)


def _extract(setting: Setting, programs: ImagePrograms, what: str, archive: Path, fraction: float) -> Row:
    """Unpacking alone, the interpreter's start and all: beside GNU tar."""
    target = programs.place / "extracted"

    def clear() -> None:
        shutil.rmtree(target, ignore_errors=True)

    def make() -> None:
        clear()
        target.mkdir()

    program = str(Path(__file__).resolve().parent / "extract.py")
    subjects = [
        Subject("minirun", [setting.python, "-I", program, str(archive), str(target)], before=clear),
        Subject("tar", ["tar", "-x", "--xattrs", "-p", "-f", str(archive), "-C", str(target)], before=make),
    ]
    compare(subjects, setting.rounds)
    clear()
    return Row(f"extract, {what}", "ms", {each.name: each.median_ms for each in subjects}).fraction_of("tar", fraction)


def _memory(setting: Setting, programs: ImagePrograms) -> Row:
    """The most that a pull of a gigabyte had resident, by what the kernel says of the process that has ended. getrusage(2)"""
    from minirun import Engine

    name = f"{programs.registry}/large:bench"
    layers = []
    for number in range(LARGE_LAYERS):
        layers.append(programs.place / f"large-{number}.tar.gz")
        _write_large(layers[-1], LARGE_BYTES // LARGE_LAYERS)
    with Engine(f"{programs.place}/large/data", f"{programs.place}/large/run") as engine:
        _stack(engine, layers, name)
        engine.push(name)
    for path in [*layers, programs.place / "large"]:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    programs.forget(programs.minirun)
    # A child begins with the memory of whoever starts it: it is started by one that has little.
    words = [setting.python, "-I", "-c", _PEAK, *programs.pull(programs.minirun, "large:bench")]
    peak_kib = int(subprocess.check_output(words, text=True, env=clean_environment()).splitlines()[-1])
    programs.forget(programs.minirun)
    return Row("pull of 1 GB, memory at most", "MB", {"minirun": peak_kib * 1024 / 1e6}).at_most(
        PULL_MEMORY_MB, f"{PULL_MEMORY_MB} MB"
    )


def _stack(engine: Engine, layers: list[Path], name: str) -> None:
    """Make an image of archives, the lowest first."""
    from minirun.images.committing import Committed

    with layers[0].open("rb") as stream:
        image = engine.images.import_archive(stream, name)
    for path in layers[1:]:
        with path.open("rb") as stream:
            image = engine.images.commit(image, stream.read, path.name, Committed(name=name, config={}))


def _list(setting: Setting, programs: ImagePrograms) -> Row:
    from minirun import Engine

    words = programs.minirun.words
    with Engine(words[2], words[4]) as engine:
        for number in range(LISTED_IMAGES):
            engine.images.import_archive(io.BytesIO(_tar({f"file-{number}": b"x" * number})), f"listed/{number}:bench")
    row = compared(f"images, {LISTED_IMAGES} images", [Subject("minirun", [*words, "images"])], setting)
    return row.above_floor(35)


def _write_small_files(path: Path) -> None:
    chance = random.Random(1)  # noqa: S311 -- the same files each time
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        for number in range(SMALL_FILES):
            if number % 50 == 0:
                _add(archive, f"srv/{number // 50}", None)
            _add(archive, f"srv/{number // 50}/{number}", b"a line of text\n" * chance.randrange(2, 130))


def _write_large(path: Path, size: int) -> None:
    """An archive of one file that barely compresses, in gzip."""
    with (
        path.open("wb") as target,
        subprocess.Popen(["gzip", "-1"], stdin=subprocess.PIPE, stdout=target) as gzip,
    ):
        assert gzip.stdin is not None
        info = tarfile.TarInfo(path.name)
        info.size = size
        gzip.stdin.write(info.tobuf(tarfile.USTAR_FORMAT))
        for begin in range(0, size, 1 << 20):
            gzip.stdin.write(os.urandom(min(1 << 20, size - begin)))
        gzip.stdin.write(bytes(-size % 512 + 1024))
    if gzip.returncode != 0:
        raise BenchError(f"gzip: ended with {gzip.returncode}")


def _tar(files: dict[str, bytes]) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        for name, data in files.items():
            _add(archive, name, data)
    return target.getvalue()


def _add(archive: tarfile.TarFile, name: str, data: bytes | None) -> None:
    """Add a file, or a directory when there is no content."""
    info = tarfile.TarInfo(name)
    info.mode = 0o755 if data is None else 0o644
    info.mtime = int(time.time())
    if data is None:
        info.type = tarfile.DIRTYPE
        archive.addfile(info)
    else:
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
