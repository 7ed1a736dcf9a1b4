"""`load`: every form of archive gives the same image; what lies is refused and leaves nothing."""

from __future__ import annotations

import gzip
import io
import json
import os
import threading
from contextlib import suppress

import pytest

from minirun.errors import Corrupt, MinirunError, NotFound, NotSupported
from tests.corpora.archives import tar
from tests.corpora.archives.images import (
    OCI_MANIFEST,
    Content,
    blob,
    docker_new,
    docker_old,
    oci,
    oci_index,
    oci_manifest,
    pack,
    sha256,
)
from tests.integration.images.conftest import files_of, rows_of

FORMS = {"docker-old": docker_old, "docker-new": docker_new, "oci": oci}


def load(store, data):
    return store.load(io.BytesIO(data))


@pytest.mark.parametrize("outer", ["plain", "gzip"])
@pytest.mark.parametrize("zipped", [False, True], ids=["layers-plain", "layers-gzip"])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_image(form, zipped, outer, store):
    content = Content(zipped=zipped)
    data = pack(FORMS[form](content))
    loaded = load(store, gzip.compress(data) if outer == "gzip" else data)
    assert [(each.id, each.reference) for each in loaded] == [(content.id, "thing:1")]
    image = store.resolve("thing:1")
    assert image.id == content.id
    assert image.config == content.config
    assert image.created == "2024-02-03T04:05:06.789Z"
    assert image.created_ns == 1706933106_789000000
    assert image.layers == (f"sha256:{sha256(content.layers[0])}",)
    assert image.size_bytes == 8
    (lower,) = store.snapshots.lowers(image.chain_id)
    with open(f"{store.snapshots.root}/{lower}/bin/x") as file:
        assert file.read() == "content\n"
    assert store.check(image) == []


def test_an_archive_comes_through_a_pipe(store):
    data = pack(docker_old(Content()))
    read, write = os.pipe()

    def feed() -> None:
        with suppress(BrokenPipeError), open(write, "wb", buffering=0) as pipe:  # nobody reads what is refused
            for at in range(0, len(data), 1000):
                pipe.write(data[at : at + 1000])

    thread = threading.Thread(target=feed)
    thread.start()
    try:
        with open(read, "rb", buffering=0) as pipe:
            assert store.load(pipe)[0].reference == "thing:1"
    finally:
        thread.join()


@pytest.mark.parametrize("form", FORMS)
def test_several_images_share_their_layers(form, store):
    base = tar.archive(tar.file("base"))
    one = Content(layers=[base, tar.archive(tar.file("one"))], names=["one:1", "one:2"])
    two = Content(layers=[base, tar.archive(tar.file("two"))], names=["registry:5000/two:x"])
    loaded = load(store, pack(FORMS[form](one, two)))
    assert sorted(each.reference for each in loaded) == ["one:1", "one:2", "registry:5000/two:x"]
    first, second = store.resolve("one:2"), store.resolve("registry:5000/two:x")
    assert first.tags == ("one:1", "one:2")
    assert store.snapshots.lowers(first.chain_id)[1] == store.snapshots.lowers(second.chain_id)[1]
    assert store.connection.execute("SELECT count(*) FROM snapshots").fetchone() == (3,)


def test_loading_twice_changes_nothing(store):
    data = pack(docker_old(Content()))
    load(store, data)
    before = files_of(store), [row[:3] for row in rows_of(store.connection)]
    assert load(store, data)[0].reference == "thing:1"
    assert (files_of(store), [row[:3] for row in rows_of(store.connection)]) == before


def test_a_name_moves_to_the_newer_image(store):
    load(store, pack(docker_old(Content())))
    newer = Content(config={"Cmd": ["other"]})
    load(store, pack(docker_old(newer)))
    assert store.resolve("thing:1").id == newer.id
    assert [image.tags for image in store.list() if image.id != newer.id] == [()]


def test_an_image_without_name_or_layers(store):
    nameless, empty = Content(names=[]), Content(layers=[], names=["empty"], config={})
    loaded = load(store, pack(docker_old(nameless, empty)))
    assert [(each.id, each.reference) for each in loaded] == [(nameless.id, ""), (empty.id, "empty:latest")]
    image = store.resolve("empty")
    assert store.snapshots.lowers(image.chain_id) == ("0/fs",)
    assert os.listdir(f"{store.snapshots.root}/0/fs") == []
    assert store.resolve(nameless.id[7:19]).tags == ()


def test_layers_may_be_links_in_old_archives(store):
    content = Content()
    members = docker_old(content)
    path = next(name for name in members if name.endswith("layer.tar"))
    layer = members.pop(path)
    entries = [tar.pax({"path": name}) + tar.file("x", data) for name, data in members.items()]
    linked = [
        tar.pax({"path": "common/layer.tar"}) + tar.file("x", layer),
        tar.pax({"path": path, "linkpath": "../common/layer.tar"}) + tar.symlink("x", "y"),
    ]
    load(store, tar.archive(*entries, *linked))
    assert store.resolve("thing:1").id == content.id


def test_the_layout_is_one_that_says_what_it_has(store):
    load(store, pack(docker_old(Content(names=["a:1", "a:2"]))))
    with open(f"{store.root}/oci-layout") as file:
        assert json.load(file) == {"imageLayoutVersion": "1.0.0"}
    with open(f"{store.root}/index.json") as file:
        index = json.load(file)
    names = [each["annotations"]["org.opencontainers.image.ref.name"] for each in index["manifests"]]
    assert names == ["docker.io/library/a:1", "docker.io/library/a:2"]
    for each in index["manifests"]:
        with open(f"{store.root}/blobs/sha256/{each['digest'][7:]}", "rb") as file:
            assert sha256(file.read()) == each["digest"][7:]


def test_the_manifest_of_an_oci_archive_is_kept_as_it_is(store):
    members = oci(Content())
    load(store, pack(members))
    digest = json.loads(members["index.json"])["manifests"][0]["digest"]
    assert store.resolve(f"thing@{digest}").tags == ("thing:1",)
    with open(f"{store.root}/blobs/sha256/{digest[7:]}", "rb") as file:
        assert file.read() == members[f"blobs/sha256/{digest[7:]}"]


# ---- platforms


def multi_platform(platforms, *, nested=1, attestation=True):
    members = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}'}
    manifests = []
    for platform in platforms:
        content = Content(architecture=platform["architecture"], config={"Env": [f"P={json.dumps(platform)}"]})
        manifests.append(oci_manifest(members, content, platform={"os": "linux", **platform}))
    if attestation:
        unknown = {"os": "unknown", "architecture": "unknown"}
        statement = blob(members, b'{"schemaVersion":2,"config":1}', OCI_MANIFEST, platform=unknown)
        manifests.append({**statement, "annotations": {"vnd.docker.reference.type": "attestation-manifest"}})
    top = manifests
    for _ in range(nested):
        top = [oci_index(members, top)]
    for each in top:
        each["annotations"] = {
            "io.containerd.image.name": "docker.io/library/multi:1",
            "org.opencontainers.image.ref.name": "1",
        }
    members["index.json"] = json.dumps({"schemaVersion": 2, "manifests": top}).encode()
    return members


@pytest.fixture
def amd64(monkeypatch):
    monkeypatch.setattr("os.uname", lambda: type("uname", (), {"machine": "x86_64"}))


@pytest.mark.usefixtures("amd64")
@pytest.mark.parametrize("nested", [0, 1, 2, 3])
def test_the_image_for_this_machine_is_chosen(nested, store):
    members = multi_platform(
        [{"architecture": "arm64"}, {"architecture": "amd64"}, {"architecture": "arm", "variant": "v7"}], nested=nested
    )
    loaded = load(store, pack(members))
    assert [each.reference for each in loaded] == ["multi:1"]
    assert store.resolve("multi:1").architecture == "amd64"
    assert len(store.list()) == 1


@pytest.mark.usefixtures("amd64")
def test_another_platform_is_taken_when_it_was_asked_for(store):
    archive = pack(multi_platform([{"architecture": "amd64"}, {"architecture": "arm64", "variant": "v8"}]))
    (loaded,) = store.load(io.BytesIO(archive), platform="linux/arm64")
    assert store.resolve(loaded.id).architecture == "arm64"
    with pytest.raises(NotFound, match="no image for linux/s390x"):
        store.load(io.BytesIO(archive), platform="linux/s390x")


def test_only_other_platforms_is_a_sentence(store):
    with pytest.raises(NotFound, match="has no image for linux/amd64"):
        load(store, pack(multi_platform([{"architecture": "arm64"}, {"architecture": "s390x"}])))
    assert files_of(store) == ["snapshots/staging"]


def test_indexes_without_end_are_refused(store):
    with pytest.raises(Corrupt, match="nested too deeply"):
        load(store, pack(multi_platform([{"architecture": "amd64"}, {"architecture": "arm64"}], nested=20)))


# ---- archives that lie


def damaged(change):
    """A docker archive whose members `change` has tampered with."""
    members = docker_old(Content(layers=[tar.archive(tar.file("a")), tar.archive(tar.file("b"))]))
    return pack(change(members) or members)


def changed_json(members, name, **changes):
    document = json.loads(members[name])
    target = document[0] if isinstance(document, list) else document
    target.update(changes)
    members[name] = json.dumps(document).encode()


def layer_names(members):
    return json.loads(members["manifest.json"])[0]["Layers"]


def config_name(members):
    return json.loads(members["manifest.json"])[0]["Config"]


def flip_layer(members):
    name = layer_names(members)[1]
    members[name] = members[name].replace(b"content", b"CONTENT")


def flip_config(members):
    members[config_name(members)] = members[config_name(members)].replace(b"/bin/x", b"/bin/y")


def hostile_layer(members):
    bad = tar.archive(tar.file("ok"), tar.file("../../escape"))
    content = Content(layers=[tar.archive(tar.file("a")), bad])
    members.clear()
    members.update(docker_old(content))


def cut_layer(members):
    whole = gzip.compress(tar.archive(tar.file("a", os.urandom(100_000))))
    content = Content(layers=[tar.archive(tar.file("a"))])
    members.clear()
    members.update(docker_old(content))
    members[layer_names(members)[0]] = whole[: len(whole) // 2]


def with_config(**changes):
    """Another configuration under its right digest."""

    def change(members):
        document = json.loads(members.pop(config_name(members)))
        document.update(changes)
        data = json.dumps(document).encode()
        members[f"{sha256(data)}.json"] = data
        changed_json(members, "manifest.json", Config=f"{sha256(data)}.json")

    return change


def set_member(name, data):
    def change(members):
        members[name] = data

    return change


def set_manifest(**changes):
    return lambda members: changed_json(members, "manifest.json", **changes)


def without(name):
    return lambda members: {key: value for key, value in members.items() if name not in key}


LIES = {
    "layer changed": (flip_layer, "the content doesn't match the image's configuration"),
    "configuration changed": (flip_config, "the digest doesn't match"),
    "layer that escapes": (hostile_layer, "entry '../../escape': the name leaves"),
    "layer cut off": (cut_layer, "the gzip stream is cut off"),
    "layer missing": (without("/layer.tar"), "is missing"),
    "configuration missing": (without(".json"), "neither manifest.json nor oci-layout"),
    "manifest is no JSON": (set_member("manifest.json", b"{"), "is no JSON"),
    "manifest is no list": (set_member("manifest.json", b"{}"), "is no list of images"),
    "manifest is empty": (set_member("manifest.json", b"[]"), "is no list of images"),
    "manifest nested": (set_member("manifest.json", b"[" * 100_000), "is no JSON"),
    "manifest too large": (set_member("manifest.json", b"[" + b" " * (5 << 20) + b"]"), "is larger than"),
    "manifest of numbers": (set_member("manifest.json", b"[1]"), "is no object"),
    "layers is a number": (set_manifest(Layers=7), "is malformed"),
    "layers hold a number": (set_manifest(Layers=[7, 8]), "is malformed"),
    "layer path with NUL": (set_manifest(Layers=["a\0b", "c"]), "is malformed"),
    "layer is a directory": (set_manifest(Layers=["/", "/"]), "is no file"),
    "layer is outside": (set_manifest(Layers=["../../../../etc/passwd", "/etc/passwd"]), "is missing"),
    "layers too few": (set_manifest(Layers=[]), "has 0 layers, its configuration names 2"),
    "name is a number": (set_manifest(RepoTags=[1]), "a name is no string"),
    "name is malformed": (set_manifest(RepoTags=["UPPER case"]), "invalid reference format"),
    "name with terminal codes": (set_manifest(RepoTags=["a\x1b]0;x\x07"]), "\\x1b"),
    "names are no list": (set_manifest(RepoTags="thing"), "RepoTags is no list"),
    "diff ids missing": (with_config(rootfs={"type": "layers", "diff_ids": "x"}), "no list of diff_ids"),
    "diff id is a path": (
        with_config(rootfs={"type": "layers", "diff_ids": ["sha256:../../x", "sha256:" + "A" * 64]}),
        "no list of diff_ids",
    ),
    "environment is text": (with_config(config={"Env": "A=1"}), "malformed Env"),
    "environment with NUL": (with_config(config={"Env": ["A=1\0B=2"]}), "malformed Env"),
    "command is text": (with_config(config={"Cmd": "true"}), "malformed Cmd"),
    "labels is a list": (with_config(config={"Labels": ["a"]}), "malformed Labels"),
    "user is a number": (with_config(config={"User": 0}), "malformed User"),
    "config is a list": (with_config(config=[1]), "config is no object"),
    "another operating system": (with_config(os="windows"), "only Linux images"),
    "too many layers": (
        with_config(rootfs={"type": "layers", "diff_ids": ["sha256:" + "0" * 64] * 128}),
        "at most 127",
    ),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_refused_and_leaves_nothing(lie, store):
    change, text = LIES[lie]
    with pytest.raises(MinirunError) as caught:
        load(store, damaged(change))
    message = str(caught.value)
    assert text in message
    assert isinstance(caught.value, (Corrupt, NotSupported))
    assert message.startswith("standard input: ")
    assert "\n" not in message
    assert message.isprintable()
    assert files_of(store) == ["snapshots/staging"]
    assert rows_of(store.connection) == []


def oci_lie(change):
    members = oci(Content())
    index = json.loads(members["index.json"])
    change(members, index)
    members["index.json"] = json.dumps(index).encode()
    return pack(members)


def rewrite_manifest(members, index, **changes):
    descriptor = index["manifests"][0]
    document = json.loads(members[f"blobs/sha256/{descriptor['digest'][7:]}"])
    document.update(changes)
    index["manifests"][0] = {**descriptor, **blob(members, json.dumps(document).encode(), descriptor["mediaType"])}


def flip_blob(kind):
    def change(members, index):
        manifest = f"blobs/sha256/{index['manifests'][0]['digest'][7:]}"
        document = json.loads(members[manifest])
        name = {
            "manifest": manifest,
            "config": f"blobs/sha256/{document['config']['digest'][7:]}",
            "layer": f"blobs/sha256/{document['layers'][0]['digest'][7:]}",
        }[kind]
        data = bytearray(members[name])
        data[20] ^= 1
        members[name] = bytes(data)

    return change


def resize_layer(members, index):
    document = json.loads(members[f"blobs/sha256/{index['manifests'][0]['digest'][7:]}"])
    document["layers"][0]["size"] += 1
    rewrite_manifest(members, index, layers=document["layers"])


def swollen(members, index):
    """Many images whose configurations are as large as one may be."""
    kind = index["manifests"][0]["mediaType"]
    document = json.loads(members[f"blobs/sha256/{index['manifests'][0]['digest'][7:]}"])
    config = members[f"blobs/sha256/{document['config']['digest'][7:]}"]
    manifests = []
    for number in range(17):
        padded = config[:-1] + b', "n": "' + b"x" * (4 * 1024 * 1024 - len(config) - 30) + b'%05d"}' % number
        document["config"].update(blob(members, padded, document["config"]["mediaType"]))
        manifests.append(blob(members, json.dumps(document).encode(), kind))
    return manifests


OCI_LIES = {
    "manifest changed": (flip_blob("manifest"), "the digest doesn't match"),
    "configuration changed": (flip_blob("config"), "the digest doesn't match"),
    "layer changed": (flip_blob("layer"), "this is no tar archive"),
    "manifest and index at once": (lambda m, i: rewrite_manifest(m, i, manifests=[]), "both a manifest and an index"),
    "index and manifest at once": (lambda m, i: i.update(layers=[], config={}), "both a manifest and an index"),
    "index of another type": (lambda m, i: i.update(mediaType="text/plain"), "is no image index"),
    "manifest of another type": (lambda m, i: rewrite_manifest(m, i, mediaType="text/plain"), "is no image manifest"),
    "manifest of a type that differs": (
        lambda m, i: rewrite_manifest(m, i, mediaType="application/vnd.docker.distribution.manifest.v2+json"),
        "of another type than its index says",
    ),
    "sizes that differ": (lambda m, i: i["manifests"][0].update(size=7), "not 7 as is said of it"),
    "a layer of another size": (lambda m, i: resize_layer(m, i), "its manifest says"),
    "too many documents": (lambda m, i: i.update(manifests=swollen(m, i)), "larger than 67108864 bytes together"),
    "schema 1": (lambda m, i: rewrite_manifest(m, i, schemaVersion=1), "old schema 1"),
    "digest is a path": (
        lambda m, i: i["manifests"][0].update(digest="sha256:../../../etc/passwd"),
        "malformed digest",
    ),
    "digest in capitals": (lambda m, i: i["manifests"][0].update(digest="sha256:" + "A" * 64), "malformed digest"),
    "digest too short": (lambda m, i: i["manifests"][0].update(digest="sha256:abc"), "malformed digest"),
    "digest sha512": (lambda m, i: i["manifests"][0].update(digest="sha512:" + "a" * 128), "only sha256"),
    "digest is a number": (lambda m, i: i["manifests"][0].update(digest=1), "is no string"),
    "size is negative": (lambda m, i: i["manifests"][0].update(size=-1), "malformed size"),
    "size is true": (lambda m, i: i["manifests"][0].update(size=True), "malformed size"),
    "annotations are a list": (lambda m, i: i["manifests"][0].update(annotations=["x"]), "malformed annotations"),
    "platform is text": (lambda m, i: i["manifests"][0].update(platform="linux"), "malformed platform"),
    "descriptor is text": (lambda m, i: i.update(manifests=["x"]), "is no descriptor"),
    "blob missing": (lambda m, i: [m.pop(name) for name in list(m) if name.startswith("blobs/")], "is missing"),
}


@pytest.mark.parametrize("lie", OCI_LIES)
def test_a_lie_in_an_oci_layout_is_refused_and_leaves_nothing(lie, store):
    change, text = OCI_LIES[lie]
    with pytest.raises((Corrupt, NotSupported)) as caught:
        load(store, oci_lie(change))
    assert text in str(caught.value)
    assert str(caught.value).isprintable()
    assert files_of(store) == ["snapshots/staging"]
    assert rows_of(store.connection) == []


OUTER = {
    "empty": (b"", "the archive is empty"),
    "no archive": (b"hello" * 1000, "this is no tar archive"),
    "no image": (tar.archive(tar.file("a")), "neither manifest.json nor oci-layout"),
    "cut off": (pack(docker_old(Content()))[:3000], "cut off"),
    "escape": (tar.archive(tar.file("../x")), "leaves the archive's directory"),
    "device": (tar.archive(tar.device("x", b"3", 1, 3)), "no place in this archive"),
    "manifest is a link out": (tar.archive(tar.symlink("manifest.json", "/etc/passwd")), "is missing"),
    "manifest is a directory": (tar.archive(tar.directory("manifest.json")), "is no file"),
    "gzip cut off": (gzip.compress(pack(docker_old(Content())))[:500], "cut off"),
    "gzip damaged": (gzip.compress(pack(docker_old(Content())))[:-4] + b"xxxx", "damaged"),
    "garbage behind gzip": (gzip.compress(pack(docker_old(Content()))) + b"garbage", "damaged"),
    "zstd": (b"\x28\xb5\x2f\xfd" + b"x" * 1000, "zstd"),
    "xz": (b"\xfd7zXZ\0" + b"x" * 1000, "xz"),
}


@pytest.mark.parametrize("name", OUTER)
def test_what_is_no_image_archive_is_refused(name, store):
    data, text = OUTER[name]
    with pytest.raises((Corrupt, NotSupported)) as caught:
        load(store, data)
    assert text in str(caught.value)
    assert files_of(store) == ["snapshots/staging"]


def test_errors_name_the_archive_by_its_path(store, tmp_path):
    path = tmp_path / "bad.tar"
    path.write_bytes(b"x" * 1000)
    with open(path, "rb") as stream, pytest.raises(Corrupt, match=r"bad\.tar: this is no tar archive"):
        store.load(stream)


def test_padding_and_several_members_of_gzip(store):
    data = pack(docker_old(Content()))
    members = b"".join(gzip.compress(data[at : at + 1000]) for at in range(0, len(data), 1000))
    load(store, members + b"\0" * 700_000)
    assert store.resolve("thing:1").tags == ("thing:1",)
