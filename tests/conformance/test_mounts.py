"""config.md: "Mounts", "Linux mount options", "POSIX-platform Mounts"."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

from tests.conformance.bundles import Box


class Seen:
    """One line of the container's /proc/self/mountinfo. proc_pid_mountinfo(5)."""

    def __init__(self, line: str) -> None:
        first, _, second = line.partition(" - ")
        fields = first.split()
        self.root, self.destination, self.options, self.ties = (
            fields[3],
            fields[4],
            set(fields[5].split(",")),
            fields[6:],
        )
        self.type, self.source, data = second.split()
        self.data = set(data.split(","))


def mounts(box: Box) -> list[Seen]:
    """Run the container and give its mounts, in the kernel's order."""
    box.process["args"] = ["cat", "/proc/self/mountinfo"]
    return [Seen(line) for line in box.run().stdout.splitlines()]


def mounted(box: Box, destination: str) -> Seen:
    """Run the container and give its mount there."""
    (found,) = [mount for mount in mounts(box) if mount.destination == destination]
    return found


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A directory of the host, on disk, with a file, and a directory on which the same is mounted again."""
    tmp_path.chmod(0o711)
    top = tmp_path / "tree"
    (top / "below").mkdir(parents=True)
    (top / "file").write_text("of the host")
    return top


# ---- Order and place


def test_mounts_are_made_in_the_listed_order(box: Box, tree: Path) -> None:
    box.mount("/a", "tmpfs", "tmpfs")
    box.mount("/a/b", "bind", str(tree), "bind")
    box.mount("/a/b/below", "tmpfs", "tmpfs")
    box.mount("/c", "none", str(tree), "rbind", "rslave")
    box.mount("/d", "tmpfs", "tmpfs")
    wanted = ["/a", "/a/b", "/a/b/below", "/c", "/d"]
    assert [mount.destination for mount in mounts(box) if mount.destination in wanted] == wanted


def test_a_later_mount_covers_an_earlier_one(box: Box, tree: Path) -> None:
    box.mount("/place", "tmpfs", "tmpfs")
    box.mount("/place", "bind", str(tree), "bind")
    assert box.shell("cat /place/file") == "of the host"


def test_a_relative_destination_is_relative_to_the_root(box: Box, tree: Path) -> None:
    box.mount("some/place", "bind", str(tree), "bind")
    assert box.shell("cat /some/place/file") == "of the host"


def test_a_relative_source_is_relative_to_the_bundle(box: Box) -> None:
    (box.path / "beside").mkdir()
    (box.path / "beside/file").write_text("of the host")
    box.mount("/place", "bind", "beside", "bind")
    assert box.shell("cat /place/file") == "of the host"


def test_a_file_can_be_bound(box: Box, tree: Path) -> None:
    box.mount("/etc/new/file", "bind", str(tree / "file"), "bind", "ro")
    assert box.shell("cat /etc/new/file; echo x 2>/dev/null > /etc/new/file || echo refused") == "of the hostrefused"


@pytest.mark.parametrize("where", ["/link", "/link/below"])
def test_a_destination_through_a_link_stays_inside(box: Box, tree: Path, where: str) -> None:
    outside = box.path / "outside"
    outside.mkdir()
    (box.rootfs / "link").symlink_to(outside)
    box.mount(where, "bind", str(tree), "bind")
    assert box.shell(f"cat {where}/file") == "of the host"
    assert list(outside.iterdir()) == []


def test_a_bind_without_a_source_is_an_error(box: Box) -> None:
    box.config["mounts"].append({"destination": "/place", "options": ["bind"]})
    assert box.create(check=False).returncode == 1


def test_a_bind_of_nothing_is_an_error(box: Box) -> None:
    box.mount("/place", "bind", str(box.path / "nowhere"), "bind")
    assert box.create(check=False).returncode == 1
    assert not box.exists()


# ---- Options that are attributes of a mount: what they set, and what the opposite takes back

SET = [
    (["ro"], {"ro"}, {"rw"}),
    (["ro", "rw"], {"rw"}, {"ro"}),
    (["nosuid"], {"nosuid"}, set()),
    (["nosuid", "suid"], set(), {"nosuid"}),
    (["nodev"], {"nodev"}, set()),
    (["nodev", "dev"], set(), {"nodev"}),
    (["noexec"], {"noexec"}, set()),
    (["noexec", "exec"], set(), {"noexec"}),
    (["noatime"], {"noatime"}, {"relatime"}),
    (["noatime", "atime"], set(), {"noatime"}),
    (["nodiratime"], {"nodiratime"}, set()),
    (["nodiratime", "diratime"], set(), {"nodiratime"}),
    (["relatime"], {"relatime"}, {"noatime"}),
    (["noatime", "relatime"], {"relatime"}, {"noatime"}),
    (["strictatime"], set(), {"relatime", "noatime"}),
    (["strictatime", "nostrictatime"], {"relatime"}, set()),
    (["nosymfollow"], {"nosymfollow"}, set()),
    (["nosymfollow", "symfollow"], set(), {"nosymfollow"}),
    (["defaults"], {"rw", "relatime"}, {"nosuid", "nodev", "noexec"}),
    (["norelatime"], set(), {"noatime"}),
]
NAMES = ["+".join(options) for options, _, _ in SET]


@pytest.mark.parametrize(("options", "there", "missing"), SET, ids=NAMES)
def test_an_attribute_of_a_new_file_system(box: Box, options, there, missing) -> None:
    box.mount("/place", "tmpfs", "tmpfs", *options)
    seen = mounted(box, "/place").options
    assert there <= seen
    assert not missing & seen


@pytest.mark.parametrize(("options", "there", "missing"), SET, ids=NAMES)
def test_an_attribute_of_a_bind(box: Box, tree: Path, options, there, missing) -> None:
    box.mount("/place", "none", str(tree), "bind", *options)
    seen = mounted(box, "/place").options
    assert there <= seen
    assert not missing & seen


RECURSIVE = [
    (["rro"], {"ro"}, {"rw"}),
    (["ro", "rrw"], {"rw"}, {"ro"}),
    (["rnosuid"], {"nosuid"}, set()),
    (["nosuid", "rsuid"], set(), {"nosuid"}),
    (["rnodev"], {"nodev"}, set()),
    (["nodev", "rdev"], set(), {"nodev"}),
    (["rnoexec"], {"noexec"}, set()),
    (["noexec", "rexec"], set(), {"noexec"}),
    (["rnoatime"], {"noatime"}, {"relatime"}),
    (["rnoatime", "ratime"], set(), {"noatime"}),
    (["rnodiratime"], {"nodiratime"}, set()),
    (["rnodiratime", "rdiratime"], set(), {"nodiratime"}),
    (["rnoatime", "rrelatime"], {"relatime"}, {"noatime"}),
    (["rstrictatime"], set(), {"relatime", "noatime"}),
    (["rnosymfollow"], {"nosymfollow"}, set()),
    (["rnosymfollow", "rsymfollow"], set(), {"nosymfollow"}),
    (["rnorelatime"], set(), {"noatime"}),
    (["rstrictatime", "rnostrictatime"], {"relatime"}, set()),
]


@pytest.mark.parametrize(("options", "there", "missing"), RECURSIVE, ids=["+".join(row[0]) for row in RECURSIVE])
def test_a_recursive_attribute_holds_for_all_beneath(box: Box, tree: Path, options, there, missing) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", tree / "below"], check=True)
    try:
        box.mount("/place", "none", str(tree), "rbind", *options)
        found = {mount.destination: mount.options for mount in mounts(box)}
    finally:
        subprocess.run(["umount", tree / "below"], check=True)
    for seen in (found["/place"], found["/place/below"]):
        assert there <= seen
        assert not missing & seen


def test_ro_without_recursion_leaves_what_lies_beneath(box: Box, tree: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", tree / "below"], check=True)
    try:
        box.mount("/place", "none", str(tree), "rbind", "ro")
        found = {mount.destination: mount.options for mount in mounts(box)}
    finally:
        subprocess.run(["umount", tree / "below"], check=True)
    assert "ro" in found["/place"]
    assert "rw" in found["/place/below"]


def test_bind_takes_one_mount_and_rbind_all(box: Box, tree: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", tree / "below"], check=True)
    try:
        box.mount("/one", "none", str(tree), "bind")
        box.mount("/all", "none", str(tree), "rbind")
        found = {mount.destination for mount in mounts(box)}
    finally:
        subprocess.run(["umount", tree / "below"], check=True)
    assert "/all/below" in found
    assert "/one/below" not in found


# ---- Options of the file system itself


@pytest.mark.parametrize(
    ("options", "there"),
    [
        (["sync"], {"sync"}),
        (["dirsync"], {"dirsync"}),
        (["lazytime"], {"lazytime"}),
        (["sync", "async"], set()),
        (["lazytime", "nolazytime"], set()),
        (["size=1m"], {"size=1024k"}),
        (["size=1m,nr_inodes=100"], {"size=1024k", "nr_inodes=100"}),
        (["mode=0700"], {"mode=700"}),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, list) else "",
)
def test_an_option_of_the_file_system(box: Box, options, there) -> None:
    box.mount("/place", "tmpfs", "tmpfs", *options)
    seen = mounted(box, "/place").data
    assert there <= seen
    assert not ({"sync", "dirsync", "lazytime"} - there) & seen


@pytest.mark.parametrize("option", ["silent", "loud", "iversion", "noiversion", "nomand", "async", "defaults"])
def test_an_option_without_a_trace_is_accepted(box: Box, option: str) -> None:
    box.mount("/place", "tmpfs", "tmpfs", option)
    assert mounted(box, "/place").type == "tmpfs"


def test_an_option_that_nobody_knows_goes_to_the_file_system_which_refuses_it(box: Box) -> None:
    box.mount("/place", "tmpfs", "tmpfs", "nosuchoption")
    done = box.create(check=False)
    assert done.returncode == 1
    assert "nosuchoption" in done.stderr or "/place" in done.stderr


def test_remount_changes_a_mount_that_is_there(box: Box) -> None:
    box.mount("/place", "tmpfs", "tmpfs", "size=1m")
    box.mount("/place", "tmpfs", "tmpfs", "remount", "ro", "nosuid", "size=2m")
    found = mounted(box, "/place")
    assert {"ro", "nosuid"} <= found.options
    assert "size=2048k" in found.data


def test_remount_of_what_is_no_mount_is_an_error(box: Box) -> None:
    box.mount("/etc", "tmpfs", "tmpfs", "remount", "ro")
    assert box.create(check=False).returncode == 1


# ---- tmpfs


def test_a_tmpfs_has_the_mode_of_what_it_covers_unless_it_has_one(box: Box) -> None:
    for name in ("covered", "given"):
        (box.rootfs / name).mkdir()
        (box.rootfs / name).chmod(0o2705)
    box.mount("/covered", "tmpfs", "tmpfs")
    box.mount("/given", "tmpfs", "tmpfs", "mode=710")
    box.mount("/new", "tmpfs", "tmpfs")
    assert box.shell("stat -c %a /covered /given /new").split() == ["2705", "710", "1777"]


def test_a_read_only_tmpfs_holds_what_is_mounted_in_it(box: Box, tree: Path) -> None:
    box.mount("/place", "tmpfs", "tmpfs", "ro")
    box.mount("/place/inside", "none", str(tree), "bind")
    assert box.shell("cat /place/inside/file; touch /place/x 2>/dev/null || echo closed") == "of the hostclosed"


def test_dev_may_be_read_only(box: Box) -> None:
    (dev,) = [mount for mount in box.config["mounts"] if mount["destination"] == "/dev"]
    dev["options"].append("ro")
    assert box.shell("echo x > /dev/null && touch /dev/x 2>/dev/null || echo closed; ls /dev/pts/ptmx") == (
        "closed\n/dev/pts/ptmx"
    )


# ---- Propagation


@pytest.mark.parametrize("name", ["shared", "slave", "private", "unbindable"])
@pytest.mark.parametrize("recursive", [False, True])
def test_propagation_of_a_bind(box: Box, tree: Path, name: str, recursive: bool) -> None:
    box.mount("/place", "none", str(tree), "rbind" if recursive else "bind", ("r" if recursive else "") + name)
    (tie, *_) = [tie.partition(":")[0] for tie in mounted(box, "/place").ties] or [""]
    assert tie == {"shared": "shared", "unbindable": "unbindable"}.get(name, "")


def test_a_slave_follows_its_master_on_the_host(box: Box, tree: Path) -> None:
    subprocess.run(["mount", "--bind", tree, tree], check=True)
    subprocess.run(["mount", "--make-shared", tree], check=True)
    try:
        box.mount("/slave", "none", str(tree), "rbind", "rslave")
        box.mount("/private", "none", str(tree), "rbind", "rprivate")
        box.process["args"] = [
            "sh",
            "-c",
            "while ! test -e /slave/below/new; do sleep 0.05; done; ls /private/below; echo seen",
        ]
        box.create()
        box.start()
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", tree / "below"], check=True)
        (tree / "below/new").touch()
        box.wait_until_stopped()
        assert box.printed == "seen\n"
    finally:
        box.delete("--force")
        subprocess.run(["umount", "-R", tree], check=True)


def test_no_mount_of_the_container_reaches_the_host(box: Box, tree: Path) -> None:
    subprocess.run(["mount", "--bind", tree, tree], check=True)
    subprocess.run(["mount", "--make-shared", tree], check=True)
    try:
        box.mount("/place", "none", str(tree), "rbind", "rslave")
        box.mount("/place/below", "tmpfs", "tmpfs")
        box.create()
        assert f" {tree}/below " not in Path("/proc/self/mountinfo").read_text()
    finally:
        box.delete("--force")
        subprocess.run(["umount", "-R", tree], check=True)


# ---- tmpcopyup


def test_a_tmpfs_can_begin_with_what_it_covers(box: Box) -> None:
    place = box.rootfs / "srv"
    (place / "directory").mkdir(parents=True)
    (place / "directory/file").write_text("content")
    os.chown(place / "directory/file", 12, 34)
    (place / "directory/file").chmod(0o4711)
    (place / "link").symlink_to("/etc/passwd")
    os.mkfifo(place / "fifo")
    box.mount("/srv", "tmpfs", "tmpfs", "tmpcopyup")
    script = (
        "stat -c '%n %a %u %g %F' /srv/directory/file /srv/fifo; readlink /srv/link; echo more >> /srv/directory/file"
    )
    assert box.shell(script) == "/srv/directory/file 4711 12 34 regular file\n/srv/fifo 644 0 0 fifo\n/etc/passwd"
    assert (place / "directory/file").read_text() == "content"
    assert stat.S_ISFIFO((place / "fifo").stat().st_mode)


def test_what_the_options_of_such_a_tmpfs_say_of_its_root_counts(box: Box) -> None:
    (box.rootfs / "srv").mkdir()
    (box.rootfs / "srv/file").write_text("")
    os.chown(box.rootfs / "srv", 3, 4)
    (box.rootfs / "srv").chmod(0o751)
    for place, options in (("/srv", ["mode=1700", "uid=7"]), ("/srv/../srv/new", [])):
        box.mount(place, "tmpfs", "tmpfs", "tmpcopyup", *options)
    assert box.shell("stat -c '%a %u %g' /srv; ls /srv") == "1700 7 4\nfile\nnew"


def test_a_directory_and_a_file_are_not_mounted_on_each_other(box: Box) -> None:
    (box.path / "file").write_text("")
    box.mount("/bin", "bind", str(box.path / "file"), "bind")
    done = box.create(check=False)
    assert done.returncode == 1
    assert "on /bin: not a directory" in done.stderr  # dockerd looks for these words


# ---- ID-mapped mounts


def mapping(inside: int, outside: int, size: int = 1000) -> list[dict[str, int]]:
    return [{"containerID": inside, "hostID": outside, "size": size}]


@pytest.mark.needs("kernel>=5.12")
@pytest.mark.parametrize("kind", ["idmap", "ridmap"])
def test_a_mount_with_mappings_shows_other_owners(box: Box, tree: Path, kind: str) -> None:
    os.chown(tree / "file", 5, 6)
    box.mount("/place", "none", str(tree), "bind", kind, uidMappings=mapping(0, 70000), gidMappings=mapping(0, 80000))
    assert box.shell("stat -c '%u %g' /place/file") == "70005 80006"
    assert (tree / "file").stat().st_uid == 5


@pytest.mark.needs("kernel>=6.3")
def test_a_new_file_system_with_mappings_shows_other_owners(box: Box) -> None:
    box.mount("/place", "tmpfs", "tmpfs", uidMappings=mapping(0, 70000), gidMappings=mapping(0, 80000))
    assert box.shell("stat -c '%u %g' /place") == "70000 80000"


@pytest.mark.needs("kernel>=5.12")
def test_ridmap_reaches_what_lies_beneath_and_idmap_does_not(box: Box, tree: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", tree / "below"], check=True)
    try:
        mappings = {"uidMappings": mapping(0, 70000), "gidMappings": mapping(0, 80000)}
        box.mount("/one", "none", str(tree), "rbind", "idmap", **mappings)
        box.mount("/all", "none", str(tree), "rbind", "ridmap", **mappings)
        assert box.shell("stat -c %u /one /one/below /all /all/below") == "70000\n0\n70000\n70000"
    finally:
        subprocess.run(["umount", tree / "below"], check=True)


@pytest.mark.needs("kernel>=5.12")
def test_a_mount_without_mappings_takes_those_of_the_user_namespace(box: Box, tree: Path) -> None:
    box.in_user_namespace()
    os.chown(tree / "file", 5, 6)
    box.mount("/place", "none", str(tree), "bind", "idmap")
    assert box.shell("stat -c '%u %g' /place/file") == "5 6"


def test_idmap_without_any_mapping_is_an_error(box: Box, tree: Path) -> None:
    box.mount("/place", "none", str(tree), "bind", "idmap")
    assert box.create(check=False).returncode == 1
    assert not box.exists()


@pytest.mark.parametrize("key", ["uidMappings", "gidMappings"])
def test_one_kind_of_mapping_needs_the_other(box: Box, tree: Path, key: str) -> None:
    box.mount("/place", "none", str(tree), "bind", "idmap", **{key: mapping(0, 70000)})
    assert box.create(check=False).returncode == 1
