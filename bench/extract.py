"""`python -I extract.py ARCHIVE DIRECTORY`: unpack one archive as a layer is unpacked, and nothing else.

Owns: this program, which bench/images times beside GNU tar. Leaves to others: decompression (images/compression), unpacking
(linux/untar). Digests are no part of it, since tar has none; `pull` and `load` are measured with them.
"""

import os
import sys

from minirun.images import compression
from minirun.images.ahead import ahead
from minirun.linux.untar import Untar

PIECE = 1 << 20


def main() -> None:
    """Unpack argv[1] into the new directory argv[2]."""
    archive, target = sys.argv[1:]
    os.mkdir(target)
    directory = os.open(target, os.O_RDONLY | os.O_DIRECTORY)
    with open(archive, "rb", buffering=0) as file, Untar(directory, max_entries=10**7, max_bytes=1 << 40) as untar:
        with ahead(compression.pieces(file.read, file.read(PIECE)), bool) as pieces:
            for data in pieces:
                untar.feed(data)
        untar.finish()


if __name__ == "__main__":
    main()
