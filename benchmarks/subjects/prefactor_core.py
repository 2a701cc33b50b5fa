"""Own prefactor-core as a subject: spans with ``async with``, awaited one after the other."""

import asyncio
from array import array
from collections.abc import Sequence
from time import monotonic, perf_counter_ns
from typing import Any

from prefactor_core import PrefactorCoreClient, PrefactorCoreConfig
from sink import AGENT_ID
from workload import Recorded

from prefactor_http.config import HttpClientConfig
from subjects.subject import Subject

__all__ = ["make"]


class PrefactorCoreSubject(Subject):
    """Opens the parent, and each child within it; all of it in one event loop."""

    def __init__(self, url: str) -> None:
        http = HttpClientConfig(api_url=url, api_token="bench")
        self._config = PrefactorCoreConfig(http_config=http)
        self._client: Any = None
        self._instance: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def begin(self, span: Recorded) -> Any:
        instance = self._instance or await self._start()
        opened = instance.span(span.schema_name, payload=span.payload)
        context = await opened.__aenter__()
        await context.start(span.payload)
        return opened, context

    async def record(self, span: Recorded, parent: Any) -> None:
        del parent  # it is the current span
        async with self._instance.span(span.schema_name, payload=span.payload) as context:
            context.set_result(span.result)

    async def end(self, span: Recorded, parent: Any) -> None:
        opened, context = parent
        context.set_result(span.result)
        await opened.__aexit__(None, None, None)

    async def _start(self) -> Any:
        # Its queue belongs to the loop in which it is made, so not earlier.
        self._client = PrefactorCoreClient(self._config)
        await self._client.initialize()
        self._instance = await self._client.create_agent_instance(
            agent_id=AGENT_ID,
            agent_version={"name": "bench", "external_identifier": "v1"},
            agent_schema_version={"external_identifier": "v1", "span_schemas": {}},
        )
        await self._instance.start()
        return self._instance

    def warm_up(self, work: Sequence[Recorded]) -> None:
        # Finishes are still on their way when it returns, but closing would be for good.
        self.run(work, None)

    def run(self, work: Sequence[Recorded], rate: float | None) -> "array[int]":
        self._loop = self._loop or asyncio.new_event_loop()
        return self._loop.run_until_complete(self._record_all(work, rate))

    async def _record_all(self, work: Sequence[Recorded], rate: float | None) -> "array[int]":
        spent = array("q")
        opened: tuple[Recorded, Any] | None = None
        started = monotonic()
        for number, span in enumerate(work):
            if span.root or opened is None:
                if opened is not None:
                    await self.end(*opened)
                if rate is not None:
                    await asyncio.sleep(max(0.0, started + number / rate - monotonic()))
                opened = (span, await self.begin(span))
                continue
            before = perf_counter_ns()
            await self.record(span, opened[1])
            spent.append(perf_counter_ns() - before)
        if opened is not None:
            await self.end(*opened)
        return spent

    def flush(self) -> None:
        # There is no flush: closing delivers what waits.
        self.close()

    def close(self) -> None:
        if self._loop is not None:
            self._loop.run_until_complete(self._client.close())

    async def close_async(self) -> None:
        """Close within the loop that runs."""
        await self._client.close()

    def leave(self) -> None:
        # It installs no hook for the end of the process; its documents say to close it.
        self.close()


def make(url: str, settings: dict[str, Any]) -> PrefactorCoreSubject:
    """Return the client with its defaults."""
    del settings
    return PrefactorCoreSubject(url)
