"""The table of containers, and the steps that an older one lacks."""

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
    ports TEXT NOT NULL DEFAULT '[]',
    restart_count INTEGER NOT NULL DEFAULT 0,
    restart_delay_ms INTEGER NOT NULL DEFAULT 0,
    restart_at_ns INTEGER NOT NULL DEFAULT 0,
    stopped_by_hand INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX containers_unsettled ON containers (status) WHERE status NOT IN ('created', 'exited');
CREATE INDEX containers_by_age ON containers (created_ns);
CREATE INDEX containers_with_links ON containers (id) WHERE instr(config, '"links":["') > 0
"""

LINKS = """
CREATE INDEX IF NOT EXISTS containers_with_links ON containers (id) WHERE instr(config, '"links":["') > 0
"""

RESTARTS = """
ALTER TABLE containers ADD COLUMN restart_count INTEGER NOT NULL DEFAULT 0;
ALTER TABLE containers ADD COLUMN restart_delay_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE containers ADD COLUMN restart_at_ns INTEGER NOT NULL DEFAULT 0;
ALTER TABLE containers ADD COLUMN stopped_by_hand INTEGER NOT NULL DEFAULT 0
"""
