"""What layers mean, as image-spec's layer.md says it: a tree in memory, changed by one entry at a time.

Owns: the reference that the test of stacked layers compares with. It knows nothing of overlayfs, descriptors or archives.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass, field


@dataclass
class Node:
    kind: str  # directory, file, symlink
    mode: int
    uid: int
    content: str = ""  # of a file; the target of a symlink
    mtime: int = 0
    layer: int = 0  # the layer that names it last
    children: dict[str, Node] = field(default_factory=dict)


@dataclass(frozen=True)
class Entry:
    kind: str  # directory, file, symlink, hardlink, whiteout, opaque
    path: str
    content: str = ""
    mode: int = 0o644
    uid: int = 0
    mtime: int = 0


class Refused(Exception):
    """The entry makes no sense: its parent is no directory, its target isn't there."""


class Tree:
    """The whole image after some layers."""

    def __init__(self) -> None:
        self.root = Node("directory", 0o755, 0)
        self.layer = 0

    def apply(self, entries: list[Entry]) -> None:
        self.layer += 1
        for entry in entries:
            getattr(self, f"_{entry.kind}")(entry)

    # ---- entries

    def _directory(self, entry: Entry) -> None:
        parent, name = self._parent(entry.path)
        old = parent.children.get(name)
        if old is None or old.kind != "directory":
            old = parent.children[name] = Node("directory", entry.mode, entry.uid)
        old.mode, old.uid, old.layer = entry.mode, entry.uid, self.layer

    def _file(self, entry: Entry) -> None:
        parent, name = self._parent(entry.path)
        parent.children[name] = Node("file", entry.mode, entry.uid, entry.content, entry.mtime, self.layer)

    def _symlink(self, entry: Entry) -> None:
        parent, name = self._parent(entry.path)
        parent.children[name] = Node("symlink", 0o777, entry.uid, entry.content, entry.mtime, self.layer)

    def _hardlink(self, entry: Entry) -> None:
        parts = [part for part in entry.content.split("/") if part]
        # What the new name's way makes, it makes first, as the archive's order says.
        parent, name = self._parent(entry.path)
        directory = self._walk("/".join(parts[:-1]), create=False)
        target = directory.children.get(parts[-1]) if directory else None
        if target is None or target.kind == "directory":
            raise Refused(entry)
        if parent.children.get(name) is target:
            target.layer = self.layer
            return
        if self._holds(parent.children.get(name), target):
            raise Refused(entry)
        linked = Node(target.kind, target.mode, target.uid, target.content, target.mtime, self.layer)
        parent.children[name] = linked

    def _whiteout(self, entry: Entry) -> None:
        where, _, name = entry.path.rpartition("/")
        parent = self._walk(where, create=False)
        node = parent.children.get(name) if parent else None
        if parent is None or node is None:
            return
        if node.kind == "directory":
            self._prune(node)
            if node.layer != self.layer and not node.children:
                del parent.children[name]
        elif node.layer != self.layer:
            del parent.children[name]

    def _opaque(self, entry: Entry) -> None:
        directory = self._walk(entry.path, create=False)
        if directory is not None:
            self._prune(directory)

    # ---- helpers

    def _prune(self, node: Node) -> None:
        """Take away what lower layers have put there; directories stay that this layer names or has something in."""
        for name, child in list(node.children.items()):
            if child.kind == "directory":
                self._prune(child)
            if child.layer != self.layer and not child.children:
                del node.children[name]

    def _holds(self, node: Node | None, wanted: Node) -> bool:
        return node is not None and (
            node is wanted or any(self._holds(child, wanted) for child in node.children.values())
        )

    def _parent(self, path: str) -> tuple[Node, str]:
        where, _, name = path.rpartition("/")
        parent = self._walk(where, create=True)
        assert parent is not None
        return parent, name

    def _walk(self, path: str, *, create: bool) -> Node | None:
        """Resolve a path to a directory inside the root, following links; None when it isn't there and shan't be made."""
        stack = [self.root]
        pending = [part for part in path.split("/") if part]
        links = 0
        while pending:
            part = pending.pop(0)
            if part == ".":
                continue
            if part == "..":
                stack = stack[:-1] or stack
                continue
            node = stack[-1].children.get(part)
            if node is None:
                if not create:
                    return None
                node = stack[-1].children[part] = Node("directory", 0o755, 0, layer=self.layer)
            if node.kind == "symlink":
                links += 1
                if links > 40:
                    raise Refused(path)
                if node.content.startswith("/"):
                    stack = [self.root]
                pending = [each for each in node.content.split("/") if each] + pending
                continue
            if node.kind != "directory":
                raise Refused(path)
            stack.append(node)
        return stack[-1]

    def listing(self) -> dict[str, list[object]]:
        """In the form of view.listing."""
        types = {"directory": stat.S_IFDIR, "file": stat.S_IFREG, "symlink": stat.S_IFLNK}
        found: dict[str, list[object]] = {}

        def visit(node: Node, path: str) -> None:
            for name, child in node.children.items():
                here = f"{path}/{name}" if path else name
                facts: list[object] = [types[child.kind], child.mode, child.uid]
                if child.kind != "directory":
                    facts.append(child.content)
                if child.kind == "file":
                    facts.append(child.mtime)
                found[here] = facts
                visit(child, here)

        visit(self.root, "")
        return found
