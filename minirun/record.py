"""Frozen, slotted value types without the import cost of `dataclasses`.

Owns: `Record`, the base class of every value that travels between storeys.
Leaves to others: validation (each type's parser) and JSON (`as_json` gives plain data, the caller encodes it).

Why not `dataclasses`: importing it costs 11 ms and each decorated class about 1 ms more, because it compiles source text
per class; a `run` that starts in 35 ms can't pay that. See docs/decisions/0001-records.md for the measurement.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, Self, dataclass_transform
else:

    def dataclass_transform(**_: object):
        return lambda cls: cls


@dataclass_transform(kw_only_default=True, frozen_default=True, eq_default=True)
class RecordType(type):
    """Turns annotations into slots and keeps the defaults; a default must be immutable."""

    _fields: tuple[str, ...]
    _defaults: dict[str, object]
    _setters: tuple[
        tuple[str, Callable[[object, object], None]], ...
    ]  # field and what fills its slot: __setattr__ refuses

    def __new__(mcls, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> RecordType:
        own = tuple(key for key in namespace.get("__annotations__", {}) if not key.startswith("_"))
        defaults: dict[str, object] = {}
        fields: tuple[str, ...] = ()
        for base in bases:
            if isinstance(base, RecordType):
                fields += base._fields
                defaults.update(base._defaults)
        for key in own:
            if key in namespace:
                defaults[key] = namespace.pop(key)
        namespace["__slots__"] = own
        namespace["_fields"] = fields + own
        namespace["_defaults"] = defaults
        cls = super().__new__(mcls, name, bases, namespace)
        cls._setters = tuple((field, getattr(cls, field).__set__) for field in cls._fields)
        return cls


class Record(metaclass=RecordType):
    """A value: built from keywords, compared by content, never changed (`replace` gives a changed copy)."""

    def __init__(self, **values: Any) -> None:
        setters = type(self)._setters
        if len(values) != len(setters):
            values = {**type(self)._defaults, **values}
        try:
            for name, put in setters:
                put(self, values[name])
        except KeyError:
            raise TypeError(f"{type(self).__name__} needs a value for {name!r}") from None
        if len(values) != len(setters):
            unknown = next(name for name in values if name not in type(self)._fields)
            raise TypeError(f"{type(self).__name__} has no field {unknown!r}")

    @classmethod
    def of_fields(cls, values: Iterable[object]) -> Self:
        """Build one from the values of all fields, in their order: three times as fast, for who reads hundreds of rows."""
        record = cls.__new__(cls)
        for (_, put), value in zip(cls._setters, values, strict=True):
            put(record, value)
        return record

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen; use replace({name}=...)")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen")

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in type(self)._fields)

    def __hash__(self) -> int:
        return hash((type(self), *(getattr(self, name) for name in type(self)._fields)))

    def __repr__(self) -> str:
        inside = ", ".join(f"{name}={getattr(self, name)!r}" for name in type(self)._fields)
        return f"{type(self).__name__}({inside})"

    def replace(self, **changes: Any) -> Self:
        """Give a copy in which `changes` hold. Raises TypeError for what is no field."""
        record = type(self).__new__(type(self))
        for name, put in type(self)._setters:
            put(record, changes.pop(name) if name in changes else getattr(self, name))
        for name in changes:
            raise TypeError(f"{type(self).__name__} has no field {name!r}")
        return record

    def as_json(self) -> dict[str, Any]:
        """Give plain data (dict, list, str, int, bool, None) that `json` encodes; nested records become objects."""
        return {name: _plain(getattr(self, name)) for name in type(self)._fields}

    def given(self) -> dict[str, Any]:
        """Give plain data as `as_json` does, without the fields that are as by default."""
        defaults = type(self)._defaults
        values = ((name, getattr(self, name)) for name in type(self)._fields)
        return {name: _plain(value) for name, value in values if name not in defaults or value != defaults[name]}

    # Records are pickled nowhere and copied by reference; slots without a dict make both explicit.


def _plain(value: Any) -> Any:
    if isinstance(value, Record):
        return value.as_json()
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value
