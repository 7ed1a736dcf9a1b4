"""Build steps that pyproject.toml can't say: the cffi extension, the static programs, and the launcher as the commands."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from setuptools import setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py
from setuptools.dist import Distribution

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "native"))

import build_native  # noqa: E402  (it lies in native/, next to what it builds)


class BuildWithPrograms(build_py):
    """build_py, and the two static programs as files of the packages that start them."""

    def run(self) -> None:
        super().run()
        home = HERE if self.editable_mode else self.build_lib
        build_native.build_programs(os.path.join(home, "minirun"))

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        programs = [os.path.join(self.build_lib, "minirun", program) for program in build_native.PROGRAMS]
        return [*super().get_outputs(include_bytecode), *programs]


# Not from distutils, which is an import of its own.
build_scripts = Distribution().get_command_class("build_scripts")


class BuildLauncher(build_scripts):
    """build_scripts, and the launcher in the scripts' place; where it can't be compiled, they are the commands."""

    def run(self) -> None:
        super().run()
        launcher = os.path.join(self.build_dir, "launcher")
        try:
            build_native.build_launcher(launcher)
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"without the launcher, commands start cold: {error}", file=sys.stderr)
            return
        for script in self.get_source_files():
            target = os.path.join(self.build_dir, os.path.basename(script))
            os.unlink(target)
            os.link(launcher, target)
        os.unlink(launcher)


class BuildOnAllProcessors(build_ext):
    """build_ext, which would compile an extension's files one after the other."""

    def build_extensions(self) -> None:
        compile_in_turn = self.compiler.compile

        def compile_at_once(sources: list[str], **options: object) -> list[str]:
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                return list(pool.map(lambda source: compile_in_turn([source], **options)[0], sources))

        self.compiler.compile = compile_at_once
        super().build_extensions()


setup(
    cmdclass={"build_py": BuildWithPrograms, "build_ext": BuildOnAllProcessors, "build_scripts": BuildLauncher},
    cffi_modules=["native/build_native.py:ffi"],
)
