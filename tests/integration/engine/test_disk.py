"""`system df`, `ps --size` and the prunes: what they say is what du says, and what is removed is gone."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from minirun.storage.usage import Counter

NOTHING = "Total reclaimed space: 0B\n"


def root_of(store) -> Path:
    return Path(store.words[store.words.index("--root") + 1])


def du(*paths: Path) -> int:
    """What du(1) says of these together, in bytes."""
    done = subprocess.run(["du", "-s", "-B1", "-c", *map(str, paths)], capture_output=True, text=True, check=True)
    return int(done.stdout.splitlines()[-1].split()[0])


def inodes(path: Path) -> int:
    done = subprocess.run(["du", "-s", "--inodes", str(path)], capture_output=True, text=True, check=True)
    return int(done.stdout.split()[0])


def sizes(store) -> dict[str, dict[str, str]]:
    lines = store("system", "df", "--format", "json").stdout.splitlines()
    return {row["Type"]: row for row in map(json.loads, lines)}


def bytes_of(text: str) -> float:
    units = {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9}
    unit = text.lstrip("0123456789.")
    return float(text.removesuffix(unit)) * units[unit]


WRITE = (
    "mkdir /d; for n in 1 2 3; do dd if=/dev/urandom of=/d/$n bs=1000 count=700 2>/dev/null; done;"
    " ln /d/1 /d/one; ln -s /d/2 /d/two; truncate -s 100M /d/sparse; rm /bin/vi"
)


def test_df_is_within_a_hundredth_of_du(store):
    store("run", "--name", "writer", "busybox", "sh", "-c", WRITE)
    store("run", "-d", "--name", "other", "busybox", "sleep", "600")
    store("tag", "busybox", "again:2")
    seen, root = sizes(store), root_of(store)
    assert bytes_of(seen["Images"]["Size"]) == pytest.approx(du(root / "images", root / "snapshots"), rel=0.01)
    assert bytes_of(seen["Containers"]["Size"]) == pytest.approx(du(*(root / "containers").iterdir()), rel=0.01)
    assert (seen["Images"]["TotalCount"], seen["Images"]["Active"]) == ("1", "1")
    assert (seen["Containers"]["TotalCount"], seen["Containers"]["Active"]) == ("2", "1")
    writer = store("inspect", "-f", "{{.Id}}", "writer").stdout.strip()
    reclaimable = seen["Containers"]["Reclaimable"].split()[0]
    assert bytes_of(reclaimable) == pytest.approx(du(root / "containers" / writer), rel=0.01)


def test_df_has_dockers_tables(store):
    store("create", "--name", "box", "busybox", "true")
    heading, *rows = store("system", "df").stdout.splitlines()
    assert heading.split() == ["TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE"]
    assert [row.split("  ")[0] for row in rows] == ["Images", "Containers", "Local Volumes", "Build Cache"]
    assert rows[3].split() == ["Build", "Cache", "0", "0", "0B", "0B"]
    verbose = store("system", "df", "-v").stdout
    for part in (
        "Images space usage:",
        "Containers space usage:",
        "Local Volumes space usage:",
        "Build cache usage: 0B",
    ):
        assert f"{part}\n\n" in verbose
    whole = json.loads(store("system", "df", "-v", "--format", "json").stdout)
    assert [image["Repository"] for image in whole["Images"]] == ["busybox"]
    assert whole["Images"][0]["SharedSize"] == "0B"
    assert whole["Containers"][0]["Names"] == "box"
    assert store("system", "df", "--format", "{{.Type}}={{.Active}}").stdout.startswith("Images=1\nContainers=0\n")


def test_layers_that_images_share_are_counted_once(store, tmp_path):
    top = make_layered_image(store, tmp_path)
    whole = json.loads(store("system", "df", "-v", "--format", "json").stdout)
    rows = {row["Repository"]: row for row in whole["Images"]}
    assert bytes_of(rows[top]["SharedSize"]) == pytest.approx(bytes_of(rows["busybox"]["SharedSize"]))
    assert bytes_of(rows[top]["SharedSize"]) > 1e6
    root = root_of(store)
    assert bytes_of(sizes(store)["Images"]["Size"]) == pytest.approx(du(root / "images", root / "snapshots"), rel=0.01)


def make_layered_image(store, tmp_path: Path) -> str:
    """Load an image whose lower layer is busybox's: one more file on top."""
    import hashlib
    import tarfile

    root = root_of(store)
    name = "layered"
    base = json.loads(store("inspect", "busybox").stdout)[0]
    (tmp_path / "file").write_bytes(os.urandom(20_000))
    layer = tmp_path / "layer.tar"
    with tarfile.open(layer, "w") as archive:
        archive.add(tmp_path / "file", "added")
    diff_id = "sha256:" + hashlib.sha256(layer.read_bytes()).hexdigest()
    (lower,) = base["RootFS"]["Layers"]
    blob = root / "images/blobs/sha256" / lower.removeprefix("sha256:")
    config = {
        "architecture": base["Architecture"], "os": "linux", "config": {},
        "rootfs": {"type": "layers", "diff_ids": [lower, diff_id]},
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config))
    manifest = [{"Config": "config.json", "RepoTags": [f"{name}:latest"], "Layers": ["lower.tar", "layer.tar"]}]
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with tarfile.open(tmp_path / "image.tar", "w") as archive:
        archive.add(blob, "lower.tar")
        for member in ("layer.tar", "config.json", "manifest.json"):
            archive.add(tmp_path / member, member)
    store("load", "-i", str(tmp_path / "image.tar"))
    return name


def test_ps_with_size_says_what_a_container_wrote(store):
    store("run", "--name", "writer", "busybox", "sh", "-c", "dd if=/dev/zero of=/big bs=1M count=3 2>/dev/null")
    store("create", "--name", "empty", "busybox", "true")
    image = store("images", "--format", "{{.Size}}").stdout.strip()
    assert (
        store("ps", "-a", "-s", "--format", "{{.Names}} {{.Size}}").stdout.splitlines()[0]
        == f"empty 0B (virtual {image})"
    )
    heading, _, line = store("container", "ls", "-a", "--size").stdout.splitlines()
    assert heading.endswith("SIZE")
    assert "3.15MB (virtual " in line
    assert "SIZE" not in store("ps", "-a").stdout


@pytest.fixture
def deep(tmp_path):
    """An empty directory that is removed however deep it became: shutil, which pytest cleans up with, recurses."""
    top = tmp_path / "top"
    top.mkdir()
    yield top
    subprocess.run(["rm", "-r", top], check=True)  # it needs nothing that a kernel might lack


def test_a_tree_is_counted_as_du_counts_it_however_deep_and_odd(deep):
    top = deep
    here = os.open(top, os.O_RDONLY)
    for _ in range(1100):  # deeper than a path or a recursion
        os.mkdir("directory", dir_fd=here)
        below = os.open("directory", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.write(file := os.open("file", os.O_WRONLY | os.O_CREAT, dir_fd=here), b"x" * 5000)
    os.close(file)
    os.link("file", "again", src_dir_fd=here, dst_dir_fd=here)
    os.close(here)
    (top / "link").symlink_to("/")
    os.mkfifo(top / "pipe")
    counted = Counter().measure(str(top))
    assert (counted.disk_bytes, counted.inodes) == (du(top), inodes(top))
    assert Counter().measure(str(top / "no-such")).disk_bytes == 0


@pytest.mark.parametrize("answer", ["", "n\n", "yea\n"])
def test_without_a_yes_nothing_is_removed(store, answer):
    store("create", "--name", "box", "busybox", "true")
    for words, what in (
        (("container", "prune"), "This will remove all stopped containers."),
        (("image", "prune"), "This will remove all dangling images."),
        (("image", "prune", "-a"), "This will remove all images without at least one container associated to them."),
    ):
        done = store(*words, stdin=answer)
        assert done.stdout == f"WARNING! {what}\nAre you sure you want to continue? [y/N] "
    assert store("ps", "-aq").stdout


def test_container_prune_removes_those_at_rest_and_gives_their_space_back(store):
    store("run", "--name", "writer", "busybox", "sh", "-c", WRITE)
    store("create", "--name", "fresh", "busybox", "true")
    store("run", "-d", "--name", "running", "busybox", "sleep", "600")
    store("run", "-d", "--name", "paused", "busybox", "sleep", "600")
    store("pause", "paused")
    ids = store("ps", "-aq", "--no-trunc", "-f", "name=writer", "-f", "name=fresh").stdout.split()
    directory = root_of(store) / "containers"
    before, files = du(directory), inodes(directory)
    done = store("container", "prune", stdin="y\n")
    head, _, rest = done.stdout.partition("[y/N] ")
    assert head.startswith("WARNING! This will remove all stopped containers.\n")
    heading, *removed, empty, total = rest.splitlines()
    assert (heading, sorted(removed), empty) == ("Deleted Containers:", sorted(ids), "")
    freed = bytes_of(total.removeprefix("Total reclaimed space: "))
    assert freed == pytest.approx(before - du(directory), rel=0.01)
    assert inodes(directory) < files
    assert set(store("ps", "-a", "--format", "{{.Names}}").stdout.split()) == {"running", "paused"}
    assert store("container", "prune", "-f").stdout == NOTHING


def test_a_container_that_can_not_be_removed_keeps_no_other(store):
    """A mount in it, for instance."""
    store("create", "--name", "busy", "busybox", "true")
    store("create", "--name", "spare", "busybox", "true")
    place = Path(store("inspect", "-f", "{{.GraphDriver.Data.UpperDir}}", "busy").stdout.strip()) / "mount"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "none", place], check=True)
    try:
        done = store("container", "prune", "-f", check=False)
        assert (done.returncode, done.stderr) == (
            1,
            "Error: remove container busy: remove the tree: Device or resource busy\n",
        )
        assert store("ps", "-a", "--format", "{{.Names}}").stdout == "busy\n"
    finally:
        subprocess.run(["umount", place], check=True)
    assert store("ps", "-aq").stdout == ""  # what was begun is finished by whoever comes next


def test_container_prune_takes_filters(store):
    store("create", "--name", "old", "--label", "keep=yes", "busybox", "true")
    store("create", "--name", "new", "busybox", "true")
    for conditions in (
        ("until=1h",), ("label=absent",), ("label=keep=no",), ("label!=keep", "label=keep"), ("until=2001-01-01",),
    ):  # fmt: skip
        words = [word for condition in conditions for word in ("--filter", condition)]
        assert store("container", "prune", "-f", *words).stdout == NOTHING
    store("container", "prune", "-f", "--filter", "label!=keep")
    assert store("ps", "-a", "--format", "{{.Names}}").stdout == "old\n"
    store("container", "prune", "-f", "--filter", "label=keep=yes", "--filter", "until=0s")
    assert store("ps", "-aq").stdout == ""


@pytest.mark.parametrize(
    ("condition", "sentence"),
    [("bogus=1", "invalid filter 'bogus'"), ("until=zz", 'failed to parse value as time or duration: "zz"')],
)
def test_filters_that_are_none_are_refused(store, condition, sentence):
    for noun in ("container", "image", "system"):
        done = store(noun, "prune", "-f", "--filter", condition, check=False)
        assert done.returncode != 0
        assert sentence in done.stderr


def test_image_prune_removes_images_without_a_name_or_all_without_a_container(store, fixture_archive):
    archive = str(fixture_archive("busybox"))
    first = json.loads(store("inspect", "busybox").stdout)[0]["Id"]
    store("import", "-m", "another", "-c", "CMD true", archive, "busybox")
    root = root_of(store)
    before = du(root / "images", root / "snapshots")
    assert store("image", "prune", "-f", "--filter", "until=24h").stdout == NOTHING  # it is younger
    kept = store("image", "prune", "-f", "--keep-history", "1h")
    assert kept.stdout == NOTHING
    assert kept.stderr == "1 image kept for 'minirun image rollback', as --keep-history says\n"
    heading, line, _, total = store("image", "prune", "-f").stdout.splitlines()
    assert (heading, line) == ("Deleted Images:", f"deleted: {first}")
    freed = bytes_of(total.removeprefix("Total reclaimed space: "))
    assert freed == pytest.approx(before - du(root / "images", root / "snapshots"), rel=0.01)
    store("create", "--name", "user", "busybox", "true")
    assert store("image", "prune", "-a", "-f").stdout == NOTHING
    store("rm", "user")
    store("tag", "busybox", "other:1")
    lines = store("image", "prune", "-f", "--filter", "dangling=false").stdout.splitlines()  # as -a
    assert lines[:3] == ["Deleted Images:", "untagged: busybox:latest", "untagged: other:1"]
    assert store("images", "-q").stdout == ""
    assert os.listdir(root / "images/blobs/sha256") == []


def test_a_prune_with_a_history_spares_what_rollback_can_reach(store, fixture_archive):
    first = json.loads(store("inspect", "busybox").stdout)[0]["Id"]
    store("import", "-m", "another", str(fixture_archive("busybox")), "busybox")
    store("system", "prune", "-f", "--keep-history", "7d")
    store("image", "rollback", "busybox")
    assert json.loads(store("inspect", "busybox").stdout)[0]["Id"] == first
    store("system", "prune", "-f")
    assert len(store("images", "-q").stdout.split()) == 1


def test_volumes_are_counted_and_pruned_with_the_rest(store):
    write = "dd if=/dev/urandom of=/v/x bs=1000 count=500 2>/dev/null"
    store("run", "--name", "writer", "-v", "/v", "busybox", "sh", "-c", write)
    store("volume", "create", "named")
    root = root_of(store)
    row = sizes(store)["Local Volumes"]
    assert (row["TotalCount"], row["Active"]) == ("2", "1")
    assert bytes_of(row["Size"]) == pytest.approx(du(*(root / "volumes").iterdir()), rel=0.01)
    whole = json.loads(store("system", "df", "-v", "--format", "json").stdout)
    assert {volume["Name"]: volume["Links"] for volume in whole["Volumes"]}["named"] == "0"
    before = du(root / "volumes")
    lines = store("system", "prune", "-f", "--volumes").stdout.splitlines()
    assert (lines[0], lines[3]) == ("Deleted Containers:", "Deleted Volumes:")
    assert before - du(root / "volumes") > 500_000
    assert store("volume", "ls", "-q").stdout == "named\n"


def test_system_prune_says_what_it_will_do_and_does_it(store, fixture_archive):
    store("create", "--name", "box", "busybox", "true")
    asked = store("system", "prune", "--filter", "label!=keep").stdout
    assert asked == (
        "WARNING! This will remove:\n  - all stopped containers\n  - all networks not used by at least one container\n"
        "  - all dangling images\n  - unused build cache\n\n  Items to be pruned will be filtered with:\n"
        "  - label!=keep\n\nAre you sure you want to continue? [y/N] "
    )
    everything = store("system", "prune", "-a", "--volumes").stdout
    assert "  - all anonymous volumes not used by at least one container\n" in everything
    assert "  - all images without at least one container associated to them\n  - all build cache\n" in everything
    lines = store("system", "prune", "-a", "-f").stdout.splitlines()
    assert lines[0] == "Deleted Containers:"
    assert lines[2:5] == ["", "Deleted Images:", "untagged: busybox:latest"]
    assert lines[-1].startswith("Total reclaimed space: ")
    assert store("ps", "-aq").stdout + store("images", "-q").stdout == ""
    assert store("system", "prune", "-f").stdout == NOTHING


def test_a_prune_keeps_what_a_rollback_is_to_find(store, fixture_archive):
    archive = str(fixture_archive("busybox"))
    first = json.loads(store("inspect", "busybox").stdout)[0]["Id"]
    store("import", "-m", "another", "-c", "CMD true", archive, "busybox")
    for noun in ("image", "system"):
        assert store(noun, "prune", "-f", "--keep-history", "1h").stdout == NOTHING
    lines = store("image", "prune", "-a", "-f", "--keep-history", "1h").stdout.splitlines()
    assert (lines[1], lines[-1]) == ("untagged: busybox:latest", "Total reclaimed space: 0B")
    assert store("image", "rollback", "--to", first[7:], "busybox").stdout == f"{first}\n"
    store("image", "prune", "-a", "-f")
    assert store("images", "-aq").stdout == ""
