"""`config.json` of an OCI bundle, read into a `Spec`: everything that is wrong with it is said here, with its path.

Owns: the specification's JSON, versions 1.x, for Linux: opencontainers/runtime-spec, config.md and config-linux.md.
Leaves to others: files, the bundle's directory and paths relative to it, what this host can do (runtime/compile).

    document    bytes to JSON                  linux        namespaces, devices, the rest of `linux`
    reader      typed access with the path     resources    `linux.resources`, and `update -r`
    process     `process`, and `exec -p`       sysctl       `linux.sysctl`
    scheduling  scheduler, affinity            seccomp      `linux.seccomp`, and Docker's profiles
    mounts      `root`, `mounts`               hooks        `hooks`
    mount_options                              consistency  rules between sections
    annotations  those of crun that are more than words

Unknown keys are ignored, as the specification demands; unknown and impossible values are errors, as it demands too.
Whatever the bytes are, what comes out is a value, InvalidInput, or NotSupported, each in bounded memory.
"""

from __future__ import annotations

from ...errors import InvalidInput
from .document import decode
from .reader import Section, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from ..spec import Hooks, IdMapping, Process, Resources, Spec
    from .mount_options import MountOptions

_NAME_MAX = 64  # __NEW_UTS_LEN, sethostname(2)


def parse(content: bytes, warn: Callable[[str], None] | None = None) -> tuple[Spec, dict[str, Any]]:
    """Read `config.json`: give the container, and the decoded JSON as it is.

    `warn` gets what the specification wants to be a warning: a capability that no kernel knows. Without it, that is an
    error too. InvalidInput names the JSON path; NotSupported is for what no host can do through us (Intel RDT, limits
    that only cgroup v1 has). `Root.path` and the sources of binds may be relative to the bundle, and stay as written.
    """
    from ..spec import Hooks, Spec
    from . import consistency
    from .linux import linux
    from .mounts import mounts, root
    from .process import process

    raw = decode(content)
    document = Section(raw)
    version = _version(document)
    if not document.has(
        "process"
    ):  # by config.md needed at `start`; runc and crun refuse it at `create` too, runc in these words
        raise InvalidInput("process property must not be empty")
    annotations = document.named_texts("annotations")
    platform = linux(document)
    if (section := document.section("linux")) and (profile := section.section("seccomp")):
        from .seccomp import seccomp

        platform = platform.replace(seccomp=seccomp(profile, annotations))
    spec = Spec(
        version=version,
        process=process(document.required_section("process"), warn),
        root=root(document),
        hostname=_host_name(document, "hostname"),
        domainname=_host_name(document, "domainname"),
        mounts=mounts(document, (platform.uid_mappings, platform.gid_mappings)),
        hooks=_hooks(document) if document.has("hooks") else Hooks(),
        linux=platform,
        annotations=annotations,
    )
    if annotations:
        from .annotations import annotated

        spec = annotated(spec)
    consistency.check(spec)
    return spec, raw


def parse_process(content: bytes, warn: Callable[[str], None] | None = None) -> Process:
    """Read the object `process` alone, as `exec --process FILE` has it. Errors as for `parse`."""
    from .process import process

    return process(Section(decode(content)), warn)


def parse_resources(content: bytes) -> Resources:
    """Read the object `linux.resources` alone, as `update --resources FILE` has it. Errors as for `parse`."""
    from .resources import resources

    return resources(Section(decode(content)))


def parse_mount_options(
    options: Iterable[str],
    type: str,
    uid_mappings: tuple[IdMapping, ...] = (),
    gid_mappings: tuple[IdMapping, ...] = (),
) -> MountOptions:
    """Read the options of a mount: see mount_options.py. InvalidInput names the option."""
    from . import mount_options

    return mount_options.parse_mount_options(options, type, uid_mappings, gid_mappings)


def _hooks(document: Section) -> Hooks:
    from .hooks import hooks

    return hooks(document.required_section("hooks"))


def _version(document: Section) -> str:
    """Read `ociVersion`: semantic versioning 2.0.0, its first number 1."""
    version = document.required_text("ociVersion")
    numbers = version.partition("+")[0].partition("-")[0].split(".")
    plain = version.isascii() and all(character.isalnum() or character in ".-+" for character in version)
    if not plain or len(numbers) != 3 or not all(number.isdigit() for number in numbers):
        raise document.wrong("ociVersion", f"must be a version like 1.2.0, not {shown(version)}")
    if numbers[0] != "1":
        raise document.wrong("ociVersion", f"only versions 1.x of the specification are known, not {shown(version)}")
    return version


def _host_name(document: Section, key: str) -> str:
    name = document.line(key)
    if len(name.encode()) > _NAME_MAX:
        raise InvalidInput(f"{key}: must not be longer than {_NAME_MAX} bytes: {shown(name)}")
    return name
