"""The exception tree. Each class knows the exit code that a command ends with and the HTTP status of an API answer.

    MinirunError                     1    500  something went wrong that the user has to know
    +-- UsageError                 125    400  the command line itself is wrong: a flag
    |   +-- WrongCommand             1    400  no such command, or too few or too many arguments
    +-- BadCall                      1    400  options that exclude each other, a terminal that isn't there: 1 of `run`, too
    +-- InvalidInput               125    400  a value is malformed: port, volume, memory size, reference
    +-- NotFound                     1    404  no such container, image, network
    +-- Conflict                     1    409  the name is taken, the container runs, the port is in use
    +-- NotSupported               125    501  this host can't do it: no controller, no capability, kernel too old
    +-- Exhausted                  125    507  no address, no space left
    +-- Corrupt                      1    422  an archive, a blob or a record isn't what it says it is
    +-- NotReady                     1    504  a container doesn't serve: not in time, or it ended before
    +-- StartFailed                125    500  the container could not be started
        +-- CommandNotExecutable   126    400  the command is there but can't be executed
        +-- CommandNotFound        127    400  no such command in the container

A class exists where a caller would act differently. A message is one line: what was tried, on what, why it failed, and
the next step where there is one. Low layers raise OSError with system call and path; each package translates at its own
door with `raise ... from`. `run`, `create` and `start` turn exit code 1 into 125 as docker does: 125 says "minirun failed",
the command's own codes are never confused with it.
"""

from __future__ import annotations


class MinirunError(Exception):
    """Root of everything that minirun raises on purpose."""

    exit_code = 1
    http_status = 500


class UsageError(MinirunError):
    exit_code = 125
    http_status = 400


class WrongCommand(UsageError):
    exit_code = 1


class BadCall(MinirunError):
    exit_code = 1
    http_status = 400


class InvalidInput(MinirunError):
    exit_code = 125
    http_status = 400


class NotFound(MinirunError):
    exit_code = 1
    http_status = 404


class Conflict(MinirunError):
    exit_code = 1
    http_status = 409


class NotSupported(MinirunError):
    exit_code = 125
    http_status = 501


class Exhausted(MinirunError):
    exit_code = 125
    http_status = 507


class Corrupt(MinirunError):
    exit_code = 1
    http_status = 422


class NotReady(MinirunError):
    exit_code = 1
    http_status = 504


class StartFailed(MinirunError):
    exit_code = 125
    http_status = 500


class CommandNotExecutable(StartFailed):
    exit_code = 126
    http_status = 400


class CommandNotFound(StartFailed):
    exit_code = 127
    http_status = 400
