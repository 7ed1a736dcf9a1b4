"""An import only ever points down, and equals don't know each other; docs/architecture.md draws the storeys."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "minirun"
LEAVES = set(
    "_native command_line database errors files freeze frozen jsontext light output program record signals units".split()  # noqa: SIM905
)
BELOW: dict[str, set[str]] = {
    "linux": LEAVES,
    "runtime": LEAVES | {"linux"},
    "oci": LEAVES | {"linux", "runtime"},
    "warm": LEAVES | {"linux"},
    "images": LEAVES | {"linux"},
    "storage": LEAVES | {"linux"},
    "network": LEAVES | {"linux"},
    "monitor": LEAVES | {"linux"},
    "engine": LEAVES | {"linux", "runtime", "images", "storage", "network", "monitor"},
    "cli": LEAVES | {"engine", "monitor", "linux", "warm"},
    "testing": LEAVES | {"engine", "linux"},
}
# An import that only the type checker sees draws no storey: a Protocol's shape or a name in a signature.
TYPES_ONLY = {
    ("images", "storage"),
    ("runtime", "network"),
    ("cli", "runtime"),
    ("cli", "images"),
    ("testing", "storage"),
}


def imports_of(path: Path) -> set[tuple[str, bool]]:
    """Give (storey or leaf, only for types) for each import of minirun's own modules in a file."""
    tree = ast.parse(path.read_text())
    typed = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for statement in node.body
        for inner in ast.walk(statement)
    }
    package = ("minirun", *path.relative_to(PACKAGE).parts[:-1])
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            base = list(package[: len(package) - node.level + 1]) if node.level else []
            full = base + (node.module or "").split(".") if node.module else base
            targets = [full] if len(full) > 1 else [[*full, alias.name] for alias in node.names]
        elif isinstance(node, ast.Import):
            targets = [alias.name.split(".") for alias in node.names]
        else:
            continue
        for target in targets:
            if target and target[0] == "minirun" and len(target) > 1:
                found.add((target[1], id(node) in typed))
    return found


@pytest.mark.parametrize("storey", sorted(BELOW))
def test_imports_only_point_down(storey):
    for path in sorted((PACKAGE / storey).rglob("*.py")):
        for target, typed in imports_of(path):
            if target in (storey, "__version__") or target in BELOW[storey]:
                continue
            if typed and (storey, target) in TYPES_ONLY:
                continue
            pytest.fail(
                f"{path.relative_to(PACKAGE.parent)} imports {target}: {storey} may import {', '.join(sorted(BELOW[storey]))}",
                pytrace=False,
            )


def test_every_folder_is_a_storey():
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders == set(BELOW)


def test_leaves_import_only_leaves():
    for path in PACKAGE.glob("*.py"):
        if path.name == "__init__.py":
            continue
        assert {target for target, typed in imports_of(path) if not typed} <= LEAVES, path.name
