"""The stand-ins for parts of contextlib and functools behave as the originals do: each test runs over both."""

from __future__ import annotations

import contextlib
import functools
import subprocess
import sys

import pytest

from minirun import light


@pytest.fixture(params=["ours", "original"])
def tools(request):
    if request.param == "ours":
        return light

    class Originals:
        suppress = contextlib.suppress
        contextmanager = staticmethod(contextlib.contextmanager)
        ExitStack = contextlib.ExitStack
        cached_property = functools.cached_property

    return Originals


def test_suppress_swallows_the_named_kinds_and_their_children_only(tools):
    with tools.suppress(OSError, KeyError):
        raise FileNotFoundError
    with pytest.raises(ValueError, match="other"), tools.suppress(OSError):
        raise ValueError("other")
    with tools.suppress(OSError):
        pass


def test_a_generator_is_both_ends_of_a_block(tools):
    seen = []

    @tools.contextmanager
    def block(name, *, end):
        seen.append(name)
        yield name.upper()
        seen.append(end)

    with block("a", end="z") as value:
        seen.append(value)
    assert seen == ["a", "A", "z"]
    assert block.__name__ == "block"


def test_a_generator_sees_the_exception_and_may_swallow_or_replace_it(tools):
    @tools.contextmanager
    def swallowing():
        with contextlib.suppress(ValueError):
            yield

    @tools.contextmanager
    def replacing():
        try:
            yield
        except ValueError as error:
            raise KeyError("better") from error

    @tools.contextmanager
    def passing():
        try:
            yield
        finally:
            pass

    with swallowing():
        raise ValueError
    with pytest.raises(KeyError, match="better") as replaced, replacing():
        raise ValueError("worse")
    assert isinstance(replaced.value.__cause__, ValueError)
    with pytest.raises(ValueError, match="own") as own, passing():
        raise ValueError("own")
    assert own.value.__context__ is None
    for odd in (StopIteration("x"), RuntimeError("x"), GeneratorExit("x")):
        with pytest.raises(type(odd)) as caught, passing():
            raise odd
        assert caught.value is odd


def test_a_generator_that_yields_twice_is_a_defect(tools):
    @tools.contextmanager
    def twice():
        yield
        yield

    with pytest.raises(RuntimeError), twice():
        pass


def test_a_stack_is_left_in_the_opposite_order_whatever_is_raised(tools):
    seen = []

    def failing():
        seen.append("failing")
        raise KeyError("late")

    def block():
        with tools.ExitStack() as stack:
            stack.callback(seen.append, "first")
            stack.callback(failing)
            stack.callback(seen.append, "last")
            raise ValueError("early")

    with pytest.raises(KeyError, match="late") as caught:
        block()
    assert seen == ["last", "failing", "first"]
    assert isinstance(caught.value.__context__, ValueError)


def test_a_stack_enters_pushes_and_hands_over(tools):
    seen = []

    @tools.contextmanager
    def block(name):
        yield name
        seen.append(name)

    with tools.ExitStack() as stack:
        assert stack.enter_context(block("entered")) == "entered"
        stack.push(lambda kind, error, trace: seen.append(kind))
        kept = stack.pop_all()
    assert seen == []
    kept.close()
    assert seen == [None, "entered"]
    kept.close()
    assert seen == [None, "entered"]


def test_what_a_stack_holds_can_swallow_an_exception(tools):
    seen = []
    with tools.ExitStack() as stack:
        stack.push(lambda kind, error, trace: seen.append(kind))
        stack.push(lambda kind, error, trace: True)
        raise ValueError
    assert seen == [None]


def test_an_exception_while_entering_leaves_what_was_entered_before(tools):
    seen = []

    @tools.contextmanager
    def broken():
        raise OSError("no")
        yield

    def block():
        with tools.ExitStack() as stack:
            stack.callback(seen.append, "undone")
            stack.enter_context(broken())

    with pytest.raises(OSError, match="no"):
        block()
    assert seen == ["undone"]


def test_a_property_is_computed_once_for_each_instance(tools):
    class Thing:
        count = 0

        @tools.cached_property
        def value(self):
            """What it is."""
            self.count += 1
            return self.count

    one, other = Thing(), Thing()
    assert (one.value, one.value, other.value) == (1, 1, 1)
    assert Thing.value.__doc__ == "What it is."
    del one.value
    assert one.value == 2


def in_a_fresh_interpreter(script: str) -> str:
    words = [sys.executable, "-IS", "-c", f"import os, sys; sys.path += {sys.path!r}; {script}"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def test_importing_them_imports_nothing():
    script = "before = set(sys.modules); import minirun.light; print(sorted(set(sys.modules) - before))"
    assert in_a_fresh_interpreter(script) == "['__future__', 'minirun', 'minirun.light']\n"


@pytest.mark.parametrize("before", ["", "import functools; "])
def test_the_c_part_of_sqlite3_works_and_leaves_the_real_functools_to_others(before):
    script = (
        f"{before}from minirun.light import import_sqlite3; sqlite3 = import_sqlite3();"
        "print('functools' in sys.modules);"
        "connection = sqlite3.connect(':memory:');"
        "print([connection.execute('SELECT ?', (n % 200,)).fetchone()[0] for n in range(400)] == list(range(200)) * 2);"
        "import functools; print(functools.partial(int, '7')());"
        "import sqlite3 as whole; print(whole.connect(':memory:').execute('SELECT 8').fetchone())"
    )
    assert in_a_fresh_interpreter(script) == f"{bool(before)}\nTrue\n7\n(8,)\n"


@pytest.mark.parametrize("wish", ["import functools; wraps = functools.wraps", "from functools import wraps"])
def test_a_c_part_that_wants_more_of_functools_gets_the_real_one(tmp_path, wish):
    (tmp_path / "_sqlite3.py").write_text(wish)
    script = f"sys.path.insert(0, {str(tmp_path)!r}); from minirun.light import import_sqlite3; "
    assert in_a_fresh_interpreter(script + "print(import_sqlite3().wraps.__module__)") == "functools\n"
