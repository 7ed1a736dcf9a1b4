"""`login` and `logout` as a user types them: what they say, what lies in docker's config.json, and who else keeps it."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from minirun.errors import MinirunError
from minirun.images.credentials import Credentials, Keychain
from tests.conftest import MinirunCommand, _Roots, _take_down
from tests.registries import PASSWORD, USER, DockerRegistry, basic_auth, make_certificate

pytestmark = pytest.mark.no_census


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="module")
def basic(certificate, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerRegistry]:
    """With TLS and a password."""
    place = tmp_path_factory.mktemp("basic")
    served = DockerRegistry(place, tls=certificate, auth=basic_auth(place))
    yield served
    served.end()


@pytest.fixture
def command(tmp_path: Path) -> Iterator[MinirunCommand]:
    roots = _Roots(tmp_path / "own")
    yield MinirunCommand(roots)
    _take_down(roots)


def test_a_wrong_password_is_refused_and_not_kept(basic, command, nobody):
    done = command("login", "-u", USER, "--password-stdin", basic.name, stdin="wrong", check=False)
    assert done.returncode == 1
    assert f"login attempt to https://{basic.name}/v2/ failed" in done.stderr
    assert "wrong" not in done.stderr
    assert not (nobody / "config.json").exists()


def test_login_and_logout_keep_what_else_the_file_has(basic, command, nobody):
    (nobody / "config.json").write_text(json.dumps({"auths": {"other": {"auth": "eDp5"}}, "psFormat": "x"}))
    done = command("login", "-u", USER, "--password-stdin", basic.name, stdin=f"{PASSWORD}\n")
    assert done.stdout == "Login Succeeded\n"
    assert f"WARNING! Your credentials are stored unencrypted in '{nobody}/config.json'." in done.stderr
    assert "\\x0a" not in done.stderr
    assert command("login", basic.name).stdout == "Authenticating with existing credentials...\nLogin Succeeded\n"
    found = json.loads((nobody / "config.json").read_text())
    assert found["psFormat"] == "x"
    assert base64.b64decode(found["auths"][basic.name]["auth"]).decode() == f"{USER}:{PASSWORD}"
    assert (nobody / "config.json").stat().st_mode & 0o777 == 0o600
    assert command("logout", basic.name).stdout == f"Removing login credentials for {basic.name}\n"
    assert json.loads((nobody / "config.json").read_text()) == {"auths": {"other": {"auth": "eDp5"}}, "psFormat": "x"}
    assert command("logout", basic.name).stdout == f"Removing login credentials for {basic.name}\n"  # of nothing, too


@pytest.mark.parametrize("setting", ["credsStore", "credHelpers"])
def test_a_helper_keeps_the_password_instead_of_the_file(basic, command, nobody, tmp_path, monkeypatch, setting):
    program = tmp_path / "bin" / "docker-credential-test"
    program.parent.mkdir()
    program.write_text(
        f"""#!/bin/sh
echo "$1 $#" >> {tmp_path}/calls
case $1 in
store) cat > {tmp_path}/kept ;;
get) [ -e {tmp_path}/kept ] || {{ echo "credentials not found in native keychain"; exit 1; }}; cat {tmp_path}/kept ;;
erase) rm -f {tmp_path}/kept ;;
esac
"""
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    settings = {setting: "test" if setting == "credsStore" else {basic.name: "test"}}
    (nobody / "config.json").write_text(json.dumps(settings))
    done = command("login", "-u", USER, "--password-stdin", basic.name, stdin=PASSWORD)
    assert "WARNING" not in done.stderr
    assert json.loads((tmp_path / "kept").read_text()) == {
        "ServerURL": basic.name, "Username": USER, "Secret": PASSWORD,
    }  # fmt: skip
    assert base64.b64encode(PASSWORD.encode()).decode() not in (nobody / "config.json").read_text()
    assert Keychain().find(basic.name) == Credentials(username=USER, password=PASSWORD)
    command("logout", basic.name)
    assert Keychain().find(basic.name) is None
    assert {line.split()[1] for line in (tmp_path / "calls").read_text().splitlines()} == {"1"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "it is no JSON"),
        ("[]", "it is no JSON object"),
        ('{"auths": {"r.example": {"auth": "%"}}}', "auth is no base64"),
        ('{"credsStore": "../evil"}', "no name of a credential helper"),
        ('{"credsStore": "is-not-there"}', "no such program"),
    ],
)
def test_a_file_that_makes_no_sense_is_named(nobody, text, said):
    (nobody / "config.json").write_text(text)
    with pytest.raises(MinirunError, match=said):
        Keychain().find("r.example")
