"""Mark a value inside a payload as sensitive."""

from typing import Any, Final, NoReturn, final

__all__ = ["Sensitive"]

_MASK: Final = "Sensitive(***)"


@final
class Sensitive:
    """A value that the API stores apart and shows redacted by default.

    It may stand anywhere in a payload, and switches `sensitive_encoding` on for that span. It
    cannot be changed, and its text never shows the value.

    Args:
        value: Anything that may stand in a payload.
    """

    __slots__ = ("_value",)

    _value: Any

    def __init__(self, value: Any) -> None:
        object.__setattr__(self, "_value", value)

    @property
    def value(self) -> Any:
        """What is marked."""
        return self._value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sensitive) and bool(self._value == other._value)

    def __hash__(self) -> int:
        return hash((Sensitive, self._value))

    def __repr__(self) -> str:
        return _MASK

    def __reduce__(self) -> tuple[type["Sensitive"], tuple[Any]]:
        return Sensitive, (self._value,)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("Sensitive cannot be changed; make a new one")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("Sensitive cannot be changed; make a new one")
