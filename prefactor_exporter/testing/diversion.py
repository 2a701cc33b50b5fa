"""Own what becomes of exporters that the code under test makes itself, out of a test's reach."""

from collections.abc import Callable, Generator
from contextlib import contextmanager

import msgspec

from prefactor_exporter._delivery.pipeline import Pipeline
from prefactor_exporter.recorder import Recorder
from prefactor_exporter.testing.guard import is_loopback
from prefactor_exporter.testing.memory import InMemoryExporter, into

__all__ = ["end_with_block", "record_in_memory"]


@contextmanager
def record_in_memory(exporter: InMemoryExporter | None = None) -> Generator[InMemoryExporter]:
    """Have every exporter made in the block record into memory, unless it points at this machine.

    For code that makes its exporter itself. Such an exporter is ``strict``, and stays in memory
    after the block. One that was made before, or is disabled, is not touched.

    Args:
        exporter: Where everything is kept; None for a new one.

    Yields:
        That exporter.
    """
    keeper = exporter if exporter is not None else InMemoryExporter()

    def divert(recorder: Recorder, original: type[Pipeline]) -> type[Pipeline]:
        config = recorder.config
        if config is None or is_loopback(config.http.api_url):
            return original
        recorder.config = msgspec.structs.replace(config, strict=True)
        pipeline = into(keeper._recording)  # noqa: SLF001  # no test should need to know of it
        vars(recorder)["_pipeline_type"] = lambda: pipeline  # also if it is forked later on
        return pipeline

    with _choosing(divert):
        yield keeper


@contextmanager
def end_with_block(url: str, *, timeout: float) -> Generator[None]:
    """Shut down, at the end of the block, the exporters made in it that point at *url*.

    Otherwise they would go on trying after the server is gone, until the end of the process.

    Args:
        url: Address of the server.
        timeout: Seconds that each may take to deliver the rest.
    """
    made: list[Recorder] = []

    def note(recorder: Recorder, original: type[Pipeline]) -> type[Pipeline]:
        if recorder.config is not None and recorder.config.http.api_url == url:
            made.append(recorder)
        return original

    try:
        with _choosing(note):
            yield
    finally:
        for recorder in made:
            recorder.shutdown(timeout)


@contextmanager
def _choosing(choose: Callable[[Recorder, type[Pipeline]], type[Pipeline]]) -> Generator[None]:
    """Let *choose* have the last word on what stands behind the record calls of new exporters."""
    original = Recorder._pipeline_type  # noqa: SLF001  # the seam that is there for this

    def chosen(recorder: Recorder) -> type[Pipeline]:
        return choose(recorder, original(recorder))

    setattr(Recorder, "_pipeline_type", chosen)  # noqa: B010  # type checkers know it as a method
    try:
        yield
    finally:
        setattr(Recorder, "_pipeline_type", original)  # noqa: B010  # as above
