"""Own what every model shares: checked construction, dumping, copying, and extras.

The models are `msgspec.Struct` classes. msgspec checks types when it decodes and trusts the caller
of a constructor; here the constructor goes through the same check, so a model in hand is valid.
Decoding bypasses the constructor and pays nothing for it. The method names are those of pydantic.
"""

import types
from collections.abc import Collection, Mapping
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Generic,
    Literal,
    Self,
    TypeAlias,
    TypeVar,
    cast,
    get_type_hints,
)

import msgspec

__all__ = ["GenericModel", "Model", "OpenModel"]

T = TypeVar("T")
_Mode: TypeAlias = Literal["python", "json"]
_PLAIN = (str, int, float, bool, type(None))


class _Checked(msgspec.StructMeta):
    """Route construction through msgspec's type check."""

    model_fields: dict[str, str]

    def __new__(
        mcls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], /, **config: Any
    ) -> "_Checked":
        made = super().__new__(mcls, name, bases, namespace, **config)
        made.model_fields = dict(
            zip(made.__struct_fields__, made.__struct_encode_fields__, strict=True)
        )
        return made

    def __call__(self, *args: Any, **fields: Any) -> Any:
        if args:
            raise TypeError(f"{self.__name__} takes keyword arguments only")
        model = cast("type[Model]", self)
        if model.model_config.get("populate_by_name"):
            fields = {model.model_fields.get(name, name): fields[name] for name in fields}
        return model.model_validate(fields)


if TYPE_CHECKING:
    _Base = msgspec.Struct
else:

    class _Base(msgspec.Struct, metaclass=_Checked):
        """Carry the metaclass; type checkers see a plain struct and its generated constructor."""


class Model(_Base, kw_only=True):
    """A checked value of the API, compared by value and not hashable.

    Attributes:
        model_config: What is special about the model, in pydantic's words; mostly empty.
        model_fields: The name of each field and its name on the wire.

    Raises:
        msgspec.ValidationError: On construction, if a field is missing or has a wrong type; it is
            a `ValueError`.
    """

    model_config: ClassVar[dict[str, Any]] = {}
    model_fields: ClassVar[dict[str, str]] = {}
    open_fields: ClassVar[tuple[str, ...]] = ()
    """Names of the fields in which an `OpenModel` may be found."""

    @classmethod
    def model_validate(cls, obj: Any) -> Self:
        """Return *obj* as a model.

        Args:
            obj: A mapping with the names of the wire, or an instance, which is returned as it is.

        Raises:
            msgspec.ValidationError: If *obj* does not fit; it is a `ValueError`.
        """
        if isinstance(obj, cls):
            return obj
        model = msgspec.convert(obj, cls)
        _keep_extras(model, obj)
        return model

    @classmethod
    def model_validate_json(cls, data: str | bytes) -> Self:
        """Return the model that the JSON text *data* describes.

        Raises:
            msgspec.DecodeError: If *data* is not JSON; it is a `ValueError`.
            msgspec.ValidationError: If it does not fit; it is a `ValueError` too.
        """
        if cls.open_fields or issubclass(cls, OpenModel):
            return cls.model_validate(msgspec.json.decode(data))
        return msgspec.json.decode(data, type=cls)

    @property
    def model_extra(self) -> dict[str, Any] | None:
        """The values under names the model does not declare, ``None`` if it keeps none."""
        return None

    def model_dump(
        self,
        *,
        mode: _Mode = "python",
        by_alias: bool = False,
        exclude_none: bool = False,
        include: Collection[str] | None = None,
        exclude: Collection[str] | None = None,
    ) -> dict[str, Any]:
        """Return the model as a dictionary, fields first and in their order, defaults included.

        Args:
            mode: ``python`` keeps timestamps as they are, ``json`` turns them into ISO 8601 text.
            by_alias: Use the names of the wire instead of those of the attributes.
            exclude_none: Leave out what is ``None``, in nested models too, but never inside
                free-form objects.
            include: Names of the attributes to dump, ``None`` for all. Top level only.
            exclude: Names of the attributes to leave out. Top level only.
        """
        named = [
            (name, wire_name if by_alias else name, getattr(self, name))
            for name, wire_name in self.model_fields.items()
        ]
        named += [(name, name, value) for name, value in (self.model_extra or {}).items()]
        return {
            shown: _dump(value, mode=mode, by_alias=by_alias, exclude_none=exclude_none)
            for name, shown, value in named
            if (include is None or name in include)
            and (exclude is None or name not in exclude)
            and not (exclude_none and value is None)
            and value is not msgspec.UNSET
        }

    def model_dump_json(
        self,
        *,
        by_alias: bool = False,
        exclude_none: bool = False,
        include: Collection[str] | None = None,
        exclude: Collection[str] | None = None,
    ) -> str:
        """Return the model as compact JSON text; the arguments are those of `model_dump`."""
        dumped = self.model_dump(
            mode="json",
            by_alias=by_alias,
            exclude_none=exclude_none,
            include=include,
            exclude=exclude,
        )
        return msgspec.json.encode(dumped).decode()

    def model_copy(self, *, update: Mapping[str, Any] | None = None) -> Self:
        """Return a shallow copy with the fields in *update* replaced, unchecked."""
        return msgspec.structs.replace(self, **(update or {}))


class OpenModel(Model, kw_only=True, dict=True):
    """A model that keeps values under names it does not declare and offers them as attributes."""

    model_config: ClassVar[dict[str, Any]] = {"extra": "allow"}

    @property
    def model_extra(self) -> dict[str, Any]:
        """The values under names the model does not declare, in the order they came."""
        extras: dict[str, Any] = vars(self).setdefault("extras", {})
        return extras

    def model_copy(self, *, update: Mapping[str, Any] | None = None) -> Self:
        """Return a shallow copy with the values in *update* replaced or added."""
        changes = dict(update or {})
        declared = {name: changes.pop(name) for name in self.model_fields if name in changes}
        copied = super().model_copy(update=declared)
        vars(copied)["extras"] = {**self.model_extra, **changes}
        return copied

    def __getattr__(self, name: str) -> Any:
        try:
            return self.model_extra[name]
        except KeyError:
            message = f"{type(self).__name__!r} object has no attribute {name!r}"
            raise AttributeError(message, name=name, obj=self) from None

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self.model_fields:
            super().__setattr__(name, value)
        else:
            self.model_extra[name] = value

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self.model_dump() == other.model_dump()

    def __ne__(self, other: object) -> bool:
        # msgspec has one of its own, which knows nothing of extras.
        return not self == other

    __hash__: ClassVar[None]  # type: ignore[assignment]  # unhashable, as mutable values are

    def __repr__(self) -> str:
        shown = {name: getattr(self, name) for name in self.model_fields} | self.model_extra
        inside = ", ".join(f"{name}={value!r}" for name, value in shown.items())
        return f"{type(self).__name__}({inside})"

    def __copy__(self) -> Self:
        return self.model_copy()

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self).model_validate, (self.model_dump(by_alias=True),))


class GenericModel(Model, Generic[T], kw_only=True):
    """A model with one type parameter; naming the parameter makes a class that checks it."""

    @classmethod
    def __class_getitem__(cls, parameter: Any) -> Any:
        generic: Any = cast("Any", super()).__class_getitem__(parameter)
        if parameter is Any or isinstance(parameter, TypeVar):
            return generic
        return _specialise(cls, parameter)


_specialised: dict[tuple[type, Any], type] = {}


def _specialise(cls: type[GenericModel[Any]], parameter: Any) -> type:
    """Return the subclass of *cls* whose type variable is *parameter*; always the same object."""
    key = (cls, parameter)
    if key not in _specialised:
        annotations: dict[str, Any] = {}
        for name, hint in get_type_hints(cls, include_extras=True).items():
            if isinstance(hint, TypeVar):
                annotations[name] = parameter
            elif (
                name in cls.model_fields and hasattr(hint, "__parameters__") and hint.__parameters__
            ):
                annotations[name] = hint[parameter]
        shown = getattr(parameter, "__name__", str(parameter))
        namespace = {
            "__annotations__": annotations,
            "__doc__": cls.__doc__,
            "__module__": cls.__module__,
        }
        _specialised[key] = types.new_class(
            f"{cls.__name__}[{shown}]",
            (cls,),
            {"kw_only": True},
            lambda body: body.update(namespace),
        )
    return _specialised[key]


def _dump(value: Any, *, mode: _Mode, by_alias: bool, exclude_none: bool) -> Any:
    """Return *value* with the models in it dumped and its containers copied."""
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, Model):
        return value.model_dump(mode=mode, by_alias=by_alias, exclude_none=exclude_none)
    if isinstance(value, dict):
        return {
            key: _dump(inner, mode=mode, by_alias=by_alias, exclude_none=exclude_none)
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [
            _dump(inner, mode=mode, by_alias=by_alias, exclude_none=exclude_none) for inner in value
        ]
    return value if mode == "python" else msgspec.to_builtins(value)


def _keep_extras(value: Any, raw: Any) -> None:
    """Copy what msgspec dropped from *raw* into the open models inside *value*."""
    if value is raw:
        return
    if isinstance(value, Model) and isinstance(raw, Mapping):
        wire_names = value.model_fields
        if isinstance(value, OpenModel):
            declared = set(wire_names.values())
            vars(value)["extras"] = {k: v for k, v in raw.items() if k not in declared}
        for name in value.open_fields:
            _keep_extras(getattr(value, name), raw.get(wire_names[name]))
    elif isinstance(value, list) and isinstance(raw, list | tuple):
        for inner, raw_inner in zip(value, raw, strict=True):
            _keep_extras(inner, raw_inner)
    elif isinstance(value, dict) and isinstance(raw, Mapping):
        for key, inner in value.items():
            _keep_extras(inner, raw[key])
