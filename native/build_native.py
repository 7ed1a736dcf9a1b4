"""Builds the C core: the extension module `minirun._native`, the two static programs, and the launcher.

Owns: which C file goes where, compiler flags, and the cffi declarations. Leaves to others: when to build (setup.py).

What Python sees of a header stands between the lines `/* python: begin */` and `/* python: end */` of any native/*.h: plain
declarations of functions, structs and enums, and `#define NAME number`. They are taken from there, so that nothing is
written down twice; the compiler fills in the values.
"""

from __future__ import annotations

import glob
import os
import re
import shutil
import subprocess
import sysconfig
import tempfile
from concurrent.futures import ThreadPoolExecutor

HERE = os.path.dirname(os.path.abspath(__file__))

FLAGS = ["-std=gnu11", "-O2", "-g", "-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Werror"]
# -U first: some distributions' compilers define it already, and a second definition is a warning.
HARDENING = ["-fstack-protector-strong", "-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=2"]
# Python's own headers aren't ours to make warning-free.
EXTENSION_FLAGS = [*FLAGS, *HARDENING, "-isystem", sysconfig.get_path("include")]

# Files with a main(), or that only the monitor's process may run: what is executed inside a container must never have
# the host's Python as its /proc/self/exe, so nothing that walks a plan is linked into the extension.
PROGRAMS_ONLY = {
    "launcher.c",
    "init.c",
    "spawn.c",
    "enter.c",
    "walk.c",
    "user.c",
    "inherit.c",
    "spawner.c",
}  # and monitor*.c, op_*.c
# What walks a plan, with the op_*.c; the two programs stand around it.
INTERPRETER = {
    "plan.c",
    "copy.c",
    "overlay.c",
    "walk.c",
    "spawn.c",
    "enter.c",
    "path.c",
    "user.c",
    "rtnetlink.c",
    "init.c",
}
MONITOR = {"inherit.c", "log.c", "encode.c"}  # and monitor*.c
SPAWNER = {"inherit.c", "spawner.c"}
# Where the packages that start the two programs look for them.
PROGRAMS = (os.path.join("monitor", "minirun-monitor"), os.path.join("runtime", "minirun-spawn"))


def _sources() -> list[str]:
    return sorted(os.path.basename(path) for path in glob.glob(os.path.join(HERE, "*.c")))


def extension_sources() -> list[str]:
    """Give the C files of minirun._native, by base name."""
    return [name for name in _sources() if name not in PROGRAMS_ONLY and not name.startswith(("op_", "monitor"))]


def monitor_sources() -> list[str]:
    """Give the C files of the static monitor, by base name."""
    return [*interpreter_sources(), *(name for name in _sources() if name in MONITOR or name.startswith("monitor"))]


def spawner_sources() -> list[str]:
    """Give the C files of the static program minirun-spawn, by base name."""
    return [*interpreter_sources(), *sorted(SPAWNER)]


def interpreter_sources() -> list[str]:
    """Give the C files that walk a plan, without a main program: for tests."""
    return [name for name in _sources() if name in INTERPRETER or name.startswith("op_")]


def declarations() -> str:
    """Collect what the headers show to Python, as cffi's cdef() wants it."""
    text = ""
    for path in sorted(glob.glob(os.path.join(HERE, "*.h"))):
        with open(path, encoding="utf-8") as file:
            content = file.read()
        for region in re.findall(r"/\* python: begin \*/(.*?)/\* python: end \*/", content, re.DOTALL):
            region = re.sub(r"/\*.*?\*/", "", region, flags=re.DOTALL)
            text += re.sub(r"^(#define \w+) .*$", r"\1 ...", region, flags=re.MULTILINE)
    return text


def build_programs(package: str, *, musl: bool | None = None) -> None:
    """Compile both static programs to where the package in directory `package` looks for them; as `build_monitor`."""
    monitor, spawner = (os.path.join(package, program) for program in PROGRAMS)
    _build(
        {monitor: monitor_sources(), spawner: spawner_sources()}, ("-static",), _has_musl() if musl is None else musl
    )


def build_monitor(target: str, *, flags: tuple[str, ...] = ("-static",)) -> None:
    """Compile the monitor to `target`; CalledProcessError (with the compiler's own words on stderr) when that fails."""
    _build({target: monitor_sources()}, flags, musl=False)


def build_launcher(target: str, *, musl: bool | None = None) -> None:
    """Compile the launcher, which is one file, to `target`; as `build_monitor`."""
    _build({target: ["launcher.c"]}, ("-static", "-s"), _has_musl() if musl is None else musl)


def _has_musl() -> bool:
    """Say whether programs can be linked with musl, whose start costs a quarter of glibc's. docs/decisions/0023"""
    return "CC" not in os.environ and shutil.which("musl-gcc") is not None


def _kernel_headers(place: str) -> list[str]:
    """Give the flag for the kernel's headers alone, which lie among glibc's and which musl's compiler doesn't look for."""
    done = subprocess.run(["gcc", "-print-multiarch"], check=True, capture_output=True, text=True)
    native = os.path.join("/usr/include", done.stdout.strip())
    os.mkdir(place)
    for name, parent in (("linux", "/usr/include"), ("asm-generic", "/usr/include"), ("asm", native)):
        os.symlink(os.path.join(parent, name), os.path.join(place, name))
    return ["-isystem", place]


def _build(programs: dict[str, list[str]], flags: tuple[str, ...], musl: bool) -> None:
    """Compile each file once, however many programs share it, then link; all processors take part."""
    names = sorted({name for sources in programs.values() for name in sources})
    with tempfile.TemporaryDirectory() as objects, ThreadPoolExecutor(os.cpu_count()) as pool:
        compiler = "musl-gcc" if musl else os.environ.get("CC", "gcc")
        headers = _kernel_headers(os.path.join(objects, "include")) if musl else []
        command = [compiler, *FLAGS, *HARDENING, *headers, *flags]

        def compile_one(name: str) -> None:
            words = ["-I", HERE, "-c", "-o", os.path.join(objects, name + ".o"), os.path.join(HERE, name)]
            subprocess.run([*command, *words], check=True)

        def link(target: str) -> None:
            os.makedirs(os.path.dirname(target), exist_ok=True)
            temporary = f"{target}.{os.getpid()}.new"
            linked = [os.path.join(objects, name + ".o") for name in programs[target]]
            subprocess.run([*command, "-o", temporary, *linked], check=True)
            os.replace(temporary, target)  # a running program keeps the file that it was started from

        for step, over in ((compile_one, names), (link, programs)):
            list(pool.map(step, over))  # list() raises what a step raised


def ffi() -> object:
    """Give the cffi builder; setup.py names this function in cffi_modules."""
    from cffi import FFI

    builder = FFI()
    builder.cdef(declarations())
    headers = sorted(os.path.basename(path) for path in glob.glob(os.path.join(HERE, "*.h")))
    builder.set_source(
        "minirun._native",
        "".join(f'#include "{name}"\n' for name in headers),
        sources=[os.path.relpath(os.path.join(HERE, name), os.path.dirname(HERE)) for name in extension_sources()],
        include_dirs=[HERE],
        depends=[os.path.join("native", name) for name in headers],
        extra_compile_args=EXTENSION_FLAGS,
    )
    return builder
