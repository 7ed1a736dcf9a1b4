"""A store of a test's own, for what looks at everything that is there: prune, df, check.

Owns: the fixture `store`. Leaves to others: roots, the command line and taking down (tests/conftest).
"""

from __future__ import annotations

import shutil

import pytest

from tests import conftest


@pytest.fixture(scope="module")
def made(fixture_archive, tmp_path_factory):
    """A data root with one image, busybox:latest; nothing in it knows where it lies."""
    roots = conftest._Roots(tmp_path_factory.mktemp("made"))
    conftest.MinirunCommand(roots)("import", str(fixture_archive("busybox")), "busybox")
    return roots.root


@pytest.fixture
def store(made, tmp_path):
    """The command line on roots that nobody else uses: a copy of `made`."""
    roots = conftest._Roots(tmp_path / "own")
    shutil.copytree(made, roots.root, symlinks=True)
    roots.root.chmod(0o700)
    yield conftest.MinirunCommand(roots)
    conftest._take_down(roots)
