"""Own the conveniences: runs and spans as context managers, and a decorator for functions.

They stand on the record calls and nothing else.
"""

import asyncio
import inspect
import sys
import types
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import contextmanager, suppress
from contextvars import Token
from functools import cached_property, partial, partialmethod, wraps
from types import TracebackType
from typing import Any, Self, TypeAlias, TypeVar, cast

from prefactor_exporter.context import CURRENT, Current, Scope, current_scope
from prefactor_exporter.exceptions import InvalidEventError
from prefactor_exporter.recorder import FinishStatus, Recorder, Timestamp
from prefactor_exporter.stats import TerminationSignal

__all__ = ["Run", "Span", "traced"]

_Held: TypeAlias = "classmethod[Any, Any, Any] | cached_property[Any] | partialmethod[Any]"
Function = TypeVar("Function", bound="Callable[..., Any] | _Held")

_CANCELLATIONS = (asyncio.CancelledError, GeneratorExit)


OpenSpan = Callable[[dict[str, Any]], "Span"]


class _Context:
    """Enters and leaves a scope; the same object works with ``with`` and ``async with``.

    A forked child that leaves what its parent entered ends nothing: that is the parent's to do.
    """

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._era: object = None
        self._token: Token[Scope | None] | None = None

    def _enter(self) -> None:
        raise NotImplementedError

    def _leave(self, error: BaseException | None) -> None:
        raise NotImplementedError

    def _end(self, error: BaseException | None) -> None:
        if self._era is not self._recorder.era:
            return
        try:
            self._leave(error)
        except InvalidEventError:
            if error is None:  # else the application's own error goes on
                raise

    def _restore(self) -> None:
        token, self._token = self._token, None
        if token is not None:
            try:
                current_scope.reset(token)
            except ValueError:
                # Left in another context than it was entered in, as async generators can be.
                current_scope.set(token.old_value if token.old_value is not Token.MISSING else None)

    def __enter__(self) -> Self:
        self._enter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self._end(error)
        finally:
            self._restore()

    async def __aenter__(self) -> Self:
        self._enter()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self._end(error)
        finally:
            self._restore()


class Span(_Context):
    """A span that lasts as long as its ``with`` block.

    An exception inside makes it ``failed`` (a cancellation: ``cancelled``), with the error as its
    result, and goes on.

    Attributes:
        id: Id of the span, empty before it is entered.
    """

    def __init__(
        self,
        recorder: Recorder,
        schema_name: str,
        payload: object,
        *,
        instance_id: str | None,
        parent_span_id: str | Current | None,
        started_at: Timestamp | None = None,
    ) -> None:
        super().__init__(recorder)
        self.id = ""
        self._schema_name = schema_name
        self._payload = payload
        self._instance_id = instance_id
        self._parent = parent_span_id
        self._started_at = started_at
        self._result: object = None
        self._status: FinishStatus | None = None
        self._scope: Scope | None = None

    def set_result(self, result: object) -> None:
        """Keep *result* as what came out; it is recorded when the block ends."""
        self._result = result

    def fail(self, result: object = None) -> None:
        """Have the span end as ``failed``, with *result* if given."""
        self._end_as("failed", result)

    def cancel(self, result: object = None) -> None:
        """Have the span end as ``cancelled``, with *result* if given."""
        self._end_as("cancelled", result)

    @contextmanager
    def stepwise(self) -> Generator[Self]:
        """Begin and end the span without making it the current one.

        For generators that hand out what arrives piece by piece, such as a streamed answer: the
        code that consumes them runs between the pieces, and its spans are no children of this
        one. Everybody else uses the span itself with ``with``.
        """
        self._begin()
        try:
            yield self
        except BaseException as error:
            self._end(error)
            raise
        else:
            self._end(None)

    @contextmanager
    def current(self) -> Generator[None]:
        """Make the span the current one for a while.

        Needed inside :meth:`stepwise` only, around each step that may record spans of its own.
        """
        if self._scope is None:
            yield
            return
        token = current_scope.set(self._scope)
        try:
            yield
        finally:
            current_scope.reset(token)

    def _end_as(self, status: FinishStatus, result: object) -> None:
        self._status = status
        if result is not None:
            self._result = result

    def _begin(self) -> None:
        recorder = self._recorder
        self._era = recorder.era
        instance = recorder.current_instance(self._instance_id)
        self.id = recorder.start_span(
            self._schema_name,
            self._payload,
            instance_id=instance,
            parent_span_id=self._parent,
            started_at=self._started_at,
        )
        self._payload = None
        if isinstance(instance, str):
            self._scope = recorder.scope(instance, self.id)

    def _enter(self) -> None:
        self._begin()
        if self._scope is not None:
            self._token = current_scope.set(self._scope)

    def _leave(self, error: BaseException | None) -> None:
        status = self._status
        result = self._result
        if error is not None and status is None:
            status = "cancelled" if isinstance(error, _CANCELLATIONS) else "failed"
            if status == "failed":
                described = describe_error(error)
                result = described if result is None else {"error": described, "result": result}
        self._recorder.finish_span(self.id, status=status or "complete", result_payload=result)


class Run(_Context):
    """A run of an agent that lasts as long as its ``with`` block.

    It is registered and started on entering and finished on leaving: ``failed`` after an exception,
    ``cancelled`` after a cancellation.

    Attributes:
        id: Id of the run, empty before it is entered.
    """

    def __init__(self, recorder: Recorder, registration: dict[str, Any]) -> None:
        super().__init__(recorder)
        self.id = ""
        self._registration = registration
        self._status: FinishStatus | None = None

    @property
    def should_stop(self) -> bool:
        """Whether an operator asked this run to stop."""
        return self.termination is not None

    @property
    def termination(self) -> TerminationSignal | None:
        """The signal of an operator, None if there was none."""
        return self._recorder.terminated(self.id)

    def span(
        self,
        schema_name: str,
        payload: object = None,
        *,
        parent_span_id: str | Current | None = CURRENT,
        started_at: Timestamp | None = None,
    ) -> Span:
        """Return a span of this run, to be used with ``with`` or ``async with``."""
        return Span(
            self._recorder,
            schema_name,
            payload,
            instance_id=self.id,
            parent_span_id=parent_span_id,
            started_at=started_at,
        )

    def trace(self, schema_name: str) -> Callable[[Function], Function]:
        """Return a decorator that records each call of a function as a span of this run.

        What it records is what :meth:`Exporter.trace` does.
        """
        return traced(lambda payload: self.span(schema_name, payload))

    def record_quality(self, name: str, payload: object) -> None:
        """Record a quality of this run."""
        self._recorder.record_quality(name, payload, instance_id=self.id)

    def fail(self) -> None:
        """Have the run end as ``failed``."""
        self._status = "failed"

    def cancel(self) -> None:
        """Have the run end as ``cancelled``."""
        self._status = "cancelled"

    def _enter(self) -> None:
        recorder = self._recorder
        self._era = recorder.era
        self.id = recorder.register_instance(**self._registration)
        recorder.start_instance(self.id)
        self._token = current_scope.set(recorder.scope(self.id, None))

    def _leave(self, error: BaseException | None) -> None:
        status = self._status
        if error is not None and status is None:
            status = "cancelled" if isinstance(error, _CANCELLATIONS) else "failed"
        self._recorder.finish_instance(self.id, status=status or "complete")


def describe_error(error: BaseException) -> dict[str, str]:
    """Return *error* as a payload: its type and its text, never its values."""
    try:
        message = str(error)
    except Exception:  # noqa: BLE001  # the text of an error is code of the application
        message = "[unreadable]"
    return {"error_type": type(error).__qualname__, "message": message}


def traced(open_span: OpenSpan) -> Callable[[Function], Function]:
    """Return a decorator for functions, coroutines, generators and async generators.

    The payload is the arguments by name, the result what the function returns. The span of a
    generator is the current one only while the generator itself runs, not in the code that
    consumes it. What is decorated stays what it is: a class method, a partial object.

    Args:
        open_span: Makes the span of one call from its payload.
    """

    def decorate(function: Function) -> Function:
        if isinstance(function, type):
            raise _undecorable(function.__name__, "a class")
        return cast("Function", _trace(function, open_span))

    return decorate


def _trace(function: Any, open_span: OpenSpan) -> Any:
    """Return *function* traced; what holds a function becomes another one of its kind."""
    if isinstance(function, staticmethod | classmethod):
        made: Any = type(function)(_trace(function.__func__, open_span))
    elif isinstance(function, cached_property):
        made = type(function)(_trace(function.func, open_span))
    elif isinstance(function, partial | partialmethod):
        traced_one = _trace(function.func, open_span)
        made = type(function)(traced_one, *function.args, **function.keywords)
    elif callable(function):
        return _trace_callable(function, open_span)
    else:
        raise _undecorable(repr(function), f"a {type(function).__name__}")
    for name, value in vars(function).items():
        vars(made).setdefault(name, value)
    return made


def _undecorable(name: str, kind: str) -> TypeError:
    return TypeError(
        f"trace decorates functions and methods, and {name} is {kind}: put it directly above the "
        "function that does the work, below every other decorator"
    )


def _trace_callable(function: Callable[..., Any], open_span: OpenSpan) -> Callable[..., Any]:
    # What an object does when it is called is written in its class.
    looks = (function, getattr(type(function), "__call__", None))  # noqa: B004  # its code is looked at
    if any(map(inspect.isasyncgenfunction, looks)):
        wrap = _traced_async_generator
    elif any(map(inspect.iscoroutinefunction, looks)):
        wrap = _traced_coroutine
    elif any(map(inspect.isgeneratorfunction, looks)):
        wrap = _traced_generator
    else:
        wrap = _traced_function
    wrapper = wraps(function)(wrap(function, open_span))
    if not isinstance(function, types.FunctionType):
        for name in dir(type(function)):
            if not name.startswith("_") and callable(getattr(type(function), name, None)):
                vars(wrapper).setdefault(name, getattr(function, name))
    elif function.__code__.co_flags & inspect.CO_ITERABLE_COROUTINE:
        wrapper = types.coroutine(wrapper)
    return wrapper


def _traced_function(function: Callable[..., Any], open_span: OpenSpan) -> Callable[..., Any]:
    bind = _binder(function)

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        with open_span(bind(args, kwargs)) as span:
            result = function(*args, **kwargs)
            span.set_result({"result": result})
        return result

    return wrapper


def _traced_coroutine(function: Callable[..., Any], open_span: OpenSpan) -> Callable[..., Any]:
    bind = _binder(function)

    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        async with open_span(bind(args, kwargs)) as span:
            result = await function(*args, **kwargs)
            span.set_result({"result": result})
        return result

    return wrapper


def _traced_generator(function: Callable[..., Any], open_span: OpenSpan) -> Callable[..., Any]:
    bind = _binder(function)

    def wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        inner = function(*args, **kwargs)
        with open_span(bind(args, kwargs)).stepwise() as span:
            step = partial(next, inner)
            while True:
                try:
                    with span.current():
                        value = step()
                except StopIteration as stop:
                    if stop.value is not None:
                        span.set_result({"result": stop.value})
                    return stop.value
                finally:
                    del step  # an error in it would keep itself alive, by its traceback
                try:
                    sent = yield value
                except BaseException as error:  # noqa: BLE001  # it belongs to the inner one
                    step = partial(inner.throw, error)
                else:
                    step = partial(inner.send, sent)

    return wrapper


def _traced_async_generator(
    function: Callable[..., Any], open_span: OpenSpan
) -> Callable[..., Any]:
    bind = _binder(function)

    async def wrapper(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        inner = function(*args, **kwargs)
        with open_span(bind(args, kwargs)).stepwise() as span:
            step = partial(_first, inner)
            while True:
                try:
                    with span.current():
                        value = await step()
                except StopAsyncIteration:
                    return
                finally:
                    del step  # as above
                try:
                    sent = yield value
                except BaseException as error:  # noqa: BLE001  # it belongs to the inner one
                    step = partial(inner.athrow, error)
                else:
                    step = partial(inner.asend, sent)

    return wrapper


def _first(steps: AsyncGenerator[Any, Any]) -> Awaitable[Any]:
    """Begin *steps*, which the loop is not told of: it would close them beside their wrapper."""
    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(firstiter=None)
    try:
        return anext(steps)
    finally:
        sys.set_asyncgen_hooks(firstiter=hooks.firstiter)


def _binder(
    function: Callable[..., Any],
) -> Callable[[tuple[Any, ...], dict[str, Any]], dict[str, Any]]:
    """Return what turns the arguments of a call into a payload."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        signature = None

    def bind(args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        if signature is not None:
            with suppress(Exception):  # what is wrong is for the call itself to say
                arguments = signature.bind(*args, **kwargs).arguments
                return {name: value for name, value in arguments.items() if name not in _SELF}
        return {"args": list(args), "kwargs": dict(kwargs)}

    return bind


_SELF = frozenset({"self", "cls"})
