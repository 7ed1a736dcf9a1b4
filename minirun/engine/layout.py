"""Where things lie on disk: every path below the data root and the run root, in one place.

Owns: names of files and directories, and making the two roots. Leaves to others: what the files contain.
"""

from __future__ import annotations

import os

from ..errors import MinirunError
from ..record import Record

DATA_ROOT = "/var/lib/minirun"
RUN_ROOT = "/run/minirun"


class Layout(Record):
    """The two directories that belong to minirun: `root` survives a reboot, `run_root` does not."""

    root: str = DATA_ROOT
    run_root: str = RUN_ROOT

    @property
    def is_default(self) -> bool:
        return self.root == DATA_ROOT

    @property
    def database(self) -> str:
        return f"{self.root}/minirun.db"

    @property
    def mountpoint(self) -> str:
        """The empty directory on which each container, in its own mount namespace, mounts its root file system."""
        return f"{self.run_root}/rootfs"

    def container(self, container_id: str) -> str:
        return f"{self.root}/containers/{container_id}"

    def run(self, container_id: str) -> str:
        return f"{self.run_root}/containers/{container_id}"

    def log(self, container_id: str) -> str:
        return f"{self.root}/containers/{container_id}/{container_id}-json.log"

    def health(self, container_id: str) -> str:
        return f"{self.root}/containers/{container_id}/health"

    @property
    def locks(self) -> str:
        return f"{self.run_root}/container-locks"

    def tag(self) -> str:
        """A short word that differs between data roots: it keeps bridges, tables and cgroups of several roots apart."""
        from binascii import crc32

        return f"{crc32(os.fsencode(os.path.realpath(self.root))):08x}"

    def make(self) -> None:
        """Make the directories; they are for root alone (CVE-2021-41091). Raises MinirunError."""
        try:
            for top in (self.root, self.run_root):
                os.makedirs(top, 0o700, exist_ok=True)
                os.chmod(top, 0o700)
            for below in (
                f"{self.root}/containers",
                f"{self.run_root}/containers",
                self.mountpoint,
            ):
                os.makedirs(below, 0o700, exist_ok=True)
        except OSError as error:
            raise MinirunError(
                f"make the directory {error.filename}: {error.strerror}; minirun needs root and a writable disk"
            ) from error
