"""The table of containers."""

from __future__ import annotations

SCHEMA = """
CREATE TABLE containers (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    image_id TEXT NOT NULL,
    image_name TEXT NOT NULL,
    config TEXT NOT NULL,
    arguments TEXT NOT NULL,
    hostname TEXT NOT NULL,
    status TEXT NOT NULL,
    pid INTEGER NOT NULL DEFAULT 0,
    created_ns INTEGER NOT NULL,
    started_ns INTEGER NOT NULL DEFAULT 0,
    finished_ns INTEGER NOT NULL DEFAULT 0,
    exit_code INTEGER NOT NULL DEFAULT 0,
    oom_killed INTEGER NOT NULL DEFAULT 0,
    error TEXT NOT NULL DEFAULT '',
    address4 TEXT NOT NULL DEFAULT '',
    address6 TEXT NOT NULL DEFAULT '',
    prefix4 INTEGER NOT NULL DEFAULT 0,
    prefix6 INTEGER NOT NULL DEFAULT 0,
    gateway4 TEXT NOT NULL DEFAULT '',
    gateway6 TEXT NOT NULL DEFAULT '',
    mac TEXT NOT NULL DEFAULT '',
    ports TEXT NOT NULL DEFAULT '[]'
) STRICT;
CREATE INDEX containers_unsettled ON containers (status) WHERE status NOT IN ('created', 'exited');
CREATE INDEX containers_by_age ON containers (created_ns)
"""
