"""The decorator and the context managers change nothing about the code they watch."""

import asyncio
import functools
import gc
import inspect
import pickle
import types
import weakref
from abc import ABC, abstractmethod
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


def test_a_static_method_and_a_class_method_stay_what_they_are(trace, recorder):
    class Agent:
        @trace
        @staticmethod
        def add(a, b):
            """Add."""
            return a + b

        @trace
        @classmethod
        def make(cls, what):
            return cls, what

        @trace
        @staticmethod
        async def wait(a):
            return a

    class Clerk(Agent):
        pass

    assert Agent.add(1, 2) == Agent().add(1, 2) == 3
    assert Clerk.make("x") == Clerk().make("x") == (Clerk, "x")
    assert asyncio.run(Agent().wait(4)) == 4
    assert isinstance(inspect.getattr_static(Agent, "add"), staticmethod)
    assert isinstance(inspect.getattr_static(Agent, "make"), classmethod)
    assert inspect.iscoroutinefunction(Agent.wait)
    assert str(inspect.signature(Agent.add)) == "(a, b)"
    assert (Agent.add.__doc__, Agent.add.__qualname__.rpartition(".")[2]) == ("Add.", "add")
    assert list(recorder.payloads.values()) == [
        {"a": 1, "b": 2},
        {"a": 1, "b": 2},
        {"what": "x"},
        {"what": "x"},
        {"a": 4},
    ]


def test_abstract_methods_stay_abstract(trace):
    class Agent(ABC):
        @trace
        @abstractmethod
        def act(self):
            """Act."""

        @trace
        @classmethod
        @abstractmethod
        def make(cls):
            """Make."""

    assert Agent.__abstractmethods__ == {"act", "make"}


def test_a_cached_property_is_computed_and_recorded_once(trace, recorder):
    class Agent:
        @trace
        @functools.cached_property
        def plan(self):
            return ["plan"]

    agent = Agent()
    assert agent.plan is agent.plan
    assert [ended.result for ended in recorder.ended] == [{"result": ["plan"]}]


def test_partial_objects_keep_their_kind(trace, recorder):
    def add(a, b):
        return a + b

    async def wait(a):
        return a

    class Agent:
        def act(self, how, what):
            return f"{what} {how}"

        act_well = trace(functools.partialmethod(act, "well"))

    add_one = functools.partial(add, 1)
    add_one.note = "kept"
    traced_add = trace(add_one)

    assert traced_add(2) == 3
    assert isinstance(traced_add, functools.partial)
    assert (traced_add.args, traced_add.note) == ((1,), "kept")
    assert str(inspect.signature(traced_add)) == "(b)"
    assert trace(functools.partial(int, "5"))() == 5
    assert inspect.iscoroutinefunction(trace(functools.partial(wait, 1)))
    assert asyncio.run(trace(functools.partial(wait, 1))()) == 1
    assert Agent().act_well("sing") == "sing well"
    assert recorder.payloads["span0"] == {"a": 1, "b": 2}


def test_an_object_that_can_be_called_is_recorded_by_what_its_call_does(trace, recorder):
    class Add:
        async def __call__(self, a, b):
            """Add."""
            await asyncio.sleep(0)
            return a + b

    class Count:
        def __call__(self, n):
            yield from range(n)

    class CountSlowly:
        async def __call__(self, n):
            for i in range(n):
                yield i

    async def run():
        return await trace(Add())(1, 2), [i async for i in trace(CountSlowly())(2)]

    assert asyncio.run(run()) == (3, [0, 1])
    assert list(trace(Count())(2)) == [0, 1]
    assert inspect.iscoroutinefunction(trace(Add()))
    assert recorder.payloads["span0"] == {"a": 1, "b": 2}
    assert recorder.ended[0].result == {"result": 3}
    assert {ended.status for ended in recorder.ended} == {"complete"}


def test_a_cache_below_the_decorator_can_still_be_cleared(trace):
    @trace
    @functools.lru_cache
    def square(n):
        return n * n

    assert (square(3), square(3)) == (9, 9)
    assert square.cache_info().hits == 1
    square.cache_clear()
    assert square.cache_info().hits == 0


def test_a_coroutine_written_as_a_generator_can_still_be_awaited(trace, recorder):
    @trace
    @types.coroutine
    def pause():
        yield from asyncio.sleep(0).__await__()
        return "rested"

    async def run():
        return await pause()

    assert asyncio.run(run()) == "rested"
    assert recorder.ended == [Ended("span0", "complete", {"result": "rested"})]


@pytest.mark.parametrize("what", [property(len), functools.singledispatchmethod(len), dict, 3])
def test_what_is_no_function_is_refused_where_it_is_decorated(trace, what):
    with pytest.raises(TypeError, match="put it directly above the function"):
        trace(what)


class Unspeakable(str):
    """A name that fails whoever wants to print it."""

    __slots__ = ()

    def __repr__(self):
        raise RuntimeError("hands off")

    __str__ = __repr__


def test_names_that_cannot_be_printed_are_the_function_s_own_matter(trace, recorder):
    def none(**kwargs):
        return len(kwargs)

    def one(*, only):
        return only

    key = Unspeakable("key")

    assert trace(none)(**{key: 2}) == none(**{key: 2}) == 1
    for function in (one, trace(one)):
        with pytest.raises(RuntimeError, match="hands off"):
            function(**{key: 2})
    assert [ended.status for ended in recorder.ended] == ["complete", "failed"]


def test_what_is_recorded_of_arguments_cannot_make_a_call_fail(trace, recorder, monkeypatch):
    def refuse(self, *args, **kwargs):
        raise RuntimeError("hands off")

    @trace
    def count(*args, **kwargs):
        return len(args) + len(kwargs)

    monkeypatch.setattr(inspect.Signature, "bind", refuse)
    assert count(1, a=2) == 2
    assert recorder.payloads["span0"] == {"args": [1], "kwargs": {"a": 2}}


def test_a_traced_function_can_be_pickled_by_its_name():
    assert pickle.loads(pickle.dumps(pickled)) is pickled


@traced(lambda payload: Span(FakeRecorder(), "a", payload, instance_id=None, parent_span_id=None))
def pickled():
    """Nothing."""


def test_a_generator_may_answer_its_being_closed(trace, recorder):
    """As it does without the decorator: with a value, an error, or by going on."""

    def count(answer):
        try:
            yield 1
        except GeneratorExit:
            if answer == "go on":
                yield 2
            if answer == "fail":
                raise KeyError(answer) from None
            return answer

    def outcome(function, answer, end):
        steps = function(answer)
        next(steps)
        try:
            return end(steps)
        except BaseException as error:  # noqa: BLE001  # compared
            return repr(error)

    ends = (lambda steps: steps.close(), lambda steps: steps.throw(GeneratorExit()))
    for end in ends:
        for answer in ("value", "fail", "go on"):
            assert outcome(trace(count), answer, end) == outcome(count, answer, end)
    assert [ended.status for ended in recorder.ended[:2]] == ["complete", "failed"]


def test_a_generator_that_was_closed_lets_go_of_what_it_held(trace):
    watches = []

    class Held:
        pass

    @trace
    def keep():
        held = Held()
        watches.append(weakref.ref(held))
        yield

    steps = keep()
    next(steps)
    gc.disable()
    try:
        steps.close()
        assert watches[0]() is None
    finally:
        gc.enable()


def test_an_async_generator_may_answer_its_being_closed(trace, recorder):
    async def count(answer):
        try:
            yield 1
        except GeneratorExit:
            await asyncio.sleep(0)
            if answer == "go on":
                yield 2
            if answer == "fail":
                raise KeyError(answer) from None

    async def outcome(function, answer, end):
        steps = function(answer)
        await anext(steps)
        try:
            return await end(steps)
        except BaseException as error:  # noqa: BLE001  # compared
            return repr(error)

    async def run():
        for end in (lambda steps: steps.aclose(), lambda steps: steps.athrow(GeneratorExit())):
            for answer in ("stop", "fail", "go on"):
                mine = await outcome(trace(count), answer, end)
                assert mine == await outcome(count, answer, end)

    asyncio.run(run())
    assert [ended.status for ended in recorder.ended[:2]] == ["complete", "failed"]


def test_a_loop_that_ends_closes_an_async_generator_once(trace, recorder):
    """It knows of one generator, not of two that are inside each other."""
    troubles, closed = [], []

    @trace
    async def count():
        try:
            yield 1
        finally:
            await asyncio.sleep(0)
            closed.append(True)

    async def run():
        asyncio.get_running_loop().set_exception_handler(
            lambda loop, context: troubles.append(context)
        )
        await anext(steps[0])

    for _ in range(20):
        steps = [count()]
        asyncio.run(run())

    assert troubles == []
    assert len(closed) == 20
    assert {ended.status for ended in recorder.ended} == {"cancelled"}
