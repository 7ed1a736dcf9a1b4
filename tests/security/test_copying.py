"""What a container lays out for `cp` and its relatives: libraries, decompressors and account files that the host must not obey."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
from pathlib import Path

import pytest

from tests.security.test_entering import TRAPS

PATIENCE_SECONDS = 20
DECOMPRESSORS = ("unpigz", "gzip", "gunzip", "xz", "unxz", "zstd", "unzstd", "bzip2", "bunzip2", "tar")


def archive() -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        member = tarfile.TarInfo("copied")
        member.size = 4
        tar.addfile(member, io.BytesIO(b"data"))
    return data.getvalue()


def test_cve_2019_14271_cp_opens_no_library_of_the_container(minirun, run_container, busybox, tmp_path: Path) -> None:
    """Each trap is a pipe without a writer: who opens one to read stays there until our patience ends."""
    name = run_container("--network", "none", busybox, "sleep", "1000")
    made = "; ".join(f"rm -f /{trap}; mkdir -p {Path('/', trap).parent}; mkfifo /{trap}" for trap in TRAPS)
    minirun("exec", name, "sh", "-c", f"set -e; {made}; echo inside > /file")
    (tmp_path / "source").write_text("from outside")
    for state in ("running", "stopped"):
        minirun("cp", f"{name}:/file", str(tmp_path / state), timeout=PATIENCE_SECONDS)
        assert (tmp_path / state).read_text() == "inside\n"
        minirun("cp", str(tmp_path / "source"), f"{name}:/copied", timeout=PATIENCE_SECONDS)
        minirun("cp", "-a", str(tmp_path / "source"), f"{name}:/copied", timeout=PATIENCE_SECONDS)
        minirun("cp", f"{name}:/etc", "-", timeout=PATIENCE_SECONDS)
        minirun("cp", "-", f"{name}:/", stdin=archive(), timeout=PATIENCE_SECONDS)
        minirun("diff", name, timeout=PATIENCE_SECONDS)
        minirun("export", "-o", str(tmp_path / "exported"), name, timeout=PATIENCE_SECONDS)
        minirun("stop", "-t", "0", name)


def test_cve_2026_41567_cp_runs_no_decompressor_of_the_container(minirun, run_container, busybox) -> None:
    name = run_container("--network", "none", busybox, "sleep", "1000")
    trap = "".join(
        f"printf '#!/bin/sh\\n/bin/busybox touch /ran-{word}\\n' > {place}/{word}; chmod 755 {place}/{word}; "
        for word in DECOMPRESSORS
        for place in ("/bin", "/usr/bin", "/usr/local/bin")
    )
    minirun(
        "exec",
        name,
        "/bin/busybox",
        "sh",
        "-c",
        f"cd /bin; rm -f {' '.join(DECOMPRESSORS)}; mkdir -p /usr/local/bin /usr/bin; {trap}",
    )
    minirun("exec", name, "/bin/xz")  # a trap that works
    minirun("exec", name, "/bin/busybox", "rm", "/ran-xz")
    for compressed in (archive(), gzip.compress(archive()), lzma.compress(archive()), bz2.compress(archive())):
        minirun("cp", "-", f"{name}:/tmp", stdin=compressed, check=False, timeout=PATIENCE_SECONDS)
    minirun("cp", "-", f"{name}:/tmp", stdin=b"\x28\xb5\x2f\xfd" + archive(), check=False, timeout=PATIENCE_SECONDS)
    assert minirun("exec", name, "/bin/busybox", "find", "/", "-xdev", "-name", "ran-*").stdout == ""
    assert minirun("exec", name, "/bin/busybox", "cat", "/tmp/copied").stdout == "data"


@pytest.mark.parametrize(
    "spoil",
    [
        "printf 'USER:x:%05000d:0::/:\\n' 9 | tr 0 9",
        "printf 'USER:x:0:%05000d::/:\\n' 9 | tr 0 9",
        "printf 'USER:x:4294967296:0::/:\\n'",
        "printf 'USER:x:-1:0::/:\\nUSER:x:1_0:0::/:\\n'",
        "printf 'USER:x:٣:0::/:\\n'",
        "printf 'USER:\\nUSER\\n::::\\n\\0\\n'",
        "head -c 8000000 /dev/zero",
    ],
)
def test_account_files_that_lie_to_cp_name_nobody(minirun, run_container, busybox, tmp_path: Path, spoil: str) -> None:
    name = run_container("--network", "none", "--user", "nobody", busybox, "sleep", "1000")
    minirun("exec", "-u", "0", name, "sh", "-c", f"({spoil.replace('USER', 'nobody')}) > /etc/passwd")
    (tmp_path / "source").write_text("x")
    copied = minirun("cp", "-a", str(tmp_path / "source"), f"{name}:/copied", check=False, timeout=PATIENCE_SECONDS)
    assert "unable to find user nobody: no matching entries in passwd file" in copied.stderr
    assert (copied.returncode, copied.stderr.count("\n")) == (1, 1)
