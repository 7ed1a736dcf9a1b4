"""Build steps that pyproject.toml can't say: the cffi extension and the static programs."""

from __future__ import annotations

import os
import sys

from setuptools import setup
from setuptools.command.build_py import build_py

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "native"))

import build_native  # noqa: E402  (it lies in native/, next to what it builds)


class BuildWithPrograms(build_py):
    """build_py, and the two static programs as files of the packages that start them."""

    def run(self) -> None:
        super().run()
        home = HERE if self.editable_mode else self.build_lib
        build_native.build_monitor(os.path.join(home, "minirun", "monitor", "minirun-monitor"))
        build_native.build_spawner(os.path.join(home, "minirun", "runtime", "minirun-spawn"))

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        package = os.path.join(self.build_lib, "minirun")
        programs = [
            os.path.join(package, "monitor", "minirun-monitor"),
            os.path.join(package, "runtime", "minirun-spawn"),
        ]
        return [*super().get_outputs(include_bytecode), *programs]


setup(cmdclass={"build_py": BuildWithPrograms}, cffi_modules=["native/build_native.py:ffi"])
