"""Names of images: docker's grammar, its defaults, its short forms."""

from __future__ import annotations

import pytest

from minirun.errors import InvalidInput
from minirun.images.reference import familiar, id_prefix, is_digest, parse

DIGEST = "sha256:" + "0123456789abcdef" * 4

GOOD = {
    "busybox": ("docker.io/library/busybox:latest", "busybox:latest"),
    "busybox:1.36": ("docker.io/library/busybox:1.36", "busybox:1.36"),
    "library/busybox": ("docker.io/library/busybox:latest", "busybox:latest"),
    "docker.io/busybox": ("docker.io/library/busybox:latest", "busybox:latest"),
    "index.docker.io/library/busybox": ("docker.io/library/busybox:latest", "busybox:latest"),
    "me/app:V_1.2-x": ("docker.io/me/app:V_1.2-x", "me/app:V_1.2-x"),
    "localhost/app": ("localhost/app:latest", "localhost/app:latest"),
    "localhost:5000/a/b/c": ("localhost:5000/a/b/c:latest", "localhost:5000/a/b/c:latest"),
    "registry.example.com/team/app:2": ("registry.example.com/team/app:2", "registry.example.com/team/app:2"),
    "[::1]:5000/app": ("[::1]:5000/app:latest", "[::1]:5000/app:latest"),
    "Registry/app": ("Registry/app:latest", "Registry/app:latest"),
    "a.b/c": ("a.b/c:latest", "a.b/c:latest"),
    "a__b/c-d.e---f": ("docker.io/a__b/c-d.e---f:latest", "a__b/c-d.e---f:latest"),
    "abcdef": ("docker.io/library/abcdef:latest", "abcdef:latest"),
    "library/a/b": ("docker.io/library/a/b:latest", "library/a/b:latest"),
    "t:" + "x" * 128: ("docker.io/library/t:" + "x" * 128, "t:" + "x" * 128),
}

BAD = (
    "",
    ":",
    ":tag",
    "a:",
    "a:b:c",
    "a/",
    "/a",
    "a//b",
    "UPPER",
    "me/UPPER",
    "-a",
    "a-",
    ".a",
    "a.",
    "a..b",
    "a___b",
    "a._b",
    "a b",
    "a\n",
    "a\0b",
    "é",
    "a:é",
    "a:.x",
    "a:-x",
    "t:" + "x" * 129,
    "a" * 64,
    "x" * 250,
    "localhost:port/a",
    "localhost:٣/a",
    "-x.y/a",
    "[::1/a",
    "a@sha256:abc",
    "a@sha512:" + "0" * 128,
    "a@",
    "a@" + DIGEST.upper(),
    "https://registry/app",
    "../../etc/passwd",
    "a/../b",
    "$(id)",
)


@pytest.mark.parametrize("text", GOOD)
def test_a_name_is_made_whole(text):
    reference = parse(text)
    assert (reference.full, reference.familiar) == GOOD[text]


@pytest.mark.parametrize("text", GOOD)
def test_what_is_stored_and_shown_leads_back(text):
    full, short = GOOD[text]
    assert parse(full).full == parse(short).full == full
    assert familiar(full) == short


@pytest.mark.parametrize("text", BAD, ids=repr)
def test_a_malformed_name_is_refused_in_one_line(text):
    with pytest.raises(InvalidInput, match="invalid reference format") as caught:
        parse(text)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 450


def test_upper_case_gets_dockers_words():
    with pytest.raises(InvalidInput, match=r"repository name \(library/Busybox\) must be lowercase"):
        parse("Busybox")


def test_a_digest_is_kept():
    reference = parse(f"me/app:1@{DIGEST}")
    assert (reference.full, reference.digest) == ("docker.io/me/app:1", DIGEST)


@pytest.mark.parametrize(
    "text", ["sha256:" + "A" * 64, "sha256:" + "0" * 63, "sha256:../../x", "", "sha512:" + "0" * 64, DIGEST + "\n"]
)
def test_only_sha256_in_lower_case_is_a_digest(text):
    assert is_digest(DIGEST)
    assert not is_digest(text)


def test_what_can_be_an_id():
    assert id_prefix("abc") == "abc"
    assert id_prefix("sha256:abc") == "abc"
    assert id_prefix(DIGEST) == DIGEST[7:]
    for text in ("", "xyz", "ABC", "sha256:", DIGEST + "0", "abc:latest"):
        assert id_prefix(text) == ""
