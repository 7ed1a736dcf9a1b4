"""`rename`: the new name works, the old one is free, and docker's refusals."""

from __future__ import annotations

import pytest


@pytest.fixture
def two(minirun, busybox):
    """Two containers that haven't been started, `first` and `second`."""
    minirun("create", "--name", "first", busybox, "true")
    minirun("create", "--name", "second", busybox, "true")
    yield
    minirun("rm", "-f", "first", "second", "third", check=False)


def test_the_new_name_works_and_the_old_one_is_free(minirun, busybox, two):
    done = minirun("rename", "first", "third")
    assert (done.stdout, done.stderr) == ("", "")
    assert minirun("inspect", "-f", "{{.Name}}", "third").stdout == "/third\n"
    assert minirun("inspect", "first", check=False).returncode == 1
    minirun("create", "--name", "first", busybox, "true")
    minirun("container", "rename", "/second", "/renamed")
    minirun("rm", "renamed")


def test_a_running_container_is_renamed_and_goes_on(minirun, busybox, run_container):
    name = run_container(busybox, "sleep", "600")
    pid = minirun("inspect", "-f", "{{.State.Pid}}", name).stdout
    minirun("rename", name, "moved")
    assert minirun("inspect", "-f", "{{.State.Pid}}", "moved").stdout == pid
    minirun("restart", "-t", "0", "moved")
    minirun("rename", "moved", name)


@pytest.mark.parametrize(
    ("new", "sentence"),
    [
        ("first", "Renaming a container with the same name as its current name"),
        ("second", 'Error when allocating new name: Conflict. The container name "/second" is already in use by container "'),
        ("a b", "Error when allocating new name: Invalid container name ("),
        ("", "Neither old nor new names may be empty"),
    ],
)  # fmt: skip
def test_a_name_that_cannot_be_is_refused(minirun, two, new, sentence):
    done = minirun("rename", "first", new, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"Error: {sentence}")
    assert minirun("inspect", "-f", "{{.Name}}", "first").stdout == "/first\n"


def test_a_name_comes_before_the_beginning_of_an_id_and_after_the_whole(minirun, two):
    wanted = minirun("inspect", "-f", "{{.Id}}", "second").stdout.strip()

    def named(reference: str) -> str:
        return minirun("inspect", "-f", "{{.Name}}", reference).stdout

    minirun("rename", "first", wanted[:12])
    try:
        assert named(wanted[:12]) == f"/{wanted[:12]}\n"
        assert named(wanted[:13]) == named(wanted) == "/second\n"
    finally:
        minirun("rename", wanted[:12], "first")
    minirun("rename", "first", wanted)
    try:
        assert named(wanted) == "/second\n"
    finally:
        minirun("rename", f"/{wanted}", "first")


def test_no_name_at_all_is_refused_in_dockers_words(minirun):
    for words in (("logs", ""), ("inspect", "--type", "container", ""), ("rm", ""), ("start", ""), ("wait", "")):
        done = minirun(*words, check=False)
        assert (done.returncode, done.stderr) == (1, "Error: invalid container name or ID: value is empty\n")


def test_who_isnt_there_cannot_be_renamed(minirun):
    done = minirun("rename", "no-such", "other", check=False)
    assert (done.returncode, done.stderr) == (1, "Error: No such container: no-such\n")
