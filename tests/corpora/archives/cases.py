"""The corpus: archives that have broken somebody's reader, and what must become of each.

Owns: one function per case. Leaves to others: unpacking them and looking at the result (the test that runs the corpus).

A case gives the bytes of an archive. `refused` says that it must be refused with a sentence that holds this text; `made`
says what must be there afterwards, by name: see `Made`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from tests.corpora.archives.tar import (
    BLOCK,
    END,
    archive,
    base256,
    device,
    directory,
    fifo,
    file,
    hardlink,
    header,
    long,
    octal,
    pad,
    pax,
    record,
    symlink,
    with_xattrs,
)


@dataclass(frozen=True)
class Made:
    """What a name must be: "file", "directory", "symlink", "fifo", "character", "block", or "absent"."""

    kind: str
    content: bytes | None = None
    mode: int | None = None
    uid: int | None = None
    target: str | None = None
    mtime_ns: int | None = None
    links: int | None = None
    device: tuple[int, int] | None = None
    xattrs: dict[str, bytes] = field(default_factory=dict)
    size: int | None = None


@dataclass(frozen=True)
class Case:
    name: str
    data: bytes
    refused: str = ""
    made: dict[str, Made] = field(default_factory=dict)


CASES: dict[str, Callable[[], Case]] = {}


def refused(text: str) -> Callable[[Callable[[], bytes]], Callable[[], bytes]]:
    """The archive must be refused, and say why."""

    def register(build: Callable[[], bytes]) -> Callable[[], bytes]:
        CASES[build.__name__] = lambda: Case(build.__name__, build(), refused=text)
        return build

    return register


def makes(**made: Made) -> Callable[[Callable[[], bytes]], Callable[[], bytes]]:
    """The archive must be unpacked; names are written with "__" for "/" and "_dot_" for "."."""

    def register(build: Callable[[], bytes]) -> Callable[[], bytes]:
        names = {name.replace("__", "/").replace("_dot_", "."): what for name, what in made.items()}
        CASES[build.__name__] = lambda: Case(build.__name__, build(), made=names)
        return build

    return register


FILE = Made("file", b"content\n")
ABSENT = Made("absent")
DIRECTORY = Made("directory")


# ---- names that want out


@refused("leaves the archive's directory by '..'")
def dotdot() -> bytes:
    return archive(file("../canary"))


@refused("leaves the archive's directory by '..'")
def dotdot_inside() -> bytes:
    return archive(directory("a"), file("a/../../canary"))


@refused("leaves the archive's directory by '..'")
def dotdot_that_stays_inside() -> bytes:
    return archive(directory("a"), file("a/../b"))


@refused("leaves the archive's directory by '..'")
def dotdot_at_the_end() -> bytes:
    return archive(directory("a/.."))


@refused("leaves the archive's directory by '..'")
def dotdot_alone() -> bytes:
    return archive(directory("..", mode=0o777))


@refused("leaves the archive's directory by '..'")
def dotdot_in_pax() -> bytes:
    return archive(pax({"path": "../canary"}) + file("innocent"))


@refused("leaves the archive's directory by '..'")
def dotdot_in_long_name() -> bytes:
    return archive(long("x/" * 60 + "../" * 70 + "canary") + file("innocent"))


@refused("leaves the archive's directory by '..'")
def dotdot_in_prefix() -> bytes:
    return archive(file("canary", prefix=".."))


@makes(canary=FILE)
def absolute_name() -> bytes:
    return archive(file("/canary"))


@makes(a__canary=FILE)
def absolute_name_with_many_slashes() -> bytes:
    return archive(file("///a//.///canary"))


@makes(a__b=FILE)
def dot_components() -> bytes:
    return archive(directory("./a/."), file("./a/./b"))


@makes(a=DIRECTORY)
def root_entry_is_passed_over() -> bytes:
    return archive(
        directory("./", mode=0o700, uid=12345), directory("/", mode=0), directory(".", mode=0), directory("a")
    )


@refused("only a directory can be the root")
def root_as_file() -> bytes:
    return archive(file("./"))


@refused("only a directory can be the root")
def root_as_symlink() -> bytes:
    return archive(symlink("/", "/tmp"))


@refused("only a directory can be the root")
def empty_name() -> bytes:
    return archive(file(""))


@refused("the name is too long")
def component_of_300_bytes() -> bytes:
    return archive(long("n" * 300) + file("n"))


@makes(**{"n" * 255: FILE})
def component_of_255_bytes() -> bytes:
    return archive(long("n" * 255) + file("n"))


@refused("the name is too long")
def name_of_5000_bytes() -> bytes:
    return archive(long("d/" * 2500 + "f") + file("n"))


@makes(**{"/".join(["d" * 100] * 39): DIRECTORY})
def name_of_3938_bytes() -> bytes:
    return archive(pax({"path": "/".join(["d" * 100] * 39)}) + directory("d"))


@refused("holds a NUL")
def nul_in_pax_path() -> bytes:
    return archive(pax({"path": b"good\0/../../canary"}) + file("x"))


@refused("holds a NUL")
def nul_in_pax_linkpath() -> bytes:
    return archive(pax({"linkpath": b"a\0b"}) + symlink("x", "y"))


@makes(good=FILE)
def nul_in_long_name_ends_it() -> bytes:
    return archive(long(b"good\0/../../canary") + file("x"))


@makes(**{"a\nb": FILE, "\x1b]0;x\x07": FILE})
def names_that_terminals_obey() -> bytes:
    return archive(file("a\nb"), file("\x1b]0;x\x07"))


@refused("entry '\\x1b]0;x\\x07/../y'")
def terminal_codes_in_an_error() -> bytes:
    return archive(file("\x1b]0;x\x07/../y"))


@makes(**{"\udcff\udcfe": FILE})
def name_that_is_no_utf8() -> bytes:
    return archive(file(b"\xff\xfe"))


# ---- symbolic links


@makes(link=Made("symlink", target="../../.."), canary=ABSENT)
def symlink_out_is_only_a_symlink() -> bytes:
    return archive(symlink("link", "../../.."))


@makes(link=Made("symlink", target=".."), canary=FILE)
def write_through_symlink_to_parent() -> bytes:
    return archive(symlink("link", ".."), file("link/canary"))


@makes(canary=FILE)
def write_through_symlink_chain() -> bytes:
    return archive(symlink("a", "/"), symlink("b", "a/.."), symlink("c", "b/../../.."), file("c/canary"))


@makes(tmp=DIRECTORY, tmp__canary=FILE)
def write_through_absolute_symlink() -> bytes:
    return archive(symlink("link", "/tmp"), file("link/canary"))


@makes(proc__self__root__canary=FILE)
def write_through_proc() -> bytes:
    return archive(symlink("link", "/proc/self/root"), file("link/canary"))


@refused("too many symbolic links")
def symlink_loop() -> bytes:
    return archive(symlink("a", "b"), symlink("b", "a"), file("a/f"))


@refused("too many symbolic links")
def symlink_to_itself() -> bytes:
    return archive(symlink("a", "a/a"), file("a/f"))


@makes(link=FILE, canary=ABSENT)
def file_replaces_symlink() -> bytes:
    return archive(symlink("link", "../canary"), file("link"))


@makes(link=Made("directory", mode=0o700))
def directory_replaces_symlink() -> bytes:
    return archive(symlink("link", ".."), directory("link", mode=0o700))


@makes(link=Made("directory"), link__f=FILE, b=DIRECTORY, b__f=ABSENT)
def directory_replaces_symlink_to_directory() -> bytes:
    return archive(directory("b"), symlink("link", "b"), file("link/f1"), directory("link"), file("link/f"))


@makes(link=Made("symlink", target="b"), a=ABSENT)
def symlink_replaces_file() -> bytes:
    return archive(file("link"), symlink("link", "b"))


@makes(link=Made("symlink", target="b"))
def symlink_replaces_full_directory() -> bytes:
    return archive(directory("link"), file("link/x/y/z"), symlink("link", "b"))


@refused("a part of the path is not a directory")
def file_below_file() -> bytes:
    return archive(file("a"), file("a/b"))


@makes(a=Made("symlink", target="b"), b=DIRECTORY, b__f=FILE)
def write_below_dangling_symlink() -> bytes:
    return archive(symlink("a", "b"), file("a/f"))


@refused("the target of the symbolic link is empty")
def symlink_to_nothing() -> bytes:
    return archive(symlink("a", ""))


@refused("the target of the symbolic link is too long")
def symlink_with_long_target() -> bytes:
    return archive(long("t" * 4096, b"K") + symlink("a", "t"))


@makes(a=Made("symlink", target="t" * 4000))
def symlink_with_target_of_4000_bytes() -> bytes:
    return archive(pax({"linkpath": "t" * 4000}) + symlink("a", "t"))


@makes(a=Made("symlink", target="x", uid=1234, mtime_ns=10**18))
def symlink_has_owner_and_time() -> bytes:
    return archive(symlink("a", "x", uid=1234))


@makes(link=Made("file", mode=0o4777))
def mode_of_a_file_that_was_a_symlink() -> bytes:
    """CVE-2021-32760: the mode of an entry must not reach through a symlink of the same name."""
    return archive(symlink("link", "../canary"), file("link", mode=0o4777))


# ---- hard links


@refused("leaves the archive's directory by '..'")
def hardlink_out() -> bytes:
    return archive(hardlink("a", "../canary"))


@refused("doesn't exist")
def hardlink_to_absolute_host_file() -> bytes:
    return archive(hardlink("a", "/etc/passwd"))


@refused("doesn't exist")
def hardlink_through_symlink_out() -> bytes:
    return archive(symlink("up", ".."), hardlink("a", "up/canary"))


@refused("doesn't exist")
def hardlink_to_nothing() -> bytes:
    return archive(hardlink("a", "b"))


@makes(s=Made("symlink", target="../canary", links=2), a=Made("symlink", target="../canary"))
def hardlink_to_symlink_links_the_symlink() -> bytes:
    return archive(symlink("s", "../canary"), hardlink("a", "s"))


@makes(a=Made("file", b"new\n"), s=Made("symlink", target="../canary"))
def write_over_hardlink_to_symlink() -> bytes:
    return archive(symlink("s", "../canary"), hardlink("a", "s"), file("a", b"new\n"))


@refused("can't lead to a directory")
def hardlink_to_directory() -> bytes:
    return archive(directory("d"), hardlink("a", "d"))


@refused("can't lead to the root directory")
def hardlink_to_root() -> bytes:
    return archive(hardlink("a", "/"))


@makes(a=Made("file", b"content\n", links=2), b=Made("file", b"content\n", links=2))
def hardlink_before_and_after() -> bytes:
    return archive(file("a"), hardlink("b", "/a"))


@makes(a=Made("file", b"content\n", links=1))
def hardlink_to_itself() -> bytes:
    return archive(file("a"), hardlink("a", "./a"))


@makes(a=Made("file", b"content\n", links=2), b=Made("file", b"content\n"))
def hardlink_twice() -> bytes:
    return archive(file("a"), hardlink("b", "a"), hardlink("b", "a"))


@refused("replaces its own target")
def hardlink_over_the_directory_of_its_target() -> bytes:
    return archive(directory("d"), file("d/f"), hardlink("d", "d/f"))


@makes(a=Made("file", b"content\n", links=2), b=Made("file", b"content\n"), c=Made("file", b"content\n"))
def hardlink_with_size_has_no_data() -> bytes:
    return archive(file("a"), header("b", b"1", link="a", size=8), file("c"))


@makes(b=Made("file", b"new\n", links=1), a=Made("file", b"content\n", links=1))
def file_replaces_hardlink_without_touching_the_other() -> bytes:
    return archive(file("a"), hardlink("b", "a"), file("b", b"new\n"))


# ---- one thing replaces another


@makes(a=Made("file", b"2"))
def file_twice() -> bytes:
    return archive(file("a", b"1" * 1000), file("a", b"2"))


@makes(a=FILE)
def file_replaces_full_directory() -> bytes:
    return archive(directory("a"), file("a/b/c/d"), symlink("a/s", ".."), file("a"))


@makes(a=Made("directory", mode=0o711), a__b=FILE)
def directory_twice_merges() -> bytes:
    return archive(directory("a"), file("a/b"), directory("a", mode=0o711))


@makes(a=Made("directory"))
def directory_replaces_file() -> bytes:
    return archive(file("a"), directory("a"))


@makes(a=Made("fifo"))
def fifo_replaces_file() -> bytes:
    return archive(file("a"), fifo("a"))


@makes(a=FILE)
def file_replaces_fifo() -> bytes:
    return archive(fifo("a"), file("a"))


@makes(a=FILE)
def file_replaces_device() -> bytes:
    return archive(device("a", b"3", 1, 5), file("a"))


@makes(a=Made("symlink", target="c"), b__f=ABSENT, c__f=FILE)
def parent_changes_under_our_feet() -> bytes:
    return archive(directory("b"), symlink("a", "b"), file("a/g"), symlink("a", "c"), directory("c"), file("a/f"))


@makes(a__b__f=FILE, a__b__one=ABSENT)
def kept_parent_is_removed() -> bytes:
    return archive(file("a/b/one"), file("a"), directory("a"), file("a/b/f"))


# ---- attributes


@makes(a=Made("file", mode=0o6755, uid=1000))
def set_id_bits_survive_the_owner() -> bytes:
    return archive(file("a", mode=0o6755, uid=1000, gid=1000))


@makes(a=Made("directory", mode=0o1777, mtime_ns=5 * 10**8 * 10**9), a__f=FILE)
def directory_times_come_last() -> bytes:
    return archive(directory("a", mode=0o1777, mtime=5 * 10**8), file("a/f"))


@makes(a=Made("file", mode=0o7777))
def type_bits_in_the_mode_are_dropped() -> bytes:
    return archive(file("a", mode=0o107777 & 0o7777777))


@makes(a=Made("file", uid=3_000_000_000))
def owner_in_base256() -> bytes:
    return archive(file("a", uid=3_000_000_000))


@makes(a=Made("file", uid=4_294_967_294))
def largest_owner() -> bytes:
    return archive(pax({"uid": "4294967294"}) + file("a"))


@refused("not a possible user or group id")
def owner_minus_one() -> bytes:
    return archive(file("a", uid=0xFFFFFFFF))


@refused("not a possible user or group id")
def owner_beyond_32_bits() -> bytes:
    return archive(pax({"uid": "4294967296"}) + file("a"))


@refused("not a possible user or group id")
def group_beyond_32_bits() -> bytes:
    return archive(pax({"gid": "18446744073709551"}) + file("a"))


@refused("not a possible user or group id")
def owner_negative() -> bytes:
    return archive(file("a", fields={108: base256(-1, 8)}))


@makes(a=Made("file", mtime_ns=-86400 * 10**9))
def time_before_1970() -> bytes:
    return archive(file("a", mtime=-86400))


@makes(a=Made("file", mtime_ns=1_600_000_000_123_456_789))
def time_with_nanoseconds() -> bytes:
    return archive(pax({"mtime": "1600000000.1234567891"}) + file("a"))


@makes(a=Made("file", mtime_ns=-1_500_000_000))
def time_negative_with_fraction() -> bytes:
    return archive(pax({"mtime": "-1.5"}) + file("a"))


@makes(a=Made("file", b"content\n", xattrs={"user.x": b"a\0b\nc=d"}))
def xattr_with_binary_value() -> bytes:
    return archive(with_xattrs(file("a"), {"user.x": b"a\0b\nc=d"}))


@makes(a=Made("directory", xattrs={"user.empty": b""}))
def xattr_that_is_empty() -> bytes:
    return archive(with_xattrs(directory("a"), {"user.empty": b""}))


@makes(a=Made("file", xattrs={"user.x": b"\0\xff binary"}))
def xattr_of_libarchive() -> bytes:
    return archive(with_xattrs(file("a"), {"user.x": b"\0\xff binary"}, libarchive=True))


CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000")  # cap_net_bind_service=ep


@makes(a=Made("file", mode=0o755, uid=1000, xattrs={"security.capability": CAPABILITY}))
def capability_survives_the_owner() -> bytes:
    return archive(with_xattrs(file("a", mode=0o755, uid=1000), {"security.capability": CAPABILITY}))


@makes(a=Made("directory"), b=Made("file"))
def xattrs_of_overlayfs_are_dropped() -> bytes:
    names = ("trusted.overlay.opaque", "trusted.overlay.redirect", "trusted.overlay.metacopy", "user.overlay.opaque")
    return archive(
        with_xattrs(directory("a"), dict.fromkeys(names, b"y")),
        with_xattrs(file("b"), {**dict.fromkeys(names, b"/etc"), "trusted.overlay.whiteout": b"y"}),
    )


@makes(a=Made("symlink", target="x"))
def xattr_that_a_symlink_cannot_have() -> bytes:
    return archive(with_xattrs(symlink("a", "x"), {"user.x": b"1"}))


@refused("has no name")
def xattr_without_name() -> bytes:
    return archive(pax({"SCHILY.xattr.": b"1"}) + file("a"))


@refused("too many extended attributes")
def xattrs_without_end() -> bytes:
    return archive(with_xattrs(file("a"), {f"user.{i}": b"" for i in range(2000)}))


@refused("malformed")
def xattr_with_bad_base64() -> bytes:
    return archive(pax({"LIBARCHIVE.xattr.user.x": b"!!!"}) + file("a"))


# ---- special files


@makes(
    a=Made("character", device=(1, 3)), b=Made("block", device=(8, 200)), c=Made("character", device=(4095, 1048575))
)
def devices() -> bytes:
    return archive(device("a", b"3", 1, 3), device("b", b"4", 8, 200), device("c", b"3", 4095, 1048575))


@refused("out of range")
def device_number_too_large() -> bytes:
    return archive(device("a", b"3", 4096, 0))


@makes(a=Made("fifo", mode=0o644))
def fifos() -> bytes:
    return archive(fifo("a"))


@makes(a=ABSENT, b=FILE)
def overlay_whiteout_as_device() -> bytes:
    return archive(device("a", b"3", 0, 0), file("b"))


# ---- whiteouts (in a first layer there is nothing to hide)


@makes(a=FILE, **{"_dot_wh_dot_b".replace("_dot_", "."): ABSENT})
def whiteout_of_nothing() -> bytes:
    return archive(file("a"), file(".wh.b", b""))


@makes(a=FILE)
def whiteout_of_what_the_layer_has() -> bytes:
    return archive(file("a"), file(".wh.a", b""))


@makes(d=DIRECTORY, d__a=FILE, d__b=FILE)
def opaque_between_files() -> bytes:
    return archive(directory("d"), file("d/a"), file("d/.wh..wh..opq", b""), file("d/b"))


@refused("names no file")
def whiteout_without_name() -> bytes:
    return archive(file(".wh.", b""))


@refused("names no file")
def whiteout_of_dot() -> bytes:
    return archive(file("d/x"), file("d/.wh..", b""))


@refused("names no file")
def whiteout_of_dotdot() -> bytes:
    return archive(file("d/x"), file("d/.wh...", b""))


@makes(up=Made("symlink", target=".."), canary=ABSENT)
def whiteout_through_symlink() -> bytes:
    return archive(symlink("up", ".."), file("up/.wh.canary", b""), file("up/.wh..wh..opq", b""))


@makes(nowhere=ABSENT)
def whiteout_in_missing_directory() -> bytes:
    return archive(file("nowhere/.wh.x", b""))


@refused("can't be named .wh.*")
def directory_named_like_a_whiteout() -> bytes:
    return archive(file(".wh.d/f"))


@makes(a=FILE, **{".wh..wh.plnk": ABSENT})
def files_of_aufs_are_passed_over() -> bytes:
    return archive(directory(".wh..wh.plnk"), file(".wh..wh.plnk/1.2"), file(".wh..wh.aufs", b""), file("a"))


# ---- the format


@makes(a=FILE, b=FILE)
def without_end_mark() -> bytes:
    return file("a") + file("b")


@makes(a=FILE)
def with_one_zero_block() -> bytes:
    return file("a") + b"\0" * BLOCK


@makes(a=FILE, b=ABSENT)
def garbage_behind_the_end() -> bytes:
    return archive(file("a")) + file("b") + b"garbage" * 1000


@refused("single zero block")
def zero_block_between_entries() -> bytes:
    return file("a") + b"\0" * BLOCK + archive(file("b"))


@refused("cut off")
def cut_in_a_header() -> bytes:
    return archive(file("a"), file("b"))[:1300]


@refused("no tar archive, or its beginning only")
def cut_in_the_first_header() -> bytes:
    return archive(file("a"))[:300]


@refused("cut off")
def cut_in_the_data() -> bytes:
    return archive(file("a", b"x" * 5000))[:2000]


@refused("cut off")
def cut_in_the_padding() -> bytes:
    return archive(file("a", b"x" * 100))[: BLOCK + 200]


@refused("cut off")
def cut_in_an_extended_header() -> bytes:
    return (pax({"path": "x" * 2000}) + archive(file("a")))[:1500]


@refused("ends behind an extended header")
def extended_header_without_entry() -> bytes:
    return archive(file("a"), pax({"path": "b"}))


@refused("this is no tar archive")
def not_an_archive() -> bytes:
    return b"#!/bin/sh\nexit 0\n" * 100


@refused("checksum")
def damaged_header() -> bytes:
    return archive(file("a"), header("b", checksum=1))


@makes(a=FILE)
def checksum_of_signed_bytes() -> bytes:
    block = bytearray(header(b"a", size=8))
    block[108:116] = b"\x80\0\0\0\0\0\0\0"  # a byte with the high bit: the two sums differ by 256
    block[148:156] = b" " * 8
    total = sum(byte - 256 if byte > 127 else byte for byte in block)
    block[148:156] = f"{total:06o}\0 ".encode()
    return bytes(block) + pad(b"content\n") + END


@refused("malformed")
def number_that_is_none() -> bytes:
    return archive(header("a", fields={124: b"12x4567890\0\0"}))


@refused("out of range")
def size_negative() -> bytes:
    return archive(header("a", fields={124: base256(-512, 12)}))


@refused("malformed")
def size_wider_than_64_bits() -> bytes:
    return archive(header("a", fields={124: b"\x80\x01" + b"\0" * 10}))


@refused("there is space for")
def size_of_an_exabyte() -> bytes:
    return archive(header("a", size=1 << 60))


@refused("unknown type")
def type_unknown() -> bytes:
    return archive(header("a", b"Q"))


@refused("unknown type")
def type_of_a_multi_volume_archive() -> bytes:
    return archive(header("a", b"M"))


@makes(a=FILE)
def type_contiguous_is_a_file() -> bytes:
    return archive(header("a", b"7", size=8) + pad(b"content\n"))


@makes(a=FILE, d=DIRECTORY)
def old_headers_without_magic() -> bytes:
    return archive(
        header("a", b"\0", size=8, magic=b"") + pad(b"content\n"),
        header("d/", b"\0", magic=b"", mode=0o755),
    )


@makes(**{"p/q/a": FILE})
def name_with_prefix() -> bytes:
    return archive(file("a", prefix="p/q"))


@makes(a=FILE, x=ABSENT)
def gnu_header_has_no_prefix() -> bytes:
    return archive(file("a", magic=b"ustar  \0", prefix="x/y"))


@makes(**{"p/a": FILE})
def star_header_has_a_shorter_prefix() -> bytes:
    return archive(file("a", prefix="p", fields={476: octal(0, 12), 488: octal(0, 12), 508: b"tar\0"}))


@makes(**{"n" * 120: FILE})
def long_name_wins_over_pax() -> bytes:
    return archive(pax({"path": "other"}) + long("n" * 120) + file("n"))


@makes(b=FILE, a=ABSENT)
def last_extended_header_counts() -> bytes:
    return archive(pax({"path": "a"}) + pax({"path": "b"}) + file("x"))


@makes(a=FILE, b=ABSENT)
def global_header_is_passed_over() -> bytes:
    return archive(pax({"path": "b", "comment": "x"}, b"g"), file("a"))


@makes(a=FILE, b=FILE)
def extended_header_counts_once() -> bytes:
    return archive(pax({"path": "b"}) + file("x"), file("a"))


@makes(a=Made("file", b"12345678"))
def size_in_pax_counts() -> bytes:
    return archive(pax({"size": "8"}) + header("a", size=0) + pad(b"12345678"))


@refused("malformed")
def pax_record_with_wrong_length() -> bytes:
    return archive(pax(b"99 path=a\n") + file("x"))


@refused("malformed")
def pax_record_with_huge_length() -> bytes:
    return archive(pax(b"18446744073709551615 path=a\n") + file("x"))


@refused("malformed")
def pax_record_without_newline() -> bytes:
    return archive(pax(b"10 path=ab") + file("x"))


@refused("malformed")
def pax_record_without_key() -> bytes:
    return archive(pax(b"6 =ab\n") + file("x"))


@refused("malformed")
def pax_record_of_length_zero() -> bytes:
    return archive(pax(b"0 path=a\n") + file("x"))


@refused("malformed")
def pax_size_that_is_none() -> bytes:
    return archive(pax({"size": "-1"}) + file("x"))


@refused("an extended header is too large")
def extended_header_of_a_gigabyte() -> bytes:
    return header("x", b"x", size=1 << 30)


@refused("an extended header is too large")
def long_name_of_a_gigabyte() -> bytes:
    return header("x", b"L", size=1 << 30)


@makes(a=FILE)
def empty_extended_headers() -> bytes:
    return archive(header("x", b"x"), file("a"))


@makes(a=FILE)
def volume_header_is_passed_over() -> bytes:
    return archive(header("label", b"V"), file("a"))


@makes(a=FILE, d=DIRECTORY)
def directory_with_size_has_no_data() -> bytes:
    return archive(header("d", b"5", size=1024, mode=0o755), file("a"))


# ---- sparse files


def sparse_gnu(pieces: list[tuple[int, int]], real: int, data: bytes, *, extended: bool = False) -> bytes:
    """GNU's old form: four pieces in the header, 21 in each further block."""

    def numbers(some: list[tuple[int, int]]) -> bytes:
        return b"".join(number(offset) + number(length) for offset, length in some)

    def number(value: int) -> bytes:
        return octal(value, 12) if value < 1 << 33 else base256(value, 12)

    fields = {386: numbers(pieces[:4]), 482: b"\1" if len(pieces) > 4 or extended else b"\0", 483: number(real)}
    entry = header("s", b"S", size=len(data), magic=b"ustar  \0", fields=fields)
    rest = pieces[4:]
    while rest or extended:
        block = numbers(rest[:21]).ljust(504, b"\0") + (b"\1" if len(rest) > 21 else b"\0")
        entry += block.ljust(BLOCK, b"\0")
        rest, extended = rest[21:], False
    return entry + pad(data)


SPARSE = b"\0" * 4096 + b"abc" + b"\0" * (8192 - 4099) + b"xy" + b"\0" * 98


@makes(s=Made("file", SPARSE))
def sparse_gnu_old() -> bytes:
    return archive(sparse_gnu([(4096, 3), (8192, 2), (8292, 0)], 8292, b"abcxy"))


@makes(s=Made("file", b"".join(b"%d" % (i % 10) + b"\0" * 99 for i in range(60))))
def sparse_gnu_with_further_blocks() -> bytes:
    return archive(
        sparse_gnu([*((100 * i, 1) for i in range(60)), (6000, 0)], 6000, b"".join(b"%d" % (i % 10) for i in range(60)))
    )


@makes(s=Made("file", SPARSE))
def sparse_pax_0_0() -> bytes:
    records = record("GNU.sparse.size", "8292") + record("GNU.sparse.numblocks", "3")
    for offset, length in ((4096, 3), (8192, 2), (8292, 0)):
        records += record("GNU.sparse.offset", str(offset)) + record("GNU.sparse.numbytes", str(length))
    return archive(pax(records) + header("s", size=5) + pad(b"abcxy"))


@makes(s=Made("file", SPARSE), x=ABSENT)
def sparse_pax_0_1() -> bytes:
    records = {
        "GNU.sparse.size": "8292",
        "GNU.sparse.map": "4096,3,8192,2,8292,0",
        "GNU.sparse.name": "s",
        "GNU.sparse.numblocks": "3",
    }
    return archive(pax(records) + header("x", size=5) + pad(b"abcxy"))


@makes(s=Made("file", SPARSE), x=ABSENT, after=FILE)
def sparse_pax_1_0() -> bytes:
    records = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "s", "GNU.sparse.realsize": "8292"}
    data = pad(b"3\n4096\n3\n8192\n2\n8292\n0\n") + b"abcxy"
    return archive(pax(records) + header("x", size=len(data)) + pad(data), file("after"))


@makes(s=Made("file", size=1 << 40))
def sparse_file_of_a_terabyte() -> bytes:
    return archive(sparse_gnu([(1 << 39, 1)], 1 << 40, b"x"))


@refused("out of order")
def sparse_pieces_that_overlap() -> bytes:
    return archive(sparse_gnu([(0, 10), (5, 10)], 100, b"x" * 20))


@refused("out of order")
def sparse_piece_beyond_the_end() -> bytes:
    return archive(sparse_gnu([(95, 10)], 100, b"x" * 10))


@refused("doesn't match its data")
def sparse_pieces_without_their_data() -> bytes:
    return archive(sparse_gnu([(0, 10)], 100, b"x" * 5))


@refused("malformed")
def sparse_map_that_is_none() -> bytes:
    records = {"GNU.sparse.size": "10", "GNU.sparse.map": "1,2,3", "GNU.sparse.name": "s"}
    return archive(pax(records) + header("x", size=2) + pad(b"ab"))


@refused("too many pieces")
def sparse_map_of_a_million_pieces() -> bytes:
    records = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "s", "GNU.sparse.realsize": "1"}
    data = pad(b"1000000\n")
    return archive(pax(records) + header("x", size=len(data)) + pad(data))


@refused("longer than its data")
def sparse_map_without_end() -> bytes:
    records = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "s", "GNU.sparse.realsize": "1"}
    data = b"9\n" + b"1\n" * 5
    return archive(pax(records) + header("x", size=len(data)) + pad(data), file("b"))


@refused("unknown format")
def sparse_format_of_the_future() -> bytes:
    records = {"GNU.sparse.major": "2", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "1"}
    return archive(pax(records) + header("x", size=0))
