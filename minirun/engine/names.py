"""Identifiers and names of containers.

Owns: how an id is drawn, which names are allowed, and the names that containers get when the user gave none.
"""

from __future__ import annotations

import os

from ..errors import InvalidInput

NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")
NAME_MAX = 253

ADJECTIVES = """
able agile amber apt bold brave brisk calm clear clever cosy crisp daring deft eager early fair fast fine fond frank
fresh gentle glad golden good grand green happy hardy hearty honest humble jolly keen kind lively loyal lucid lucky
mellow merry mild modest neat nimble noble open patient plain polite proud quick quiet rapid ready rosy sharp shiny
silent silver sleek smart snug solid sound spry steady sturdy sunny sure swift tidy tough trusty upbeat vivid warm
wise witty young zesty
""".split()  # noqa: SIM905  (a list of a hundred lines is not easier to read)
NOUNS = """
alder anchor aspen badger bay beacon beech birch bison bridge brook canyon cedar cliff clover coral cove crane creek
cypress dale delta dolphin dune eagle elm ember falcon fern field finch fjord forest fox gale garden glacier grove
gull harbor hare hawk hazel heron hill holly isle ivy jay juniper kestrel lagoon lake larch lark leaf linden lynx
maple marten meadow mesa moon moor moss oak ocean orchid osprey otter owl palm peak pebble pine plover pond poplar
quail rain raven reef ridge river robin rowan sable sage seal shore sky snow sparrow spring spruce star stone stork
stream summit swan teal thistle thrush tide trout tulip vale walnut wave willow wren
""".split()  # noqa: SIM905  (a list of a hundred lines is not easier to read)


def new_id() -> str:
    """Draw an id: 64 hexadecimal digits, never all decimal in the first twelve (that would read as a number in a host name)."""
    while True:
        drawn = os.urandom(32).hex()
        if not drawn[:12].isdecimal():
            return drawn


def new_name() -> str:
    """Draw a name such as `brave_otter`; the caller tries again when it is taken."""
    first, second = os.urandom(2), os.urandom(2)
    return f"{ADJECTIVES[int.from_bytes(first, 'big') % len(ADJECTIVES)]}_{NOUNS[int.from_bytes(second, 'big') % len(NOUNS)]}"


def check_name(name: str) -> str:
    """Give `name` without a leading slash; raises InvalidInput in docker's words when it has other characters than allowed."""
    bare = name.removeprefix("/")
    if len(bare) < 2 or len(bare) > NAME_MAX or bare[0] in "_.-" or not NAME_CHARACTERS.issuperset(bare):
        raise InvalidInput(f"Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")
    return bare
