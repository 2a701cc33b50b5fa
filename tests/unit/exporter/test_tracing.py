"""The decorator and the context managers change nothing about the code they watch."""

import asyncio
import inspect
from typing import NamedTuple

import pytest

from prefactor_exporter import InvalidEventError
from prefactor_exporter.context import current_scope
from prefactor_exporter.tracing import Span, traced


class Ended(NamedTuple):
    """A span as it was finished."""

    id: str
    status: str
    result: object


class FakeRecorder:
    """Remembers spans instead of sending them; *strict* refuses to end any."""

    strict = False

    def __init__(self):
        self.era = object()
        self.payloads = {}
        self.ended = []

    def current_instance(self, instance_id):
        return "run"

    def scope(self, instance_id, span_id):
        return span_id

    def start_span(self, schema_name, payload, **options):
        span_id = f"span{len(self.payloads)}"
        self.payloads[span_id] = payload
        return span_id

    def finish_span(self, span_id, *, status, result_payload):
        if self.strict:
            raise InvalidEventError("the span is over")
        self.ended.append(Ended(span_id, status, result_payload))


@pytest.fixture
def recorder():
    return FakeRecorder()


@pytest.fixture
def trace(recorder):
    return traced(
        lambda payload: Span(recorder, "a", payload, instance_id=None, parent_span_id=None)
    )


def test_a_function_returns_what_it_returns(trace, recorder):
    @trace
    def add(a, b=2, *more, key=None):
        """Add."""
        return a + b + sum(more)

    assert add(1) == 3
    assert add(1, 2, 3, key="k") == 6
    assert (add.__name__, add.__doc__) == ("add", "Add.")
    assert list(recorder.payloads.values()) == [
        {"a": 1},
        {"a": 1, "b": 2, "more": (3,), "key": "k"},
    ]
    assert [ended.result for ended in recorder.ended] == [{"result": 3}, {"result": 6}]


def test_a_method_is_recorded_without_its_self(trace, recorder):
    class Agent:
        @trace
        def act(self, what):
            return what

        @classmethod
        @trace
        def make(cls, what):
            return what

    assert Agent().act("x") == Agent.make("x") == "x"
    assert list(recorder.payloads.values()) == [{"what": "x"}, {"what": "x"}]


def test_wrong_arguments_are_the_function_s_own_error(trace):
    @trace
    def add(a):
        return a

    with pytest.raises(TypeError, match="b"):
        add(b=1)


def test_the_kind_of_a_function_is_kept(trace):
    @trace
    async def coroutine():
        """Nothing."""

    @trace
    def generator():
        yield

    @trace
    async def async_generator():
        yield

    assert inspect.iscoroutinefunction(coroutine)
    assert inspect.isgeneratorfunction(generator)
    assert inspect.isasyncgenfunction(async_generator)


def test_an_error_ends_the_span_as_failed_and_goes_on(trace, recorder):
    @trace
    def fail():
        raise KeyError("k")

    with pytest.raises(KeyError):
        fail()
    (ended,) = recorder.ended
    assert ended.status == "failed"
    assert ended.result == {"error_type": "KeyError", "message": "'k'"}
    assert current_scope.get() is None


async def test_an_error_of_a_coroutine_likewise(trace, recorder):
    @trace
    async def fail():
        await asyncio.sleep(0)
        raise KeyError("k")

    with pytest.raises(KeyError):
        await fail()
    assert recorder.ended[0].status == "failed"


async def test_a_cancelled_coroutine_leaves_a_cancelled_span(trace, recorder):
    entered = asyncio.Event()

    @trace
    async def wait():
        entered.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(wait())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert recorder.ended[0].status == "cancelled"


def test_a_generator_is_sent_to_thrown_into_and_returned_from(trace, recorder):
    @trace
    def echo():
        heard = []
        while True:
            try:
                heard.append((yield len(heard)))
            except ValueError as error:
                heard.append(str(error))
            if heard[-1] == "stop":
                return heard

    steps = echo()
    assert next(steps) == 0
    assert steps.send("a") == 1
    assert steps.throw(ValueError("b")) == 2
    with pytest.raises(StopIteration) as stopped:
        steps.send("stop")
    assert stopped.value.value == ["a", "b", "stop"]
    assert recorder.ended == [Ended("span0", "complete", {"result": ["a", "b", "stop"]})]


def test_a_generator_delegated_to_returns_its_value(trace):
    @trace
    def inner():
        yield 1
        return "value"

    def outer():
        return (yield from inner())

    steps = outer()
    assert next(steps) == 1
    with pytest.raises(StopIteration) as stopped:
        next(steps)
    assert stopped.value.value == "value"


def test_an_error_of_a_generator_ends_its_span_as_failed(trace, recorder):
    @trace
    def fail():
        yield 1
        raise KeyError("k")

    with pytest.raises(KeyError):
        list(fail())
    assert recorder.ended[0].status == "failed"


def test_a_generator_left_early_is_closed_and_cancelled(trace, recorder):
    closed = []

    @trace
    def count():
        try:
            yield from range(10)
        finally:
            closed.append(current_scope.get())

    steps = count()
    next(steps)
    steps.close()
    assert len(closed) == 1
    assert recorder.ended[0].status == "cancelled"


def test_what_a_generator_does_while_it_is_closed_belongs_to_its_span(trace):
    scopes = []

    @trace
    def count():
        try:
            yield 1
        finally:
            scopes.append(current_scope.get())

    steps = count()
    next(steps)
    steps.close()
    assert scopes == ["span0"]


def test_the_consumer_of_a_generator_keeps_its_own_current_span(trace):
    inside = []

    @trace
    def count():
        inside.append(current_scope.get())
        yield 1
        inside.append(current_scope.get())
        yield 2

    outside = [current_scope.get() for _ in count()]
    assert inside == ["span0", "span0"]
    assert outside == [None, None]
    assert current_scope.get() is None


async def test_an_async_generator_is_sent_to_and_thrown_into(trace, recorder):
    inside = []

    @trace
    async def echo():
        heard = []
        while len(heard) < 3:
            await asyncio.sleep(0)
            inside.append(current_scope.get())
            try:
                heard.append((yield len(heard)))
            except ValueError as error:
                heard.append(str(error))

    steps = echo()
    assert await anext(steps) == 0
    assert current_scope.get() is None
    assert await steps.asend("a") == 1
    assert await steps.athrow(ValueError("b")) == 2
    with pytest.raises(StopAsyncIteration):
        await steps.asend("c")
    assert inside == ["span0"] * 3
    assert recorder.ended[0].status == "complete"


async def test_an_async_generator_left_early_is_closed_and_cancelled(trace, recorder):
    closed = []

    @trace
    async def count():
        try:
            yield 1
            yield 2
        finally:
            closed.append(True)

    steps = count()
    await anext(steps)
    await steps.aclose()
    assert closed == [True]
    assert recorder.ended[0].status == "cancelled"


def test_a_refused_end_leaves_no_span_current(recorder):
    recorder.strict = True
    with (
        pytest.raises(InvalidEventError),
        Span(recorder, "a", None, instance_id=None, parent_span_id=None),
    ):
        pass

    assert current_scope.get() is None


def test_a_refused_end_does_not_hide_the_error_of_the_block(recorder):
    recorder.strict = True
    with (
        pytest.raises(ZeroDivisionError),
        Span(recorder, "a", None, instance_id=None, parent_span_id=None),
    ):
        raise ZeroDivisionError

    assert current_scope.get() is None


async def test_an_async_generator_may_be_continued_by_another_task(trace, recorder):
    @trace
    async def count():
        yield 1
        yield 2

    steps = count()
    got = [await asyncio.create_task(step) for step in (anext_of(steps), anext_of(steps))]
    with pytest.raises(StopAsyncIteration):
        await anext(steps)
    assert got == [1, 2]
    assert recorder.ended[0].status == "complete"
    assert current_scope.get() is None


async def anext_of(steps):
    return await anext(steps)
