"""Does this host have SELinux? Asked only where a configuration has a label.

Owns: the question. Leaves to others: what a label means without it (bundle, compile/process).
"""

from __future__ import annotations

import os


def is_enabled() -> bool:
    return os.path.exists("/sys/fs/selinux/enforce")
