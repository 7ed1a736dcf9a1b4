"""Importing, naming, finding and removing images; what is left after a kill or a full disk."""

from __future__ import annotations

import gzip
import io
import os
import resource
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from minirun.errors import Conflict, Corrupt, InvalidInput, MinirunError, NotFound
from minirun.images import adding, compression, layers
from minirun.images.check import fingerprint
from tests.conftest import CHECKOUT
from tests.corpora.archives import tar
from tests.corpora.archives.images import Content, docker_old, pack
from tests.integration.images.conftest import files_of, open_store, rows_of

ROOTFS = tar.archive(tar.directory("bin"), tar.file("bin/sh", b"#!", mode=0o755), tar.symlink("lib", "usr/lib"))
NOTHING = ["images/blobs/sha256", "images/index.json", "images/oci-layout", "snapshots/staging"]


def bring(store, data=ROOTFS, name="thing", **more):
    return store.import_archive(io.BytesIO(data), name, **more)


def test_an_import_can_be_for_another_machine(store):
    image = bring(store, platform="linux/arm64/v8")
    assert (image.os, image.architecture) == ("linux", "arm64")
    assert store.configuration(image)["variant"] == "v8"
    assert "variant" not in store.configuration(bring(store, name="here"))
    with pytest.raises(InvalidInput, match="invalid platform"):
        bring(store, platform="linux/../x")


def use(store, image, status="running", container_id="c0ffee" + "0" * 58):
    store.connection.execute("INSERT INTO containers VALUES (?, ?, ?, '{}')", (container_id, image.id, status))


# ---- save


def test_more_images_are_saved_than_files_may_be_open(store):
    names = [f"many:{number}" for number in range(20)]
    for name in names:
        bring(store, tar.archive(tar.file(name)), name)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 10, limits[1]))
    try:
        archive = b"".join(store.save(names))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert os.listdir(f"{store.snapshots.root}/staging") == []
    assert archive.count(b'"RepoTags"') == 20


@pytest.mark.parametrize("which", ["config", "layer"])
def test_what_is_damaged_is_neither_saved_nor_shown(store, which):
    image = bring(store)
    layer = store.connection.execute("SELECT blobs FROM images").fetchone()[0][2:73]
    with open(store.blobs.path(image.id if which == "config" else layer), "r+b") as file:
        file.seek(30)
        file.write(b"!")
    with pytest.raises(Corrupt, match="it has changed: 'minirun system check --repair'"):
        b"".join(store.save(["thing"]))
    if which == "config":
        with pytest.raises(Corrupt, match="has changed"):
            store.document("thing", "config")


# ---- import


@pytest.mark.parametrize("pack_", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_import_makes_an_image_of_one_layer(pack_, store):
    image = bring(store, pack_(ROOTFS), changes=['CMD ["sh"]', "ENV A=1"], message="by hand")
    assert image.tags == ("thing:latest",)
    assert image.config == {"Cmd": ["sh"], "Env": ["A=1"]}
    assert image.os == "linux"
    assert len(image.layers) == 1
    assert store.configuration(image)["history"][0]["comment"] == "by hand"
    assert store.check(image) == []
    (lower,) = store.snapshots.lowers(image.chain_id)
    assert sorted(os.listdir(f"{store.snapshots.root}/{lower}")) == ["bin", "lib"]


def test_the_same_rootfs_is_unpacked_once(store):
    first, second = bring(store, name="one"), bring(store, gzip.compress(ROOTFS), name="two")
    assert first.id != second.id
    assert first.chain_id == second.chain_id
    assert store.connection.execute("SELECT count(*) FROM snapshots").fetchone() == (1,)


def test_an_import_without_name_has_only_an_id(store):
    image = bring(store, name="")
    assert image.tags == ()
    assert store.resolve(image.id[7:19]) == image


def test_the_root_directory_is_readable_whatever_the_umask(store):
    before = os.umask(0o077)
    try:
        image = bring(store)
    finally:
        os.umask(before)
    (lower,) = store.snapshots.lowers(image.chain_id)
    assert os.stat(f"{store.snapshots.root}/{lower}").st_mode & 0o777 == 0o755


BAD_IMPORTS = {
    "cut off": (ROOTFS[:2000], {}, Corrupt, "cut off"),
    "no end mark": (ROOTFS[:-1024], {}, Corrupt, "has no end mark"),
    "not an archive": (b"x" * 2000, {}, Corrupt, "this is no tar archive"),
    "escape": (tar.archive(tar.file("../x")), {}, Corrupt, "entry '../x': the name leaves"),
    "empty": (b"", {}, Corrupt, "is empty"),
    "bad name": (ROOTFS, {"name": "Bad Name"}, InvalidInput, "invalid reference format"),
    "name with digest": (ROOTFS, {"name": "a@sha256:" + "0" * 64}, InvalidInput, "a digest can't be given"),
    "bad change": (ROOTFS, {"changes": ["COPY a b"]}, InvalidInput, "invalid change 'COPY a b'"),
}


@pytest.mark.parametrize("name", BAD_IMPORTS)
def test_a_bad_import_leaves_nothing(name, store):
    data, more, kind, text = BAD_IMPORTS[name]
    with pytest.raises(kind) as caught:
        bring(store, data, **more)
    assert text in str(caught.value)
    assert set(files_of(store)) <= {"snapshots/staging", "snapshots"}
    assert rows_of(store.connection) == []


def test_a_bomb_is_refused(store, monkeypatch):
    monkeypatch.setattr(compression, "BOMB_BYTES", 1 << 20)
    bomb = gzip.compress(tar.file("zeros", b"\0" * (8 << 20)) + tar.END)
    with pytest.raises(Corrupt, match="decompression bomb"):
        bring(store, bomb)
    with pytest.raises(Corrupt, match="decompression bomb"):
        store.load(io.BytesIO(bomb))
    assert files_of(store) == ["snapshots/staging"]


# ---- finding


def test_what_a_name_or_an_id_leads_to(store):
    image = bring(store, name="busybox")
    for wanted in (
        "busybox",
        "busybox:latest",
        "library/busybox",
        "docker.io/library/busybox",
        "index.docker.io/library/busybox:latest",
        image.id,
        image.id[7:],
        image.id[7:19],
        image.id[:19],
        image.id[7:11],
    ):
        assert store.resolve(wanted) == image, wanted
    for wanted in (
        "busybox:1",
        "other",
        "f" * 64,
        "sha256:" + "f" * 64,
        "docker.io/me/busybox",
        "busybox@sha256:" + "0" * 64,
    ):
        said = {"other": "other:latest", "docker.io/me/busybox": "me/busybox:latest"}.get(wanted, wanted)
        with pytest.raises(NotFound, match=f"No such image: {said}"):
            store.resolve(wanted)


def test_a_name_wins_over_the_beginning_of_an_id(store):
    image = bring(store, name="one")
    other = bring(store, name=image.id[7:13])
    assert store.resolve(image.id[7:13]) == other


def test_an_ambiguous_id_is_said(store):
    image = bring(store)
    twin = image.id[:20] + ("0" if image.id[20] != "0" else "1") + image.id[21:]
    store.connection.execute(
        "INSERT INTO images SELECT ?, manifest_digest, manifest_type, manifest_size, config, architecture, os, created,"
        " created_ns, size_bytes, layers, blobs, chain_id FROM images",
        (twin,),
    )
    with pytest.raises(InvalidInput, match="ambiguous"):
        store.resolve(image.id[7:19])
    assert store.resolve(image.id).id == image.id


def test_resolve_asks_twice_at_most_and_reads_no_blob(store):
    image = bring(store)
    asked: list[str] = []
    store.connection.set_trace_callback(asked.append)
    store.resolve("thing")
    assert len(asked) == 1
    asked.clear()
    store.resolve(image.id[7:19])
    assert len(asked) <= 2
    assert "blobs" not in vars(open_store(Path(store.root).parent))


def test_tag_adds_and_moves_names(store):
    one, two = bring(store, name="one"), bring(store, name="two")
    store.tag("one", "registry:5000/team/app:1.2")
    assert store.resolve("one").tags == ("one:latest", "registry:5000/team/app:1.2")
    store.tag(two.id, "one")
    assert store.resolve("one").id == two.id
    assert store.resolve(one.id).tags == ("registry:5000/team/app:1.2",)
    with pytest.raises(NotFound):
        store.tag("three", "four")
    with pytest.raises(InvalidInput):
        store.tag("one", "UPPER")


def test_list_gives_the_newest_first(store):
    old = Content(names=["old"])
    store.load(io.BytesIO(pack(docker_old(old))))
    new = bring(store, name="new")
    assert [image.id for image in store.list()] == [new.id, old.id]


# ---- removing


def test_the_last_name_takes_the_image_with_it(store):
    image = bring(store)
    assert store.remove("thing") == ["Untagged: thing:latest", f"Deleted: {image.id}", f"Deleted: {image.chain_id}"]
    assert files_of(store) == NOTHING
    assert rows_of(store.connection) == []


def test_a_further_name_only_goes_itself(store):
    bring(store)
    store.tag("thing", "other")
    assert store.remove("thing") == ["Untagged: thing:latest"]
    assert store.resolve("other").tags == ("other:latest",)


def know(store, image, repository, digest="sha256:" + "5" * 64):
    """Let the image have been pulled from a repository or pushed there."""
    adding.set_digest(store.connection, f"docker.io/library/{repository}", digest, image.id)
    return f"{repository}@{digest}"


def test_an_id_takes_the_one_name_and_the_digests_of_its_repository(store):
    image = bring(store)
    digest = know(store, image, "thing")
    assert store.remove(image.id[7:19])[:3] == ["Untagged: thing:latest", f"Untagged: {digest}", f"Deleted: {image.id}"]
    assert store.list() == []


def test_with_the_last_name_of_a_repository_go_its_digests(store):
    image = bring(store)
    digest, other = know(store, image, "thing"), know(store, image, "other")
    store.tag("thing", "thing:2")
    assert store.remove("thing:2") == ["Untagged: thing:2"]
    assert store.remove("thing") == ["Untagged: thing:latest", f"Untagged: {digest}"]
    assert store.resolve(image.id).digests == (other,)
    assert store.remove(other)[:2] == [f"Untagged: {other}", f"Deleted: {image.id}"]


def test_a_digest_goes_alone_while_names_are_left(store):
    image = bring(store)
    digest = know(store, image, "thing")
    assert store.remove(digest) == [f"Untagged: {digest}"]
    assert store.resolve("thing").digests == ()


@pytest.mark.parametrize("second", ["other", "thing:2"])
def test_an_id_with_several_names_must_be_forced(store, second):
    image = bring(store)
    store.tag("thing", second)
    with pytest.raises(Conflict, match=r"\(must be forced\) - image is referenced in multiple repositories"):
        store.remove(image.id)
    assert len(store.remove(image.id, force=True)) == 4
    assert files_of(store) == NOTHING


@pytest.mark.parametrize("status", ["running", "exited", "created"])
def test_an_image_in_use_stays(status, store):
    image = bring(store)
    use(store, image, status)
    before = files_of(store)
    with pytest.raises(Conflict, match="container c0ffee000000 is using its referenced image"):
        store.remove("thing")
    with pytest.raises(Conflict, match=r"\(cannot be forced\)"):
        store.remove(image.id)
    with pytest.raises(Conflict, match=r"\(cannot be forced\)"):
        store.remove(image.id, force=True)
    assert store.remove("thing", force=True) == ["Untagged: thing:latest"]
    assert [name for name in files_of(store) if "index.json" not in name] == [
        n for n in before if "index.json" not in n
    ]
    store.connection.execute("DELETE FROM containers")
    store.remove(image.id)
    assert files_of(store) == NOTHING


def test_shared_layers_stay_as_long_as_somebody_needs_them(store):
    base = tar.archive(tar.file("base"))
    one = Content(layers=[base], names=["one"])
    two = Content(layers=[base, tar.archive(tar.file("more"))], names=["two"])
    store.load(io.BytesIO(pack(docker_old(one, two))))
    before = fingerprint(store, store.resolve("two"))
    store.remove("one")
    assert fingerprint(store, store.resolve("two")) == before
    assert store.check(store.resolve("two")) == []
    store.remove("two")
    assert files_of(store) == NOTHING
    assert rows_of(store.connection) == []


def test_a_missing_image_is_said(store):
    with pytest.raises(NotFound, match="No such image: nothing"):
        store.remove("nothing")


def test_check_and_fingerprint_see_every_change(store):
    image = bring(store)
    before = fingerprint(store, image)
    assert fingerprint(store, image) == before
    (lower,) = store.snapshots.lowers(image.chain_id)
    path = f"{store.snapshots.root}/{lower}/bin/sh"
    os.chmod(path, 0o700)
    assert fingerprint(store, image) != before
    os.chmod(path, 0o755)
    assert fingerprint(store, image) == before
    blob = next(Path(store.blobs.directory).iterdir())
    blob.write_bytes(b"changed")
    assert any("has changed" in problem for problem in store.check(image))
    blob.unlink()
    assert any("is missing" in problem for problem in store.check(image))


# ---- bad luck


def test_a_layer_that_vanishes_while_it_is_loaded_is_unpacked_again(store, monkeypatch):
    base = tar.archive(tar.file("base"))
    store.load(io.BytesIO(pack(docker_old(Content(layers=[base], names=["base"])))))
    publish = adding.Addition.publish
    attempts = []

    def publish_late(self, connection):
        attempts.append(self)
        if len(attempts) == 1:
            store.remove("base")  # what another process could do now
        publish(self, connection)

    monkeypatch.setattr(adding.Addition, "publish", publish_late)
    two = Content(layers=[base, tar.archive(tar.file("more"))], names=["two"])
    store.load(io.BytesIO(pack(docker_old(two))))
    assert len(attempts) == 2
    image = store.resolve("two")
    assert store.check(image) == []
    assert len(store.snapshots.lowers(image.chain_id)) == 2


def test_a_layer_below_that_vanishes_while_one_is_unpacked_is_no_error(store, monkeypatch):
    base = tar.archive(tar.file("base"))
    store.load(io.BytesIO(pack(docker_old(Content(layers=[base], names=["base"])))))
    read, calls = layers.read_layer, []

    def read_late(*arguments, lowers=(), **more):
        if lowers and not calls:
            calls.append(store.remove("base"))
        return read(*arguments, lowers=lowers, **more)

    monkeypatch.setattr(layers, "read_layer", read_late)
    two = Content(layers=[base, tar.archive(tar.file("more"))], names=["two"])
    store.load(io.BytesIO(pack(docker_old(two))))
    assert len(calls) == 1
    assert store.check(store.resolve("two")) == []


def test_an_error_while_publishing_undoes_everything(store, monkeypatch):
    bring(store, name="before")
    before = files_of(store), rows_of(store.connection)
    monkeypatch.setattr(
        adding, "set_tag", lambda *_, **__: (_ for _ in ()).throw(OSError(28, "No space left on device"))
    )
    with pytest.raises(MinirunError, match="No space left on device"):
        bring(store, tar.archive(tar.file("other")), name="after")
    assert (files_of(store), rows_of(store.connection)) == before


PROGRAM = """
import sys, io, os
from pathlib import Path
from tests.integration.images.conftest import open_store
images = open_store(Path(sys.argv[1]))
{}
"""


def run_program(root: Path, body: str, **options) -> subprocess.Popen[bytes]:
    text = PROGRAM.format(textwrap.dedent(body))
    return subprocess.Popen([sys.executable, "-c", text, str(root)], cwd=CHECKOUT, **options)


KILLS = {
    "after the first half of a pipe": (
        "images.import_archive(Half(), 'late')",
        "class Half:\n    def read(self, n): n or 1; os.kill(os.getpid(), 9)",
    ),
    "while a layer is unpacked": (
        "images.import_archive(open(sys.argv[0] or '/dev/null', 'rb'), 'late')",
        "from minirun.linux import untar\nuntar.Untar.finish = lambda self: os.kill(os.getpid(), 9)",
    ),
    "before the sync": (
        "bring('late')",
        "from minirun.storage import staging\nstaging.Stage.sync = lambda self: os.kill(os.getpid(), 9)",
    ),
    "after layers were renamed": (
        "bring('late')",
        "from minirun.images import adding\nadding.Addition._publish_blobs = lambda *a: os.kill(os.getpid(), 9)",
    ),
    "after blobs were linked": (
        "bring('late')",
        "from minirun.images import adding\nadding.Addition._insert = lambda *a: os.kill(os.getpid(), 9)",
    ),
    "while the index is written": (
        "bring('late')",
        (
            "from minirun.images import blobs\ndef write(path, data, *a, **k):\n    blobs.write_new(path + '.1.tmp', data)\n"
            "    os.kill(os.getpid(), 9)\nblobs.write_atomically = write"
        ),
    ),
    "before the commit": (
        "bring('late')",
        (
            "from minirun.images import blobs\nold = blobs.Blobs.write_index\n"
            "def write(self, e): old(self, e); os.kill(os.getpid(), 9)\nblobs.Blobs.write_index = write"
        ),
    ),
    "after rows were deleted": (
        "images.remove('early')",
        "from minirun.storage import snapshots\nsnapshots.Snapshots.collect = lambda *a: os.kill(os.getpid(), 9)",
    ),
    "before blobs are collected": (
        "images.remove('early')",
        "from minirun.images import removing\nremoving.collect_blobs = lambda *a: os.kill(os.getpid(), 9)",
    ),
}


@pytest.mark.parametrize("moment", KILLS)
def test_a_kill_is_swept(moment, store):
    """Whatever a killed command leaves, the next sweep takes; what was there before is whole."""
    root = Path(store.root).parent
    if "remove" in KILLS[moment][0]:
        bring(store, name="kept")
        bring(store, tar.archive(tar.file("early")), name="early")
    else:
        bring(store, name="kept")
    action, preparation = KILLS[moment]
    helper = f"def bring(name): images.import_archive(io.BytesIO({tar.archive(tar.file('late'))!r}), name)\n"
    if moment == "while a layer is unpacked":
        action = "bring('late')"
    child = run_program(root, helper + preparation + "\n" + action)
    assert child.wait() == -signal.SIGKILL
    fresh = open_store(root)
    try:
        assert fresh.sweep()
        assert not fresh.sweep()
        names = [image.tags for image in fresh.list()]
        assert names == [("kept:latest",)]
        assert fresh.check(fresh.resolve("kept")) == []
        assert len([name for name in files_of(fresh) if name.startswith("images/blobs/sha256/")]) == 3
        assert len([name for name in os.listdir(fresh.snapshots.root) if name.isdigit()]) == 1
        assert os.listdir(f"{fresh.snapshots.root}/staging") == []
        fresh.remove("kept")
        assert files_of(fresh) == NOTHING
    finally:
        fresh.connection.close()


def test_a_sweep_leaves_the_work_of_the_living(store):
    root = Path(store.root).parent
    body = f"""
    class Slow:
        data = io.BytesIO({ROOTFS!r})
        def read(self, size):
            if self.data.tell() == 0:
                print("begun", flush=True)
                sys.stdin.readline()
            return self.data.read(512)
    images.import_archive(Slow(), "slow")
    """
    child = run_program(root, body, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdin is not None
    assert child.stdout is not None
    with child:
        assert child.stdout.readline() == b"begun\n"
        assert not store.sweep()
        child.stdin.write(b"\n")
        child.stdin.close()
        assert child.wait() == 0
    assert store.check(store.resolve("slow")) == []


def test_two_processes_import_the_same_at_once(store):
    root = Path(store.root).parent
    body = f"""
    for i in range(5):
        images.import_archive(io.BytesIO({ROOTFS!r}), "same")
        images.load(io.BytesIO({pack(docker_old(Content()))!r}))
        if i % 2:
            try:
                images.remove("thing:1")
            except Exception as error:
                assert "No such image" in str(error), error
    """
    children = [run_program(root, body) for _ in range(4)]
    assert [child.wait() for child in children] == [0] * 4
    for image in store.list():
        assert store.check(image) == []
    assert not store.sweep()
    for image in store.list():
        store.remove(image.id)
    assert files_of(store) == NOTHING


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path):
    body = f"""
    import ctypes
    from minirun.errors import Exhausted, Corrupt
    from minirun.images import layers
    from tests.integration.images.conftest import files_of
    from tests.corpora.archives import tar
    layers.FREE_FLOOR_BYTES = 0
    images.import_archive(io.BytesIO({ROOTFS!r}), "kept")
    before = files_of(images)
    big = tar.archive(tar.file("big", os.urandom(6 << 20)))
    for name in ("Exhausted", "Corrupt"):
        try:
            images.import_archive(io.BytesIO(big), "big")
        except (Exhausted, Corrupt) as error:
            print(type(error).__name__, error)
        assert files_of(images) == before, files_of(images)
        layers.free_bytes = lambda path: 1 << 40
    images.connection.close()
    """
    root = tmp_path / "root"
    root.mkdir()
    text = PROGRAM.format(textwrap.dedent(body))
    script = f'mount -t tmpfs -o size=10m none {root} && exec "$@"'
    words = [
        "unshare",
        "-m",
        "--propagation",
        "private",
        "sh",
        "-c",
        script,
        "sh",
        sys.executable,
        "-c",
        text,
        str(root),
    ]
    done = subprocess.run(words, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert "space" in first
    assert second.startswith("Exhausted standard input: ")
    assert "No space left on device: free some space" in second


def test_memory_stays_flat_whatever_comes(tmp_path):
    """A large archive, plain and zipped, in and out of a pipe: the process stays small."""
    body = """
    import gzip, resource
    from tests.corpora.archives import tar
    from tests.corpora.archives.images import Content, docker_old, pack
    class Large:
        "A tar with a file of 300 MB, made while it is read."
        def __init__(self):
            self.left, self.start, self.end = 300 << 20, tar.header("big", size=300 << 20), tar.END
        def read(self, size):
            if self.start:
                data, self.start = self.start, b""
            elif self.left:
                data = b"x" * min(size, self.left)
                self.left -= len(data)
            else:
                data, self.end = self.end, b""
            return data
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    images.import_archive(Large(), "large")
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(after - before)
    """
    child = run_program(tmp_path, body, stdout=subprocess.PIPE)
    out, _ = child.communicate()
    assert child.returncode == 0
    assert int(out) < 40_000


def _links(count: int) -> bytes:
    return tar.archive(tar.file("f"), *(tar.hardlink(f"link{number}", "f") for number in range(count)))


def _replaced(count: int) -> bytes:
    """A directory with a file, replaced by a file, replaced by a directory ..."""
    pair = (tar.directory("d"), tar.file("d/f"), tar.file("d"))
    return tar.archive(*(pair * (count // 3)))


def _deep(count: int) -> bytes:
    """Each file 31 directories deep, in directories of its own."""
    return tar.archive(*(tar.file(f"{number}/" + "d/" * 30 + "f") for number in range(count // 30)))


@pytest.mark.parametrize("shape", [_links, _replaced, _deep], ids=["links", "replaced", "deep"])
def test_ghsa_rp3h_jf77_q9p4_no_shape_takes_more_than_linear_time(shape, store):
    def cpu_seconds(count: int) -> float:
        data = shape(count)
        before = sum(os.times()[:4])
        bring(store, data, f"shape{count}")
        return sum(os.times()[:4]) - before

    few, many = cpu_seconds(1_500), cpu_seconds(6_000)
    # Four times as much; quadratic would be sixteen times. The clock counts in hundredths.
    assert many < 9 * few + 0.1, (few, many)
