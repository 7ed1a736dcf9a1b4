"""Build steps that pyproject.toml can't say: the cffi extension and the static monitor."""

from __future__ import annotations

import os
import sys

from setuptools import setup
from setuptools.command.build_py import build_py

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "native"))

import build_native  # noqa: E402  (it lies in native/, next to what it builds)


class BuildWithMonitor(build_py):
    """build_py, and the monitor as a file of the package minirun.monitor."""

    def run(self) -> None:
        super().run()
        home = HERE if self.editable_mode else self.build_lib
        build_native.build_monitor(os.path.join(home, "minirun", "monitor", "minirun-monitor"))

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        monitor = os.path.join(self.build_lib, "minirun", "monitor", "minirun-monitor")
        return [*super().get_outputs(include_bytecode), monitor]


setup(cmdclass={"build_py": BuildWithMonitor}, cffi_modules=["native/build_native.py:ffi"])
