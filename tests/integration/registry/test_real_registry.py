"""Against Debian's docker-registry: TLS, logins of each kind, and docker and skopeo as the other party."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from minirun import Engine
from minirun.engine import login
from minirun.errors import MinirunError
from minirun.images.answers import Refused, Unreachable
from minirun.images.registries import Registries
from minirun.images.store import Images
from tests.dockerd import Docker
from tests.registries import (
    PASSWORD,
    USER,
    DockerRegistry,
    Faulty,
    Handler,
    Served,
    TokenServer,
    basic_auth,
    layer_of,
    make_certificate,
)
from tests.waiting import until

MINIRUN = str(Path(sys.executable).parent / "minirun")


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerRegistry]:
    """One that lets everybody in, without TLS."""
    running = DockerRegistry(tmp_path_factory.mktemp("registry"))
    yield running
    running.end()


@pytest.fixture
def filled(store: Images, tmp_path: Path) -> Callable[..., str]:
    """Give a function that makes an image in the store and gives it a name."""

    def make(name: str, files: dict[str, bytes] | None = None) -> str:
        archive = tmp_path / "archive.tar"
        archive.write_bytes(layer_of(files or {"file": name.encode(), "large": bytes(500_000)}))
        with archive.open("rb") as stream:
            return store.import_archive(stream, name).id

    return make


def other_store(tmp_path: Path, name: str = "other") -> Engine:
    return Engine(str(tmp_path / name), str(tmp_path / f"{name}-run"))


def test_what_is_pushed_is_pulled_with_the_same_id_and_digest(
    store: Images, filled: Callable[..., str], registry: DockerRegistry, tmp_path: Path
) -> None:
    name = f"{registry.name}/team/app:1"
    image_id = filled(name)
    pushed = store.push(name)
    with other_store(tmp_path) as engine:
        brought = engine.pull(name)
        assert brought.digest == pushed.digest
        assert engine.images.resolve(name).id == image_id
        assert engine.images.resolve(f"{registry.name}/team/app@{pushed.digest}").id == image_id
        # byte for byte: pushed from there it is the same manifest again
        engine.images.tag(name, f"{registry.name}/team/again:2")
        assert engine.images.push(f"{registry.name}/team/again:2").digest == pushed.digest


def test_layers_that_are_there_are_not_sent_again_and_those_of_a_neighbour_are_mounted(
    store: Images, filled: Callable[..., str], registry: DockerRegistry
) -> None:
    name = f"{registry.name}/mount/one:1"
    filled(name)
    said: list[str] = []
    store.push(name, progress=lambda layer, status, *_: said.append(status))
    assert "Pushed" in said
    said.clear()
    store.push(name, progress=lambda layer, status, *_: said.append(status))
    assert said == ["Preparing", "Layer already exists"]
    said.clear()
    store.tag(name, f"{registry.name}/mount/two:1")
    store.push(f"{registry.name}/mount/two:1", progress=lambda layer, status, *_: said.append(status))
    assert said == ["Preparing", "Mounted from mount/one"]


def test_a_large_layer_goes_in_pieces(
    store: Images, filled: Callable[..., str], registry: DockerRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("minirun.images.pushing.MONOLITHIC_MAX", 1000)
    monkeypatch.setattr("minirun.images.pushing.PIECE_BYTES", 100_000)
    name = f"{registry.name}/pieces:1"
    image_id = filled(name)
    done: list[int] = []

    def note(layer: str, status: str, so_far: int, total: int) -> None:
        if status == "Pushing":
            done.append(so_far)

    store.push(name, progress=note)
    assert len(done) > 5
    assert done == sorted(done)
    with other_store(tmp_path) as engine:
        engine.pull(name)
        assert engine.images.resolve(name).id == image_id
        assert not engine.images.check(engine.images.resolve(name))


def test_all_tags(store: Images, filled: Callable[..., str], registry: DockerRegistry, tmp_path: Path) -> None:
    filled(f"{registry.name}/tags:a")
    store.push(f"{registry.name}/tags:a")
    with other_store(tmp_path, "first") as engine:
        engine.pull(f"{registry.name}/tags:a")
        engine.images.tag(f"{registry.name}/tags:a", f"{registry.name}/tags:b")
        assert [each.name.rpartition(":")[2] for each in engine.push_all(f"{registry.name}/tags")] == ["a", "b"]
    with other_store(tmp_path) as engine:
        assert sorted(each.name.rpartition(":")[2] for each in engine.pull_all(f"{registry.name}/tags")) == ["a", "b"]


# ---- TLS


def test_tls_is_verified_and_a_certificate_of_ones_own_can_be_named(
    store: Images, filled: Callable[..., str], tmp_path: Path
) -> None:
    certificate, key = make_certificate(tmp_path)
    running = DockerRegistry(tmp_path / "tls", tls=(certificate, key))
    try:
        name = f"{running.name}/secure:1"
        filled(name)
        certificates = tmp_path / "certs.d"
        trusted = Registries(str(tmp_path / "none"), (str(certificates),))
        directory = certificates / running.name
        directory.mkdir(parents=True)
        other, _ = make_certificate(directory)
        other.rename(directory / "ca.crt")  # somebody else's
        with pytest.raises(Unreachable, match=f"tls: failed to verify certificate.*certs.d/{running.name}/ca.crt"):
            store.push(name, registries=trusted)
        shutil.copy(certificate, directory / "ca.crt")
        assert store.push(name, registries=trusted).digest
        with other_store(tmp_path) as engine:
            assert engine.images.pull(name, registries=trusted).is_new
        # on this host, and without a word about its authority, it is believed as docker believes it
        assert store.push(name, registries=Registries(str(tmp_path / "none"), ())).digest
    finally:
        running.end()


def test_a_registry_elsewhere_must_speak_tls(tmp_path: Path) -> None:
    """127.0.0.1 is the only address here: what the configuration makes of others is seen in the addresses that are tried."""
    plain = Registries(str(tmp_path / "none"), ())
    assert [endpoint.base for endpoint in plain.endpoints("lab:5000")] == ["https://lab:5000"]
    assert [endpoint.base for endpoint in plain.endpoints("127.0.0.1:1")] == [
        "https://127.0.0.1:1",
        "http://127.0.0.1:1",
    ]
    assert plain.endpoints("docker.io")[0].base == "https://registry-1.docker.io"
    (tmp_path / "r.json").write_text(
        json.dumps({"insecure-registries": ["lab:5000", "10.0.0.0/8"], "registry-mirrors": ["https://mirror"]})
    )
    told = Registries(str(tmp_path / "r.json"), ())
    assert [endpoint.base for endpoint in told.endpoints("lab:5000")] == ["https://lab:5000", "http://lab:5000"]
    assert [endpoint.verify for endpoint in told.endpoints("10.1.2.3:5000")] == [False, False]
    assert [endpoint.base for endpoint in told.endpoints("docker.io")] == [
        "https://mirror",
        "https://registry-1.docker.io",
    ]
    assert told.endpoints("docker.io")[0].domain == ""  # the mirror isn't told who we are
    (tmp_path / "r.json").write_text('{"registry-mirrors": ["http://mirror"]}')
    with pytest.raises(MinirunError, match="insecure-registries"):
        Registries(str(tmp_path / "r.json"), ()).endpoints("docker.io")
    (tmp_path / "r.json").write_text('{"insecure": []}')
    with pytest.raises(MinirunError, match="unknown"):
        Registries(str(tmp_path / "r.json"), ())


# ---- logins


def test_basic_auth(store: Images, filled: Callable[..., str], tmp_path: Path, nobody: Path) -> None:
    running = DockerRegistry(tmp_path / "basic", auth=basic_auth(tmp_path))
    try:
        name = f"{running.name}/private:1"
        filled(name)
        with pytest.raises(Refused, match="authentication required"):
            store.push(name)
        with pytest.raises(Refused, match="denied"):
            login.log_in(running.name, USER, "wrong")
        assert not (nobody / "config.json").exists()
        assert "unencrypted" in login.log_in(running.name, USER, PASSWORD)
        assert (nobody / "config.json").stat().st_mode & 0o777 == 0o600
        assert login.known_user(running.name) == USER
        assert store.push(name).digest
        assert login.log_out(running.name) == (running.name, True)
        assert login.log_out(running.name) == (running.name, False)
        with pytest.raises(Refused):
            store.pull(name)
    finally:
        running.end()


def test_token_auth(store: Images, filled: Callable[..., str], tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    tokens = TokenServer(certificate, key)
    running = DockerRegistry(tmp_path / "token", auth=tokens.settings(certificate))
    try:
        private, public = f"{running.name}/private/app:1", f"{running.name}/public/app:1"
        filled(private)
        store.tag(private, public)
        with pytest.raises(Refused, match="denied"):
            store.push(private)
        login.log_in(running.name, USER, PASSWORD)
        store.push(private)
        store.push(public)
        assert any("repository:private/app:pull" in scope for form in tokens.posted for scope in form.get("scope", []))
        login.log_out(running.name)
        with other_store(tmp_path) as engine:
            assert engine.images.pull(public).is_new  # for everybody
            with pytest.raises(Refused, match="pull access denied"):
                engine.images.pull(private)
    finally:
        running.end()
        tokens.end()


@pytest.mark.parametrize("status", [400, 401, 404, 405])
def test_a_token_server_that_knows_no_oauth_is_asked_by_get(
    store: Images, filled: Callable[..., str], tmp_path: Path, status: int
) -> None:
    certificate, key = make_certificate(tmp_path)
    tokens = TokenServer(certificate, key)
    tokens.refuses_post = status
    running = DockerRegistry(tmp_path / "token", auth=tokens.settings(certificate))
    try:
        name = f"{running.name}/private/app:1"
        filled(name)
        login.log_in(running.name, USER, PASSWORD)
        assert store.push(name).digest
        assert tokens.posted[-1]["grant_type"] == ["password"]
        assert any("repository:private/app:pull" in scope for query in tokens.given for scope in query.get("scope", []))
        with pytest.raises(Refused, match="incorrect username or password"):
            login.log_in(running.name, USER, "wrong")
    finally:
        running.end()
        tokens.end()


def test_a_token_that_has_expired_is_renewed(store: Images, filled: Callable[..., str], tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    tokens = TokenServer(certificate, key)
    tokens.lifetime_seconds = 1
    running = DockerRegistry(tmp_path / "token", auth=tokens.settings(certificate))
    try:
        name = f"{running.name}/private/app:1"
        filled(name)
        login.log_in(running.name, USER, PASSWORD)

        def wait(layer: str, status: str, done: int, total: int) -> None:
            if status == "Pushed":
                time.sleep(1.2)  # what a slow line takes for a layer: the manifest comes after the token's end

        assert store.push(name, progress=wait).digest
    finally:
        running.end()
        tokens.end()


def test_a_credential_helper_is_asked(
    store: Images, filled: Callable[..., str], tmp_path: Path, nobody: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = DockerRegistry(tmp_path / "basic", auth=basic_auth(tmp_path))
    try:
        tools = tmp_path / "tools"
        tools.mkdir()
        helper = tools / "docker-credential-mine"
        helper.write_text(
            f"""#!/bin/sh
case $1 in
get) read server; [ -f {tmp_path}/kept ] || {{ echo "credentials not found in native keychain"; exit 1; }}; cat {tmp_path}/kept;;
store) cat > {tmp_path}/kept;;
erase) rm {tmp_path}/kept;;
esac
"""
        )
        helper.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
        (nobody / "config.json").write_text('{"credsStore": "mine", "detachKeys": "ctrl-q"}')
        assert login.log_in(running.name, USER, PASSWORD) == ""
        document = json.loads((nobody / "config.json").read_text())
        assert document == {"credsStore": "mine", "detachKeys": "ctrl-q", "auths": {running.name: {}}}
        assert PASSWORD not in (nobody / "config.json").read_text()
        name = f"{running.name}/private:1"
        filled(name)
        assert store.push(name).digest
        assert login.log_out(running.name)[1]
        assert not (tmp_path / "kept").exists()
    finally:
        running.end()


# ---- docker and skopeo


@pytest.fixture(scope="module")
def docker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Docker]:
    running = Docker(tmp_path_factory.mktemp("dockerd"))
    try:
        running.wait()
        yield running
    finally:
        running.end()


def test_docker_pulls_what_we_push_and_we_pull_what_it_pushes(
    store: Images, filled: Callable[..., str], registry: DockerRegistry, docker: Docker, tmp_path: Path
) -> None:
    name = f"{registry.name}/ours:1"
    image_id = filled(name)
    digest = store.push(name).digest
    assert f"Digest: {digest}" in docker("pull", name)
    assert docker("inspect", "--format", "{{.Id}}", name).strip() == image_id
    back = f"{registry.name}/theirs:1"
    docker("tag", name, back)
    docker("push", back)
    shown = json.loads(docker("inspect", "--format", "{{json .RepoDigests}}", back))
    with other_store(tmp_path) as engine:
        pulled = engine.pull(back)
        assert engine.images.resolve(back).id == image_id
        assert f"{registry.name}/theirs@{pulled.digest}" in shown


def test_skopeo_copies_with_digests_preserved(
    store: Images, filled: Callable[..., str], registry: DockerRegistry, tmp_path: Path
) -> None:
    name = f"{registry.name}/skopeo/one:1"
    filled(name)
    digest = store.push(name).digest
    copy = ["skopeo", "copy", "--preserve-digests", "--src-tls-verify=false", "--dest-tls-verify=false"]
    subprocess.run(
        [*copy, f"docker://{name}", f"docker://{registry.name}/skopeo/two:1"], check=True, capture_output=True
    )
    with other_store(tmp_path) as engine:
        assert engine.pull(f"{registry.name}/skopeo/two:1").digest == digest
    # and straight from the layout of our store
    subprocess.run(
        [*copy, f"oci:{store.root}:{name}", f"docker://{registry.name}/skopeo/three:1"], check=True, capture_output=True
    )
    with other_store(tmp_path, "third") as engine:
        assert engine.pull(f"{registry.name}/skopeo/three:1").digest == digest


# ---- the command line


def minirun(tmp_path: Path, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    roots = ("--root", str(tmp_path / "cli"), "--run-root", str(tmp_path / "cli-run"))
    done = subprocess.run(
        [MINIRUN, *roots, *words], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done


def test_the_command_line_says_what_docker_says(
    store: Images, filled: Callable[..., str], registry: DockerRegistry, tmp_path: Path
) -> None:
    name = f"{registry.name}/cli/app"
    filled(f"{name}:latest")
    pushed = store.push(f"{name}:latest")
    layer = store.connection.execute("SELECT blobs FROM images").fetchone()[0][9:21]
    assert minirun(tmp_path, "pull", name).stdout.splitlines() == [
        "Using default tag: latest",
        "latest: Pulling from cli/app",
        f"{layer}: Pulling fs layer",
        f"{layer}: Download complete",
        f"{layer}: Pull complete",
        f"Digest: {pushed.digest}",
        f"Status: Downloaded newer image for {name}:latest",
        f"{name}:latest",
    ]
    again = minirun(tmp_path, "pull", f"{name}:latest").stdout.splitlines()
    assert again[1:] == [
        f"Digest: {pushed.digest}",
        f"Status: Image is up to date for {name}:latest",
        f"{name}:latest",
    ]
    assert minirun(tmp_path, "pull", "-q", name).stdout == f"{name}:latest\n"
    row = minirun(tmp_path, "images", "--digests").stdout.splitlines()[1].split()
    assert row[:3] == [name, "latest", pushed.digest]
    refused = minirun(tmp_path, "pull", f"{registry.name}/nothing:1", code=1).stderr
    assert f"manifest for {registry.name}/nothing:1 not found" in refused
    assert minirun(tmp_path, "push", f"{registry.name}/nothing:1", code=1).stderr == (
        f"Error: An image does not exist locally with the tag: {registry.name}/nothing\n"
    )
    assert minirun(tmp_path, "login", "-u", "x", code=1).stderr.endswith(
        "Cannot perform an interactive login from a non TTY device\n"
    )


@pytest.mark.parametrize("policy", ["missing", "always", "never"])
def test_create_pulls_as_it_is_told(
    store: Images, filled: Callable[..., str], registry: DockerRegistry, tmp_path: Path, policy: str
) -> None:
    name = f"{registry.name}/create/app:1"
    filled(name)
    store.push(name)
    first = minirun(tmp_path, "create", "--pull", policy, name, "true", code=1 if policy == "never" else 0)
    assert ("Downloaded newer image" in first.stderr) == (policy != "never")
    assert ("Unable to find image" in first.stderr) == (policy == "missing")
    assert len(first.stdout.splitlines()) == (0 if policy == "never" else 1)
    if policy == "never":
        return
    second = minirun(tmp_path, "create", "--pull", policy, name, "true")
    assert ("Image is up to date" in second.stderr) == (policy == "always")


# ---- two at once


def test_two_processes_fetch_a_layer_once(tmp_path: Path) -> None:
    served = Faulty()
    image = Served(layer_of({"one": os.urandom(3_000_000)}), layer_of({"two": os.urandom(3_000_000)}))
    name = served.add("twice", "1", image)

    def hold_until_both_have_come(handler: Handler) -> bool:
        if any(layer in handler.path for layer in image.layers):
            until("both to ask", lambda: len(served.requests("/manifests/")) == 2)
        return False

    served.faults.append(hold_until_both_have_come)
    roots = ("--root", str(tmp_path / "cli"), "--run-root", str(tmp_path / "cli-run"))
    both = [
        subprocess.Popen([MINIRUN, *roots, "pull", name], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for _ in range(2)
    ]
    said = [process.communicate(timeout=60)[0] for process in both]
    served.end()
    assert [process.returncode for process in both] == [0, 0], said
    assert [len(served.requests(f"/blobs/{layer}")) for layer in image.layers] == [1, 1]
    assert os.listdir(tmp_path / "cli/images/incoming") == []
    assert minirun(tmp_path, "images", "-q").stdout.count("\n") == 1
