"""The kernel's numbers, against the kernel's headers."""

from __future__ import annotations

import subprocess
from pathlib import Path

from minirun.linux import flags

PREFIXES = ("CLONE_", "MOUNT_ATTR_", "MS_", "RESOLVE_", "SECCOMP_", "NETLINK_", "RLIM_")
HEADERS = ("linux/mount.h", "linux/openat2.h", "linux/sched.h", "linux/seccomp.h", "linux/netlink.h", "sys/resource.h")


def test_flags_are_those_of_the_headers(tmp_path: Path) -> None:
    names = [name for name in vars(flags) if name.startswith(PREFIXES) and isinstance(getattr(flags, name), int)]
    assert len(names) >= 35
    source = tmp_path / "flags.c"
    source.write_text(
        "#define _GNU_SOURCE\n"
        + "".join(f"#include <{header}>\n" for header in HEADERS)
        + "#include <stdio.h>\nint main(void) {\n"
        + "".join(f'printf("%llu\\n", (unsigned long long){name});\n' for name in names)
        + "}\n"
    )
    subprocess.run(["gcc", "-o", tmp_path / "flags", source], check=True)
    output = subprocess.run([tmp_path / "flags"], capture_output=True, text=True, check=True).stdout
    assert dict(zip(names, map(int, output.split()), strict=True)) == {name: getattr(flags, name) for name in names}


def test_limits_and_capabilities_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    source = tmp_path / "order.c"
    lines = [f'printf("%d\\n", RLIMIT_{name.upper()} == {number});' for number, name in enumerate(flags.RLIMITS)]
    lines += [f'printf("%d\\n", CAP_{name.upper()} == {number});' for number, name in enumerate(flags.CAPABILITIES)]
    includes = "#define _GNU_SOURCE\n#include <linux/capability.h>\n#include <sys/resource.h>\n#include <stdio.h>\n"
    source.write_text(includes + "int main(void) {\n" + "\n".join(lines) + "\n}\n")
    subprocess.run(["gcc", "-o", tmp_path / "order", source], check=True)
    output = subprocess.run([tmp_path / "order"], capture_output=True, text=True, check=True).stdout
    assert output.split() == ["1"] * (len(flags.RLIMITS) + len(flags.CAPABILITIES))
