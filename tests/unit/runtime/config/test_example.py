"""A whole configuration, from its bytes to its values."""

from __future__ import annotations

import json

import pytest

from minirun.errors import InvalidInput
from minirun.linux import flags
from minirun.runtime import capabilities, config
from minirun.runtime.spec import (
    Capabilities,
    DeviceRule,
    Linux,
    Mount,
    Namespace,
    Process,
    Resources,
    Rlimit,
    Root,
    Spec,
)
from tests.unit.runtime.config.bundle import EXAMPLE, changed, read, refusal, with_

HELD = capabilities.mask(["AUDIT_WRITE", "KILL", "NET_BIND_SERVICE"])


def test_the_usual_configuration_becomes_the_values_that_it_names() -> None:
    assert read(EXAMPLE) == Spec(
        version="1.2.0",
        process=Process(
            arguments=("sh",),
            environment=("PATH=/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"),
            working_directory="/",
            capabilities=Capabilities(bounding=HELD, effective=HELD, permitted=HELD),
            rlimits=(Rlimit(resource=flags.RLIMITS.index("nofile"), soft=512, hard=1024),),
            terminal=True,
            rows=25,
            columns=80,
            no_new_privileges=True,
        ),
        root=Root(path="rootfs", read_only=True),
        hostname="box",
        mounts=(
            Mount(destination="/proc", type="proc", source="proc"),
            Mount(
                destination="/dev",
                type="tmpfs",
                source="tmpfs",
                data=("mode=755", "size=65536k"),
                attributes=flags.MOUNT_ATTR_NOSUID | flags.MOUNT_ATTR_STRICTATIME,
                cleared=flags.MOUNT_ATTR__ATIME,
            ),
            Mount(
                destination="/dev/pts",
                type="devpts",
                source="devpts",
                data=("newinstance", "ptmxmode=0666", "mode=0620", "gid=5"),
                attributes=flags.MOUNT_ATTR_NOSUID | flags.MOUNT_ATTR_NOEXEC,
            ),
            Mount(
                destination="/sys",
                type="sysfs",
                source="sysfs",
                attributes=flags.MOUNT_ATTR_NOSUID
                | flags.MOUNT_ATTR_NOEXEC
                | flags.MOUNT_ATTR_NODEV
                | flags.MOUNT_ATTR_RDONLY,
            ),
            Mount(
                destination="/data",
                type="bind",
                source="volume",
                recursive=True,
                cleared=flags.MOUNT_ATTR_RDONLY,
                propagation=flags.MS_SLAVE | flags.MS_REC,
            ),
        ),
        linux=Linux(
            namespaces=tuple(Namespace(kind=kind) for kind in ("pid", "network", "ipc", "uts", "mount", "cgroup")),
            resources=Resources(devices=(DeviceRule(allow=False),)),
            masked_paths=("/proc/kcore", "/sys/firmware"),
            readonly_paths=("/proc/sys",),
        ),
    )


def test_the_smallest_configuration_has_a_program_and_a_root() -> None:
    document = {"ociVersion": "1.0.0", "process": {"args": ["true"], "cwd": "/"}, "root": {"path": "r"}}
    assert read(document) == Spec(version="1.0.0", process=Process(arguments=("true",)), root=Root(path="r"))


def test_the_decoded_json_is_handed_back_as_it_is() -> None:
    document = {**EXAMPLE, "annotations": {"a.b": "c"}, "vm": {"unknown": [1.5, None]}}
    spec, raw = config.parse(json.dumps(document).encode())
    assert raw == document
    assert spec.annotations == {"a.b": "c"}


def test_unknown_keys_are_ignored_wherever_they_are() -> None:
    document = json.loads(json.dumps(EXAMPLE))
    for place in (document, document["process"], document["linux"], document["mounts"][0], document["root"]):
        place["com.example"] = {"\0": [1e99]}
    assert read(document) == read(EXAMPLE)


def test_null_is_the_same_as_nothing() -> None:
    for path in ("hostname", "process.env", "process.capabilities", "linux.resources", "mounts", "annotations"):
        document = changed(path, None)
        place, _, key = path.rpartition(".")
        without = json.loads(json.dumps(document))
        (without[place] if place else without).pop(key)
        assert read(document) == read(without)


@pytest.mark.parametrize("version", ["1.0.0", "1.0.2-dev", "1.3.0", "1.2.0-rc.1", "1.1.0+dev", "1.99.0"])
def test_every_version_1_is_read(version: str) -> None:
    assert with_("ociVersion", version).version == version


@pytest.mark.parametrize(
    "version", ["0.5.0", "2.0.0", "1", "1.0", "1.0.0.0", "v1.0.0", "1.0.x", "10.0.0", "1.0.0\n", "\u0661.0.0"]
)
def test_other_versions_are_refused(version: str) -> None:
    assert refusal("ociVersion", version).startswith("ociVersion: ")


def test_what_has_to_be_there_is_missed_by_name() -> None:
    for path in ("ociVersion", "root", "root.path", "process.cwd", "linux.namespaces.0.type"):
        spoken = path.replace(".0.", "[0].")
        assert refusal(path, None) == f"{spoken}: is missing"
    assert refusal("process", None) == "process property must not be empty"
    assert refusal("process.args", None).startswith("process.args: must not be empty")


def test_a_process_alone_is_read_as_exec_gets_it() -> None:
    assert config.parse_process(json.dumps(EXAMPLE["process"]).encode()) == read(EXAMPLE).process
    with pytest.raises(InvalidInput, match=r"^cwd: is missing"):
        config.parse_process(b'{"args": ["sh"]}')


def test_hooks_keep_their_order_and_their_kinds() -> None:
    hook = {"path": "/bin/a", "args": ["a", "b"], "env": ["K=v"], "timeout": 5}
    hooks = with_("hooks", {"poststop": [hook, {"path": "/bin/b"}], "createRuntime": [hook]}).hooks
    assert [item.path for item in hooks.poststop] == ["/bin/a", "/bin/b"]
    (first,) = hooks.create_runtime
    assert (first.arguments, first.environment, first.timeout_seconds) == (("a", "b"), ("K=v",), 5)
    assert hooks.poststop[1].arguments == ("/bin/b",)
    assert hooks.prestart == hooks.create_container == hooks.start_container == hooks.poststart == ()
