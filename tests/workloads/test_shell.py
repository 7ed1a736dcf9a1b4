"""A person at a shell in a container: prompt, ctrl-C, a resized window, detaching and coming back, the exit code.

Control keys are typed at a prompt or into a program that has said that it is there. Between two commands the shell's terminal
is in canonical mode, and what ctrl-D leaves in it there is a NUL once the shell's line editor has made it raw: on any terminal,
in a container or not. Ctrl-C there goes to the shell. n_tty.c of the kernel, termios(3).
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import MinirunCommand, RunContainer
from tests.terminal import CTRL_C, CTRL_D, DETACH, Terminal
from tests.waiting import until

PROMPT = r"/ # "


@pytest.fixture
def shell(busybox: str, minirun: MinirunCommand) -> Iterator[list[str]]:
    """Give the words that run a shell; what a test that failed left of it is removed."""
    yield [*minirun.words, "run", "--rm", "-it", "--name", "shell", busybox, "sh"]
    minirun("rm", "-f", "shell", check=False)


def test_the_prompt_comes_and_a_command_answers(shell: list[str]) -> None:
    with Terminal(shell) as terminal:
        terminal.expect(PROMPT)
        assert terminal.is_raw()
        terminal.send("echo $((6 * 7))\n")
        terminal.expect(r"\n42\r\n")
        terminal.send("exit\n")
        assert terminal.wait() == 0


def test_ctrl_c_ends_the_command_and_not_the_shell(shell: list[str]) -> None:
    with Terminal(shell) as terminal:
        terminal.expect(PROMPT)
        # The command itself says that it is there: between two commands, ctrl-C would go to the shell.
        terminal.send("sh -c 'echo started; exec sleep 1000'\n")
        terminal.expect(r"\nstarted\r\n")
        terminal.send(CTRL_C)
        terminal.expect(PROMPT)
        terminal.send("echo code $?\n")
        terminal.expect(r"\ncode 130\r\n")
        terminal.expect(PROMPT)
        terminal.send(CTRL_D)
        assert terminal.wait() == 0


def test_the_size_of_the_window_follows(shell: list[str]) -> None:
    with Terminal(shell, rows=30, columns=100) as terminal:
        terminal.expect(PROMPT)
        terminal.send("stty size\n")
        terminal.expect(r"\n30 100\r\n")
        terminal.resize(41, 123)

        def size() -> bool:
            terminal.send("stty size\n")
            return terminal.expect(r"\n(\d+ \d+)\r\n").group(1) == "41 123"

        until("the new size inside", size)
        terminal.send("exit\n")
        assert terminal.wait() == 0


def test_the_exit_code_is_the_shells(shell: list[str]) -> None:
    with Terminal(shell) as terminal:
        terminal.expect(PROMPT)
        terminal.send("exit 42\n")
        assert terminal.wait() == 42


def test_the_terminal_is_as_before_afterwards(shell: list[str]) -> None:
    with Terminal(["sh", "-c", f"stty -g >&2; {' '.join(shell)}; stty -g >&2"]) as terminal:
        before = terminal.expect(r"([0-9a-f:]{40,})\r\n").group(1)
        terminal.expect(PROMPT)
        terminal.send("exit\n")
        assert terminal.expect(r"([0-9a-f:]{40,})\r\n").group(1) == before
        assert terminal.wait() == 0


def test_one_detaches_and_comes_back(busybox: str, run_container: RunContainer, minirun: MinirunCommand) -> None:
    name = run_container("-it", busybox, "sh")
    with Terminal([*minirun.words, "attach", name]) as terminal:
        terminal.send("marker=kept\n")
        terminal.expect(PROMPT)
        terminal.send(DETACH)
        terminal.expect("read escape sequence")
        assert terminal.wait() == 1
    assert minirun("inspect", "-f", "{{.State.Running}}", name).stdout.strip() == "true"
    with Terminal([*minirun.words, "attach", name]) as terminal:
        terminal.send("echo it was $marker\n")
        terminal.expect(r"\nit was kept\r\n")
        terminal.send("exit 7\n")
        assert terminal.wait() == 7


def test_leaving_is_a_failure_of_attach_and_exec_and_none_of_run_and_start(
    shell: list[str], minirun: MinirunCommand
) -> None:
    """What docker's client does."""
    kept = [word for word in shell if word != "--rm"]
    for words, code in (
        (kept, 0),
        ([*minirun.words, "attach", "shell"], 1),
        ([*minirun.words, "exec", "-it", "shell", "sh"], 1),
        ([*minirun.words, "start", "-ai", "shell"], 0),
    ):
        if code == 0:
            minirun("kill", "shell", check=False)
        with Terminal(words) as terminal:
            terminal.send("echo $((6 * 7))\n")
            terminal.expect(r"\n42\r\n")
            terminal.send(DETACH)
            if code:
                terminal.expect("read escape sequence")
            assert terminal.wait() == code
            assert code or b"read escape sequence" not in terminal.text
