"""Which images a list shows: the filters of `images`, with docker's meaning.

Owns: the filters, the pattern of a name. Leaves to others: columns and words (cli/), how an instant is written (cli/values/times).

Different filters have to hold all; of one filter given several times any value will do, but for labels.
"""

from __future__ import annotations

from ..errors import InvalidInput
from .reference import DEFAULT_DOMAIN, OFFICIAL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .image import Image
    from .store import Images

    Test = Callable[[Image], bool]

_TRUE = ("1", "t", "T", "TRUE", "true", "True")
_FALSE = ("0", "f", "F", "FALSE", "false", "False")


def select(images: Images, filters: Mapping[str, Sequence[str]]) -> list[Image]:
    """Give the images that pass every filter, the newest first. Raises InvalidInput, and NotFound for `before` and `since`.

    `until` holds nanoseconds since the epoch, as text. With `reference`, an image has those of its names that fit, no others.
    """
    tests = [_test(images, name, values) for name, values in filters.items() if name != "reference"]
    chosen = (image for image in images.list() if all(test(image) for test in tests))
    if "reference" not in filters:
        return list(chosen)
    fits = [_fits(_short(pattern)) for pattern in filters["reference"]]
    return [image for image in (_with_names(image, fits) for image in chosen) if image.tags or image.digests]


def _with_names(image: Image, fits: Sequence[Callable[[str], bool]]) -> Image:
    def fitting(names: Sequence[str]) -> tuple[str, ...]:
        return tuple(name for name in names if any(fit(name) for fit in fits))

    return image.replace(tags=fitting(image.tags), digests=fitting(image.digests))


def _fits(pattern: str) -> Callable[[str], bool]:
    """Give the test of a familiar name: the pattern fits it with its tag or digest, or without. Raises InvalidInput.

    `*` and `?` stand for no slash. Go's path.Match, which docker's reference filter uses.
    """
    import re

    whole = re.compile(_expression(pattern), re.DOTALL).fullmatch
    return lambda name: bool(whole(name) or whole(name.rpartition("@" if "@" in name else ":")[0]))


def _short(pattern: str) -> str:
    """Take away what familiar names leave out."""
    return pattern.removeprefix(f"{DEFAULT_DOMAIN}/").removeprefix(f"{OFFICIAL}/")


def _expression(pattern: str) -> str:
    """Write a pattern of path.Match as a regular expression."""
    import re

    expression, place = "", 0
    while place < len(pattern):
        letter = pattern[place]
        place += 1
        if letter in "*?":
            expression += "[^/]" + ("*" if letter == "*" else "")
        elif letter == "[":
            end = pattern.find("]", place + (pattern[place : place + 1] == "^"))
            inner = pattern[place:end].removeprefix("^")
            if end < 0 or not inner:
                raise InvalidInput(f"invalid filter 'reference={pattern}': syntax error in pattern")
            negated = "^" if pattern[place] == "^" else ""
            expression += f"[{negated}{inner.replace('[', chr(92) + '[').replace('^', chr(92) + '^')}]"
            place = end + 1
        elif letter == "\\" and place < len(pattern):
            expression += re.escape(pattern[place])
            place += 1
        else:
            expression += re.escape(letter)
    return expression


def _test(images: Images, name: str, values: Sequence[str]) -> Test:
    make = _FILTERS.get(name)
    if make is None:
        raise InvalidInput(f"invalid filter '{name}'")
    return make(images, values)


def _by_dangling(images: Images, values: Sequence[str]) -> Test:
    for value in values:
        if value not in (*_TRUE, *_FALSE):
            raise InvalidInput(f"invalid filter 'dangling={value}': it is true or false")

    def test(image: Image) -> bool:
        """docker calls one that only a digest leads to dangling, and shows it among those that aren't as well."""
        return any(not image.tags if value in _TRUE else image.tags or image.digests for value in values)

    return test


def _by_label(images: Images, values: Sequence[str]) -> Test:
    pairs = [value.partition("=") for value in values]

    def test(image: Image) -> bool:
        labels = image.config.get("Labels") or {}
        return all(key in labels and (not equals or labels[key] == wanted) for key, equals, wanted in pairs)

    return test


def _by_age(*, older: bool) -> Callable[[Images, Sequence[str]], Test]:
    def make(images: Images, values: Sequence[str]) -> Test:
        limit = images.resolve(values[-1]).created_ns
        return (lambda image: image.created_ns < limit) if older else (lambda image: image.created_ns > limit)

    return make


def _until(images: Images, values: Sequence[str]) -> Test:
    limit = min(map(int, values))
    return lambda image: image.created_ns <= limit


_FILTERS: dict[str, Callable[[Images, Sequence[str]], Test]] = {
    "before": _by_age(older=True),
    "dangling": _by_dangling,
    "label": _by_label,
    "since": _by_age(older=False),
    "until": _until,
}
