"""What every command uses of contextlib, functools and sqlite3, without what those import.

Owns: `import_sqlite3`, and `suppress`, `contextmanager`, `ExitStack`, `cached_property`, each with its namesake's meaning and only
what is used of it. Leaves to others: everything else of those modules, which whoever needs it imports.
Why: contextlib and functools bring in collections, operator, keyword, reprlib and types, 3.3 ms of every start of a command
(docs/decisions/0012). The type checker sees the originals.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from contextlib import ExitStack as ExitStack
    from contextlib import contextmanager as contextmanager
    from contextlib import suppress as suppress
    from functools import cached_property as cached_property
    from typing import Any
else:

    class suppress:
        """contextlib.suppress: an exception of the given types ends the block and goes no further."""

        def __init__(self, *exceptions):
            self._exceptions = exceptions

        def __enter__(self):
            pass

        def __exit__(self, kind, error, trace):
            return kind is not None and issubclass(kind, self._exceptions)

    def contextmanager(function):
        """contextlib.contextmanager: a generator function that yields once becomes a `with` block's two ends."""

        def manager(*arguments, **keywords):
            return _Manager(function(*arguments, **keywords))

        manager.__wrapped__ = function
        manager.__doc__ = function.__doc__
        manager.__name__ = function.__name__
        return manager

    class _Manager:
        def __init__(self, generator):
            self._generator = generator

        def __enter__(self):
            return next(self._generator)

        def __exit__(self, kind, error, trace):
            if error is None:
                for _ in self._generator:
                    raise RuntimeError("a context manager's generator yielded twice")
                return False
            try:
                self._generator.throw(error)
            except StopIteration as end:
                return end is not error
            except BaseException as raised:
                # The block's own exception, or what a generator makes of a StopIteration, is raised on by the block itself.
                if raised is error or (isinstance(error, StopIteration) and raised.__cause__ is error):
                    error.__traceback__ = trace
                    return False
                raise
            raise RuntimeError("a context manager's generator yielded twice")

    class ExitStack:
        """contextlib.ExitStack: what was entered or registered is left in the opposite order, whatever is raised meanwhile."""

        def __init__(self):
            self._exits = []

        def enter_context(self, manager):
            value = manager.__enter__()
            self._exits.append(manager.__exit__)
            return value

        def push(self, leave):
            self._exits.append(getattr(leave, "__exit__", leave))
            return leave

        def callback(self, function, *arguments, **keywords):
            def call(kind, error, trace):
                function(*arguments, **keywords)

            self._exits.append(call)
            return function

        def pop_all(self):
            """Hand all that is to be done over to a new stack."""
            other = ExitStack()
            other._exits, self._exits = self._exits, []
            return other

        def close(self):
            self.__exit__(None, None, None)

        def __enter__(self):
            return self

        def __exit__(self, kind, error, trace):
            pending = error
            while self._exits:
                leave = self._exits.pop()
                try:
                    if pending is None:
                        leave(None, None, None)
                    elif leave(type(pending), pending, pending.__traceback__):
                        pending = None
                except BaseException as raised:
                    if raised is not pending and raised.__context__ is None:
                        raised.__context__ = pending
                    pending = raised
            if pending is None:
                return error is not None
            if pending is error:
                return False
            raise pending

    class cached_property:
        """functools.cached_property: computed at the first use, then an attribute of the instance."""

        def __init__(self, function):
            self._function = function
            self.__doc__ = function.__doc__

        def __set_name__(self, owner, name):
            self._name = name

        def __get__(self, instance, owner=None):
            if instance is None:
                return self
            value = instance.__dict__[self._name] = self._function(instance)
            return value


def import_sqlite3() -> Any:
    """Import sqlite3's C part: what `sqlite3` adds is conversion of dates, which no row of ours has, and `datetime` for it.

    The C part itself imports functools when it is loaded, for `lru_cache` alone, and that costs 2 ms more: it gets what functools
    would give (a cache of _functools, the same C code), unless functools is there already or this Python's C part wants more of it.
    """
    from _functools import _lru_cache_wrapper  # type: ignore[import-not-found]  # comes without types

    if "functools" in sys.modules:
        import _sqlite3

        return _sqlite3
    functools: Any = type(sys)("functools")
    functools.lru_cache = lambda size: lambda function: _lru_cache_wrapper(function, size, False, tuple)
    sys.modules["functools"] = functools
    try:
        import _sqlite3
    except (AttributeError, ImportError):
        del sys.modules["functools"]
        import _sqlite3
    else:
        del sys.modules["functools"]
    return _sqlite3
