"""An asyncio service: one exporter for the process, one run for each request."""

import asyncio
from contextlib import asynccontextmanager

from prefactor_exporter import Exporter

exporter = Exporter.from_env()  # starts nothing until the first event


@asynccontextmanager
async def lifespan(app):
    """What the framework enters at its start and leaves at its end."""
    yield
    await exporter.shutdown_async()


async def answer(question: str):
    """Handle one request."""
    async with exporter.instance() as run, run.span("agent:llm", {"question": question}) as span:
        hits = await asyncio.gather(search("invoices"), search("customers"))
        span.set_result({"hits": hits})
    return {"hits": hits}


@exporter.trace("tool:search")
async def search(index):
    """Find its parent by itself: gather's tasks inherit the current span."""
    await asyncio.sleep(0)
    return f"{index}: 7"


async def main():
    """Do what a server does: start, handle requests at the same time, stop."""
    async with lifespan(None):
        await asyncio.gather(answer("What is open?"), answer("Who owes?"))
    print("delivered:", bool(exporter.shutdown()))


if __name__ == "__main__":
    asyncio.run(main())
