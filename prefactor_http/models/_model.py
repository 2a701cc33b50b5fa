"""Own what every model shares: checked construction, dumping, copying, and extras.

The models are `msgspec.Struct` classes. msgspec checks types when it decodes and trusts the caller
of a constructor; here the constructor goes through the same check, so a model in hand is valid.
Decoding bypasses the constructor and pays nothing for it. The method names are those of pydantic.
"""

import copy
import functools
import json
import types
from collections.abc import Collection, Mapping
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Generic,
    Literal,
    NamedTuple,
    Self,
    TypeAlias,
    TypedDict,
    TypeVar,
    Unpack,
    cast,
    get_type_hints,
)

import msgspec

__all__ = ["GenericModel", "Model", "OpenModel"]

T = TypeVar("T")
_Mode: TypeAlias = Literal["python", "json"]
_Selection: TypeAlias = Collection[Any] | Mapping[Any, Any]
_PLAIN = (str, int, float, bool, type(None))
# Where an open model keeps what it does not declare: no attribute can have this name.
_EXTRAS = "<extras>"


class _Style(NamedTuple):
    """How a model is dumped."""

    mode: _Mode
    by_alias: bool
    exclude_none: bool
    exclude_defaults: bool


class _Others(TypedDict, total=False):
    """Keywords of pydantic that make no difference to these models."""

    exclude_unset: Literal[False]
    round_trip: bool
    warnings: bool | Literal["none", "warn", "error"]
    context: Any
    serialize_as_any: bool


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
        by_alias: bool | None = False,
        exclude_none: bool = False,
        exclude_defaults: bool = False,
        include: _Selection | None = None,
        exclude: _Selection | None = None,
        **others: Unpack[_Others],
    ) -> dict[str, Any]:
        """Return the model as a dictionary, fields first and in their order, defaults included.

        Args:
            mode: ``python`` keeps timestamps as they are, ``json`` turns them into ISO 8601 text.
            by_alias: Use the names of the wire instead of those of the attributes.
            exclude_none: Leave out what is ``None``, in nested models too, but never inside
                free-form objects.
            exclude_defaults: Leave out what equals its default, likewise.
            include: Names of the attributes to dump, ``None`` for all; as a mapping, from names to
                what to dump inside of them. The parts of lists go by their index or ``__all__``.
            exclude: What to leave out, said in the same way.
            **others: Further keywords of pydantic that make no difference here: ``round_trip``,
                ``warnings``, ``context``, ``serialize_as_any``.

        Raises:
            TypeError: For ``exclude_unset``, since a model does not remember what it was given.
        """
        _check_others("model_dump", others)
        style = _Style(mode, bool(by_alias), exclude_none, exclude_defaults)
        return _dump_model(self, style, include, exclude)

    def model_dump_json(
        self,
        *,
        indent: int | None = None,
        by_alias: bool | None = False,
        exclude_none: bool = False,
        exclude_defaults: bool = False,
        include: _Selection | None = None,
        exclude: _Selection | None = None,
        **others: Unpack[_Others],
    ) -> str:
        """Return the model as JSON text, compact unless *indent* says how far to indent a level.

        The other arguments are those of `model_dump`.
        """
        _check_others("model_dump_json", others)
        style = _Style("json", bool(by_alias), exclude_none, exclude_defaults)
        text = msgspec.json.encode(_dump_model(self, style, include, exclude)).decode()
        if indent is None:
            return text
        return json.dumps(json.loads(text), ensure_ascii=False, indent=indent)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy with the fields in *update* replaced, unchecked.

        Args:
            update: Names of attributes to their new values.
            deep: Copy the values in the model too, rather than share them.
        """
        fields = {name: getattr(self, name) for name in self.model_fields} if deep else {}
        return msgspec.structs.replace(self, **copy.deepcopy(fields) | dict(update or {}))


class OpenModel(Model, kw_only=True, dict=True):
    """A model that keeps values under names it does not declare and offers them as attributes."""

    model_config: ClassVar[dict[str, Any]] = {"extra": "allow"}

    @property
    def model_extra(self) -> dict[str, Any]:
        """The values under names the model does not declare, in the order they came."""
        extras: dict[str, Any] = vars(self).setdefault(_EXTRAS, {})
        return extras

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy with the values in *update* replaced or added, unchecked.

        Args:
            update: Names of attributes to their new values.
            deep: Copy the values in the model too, rather than share them.
        """
        changes = dict(update or {})
        declared = {name: changes.pop(name) for name in self.model_fields if name in changes}
        copied = super().model_copy(update=declared, deep=deep)
        extras = copy.deepcopy(self.model_extra) if deep else self.model_extra
        vars(copied)[_EXTRAS] = {**extras, **changes}
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


def _check_others(method: str, others: Mapping[str, Any]) -> None:
    """Refuse the keywords of pydantic that would make a difference."""
    if others.get("exclude_unset"):
        raise TypeError(
            f"{method}() cannot exclude_unset: a model does not remember which fields it was "
            "given; use exclude_defaults or exclude_none"
        )
    for name in others.keys() - _Others.__annotations__.keys():
        raise TypeError(f"{method}() does not support the keyword {name!r}")


def _dump_model(
    model: Model, style: _Style, include: _Selection | None, exclude: _Selection | None
) -> dict[str, Any]:
    """Return *model* as a dictionary."""
    dumped: dict[str, Any] = {}
    for name, wire_name in model.model_fields.items():
        value = getattr(model, name)
        if value is msgspec.UNSET or (style.exclude_none and value is None):
            continue
        if style.exclude_defaults and value == _default(type(model), name):
            continue
        if (parts := _parts(include, exclude, name)) is not None:
            dumped[wire_name if style.by_alias else name] = _dump(value, style, *parts)
    for name, value in (model.model_extra or {}).items():
        if style.exclude_none and value is None:
            continue
        if (parts := _parts(include, exclude, name)) is not None:
            dumped[name] = _dump(value, style, *parts)
    return dumped


def _dump(
    value: Any,
    style: _Style,
    include: _Selection | None = None,
    exclude: _Selection | None = None,
) -> Any:
    """Return *value* with the models in it dumped and its containers copied."""
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, Model):
        return _dump_model(value, style, include, exclude)
    if isinstance(value, dict):
        return {
            key: _dump(inner, style, *parts)
            for key, inner in value.items()
            if (parts := _parts(include, exclude, key)) is not None
        }
    if isinstance(value, list):
        return [
            _dump(inner, style, *parts)
            for index, inner in enumerate(value)
            if (parts := _parts(include, exclude, index, index - len(value), "__all__")) is not None
        ]
    return value if style.mode == "python" else msgspec.to_builtins(value)


def _parts(
    include: _Selection | None, exclude: _Selection | None, *keys: Any
) -> tuple[_Selection | None, _Selection | None] | None:
    """Return what to include and exclude inside the part that goes by *keys*, ``None`` to skip it.

    Of a selection, ``None`` stands for no limit.
    """
    included = True if include is None else _said(include, keys)
    excluded = False if exclude is None else _said(exclude, keys)
    if included is False or excluded is True:
        return None
    return None if included is True else included, None if excluded is False else excluded


def _said(selection: _Selection, keys: tuple[Any, ...]) -> Any:
    """Return what *selection* says of a part: all of it, nothing of it, or a selection in it."""
    for key in keys:
        if key in selection:
            inner = selection[key] if isinstance(selection, Mapping) else True
            return True if inner is ... else inner
    return False


@functools.cache
def _defaults(kind: type[Model]) -> dict[str, msgspec.structs.FieldInfo]:
    return {field.name: field for field in msgspec.structs.fields(kind)}


def _default(kind: type[Model], name: str) -> Any:
    """Return the default of a field, `msgspec.NODEFAULT` if it has none."""
    field = _defaults(kind)[name]
    if field.default_factory is msgspec.NODEFAULT:
        return field.default
    return field.default_factory()


def _keep_extras(value: Any, raw: Any) -> None:
    """Copy what msgspec dropped from *raw* into the open models inside *value*."""
    if value is raw:
        return
    if isinstance(value, Model) and isinstance(raw, Mapping):
        wire_names = value.model_fields
        if isinstance(value, OpenModel):
            declared = set(wire_names.values())
            vars(value)[_EXTRAS] = {k: v for k, v in raw.items() if k not in declared}
        for name in value.open_fields:
            _keep_extras(getattr(value, name), raw.get(wire_names[name]))
    elif isinstance(value, list) and isinstance(raw, list | tuple):
        for inner, raw_inner in zip(value, raw, strict=True):
            _keep_extras(inner, raw_inner)
    elif isinstance(value, dict) and isinstance(raw, Mapping):
        for key, inner in value.items():
            _keep_extras(inner, raw[key])
