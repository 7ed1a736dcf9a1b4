"""The tables of snapshots and volumes.

The number of a snapshot is never used twice (AUTOINCREMENT), so a directory without a row is nobody's. The number, not the chain
id, is the directory's name, because 127 names have to fit the 4095 bytes of a mount option.
"""

from __future__ import annotations

SCHEMA = """
CREATE TABLE snapshots (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    chain_id TEXT NOT NULL UNIQUE,
    parent INTEGER REFERENCES snapshots (number),
    size_bytes INTEGER NOT NULL
) STRICT;
CREATE INDEX snapshots_by_parent ON snapshots (parent)
"""

VOLUMES = """
CREATE TABLE volumes (
    name TEXT PRIMARY KEY,
    created_ns INTEGER NOT NULL,
    labels TEXT NOT NULL,
    options TEXT NOT NULL,
    status TEXT NOT NULL
) STRICT;
CREATE INDEX volumes_unsettled ON volumes (status) WHERE status != 'ready'
"""
