"""Where a container's cgroup lies: cgroupsPath as config-linux.md, runc and crun read it."""

from __future__ import annotations

from pathlib import Path

import pytest

from minirun.errors import InvalidInput, NotSupported
from minirun.runtime.cgroups import ContainerCgroup, Hierarchy
from minirun.runtime.cgroups.placement import directory_of, expand_slice, own_cgroup, unit_of
from minirun.runtime.spec import DeviceRule, Memory, Resources

TREE = Hierarchy("/cg")


@pytest.mark.parametrize(
    ("path", "directory"),
    [
        ("", "/cg/one"),
        ("/a/b", "/cg/a/b"),
        ("//a/./b/", "/cg/a/b"),
        ("a/b", "/cg/user/a/b"),
        ("a..b/...", "/cg/user/a..b/..."),
        ("system.slice:docker:one", "/cg/user/system.slice:docker:one"),
    ],
)
def test_a_path_is_below_the_mount_or_beside_us(path: str, directory: str) -> None:
    assert directory_of(TREE, path, "one", own="/user/session") == directory


def test_beside_a_process_at_the_top_is_at_the_top() -> None:
    assert directory_of(TREE, "a", "one", own="/") == "/cg/a"
    assert directory_of(TREE, "a", "one", own="/session") == "/cg/a"


@pytest.mark.parametrize("path", ["..", "../a", "/a/..", "/a/../../b", "a/../b", "/a\0b", "/a\nb", "/", ".", "/./"])
def test_a_path_leads_nowhere_else(path: str) -> None:
    with pytest.raises(InvalidInput, match="cgroupsPath"):
        directory_of(TREE, path, "one", own="/")


@pytest.mark.parametrize(
    ("lines", "place"),
    [
        ("0::/user.slice/a\n", "/user.slice/a"),
        ("9:name=systemd:/x\n4:memory:/y\n0::/z\n", "/z"),
        ("4:memory:/y\n", "/"),
        ("0::/a (deleted)\n", "/a"),
        ("0::/../../a\n", "/"),
        ("0::/a:b\n", "/a:b"),
    ],
)
def test_our_own_cgroup_is_the_one_of_version_2(tmp_path: Path, lines: str, place: str) -> None:
    (tmp_path / "cgroup").write_text(lines)
    assert own_cgroup(str(tmp_path / "cgroup")) == place


@pytest.mark.parametrize(
    ("path", "unit"),
    [
        ("", ("system.slice", "minirun-one.scope")),
        ("machine.slice:libpod:abc", ("machine.slice", "libpod-abc.scope")),
        (":docker:abc", ("system.slice", "docker-abc.scope")),
        ("-:runc:abc", ("-.slice", "runc-abc.scope")),
        ("-.slice::abc", ("-.slice", "abc.scope")),
        ("a-b.slice:ignored:a-c.slice", ("a-b.slice", "a-c.slice")),
    ],
)
def test_a_path_names_slice_and_unit(path: str, unit: tuple[str, str]) -> None:
    assert unit_of(path, "one") == unit


@pytest.mark.parametrize(
    "path",
    [
        *[
            "/a/b",
            "a",
            "a:b",
            "a:b:c:d",
            "a/b.slice:c:d",
            "a:c:d",
            ".slice:c:d",
            "a--b.slice:c:d",
            "-a.slice:c:d",
            "..:c:d",
            "a.slice:c:",
        ],
        *["a.slice:c:d/e", "a.slice:c:d\0", "a.slice:c:d e", "a.slice:c:-d.slice"],
    ],
)
def test_what_is_no_unit_is_refused(path: str) -> None:
    with pytest.raises(InvalidInput, match="cgroupsPath"):
        unit_of(path, "one")


def test_a_unit_has_no_longer_name_than_systemd_allows() -> None:
    assert unit_of(f"a.slice:c:{'d' * 247}", "one")
    with pytest.raises(InvalidInput, match="cgroupsPath"):
        unit_of(f"a.slice:c:{'d' * 248}", "one")


def test_a_slice_lies_in_the_slices_of_its_name() -> None:
    assert expand_slice("a.slice") == "/a.slice"
    assert expand_slice("a-b-c.slice") == "/a.slice/a-b.slice/a-b-c.slice"
    assert expand_slice("-.slice") == ""


# ---- the drivers


def test_each_driver_has_its_place() -> None:
    assert ContainerCgroup.place(TREE, "/a", "one", "cgroupfs") == ContainerCgroup(path="/cg/a")
    assert ContainerCgroup.place(TREE, "/a", "one", "disabled") == ContainerCgroup()
    systemd = ContainerCgroup.place(TREE, "a-b.slice:p:n", "one", "systemd")
    assert (systemd.path, systemd.unit) == ("/cg/a.slice/a-b.slice/p-n.scope", "p-n.scope")
    inner = ContainerCgroup.place(TREE, ":p:n", "one", "systemd", {"run.oci.systemd.subgroup": "container"})
    assert inner.path == "/cg/system.slice/p-n.scope/container"
    assert ContainerCgroup.place(TREE, ":p:a-c.slice", "one", "systemd").path == "/cg/a.slice/a-c.slice"
    with pytest.raises(InvalidInput, match="cgroupfs, systemd, disabled"):
        ContainerCgroup.place(TREE, "/a", "one", "other")


@pytest.mark.parametrize("name", [".", "..", "a/b", "a\0"])
def test_a_subgroup_is_one_name(name: str) -> None:
    with pytest.raises(InvalidInput, match="subgroup"):
        ContainerCgroup.place(TREE, ":p:n", "one", "systemd", {"run.oci.systemd.subgroup": name})


@pytest.mark.parametrize("driver", ["cgroupfs", "systemd"])
def test_a_delegated_cgroup_is_one_name_beneath(driver: str) -> None:
    path = "/a" if driver == "cgroupfs" else ":p:n"
    plain = ContainerCgroup.place(TREE, path, "one", driver)
    wanted = {"run.oci.delegate-cgroup": "inner"}
    for name in ("inner", "/inner"):
        found = ContainerCgroup.place(TREE, path, "one", driver, {"run.oci.delegate-cgroup": name})
        assert found == plain.replace(delegated="inner")
    with pytest.raises(InvalidInput, match="delegate-cgroup"):
        ContainerCgroup.place(TREE, path, "one", driver, {"run.oci.delegate-cgroup": "../x"})
    with pytest.raises(NotSupported, match="delegate-cgroup"):
        ContainerCgroup.place(TREE, path, "one", "disabled", wanted)


def test_without_cgroups_a_limit_is_refused_and_nothing_else_fails() -> None:
    none = ContainerCgroup.place(TREE, "", "one", "disabled")
    assert none.create(Resources(pids_limit=-1, devices=(DeviceRule(allow=False),))) == "cgroups are disabled"
    with pytest.raises(NotSupported, match=r"memory\.max"):
        none.create(Resources(memory=Memory(limit=1 << 20)))
    assert (none.exists(), none.is_frozen(), none.is_populated(), none.processes(), none.oom_kills()) == (
        False, False, False, [], 0,
    )  # fmt: skip
    none.join(0)
    none.kill()
    none.delegate(1000)
    none.remove()
    for refused in (none.freeze, none.stats, lambda: none.update(Resources())):
        with pytest.raises(NotSupported):
            refused()
