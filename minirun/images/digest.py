"""Digests: computing them, and the identities that are made of them.

Owns: sha256 of bytes and files, chain ids. Leaves to others: the shape of a digest as text (images/reference).
"""

from __future__ import annotations

import hashlib
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

PIECE = 256 * 1024  # fits a second-level cache together with what the consumers need


def digest_of(data: bytes) -> str:
    """Give the digest of a document."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def digest_of_file(fd: int) -> str:
    """Give the digest of an open file, from its beginning. Blocks while it is read."""
    hasher = hashlib.sha256()
    offset = 0
    while piece := os.pread(fd, PIECE, offset):
        hasher.update(piece)
        offset += len(piece)
    return f"sha256:{hasher.hexdigest()}"


def chain_ids(diff_ids: Sequence[str]) -> list[str]:
    """Give the identity of each link: image-spec, config.md, "Layer ChainID"."""
    chain: list[str] = []
    for diff_id in diff_ids:
        chain.append(digest_of(f"{chain[-1]} {diff_id}".encode()) if chain else diff_id)
    return chain
