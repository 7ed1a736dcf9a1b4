"""The tables of the network: what exists, who holds which address, who holds which host port.

Owns: their definition. Leaves to others: creating them (database), reading and writing them (networks, addresses, ports).

A row is written before the address or the nftables element that it describes is used, and deleted after it is gone, so
everything that a killed command leaves in the kernel is named by a row.
"""

from __future__ import annotations

# No comments inside: the text is split at semicolons. `number` is the host part of a lease's addresses, `cursor` the number
# that the next lease tries first. Addresses are text in the form that inet_ntop(3) gives; "" means "no such address".
SCHEMA = """
CREATE TABLE networks (
    name TEXT PRIMARY KEY,
    bridge TEXT NOT NULL UNIQUE,
    subnet4 TEXT NOT NULL,
    gateway4 TEXT NOT NULL,
    subnet6 TEXT NOT NULL,
    gateway6 TEXT NOT NULL,
    cursor INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE leases (
    network TEXT NOT NULL REFERENCES networks(name),
    number INTEGER NOT NULL,
    container_id TEXT NOT NULL,
    address4 TEXT NOT NULL,
    address6 TEXT NOT NULL,
    mac BLOB NOT NULL,
    host_interface TEXT NOT NULL UNIQUE,
    PRIMARY KEY (network, number),
    UNIQUE (container_id, network)
) STRICT, WITHOUT ROWID;

CREATE TABLE port_leases (
    protocol TEXT NOT NULL,
    host_port INTEGER NOT NULL,
    host_address TEXT NOT NULL,
    container_id TEXT NOT NULL,
    address4 TEXT NOT NULL,
    address6 TEXT NOT NULL,
    container_port INTEGER NOT NULL,
    PRIMARY KEY (protocol, host_port, host_address)
) STRICT, WITHOUT ROWID;

CREATE INDEX port_leases_by_container ON port_leases (container_id);
"""
