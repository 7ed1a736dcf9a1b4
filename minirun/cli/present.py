"""How containers and images are said in a list: status, command, ports, ages, sizes.

Owns: the columns of `ps` and `images`. Leaves to others: which rows (engine/query), layout (cli/table), spans and
sizes (units).
"""

from __future__ import annotations

import time

from ..record import Record
from ..units import human_size, human_span, local_time
from .table import Column

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ..engine.config import PortMapping
    from ..engine.container import Container
    from .table import Columns

SHORT_ID = 12
EVERY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104 -- shown, not bound
_COMMAND_WIDTH = 20
_ESCAPES = {
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
    "\\": "\\\\",
    '"': '\\"',
}

PS_TABLE: tuple[str, ...] = ("ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names")
IMAGES_TABLE = ("Repository", "Tag", "ID", "CreatedSince", "Size")
PS_RAW = (
    ("container_id", "ID"), ("image", "Image"), ("command", "Command"), ("created_at", "CreatedAt"), ("state", "State"),
    ("status", "Status"), ("names", "Names"), ("labels", "Labels"), ("ports", "Ports"),
)  # fmt: skip
IMAGES_RAW = (("repository", "Repository"), ("tag", "Tag"), ("image_id", "ID"))
CREATED_RAW = (("created_at", "CreatedAt"), ("virtual_size", "Size"))
DIGESTS_RAW = (*IMAGES_RAW[:2], ("digest", "Digest"), IMAGES_RAW[2])
DIGESTS_TABLE = ("Repository", "Tag", "Digest", "ID", "CreatedSince", "Size")


def short_id(identifier: str) -> str:
    """Give the first twelve digits of an id, without its algorithm."""
    return identifier.partition(":")[2][:SHORT_ID] if ":" in identifier else identifier[:SHORT_ID]


def ellipsis(text: str, width: int) -> str:
    """Give text of at most `width` letters, the last of them … when some were left out."""
    return text if len(text) <= width else text[: width - 1] + "…"


def quoted(text: str) -> str:
    """Give text in double quotes as Go's strconv.Quote writes it."""
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    return (
        '"'
        + "".join(_ESCAPES.get(letter) or (letter if letter.isprintable() else _code(letter)) for letter in text)
        + '"'
    )


def _code(letter: str) -> str:
    code = ord(letter)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 128 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def status(container: Container, now_ns: int, health: str = "none") -> str:
    """Say what a container does and since when: `Up 3 minutes (healthy)`, `Exited (0) 2 hours ago`, `Created`."""
    state = container.state
    if state in ("running", "paused"):
        up = f"Up {_since(container.started_ns, now_ns)}"
        if state == "paused":
            return f"{up} (Paused)"
        return up if health == "none" else f"{up} ({'health: starting' if health == 'starting' else health})"
    if state == "created":
        return "Created"
    if state == "removing":
        return "Removal In Progress"
    if state == "dead":
        return "Dead"
    name = "Restarting" if state == "restarting" else "Exited"
    return f"{name} ({container.exit_code}) {_since(container.finished_ns, now_ns)} ago"


def _since(then_ns: int, now_ns: int) -> str:
    return human_span(max(0, now_ns - then_ns) / 1e9)


def ports(mappings: Sequence[PortMapping], *, both_families: bool, exposed: Iterable[tuple[str, int]] = ()) -> str:
    """Say which host ports lead into a container: `0.0.0.0:8080->80/tcp, [::]:8080->80/tcp`; runs of ports are joined.

    Those of `exposed` (protocol and port) that nothing leads to are there alone: `443/tcp`.
    """
    if not mappings and not exposed:  # of most of those that are listed
        return ""
    runs: dict[tuple[str, str], tuple[int, int]] = {}
    done: list[str] = []
    moved: list[str] = []
    for address, mapping in _by_address(mappings, both_families, exposed):
        if address and mapping.host_port != mapping.container_port:
            moved.append(f"{_joined(address, mapping.host_port)}->{mapping.container_port}/{mapping.protocol}")
            continue
        key, port = (address, mapping.protocol), mapping.container_port
        first, last = runs.get(key, (port, port))
        if port > last + 1:
            done.append(_run(key, first, last))
            first = port
        runs[key] = (first, port)
    done += [_run(key, first, last) for key, (first, last) in runs.items()]
    return ", ".join(done + moved)


def _by_address(
    mappings: Sequence[PortMapping], both_families: bool, exposed: Iterable[tuple[str, int]]
) -> list[tuple[str, PortMapping]]:
    """Give mappings with one address of the host each, "" for a port that is only exposed."""
    from ..engine.config import PortMapping

    published = {(mapping.protocol, mapping.container_port) for mapping in mappings}
    spread = [
        ("", PortMapping(container_port=port, protocol=protocol))
        for protocol, port in exposed
        if (protocol, port) not in published
    ]
    for mapping in mappings:
        if mapping.host_address:
            spread.append((mapping.host_address, mapping))
        else:
            spread += [(address, mapping) for address in EVERY_ADDRESS[: 2 if both_families else 1]]
    return sorted(spread, key=lambda pair: (pair[1].container_port, pair[0], pair[1].host_port, pair[1].protocol))


def _joined(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _run(key: tuple[str, str], first: int, last: int) -> str:
    address, protocol = key
    if not address:
        return f"{first}/{protocol}" if first == last else f"{first}-{last}/{protocol}"
    if first == last:
        return f"{_joined(address, first)}->{first}/{protocol}"
    return f"{_joined(address, first)}-{last}->{first}-{last}/{protocol}"


def image_shown(container: Container, names: set[tuple[str, str]], *, truncate: bool) -> str:
    """Give the name that a container's image was asked for by, its id when that name leads elsewhere by now.

    `names` has image ids with the names that they have now. A name with a digest, and an id, can lead to one image only.
    """
    name = container.image_name
    short = name.removeprefix("index.").removeprefix("docker.io/").removeprefix("library/")
    tagged = short if ":" in short.rpartition("/")[2] else f"{short}:latest"
    digits = name.removeprefix("sha256:")
    if "@" in name or (container.image_id, tagged) in names or container.image_id[7:].startswith(digits):
        return name
    return short_id(container.image_id) if truncate else container.image_id


def container_columns(
    *,
    truncate: bool,
    names: Callable[[Container], str] = lambda container: container.name,
    image: Callable[[Container], str] = lambda container: container.image_name,
    size: Callable[[Container], str] = lambda _: "0B",
    health: Callable[[Container], str] = lambda _: "none",
    exposed: Callable[[Container], Iterable[tuple[str, int]]] = lambda _: (),
) -> Columns:
    """Give the fields of `ps`, by the names that templates use; `size` and its like are asked for those that are shown."""
    now_ns = time.time_ns()

    def command(container: Container) -> str:
        program, *arguments = container.arguments or ("",)
        text = " ".join((program, *(f"'{word}'" if " " in word else word for word in arguments)))
        return quoted(ellipsis(text, _COMMAND_WIDTH) if truncate else text)

    def mounts(container: Container) -> str:
        sources = [bind.source for bind in container.config.binds]
        sources += [volume.name for volume in container.config.volumes]
        sources += [image.name for image in container.config.image_mounts]
        return ",".join(ellipsis(source, 15) if truncate else source for source in sources)

    return {
        "ID": Column(heading="CONTAINER ID", value=lambda c: short_id(c.id) if truncate else c.id),
        "Image": Column(heading="IMAGE", value=lambda c: image(c) or "<no image>"),
        "Command": Column(heading="COMMAND", value=command),
        "CreatedAt": Column(heading="CREATED AT", value=lambda c: local_time(c.created_ns)),
        "RunningFor": Column(heading="CREATED", value=lambda c: f"{_since(c.created_ns, now_ns)} ago"),
        "Status": Column(heading="STATUS", value=lambda c: status(c, now_ns, health(c))),
        "State": Column(heading="STATE", value=lambda c: c.state),
        "Platform": Column(heading="PLATFORM", value=lambda c: None),  # docker's, too, unless it has images of several
        "Ports": Column(heading="PORTS", value=lambda c: _ports(c, exposed)),
        "Names": Column(heading="NAMES", value=names),
        "Labels": Column(
            heading="LABELS", value=lambda c: ",".join(f"{key}={text}" for key, text in sorted(c.config.labels.items()))
        ),
        "Label": Column(heading="", value=lambda c: lambda key: c.config.labels.get(key, ""), in_json=False),
        "LocalVolumes": Column(heading="LOCAL VOLUMES", value=lambda c: str(len(c.config.volumes))),
        "Mounts": Column(heading="MOUNTS", value=mounts),
        "Networks": Column(heading="NETWORKS", value=lambda c: c.config.network),
        "Size": Column(heading="SIZE", value=size),
    }


def _ports(container: Container, exposed: Callable[[Container], Iterable[tuple[str, int]]]) -> str:
    has_own = container.is_running and bool(container.address4)
    both = bool(container.address6)
    return ports(container.ports, both_families=both, exposed=exposed(container) if has_own else ())


class ImageRow(Record):
    """One line of `images`: an image under one of its names."""

    repository: str
    tag: str
    id: str
    created_ns: int
    size_bytes: int
    digest: str = "<none>"


def image_columns(*, truncate: bool) -> Columns:
    """Give the fields of `images`, by the names that templates use."""
    now_ns = time.time_ns()
    return {
        "Repository": Column(heading="REPOSITORY", value=lambda row: row.repository),
        "Tag": Column(heading="TAG", value=lambda row: row.tag),
        "ID": Column(heading="IMAGE ID", value=lambda row: short_id(row.id) if truncate else row.id),
        "Digest": Column(heading="DIGEST", value=lambda row: row.digest),
        "CreatedSince": Column(heading="CREATED", value=lambda row: _age(row, now_ns)),
        "CreatedAt": Column(
            heading="CREATED AT", value=lambda row: local_time(row.created_ns) if row.created_ns else "N/A"
        ),
        "Size": Column(heading="SIZE", value=lambda row: human_size(row.size_bytes)),
        "VirtualSize": Column(heading="SIZE", value=lambda row: human_size(row.size_bytes, 4)),
        "SharedSize": Column(heading="SHARED SIZE", value=lambda row: "N/A"),
        "UniqueSize": Column(heading="UNIQUE SIZE", value=lambda row: "N/A"),
        "Containers": Column(heading="CONTAINERS", value=lambda row: "N/A"),
    }


def _age(row: ImageRow, now_ns: int) -> str:
    return f"{_since(row.created_ns, now_ns)} ago" if row.created_ns else "N/A"
