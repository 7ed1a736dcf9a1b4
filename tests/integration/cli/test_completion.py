"""Completion in the shells themselves: bash, zsh and fish, each with its script, at a key press, on what is really there."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.terminal import Terminal

# What the function leaves in COMPREPLY for a line, as bash would call it: words split as readline splits them.
BASH = """
source <(minirun completion bash)
COMP_WORDBREAKS=$' \\t\\n"\\'><=;|&(:'
COMP_LINE=$1 COMP_POINT=${#1}
mapfile -t COMP_WORDS < <(python3 - "$1" <<'END'
import re, sys
line = sys.argv[1]
print(*re.findall(r"[=:]+|[^\\s=:]+", line), sep="\\n")
if line[-1] in " ": print()
END
)
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
compopt() { :; }
_minirun
printf '%s\\n' "${COMPREPLY[@]}"
"""


PLACES = {
    "bash": "bash-completion/completions/minirun",
    "zsh": "zsh/site-functions/_minirun",
    "fish": "fish/vendor_completions.d/minirun.fish",
}


@pytest.fixture
def path(minirun, tmp_path) -> dict[str, str]:
    """An environment whose `minirun` is the one under test, on the session's roots."""
    program = tmp_path / "bin/minirun"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {shlex.join(minirun.words)} "$@"\n')
    program.chmod(0o755)
    home = tmp_path / "home"
    home.mkdir()
    return {
        **os.environ,
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home),
        "TERM": "dumb",
    }


@pytest.fixture
def things(minirun, busybox):
    """A container, and a volume."""
    minirun("create", "--name", "compl-one", busybox)
    minirun("volume", "create", "compl-data")
    yield
    minirun("rm", "compl-one")
    minirun("volume", "rm", "compl-data")


CASES = [
    ("minirun rena", ["rename"]),
    ("minirun container rena", ["rename"]),
    ("minirun ps --no-t", ["--no-trunc"]),
    ("minirun rm compl-", ["compl-one"]),
    ("minirun run --rm --pul", ["--pull"]),
    ("minirun volume rm compl-", ["compl-data"]),
    ("minirun kill -s SIGKI", ["SIGKILL"]),
]


@pytest.mark.parametrize(("line", "expected"), CASES)
def test_bash_completes(line, expected, things, path):
    assert in_bash(line, path) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("minirun run --network=ho", ["host"]),
        ("minirun run --network=", ["bridge", "container:", "host", "none"]),
        ("minirun run --network container:", []),
        ("minirun run -v compl-data:/no/such/", []),
        ("minirun run -e A= bu", ["busybox"]),
        ("minirun run -e A=b --name x:y bu", ["busybox"]),
        ("minirun rmi busybox:la", ["latest"]),
        ("minirun pull --plat", ["--platform"]),
    ],
)
def test_bash_puts_the_words_together_that_it_splits(line, expected, busybox, path):
    assert in_bash(line, path) == expected


def in_bash(line: str, path: dict[str, str]) -> list[str]:
    done = subprocess.run(["bash", "-c", BASH, "bash", line], env=path, capture_output=True, text=True, check=True)
    assert not done.stderr
    return [word for word in done.stdout.splitlines() if word]


def test_bash_completes_at_a_key_press(things, path):
    with Terminal(
        ["env", "-i", *(f"{k}={v}" for k, v in path.items()), "bash", "--norc", "--noprofile", "-i"]
    ) as person:
        person.send("PS1='@ '; source <(minirun completion bash); echo sour''ced\n")
        person.expect("sourced")
        person.expect("@ $")
        person.send("minirun rm compl-\t")
        person.expect("minirun rm compl-one $")
        person.send("\x15minirun run --network=ho\t")
        person.expect("--network=host $")
        person.send("\x15minirun run -v compl-d\t")
        person.expect("-v compl-data:$")
        person.send("\x15true; minirun container rm compl-\t")
        person.expect("container rm compl-one $")
        person.send("\x15cd /\n")
        person.send("minirun run --env-file etc/passw\t")
        person.expect("etc/passw\x07?d")  # and a bell: there is /etc/passwd-, too
        person.send("\x15exit\n")
        person.wait()


def test_zsh_completes_at_a_key_press(things, path):
    with Terminal(["env", "-i", *(f"{k}={v}" for k, v in path.items()), "zsh", "-f", "-i"]) as person:
        person.send(
            "PS1='@ '; autoload -U compinit && compinit -u -D; source <(minirun completion zsh); echo sour''ced\n"
        )
        person.expect("sourced")
        person.expect("@ ")
        for typed, becomes in [
            ("minirun rena\t", "minirun rename "),
            ("minirun rm compl-\t", "compl-one "),
            ("minirun run --network=ho\t", "--network=host "),
            ("minirun ps --no-t\t", "--no-trunc "),
            ("minirun run -v compl-d\t", "compl-data:"),
            ("minirun run --env-file /etc/passw\t", "/etc/passwd"),
        ]:
            person.send(typed)
            person.expect(becomes)
            person.send("\x15")
        person.send("\x15exit\n")
        person.wait()


@pytest.mark.parametrize(("line", "expected"), [*CASES, ("minirun run --network=ho", ["--network=host"])])
def test_fish_completes(line, expected, things, path):
    assert in_fish(line, path) == expected


def test_fish_shows_descriptions_and_files(things, path):
    assert "compl-one\tbusybox, created" in in_fish("minirun rm compl-", path, whole=True)
    assert in_fish("minirun run --env-file /etc/passw", path)[0] == "/etc/passwd"
    assert "bash" in in_fish("minirun completion ", path)


def in_fish(line: str, path: dict[str, str], *, whole: bool = False) -> list[str]:
    script = f"minirun completion fish | source; complete --do-complete {shlex.quote(line)}"
    done = subprocess.run(["fish", "--no-config", "-c", script], env=path, capture_output=True, text=True, check=True)
    assert not done.stderr
    return done.stdout.splitlines() if whole else [answer.partition("\t")[0] for answer in done.stdout.splitlines()]


def test_a_key_press_makes_no_data_root(minirun, tmp_path):
    words = [minirun.words[0], "--root", str(tmp_path / "none"), "--run-root", str(tmp_path / "none-run")]
    done = subprocess.run([*words, "completion", "words", "--", "rm", ""], capture_output=True, text=True, check=True)
    assert done.stdout == ":\n"
    assert not (tmp_path / "none").exists()


def test_the_root_on_the_line_is_the_one_that_is_looked_at(minirun, things, roots, tmp_path):
    line = ["--root", str(roots.root), "--run-root", str(roots.run_root), "rm", "compl-"]
    words = [minirun.words[0], "--root", str(tmp_path / "none"), "--run-root", str(tmp_path / "none-run")]
    done = subprocess.run([*words, "completion", "words", "--", *line], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("compl-one\t")


def test_who_may_not_look_is_offered_options_alone(minirun):
    shell = f"{shlex.join(minirun.words)} completion words -- "
    for words, expected in (("rm ''", ":\n"), ("ps --no-t", "--no-trunc\tDon't truncate output\n:\n")):
        done = subprocess.run(
            ["setpriv", "--reuid=65534", "--clear-groups", "sh", "-c", shell + words],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0 and "ermission denied" in done.stderr:
            continue  # a checkout that only root can read
        assert done.stdout == expected


def test_another_shell_is_refused(minirun):
    done = minirun("completion", "tcsh", check=False)
    assert done.returncode != 0
    assert "there are bash, zsh, fish" in done.stderr


@pytest.fixture
def share(minirun, tmp_path) -> Path:
    """A prefix's share/ as `make install` fills it."""
    share = tmp_path / "share"
    for shell, place in PLACES.items():
        (share / place).parent.mkdir(parents=True)
        (share / place).write_text(minirun("completion", shell).stdout)
    return share


def test_bash_completion_finds_the_script(things, path, share):
    words = ["env", "-i", *(f"{k}={v}" for k, v in path.items()), f"XDG_DATA_DIRS={share}"]
    with Terminal([*words, "bash", "--norc", "--noprofile", "-i"]) as person:
        person.send("PS1='@ '; source /usr/share/bash-completion/bash_completion; echo sour''ced\n")
        person.expect("sourced")
        person.expect("@ $")
        person.send("minirun rm compl-\t")
        person.expect("minirun rm compl-one $")
        person.send("\x15exit\n")
        person.wait()


def test_zsh_finds_the_script(things, path, share):
    folder = (share / PLACES["zsh"]).parent
    with Terminal(["env", "-i", *(f"{k}={v}" for k, v in path.items()), "zsh", "-f", "-i"]) as person:
        person.send(f"PS1='@ '; fpath+=({folder}); autoload -U compinit && compinit -u -D; echo sour''ced\n")
        person.expect("sourced")
        person.expect("@ ")
        for typed, becomes in [("minirun rm compl-\t", "compl-one "), ("minirun rena\t", "minirun rename ")]:
            person.send(typed)
            person.expect(becomes)
            person.send("\x15")
        person.send("\x15exit\n")
        person.wait()


def test_fish_finds_the_script(things, path, share):
    found = {**path, "XDG_DATA_DIRS": f"{share}:/usr/share"}
    words = ["fish", "-c", "complete --do-complete 'minirun rm compl-'"]
    done = subprocess.run(words, env=found, capture_output=True, text=True, check=True)
    assert done.stdout == "compl-one\tbusybox, created\n"


def test_make_install_puts_the_scripts_where_the_shells_look() -> None:
    makefile = (Path(__file__).parents[3] / "Makefile").read_text()
    for place in PLACES.values():
        assert makefile.count(f"$(PREFIX)/share/{place}") == 1
    assert "rm -f $(COMPLETION_bash) $(COMPLETION_zsh) $(COMPLETION_fish)" in makefile
