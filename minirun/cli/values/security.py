"""Who a container's process is and what it may do: `--user`, `--group-add`, `--userns`, `--cap-add`, `--security-opt`.

Owns: the form of these. Leaves to others: what a capability is (runtime/capabilities), users' names (the image's
/etc/passwd, read by the native core inside the container's root).
"""

from __future__ import annotations

import os

from ...errors import InvalidInput


def capability(text: str) -> tuple[str, ...]:
    """Read a capability's name, with or without CAP_, in any case; `ALL` stands for all."""
    name = text.upper()
    bare = name.removeprefix("CAP_")
    if not bare.replace("_", "").isalpha() or not bare.isascii():
        raise InvalidInput(f'invalid capability: "{text}"')
    return ("ALL" if bare == "ALL" else f"CAP_{bare}",)


def user(text: str) -> str:
    """Read `name|uid[:group|gid]`."""
    _refuse_odd(text, "user")
    return text


def user_namespace(text: str) -> str:
    """Read `host`, `auto` or `auto:size=N`; an empty one means the default, which is the host's."""
    if text not in ("", "host"):
        from ...engine.userns import size_of

        size_of(text)
    return text


def group(text: str) -> tuple[str, ...]:
    """Read a group's name or number."""
    if not text:
        raise InvalidInput("a group's name or number is needed")
    _refuse_odd(text, "group")
    return (text,)


def _refuse_odd(text: str, what: str) -> None:
    if any(letter.isspace() or not letter.isprintable() for letter in text) or text.count(":") > 1:
        raise InvalidInput(f"invalid {what}: {text!r}")


def option(text: str) -> tuple[str, ...]:
    """Read a security option and give it in the spelling of ContainerConfig. Raises InvalidInput."""
    key, found, value = text.partition("=" if "=" in text else ":")
    if key == "no-new-privileges":
        if found and value not in ("true", "false"):
            raise InvalidInput(f'invalid --security-opt: "{text}"')
        return ("no-new-privileges",) if value != "false" else ()
    if key == "seccomp" and value:
        return (f"seccomp={_profile(value)}",)
    if text == "systempaths=unconfined":
        return (text,)
    if (key, value) in (("apparmor", "unconfined"), ("label", "disable")):
        return ()  # minirun sets neither, so there is nothing to take away
    if key in ("apparmor", "label"):
        raise InvalidInput(f"minirun sets no {'AppArmor profiles' if key == 'apparmor' else 'SELinux labels'}: {text}")
    raise InvalidInput(f'invalid --security-opt: "{text}"')


def _profile(value: str) -> str:
    if value in ("unconfined", "builtin"):
        return value
    try:
        os.stat(value)
    except OSError as error:
        reason = (error.strerror or "").lower()
        raise InvalidInput(f"opening seccomp profile ({value}) failed: open {value}: {reason}") from error
    return os.path.abspath(value)
