"""The tables of images and their names.

`id` is the digest of the image's configuration, as docker has it. `config`, `layers` (diff ids, the lowest first) and `blobs`
(digests of the layers as stored) are JSON; they repeat what the blobs say, so that a start reads no blob.
"""

from __future__ import annotations

TAG_HISTORY = """
CREATE TABLE tag_history (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    image_id TEXT NOT NULL,
    moved_ns INTEGER NOT NULL,
    how TEXT NOT NULL
) STRICT;
CREATE INDEX tag_history_by_name ON tag_history (name, number);
CREATE INDEX tag_history_by_image ON tag_history (image_id)
"""

SCHEMA = """
CREATE TABLE images (
    id TEXT PRIMARY KEY,
    manifest_digest TEXT NOT NULL,
    manifest_type TEXT NOT NULL,
    manifest_size INTEGER NOT NULL,
    config TEXT NOT NULL,
    architecture TEXT NOT NULL,
    os TEXT NOT NULL,
    created TEXT NOT NULL,
    created_ns INTEGER NOT NULL,
    size_bytes INTEGER NOT NULL,
    layers TEXT NOT NULL,
    blobs TEXT NOT NULL,
    chain_id TEXT NOT NULL
) STRICT;
CREATE INDEX images_by_chain ON images (chain_id);
CREATE INDEX images_by_manifest ON images (manifest_digest);
CREATE TABLE tags (
    name TEXT PRIMARY KEY,
    image_id TEXT NOT NULL REFERENCES images (id),
    tagged_ns INTEGER NOT NULL
) STRICT;
CREATE INDEX tags_by_image ON tags (image_id);
"""
SCHEMA += TAG_HISTORY

# By which digest a repository (docker.io/library/busybox) knows an image: of its manifest, or of an index that leads to it.
DIGESTS = """
CREATE TABLE digests (
    repository TEXT NOT NULL,
    digest TEXT NOT NULL,
    image_id TEXT NOT NULL,
    PRIMARY KEY (repository, digest)
) STRICT;
CREATE INDEX digests_by_image ON digests (image_id)
"""
SCHEMA += f";{DIGESTS}"
