"""`mounts`: options, one by one and together."""

from __future__ import annotations

import pytest

from minirun.errors import InvalidInput
from minirun.linux import flags as f
from minirun.runtime.config import parse_mount_options
from minirun.runtime.spec import IdMapping, Mount
from tests.unit.runtime.config.bundle import changed, read, refusal, with_

ATIME = f.MOUNT_ATTR__ATIME
PAIRS = {
    "ro": ("rw", f.MOUNT_ATTR_RDONLY),
    "nosuid": ("suid", f.MOUNT_ATTR_NOSUID),
    "nodev": ("dev", f.MOUNT_ATTR_NODEV),
    "noexec": ("exec", f.MOUNT_ATTR_NOEXEC),
    "nodiratime": ("diratime", f.MOUNT_ATTR_NODIRATIME),
    "nosymfollow": ("symfollow", f.MOUNT_ATTR_NOSYMFOLLOW),
}


def mount(**item: object) -> Mount:
    """Read the one mount of a configuration."""
    return with_("mounts", [{"destination": "/m", **item}]).mounts[0]


@pytest.mark.parametrize("name", PAIRS)
def test_an_option_sets_its_attribute_and_its_opposite_clears_it(name: str) -> None:
    opposite, bit = PAIRS[name]
    for options, expected in (
        ([name], (bit, 0)),
        ([opposite], (0, bit)),
        ([name, opposite], (0, bit)),
        ([opposite, name], (bit, 0)),
    ):
        found = parse_mount_options(options, "tmpfs")
        assert (found.attributes, found.cleared) == expected
        assert (found.tree_attributes, found.tree_cleared, found.data) == (0, 0, ())
        found = parse_mount_options([f"r{option}" for option in options], "tmpfs")
        assert (found.tree_attributes, found.tree_cleared) == expected
        assert (found.attributes, found.cleared, found.data) == (0, 0, ())


@pytest.mark.parametrize(
    ("options", "mode"),
    [
        (["noatime"], f.MOUNT_ATTR_NOATIME),
        (["strictatime"], f.MOUNT_ATTR_STRICTATIME),
        (["relatime"], 0),
        (["noatime", "atime"], 0),
        (["noatime", "strictatime"], f.MOUNT_ATTR_STRICTATIME),
        (["strictatime", "nostrictatime"], 0),
        (["noatime", "norelatime"], 0),
    ],
)
def test_access_times_are_one_field_that_is_cleared_whole(options: list[str], mode: int) -> None:
    found = parse_mount_options(options, "tmpfs")
    assert (found.attributes, found.cleared) == (mode, ATIME)
    found = parse_mount_options(["r" + option for option in options], "tmpfs")
    assert (found.tree_attributes, found.tree_cleared) == (mode, ATIME)


@pytest.mark.parametrize("name", f.PROPAGATIONS)
def test_propagation_is_no_option_of_the_file_system(name: str) -> None:
    found = parse_mount_options([name], "none")
    assert (found.propagation, found.data, found.type) == (f.PROPAGATIONS[name], (), "none")


def test_options_of_the_superblock_are_data_of_a_new_file_system_and_nothing_to_a_bind() -> None:
    options = ["sync", "dirsync", "mand", "lazytime", "size=1m"]
    assert parse_mount_options(options, "tmpfs").data == tuple(options)
    assert parse_mount_options(["bind", "sync", "lazytime"], "none").data == ()
    assert parse_mount_options(["sync", "async", "nolazytime", "nomand"], "tmpfs").data == ()
    assert parse_mount_options(["remount", "sync", "async", "nolazytime"], "tmpfs").data == ("async", "nolazytime")


def test_options_that_mean_nothing_to_a_kernel_never_reach_it() -> None:
    options = ["defaults", "", "silent", "loud", "iversion", "noiversion", "nofail", "auto", "x-systemd.automount"]
    found = parse_mount_options(options, "tmpfs")
    assert found == parse_mount_options([], "tmpfs")


def test_everything_else_is_the_file_systems_own() -> None:
    assert parse_mount_options(["mode=755", "rw", "hidepid=2", "r"], "proc").data == ("mode=755", "hidepid=2", "r")


def test_one_entry_may_hold_several_options_of_the_file_system() -> None:
    assert parse_mount_options(["mode=755,size=1m"], "tmpfs").data == ("mode=755", "size=1m")
    assert parse_mount_options(['context="a:b:c1,c2"'], "tmpfs").data == ('context="a:b:c1,c2"',)
    assert parse_mount_options(["lowerdir=/a\\,b"], "overlay").data == ("lowerdir=/a\\,b",)


def test_a_bind_is_told_by_its_options_or_its_type() -> None:
    for kind, options, recursive in (
        ("none", ["bind"], False),
        ("", ["rbind"], True),
        ("bind", [], False),
        ("tmpfs", ["rbind", "bind"], True),
    ):
        found = mount(type=kind, source="/s", options=options)
        assert (found.type, found.recursive, found.source) == ("bind", recursive, "/s")


def test_a_mount_that_says_too_little_is_refused() -> None:
    assert "mounts[0].type: is missing" in refusal("mounts", [{"destination": "/m", "source": "tmpfs"}])
    assert "mounts[0].source: is missing" in refusal("mounts", [{"destination": "/m", "options": ["bind"]}])
    assert mount(options=["remount", "ro"]).remount


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("/a//b/", "/a/b"),
        ("a", "/a"),
        ("//a", "/a"),
        ("/x/../proc", "/proc"),
        ("../../etc", "/etc"),
        ("/dev/./pts", "/dev/pts"),
    ],
)
def test_a_destination_is_absolute_and_names_one_place(written: str, meant: str) -> None:
    assert mount(destination=written, type="tmpfs").destination == meant


def test_nothing_is_mounted_over_the_root() -> None:
    assert "must not be /" in refusal("mounts", [{"destination": "/x/..", "type": "tmpfs"}])
    assert mount(destination="/", options=["remount", "ro"]).remount


def test_a_relative_source_is_left_to_who_knows_the_bundle() -> None:
    assert mount(source="../x", options=["bind"]).source == "../x"


def test_copy_up_is_for_a_tmpfs() -> None:
    assert mount(type="tmpfs", options=["tmpcopyup"]).copy_up
    assert "mounts[0].options: tmpcopyup" in refusal(
        "mounts", [{"destination": "/m", "type": "proc", "options": ["tmpcopyup"]}]
    )


RANGE = [{"containerID": 0, "hostID": 1000, "size": 10}]
MAPPING = (IdMapping(container_id=0, host_id=1000, size=10),)


def test_mappings_of_a_mount_make_it_id_mapped() -> None:
    for options, kind in ((["bind"], "idmap"), (["bind", "idmap"], "idmap"), (["rbind", "ridmap"], "ridmap")):
        found = mount(source="/s", options=options, uidMappings=RANGE, gidMappings=RANGE)
        assert (found.id_map, found.uid_mappings, found.gid_mappings) == (kind, MAPPING, MAPPING)


def test_a_mapping_of_one_kind_needs_the_other() -> None:
    item = {"destination": "/m", "source": "/s", "options": ["bind"], "uidMappings": RANGE}
    assert "mounts[0].gidMappings: is missing" in refusal("mounts", [item])


def test_an_id_mapped_mount_without_mappings_needs_a_user_namespace() -> None:
    item = {"destination": "/m", "source": "/s", "options": ["bind", "idmap"]}
    assert "mounts[0].options: idmap needs" in refusal("mounts", [item])
    document = changed("mounts", [item])
    document["linux"]["namespaces"].append({"type": "user", "path": "/proc/1/ns/user"})
    assert read(document).mounts[0].id_map == "idmap"


def test_mappings_may_stand_in_the_option() -> None:
    found = parse_mount_options(["idmap=uids=0-1000-10#20-30-1;gids=5-6-7"], "bind")
    assert found.uid_mappings == (*MAPPING, IdMapping(container_id=20, host_id=30, size=1))
    assert found.gid_mappings == (IdMapping(container_id=5, host_id=6, size=7),)
    assert found.id_map == "idmap"


def test_mappings_in_the_option_may_be_relative_to_the_container() -> None:
    container = (IdMapping(container_id=0, host_id=0, size=1), IdMapping(container_id=1, host_id=2, size=1000))
    found = parse_mount_options(["idmap=uids=@1-3-10;gids=0-0-1"], "bind", container)
    assert found.uid_mappings == (IdMapping(container_id=1, host_id=4, size=10),)


@pytest.mark.parametrize(
    "option",
    [
        "idmap=uids=0-0-1",
        "idmap=x",
        "idmap=uids=0-0-0;gids=0-0-1",
        "idmap=uids=0-0;gids=0-0-1",
        "idmap=uids=0-0--1;gids=0-0-1",
        "idmap=uids=4294967295-0-1;gids=0-0-1",
        "idmap=uids=0-0-99999999999;gids=0-0-1",
        "idmap=uids=@0-0-1;gids=0-0-1",
        "idmap=uids=0-0-1;uids=0-0-1",
        "ridmap=uids=;gids=0-0-1",
    ],
)
def test_mappings_in_the_option_that_are_none_are_refused(option: str) -> None:
    with pytest.raises(InvalidInput, match="idmap"):
        parse_mount_options([option], "bind")
