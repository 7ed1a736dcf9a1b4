"""`python -I extract.py ARCHIVE DIRECTORY`: unpack one archive as a layer is unpacked, and nothing else.

Owns: this program, which bench/images times beside GNU tar. Leaves to others: decompression (images/compression), unpacking
(linux/untar). Digests are no part of it, since tar has none; `pull` and `load` are measured with them. So of a plain
archive there is nothing that a thread could do ahead, and it has none here.
"""

import os
import sys
from contextlib import nullcontext

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
        start = file.read(PIECE)
        source = compression.pieces(file.read, start)
        with ahead(source, bool) if compression.compression_of(start) else nullcontext(source) as pieces:
            for data in pieces:
                untar.feed(data)
        untar.finish()


if __name__ == "__main__":
    main()
