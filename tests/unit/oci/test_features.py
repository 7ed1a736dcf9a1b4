"""The features document has the specification's shape, and nothing in it is a promise that parsing breaks."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import minirun
from minirun.runtime import capabilities, config
from minirun.runtime.features import features

# features.md, features-linux.md: key, and what it holds. A tuple is an object, a list an array of strings.
SHAPE: dict[str, Any] = {
    "ociVersionMin": str,
    "ociVersionMax": str,
    "hooks": list,
    "mountOptions": list,
    "annotations": dict,
    "potentiallyUnsafeConfigAnnotations": list,
    "linux": {
        "namespaces": list,
        "capabilities": list,
        "cgroup": {"v1": bool, "v2": bool, "systemd": bool, "systemdUser": bool, "rdma": bool},
        "seccomp": {
            "enabled": bool,
            "actions": list,
            "operators": list,
            "archs": list,
            "knownFlags": list,
            "supportedFlags": list,
        },
        "apparmor": {"enabled": bool},
        "selinux": {"enabled": bool},
        "intelRdt": {"enabled": bool},
        "mountExtensions": {"idmap": {"enabled": bool}},
        "netDevices": {"enabled": bool},
        "memoryPolicy": {"modes": list, "flags": list},
    },
}


def check(value: Any, shape: Any, path: str) -> None:
    if isinstance(shape, dict):
        assert set(value) == set(shape), path
        for key, inner in shape.items():
            check(value[key], inner, f"{path}.{key}")
    else:
        assert type(value) is shape, path
        if shape is list:
            assert value
            assert all(type(item) is str for item in value), path
            assert len(set(value)) == len(value), path
        if shape is dict:
            assert all(type(item) is str for item in value.values()), path


def test_the_document_has_the_shape_of_the_specification() -> None:
    check(features(), SHAPE, "")


@pytest.mark.parametrize("key", ["ociVersionMin", "ociVersionMax"])
def test_both_versions_are_accepted(key: str) -> None:
    assert parse({"ociVersion": features()[key]})


def test_every_hook_is_read() -> None:
    hooks = features()["hooks"]
    spec = parse({"hooks": {name: [{"path": "/bin/true"}] for name in hooks}})
    assert all(getattr(spec.hooks, field) for field in spec.hooks._fields)
    assert len(hooks) == len(spec.hooks._fields)


def test_every_mount_option_is_known_and_none_is_passed_to_a_file_system() -> None:
    options = features()["mountOptions"]
    assert {"ro", "rro", "rbind", "rslave", "tmpcopyup", "idmap", "nosymfollow", "defaults", "lazytime"} <= set(options)
    plain = {"sync", "dirsync", "mand", "lazytime"}
    for option in options:
        assert set(config.parse_mount_options([option], "tmpfs").data) <= plain, option


def test_every_namespace_and_capability_is_read() -> None:
    linux = features()["linux"]
    spec = parse({"linux": {"namespaces": [{"type": kind} for kind in linux["namespaces"] if kind != "user"]}})
    assert len(spec.linux.namespaces) == len(linux["namespaces"]) - 1
    assert capabilities.mask(linux["capabilities"]) == capabilities.ALL


def test_every_word_of_seccomp_is_read() -> None:
    seccomp = features()["linux"]["seccomp"]
    rules = [{"names": ["read"], "action": action} for action in seccomp["actions"] if action != "SCMP_ACT_NOTIFY"] + [
        {"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 1, "valueTwo": 1, "op": op}]}
        for op in seccomp["operators"]
    ]
    profile = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": seccomp["archs"],
        "flags": seccomp["supportedFlags"],
        "syscalls": rules,
    }
    assert parse({"linux": {"seccomp": profile}}).linux.seccomp
    assert set(seccomp["supportedFlags"]) <= set(seccomp["knownFlags"])


def parse(changes: dict[str, Any]) -> Any:
    import json

    document = {"ociVersion": "1.2.0", "process": {"cwd": "/", "args": ["x"]}, "root": {"path": "r"}} | changes
    if "linux" not in document:
        document["linux"] = {"namespaces": [{"type": "mount"}]}
    else:
        document["linux"] = {"namespaces": [{"type": "mount"}]} | document["linux"]
    return config.parse(json.dumps(document).encode())[0]


def test_every_annotation_that_is_obeyed_is_called_unsafe() -> None:
    """features.md, "Unsafe annotations in config.json": an engine leaves these to who it trusts."""
    obeyed: set[str] = set()
    for path in Path(minirun.__file__).parent.joinpath("runtime").rglob("*.py"):
        obeyed |= set(re.findall(r'"((?:run\.oci|org\.systemd\.property)\.[\w.]*)"', path.read_text()))
    prefixes = tuple(features()["potentiallyUnsafeConfigAnnotations"])
    assert len(obeyed) > 6
    assert all(prefix.endswith(".") for prefix in prefixes)
    assert not [name for name in obeyed if not name.startswith(prefixes)]
