"""Own the choice of the worker's event loop: the fastest one that survives this process's end."""

import asyncio
import os
import socket
import sys
import threading
from typing import Any

from prefactor_exporter._delivery.barrier import no_fork

__all__ = ["new_event_loop"]


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Return the fastest loop there is."""
    monkey = sys.modules.get("gevent.monkey")
    if monkey is not None and monkey.is_module_patched("threading"):
        # The worker is a greenlet then, and only a loop that gevent has patched lets others run.
        return _Loop()
    if not _has_standard_files():
        # libuv kills the process when it closes a file that got one of their numbers.
        return _Loop()
    try:
        with no_fork:
            import uvloop  # noqa: PLC0415  # optional
    except (ImportError, RuntimeError):  # not installed, or the interpreter is about to end
        return _Loop()
    return uvloop.new_event_loop()


class _Loop(asyncio.SelectorEventLoop):
    """The standard library's, but for looking names up.

    That would use a pool of threads, which takes nothing any more when the interpreter ends, and
    whose threads the interpreter waits for however long a name server lets them hang.
    """

    async def getaddrinfo(self, host: Any, port: Any, **hints: Any) -> Any:
        """Look *host* up in a thread of its own, or here if the interpreter is about to end."""
        found: asyncio.Future[Any] = self.create_future()

        def look_up() -> None:
            try:
                addresses = socket.getaddrinfo(host, port, **hints)
            except OSError as error:
                self._tell(found, error, None)
            else:
                self._tell(found, None, addresses)

        if threading.main_thread().is_alive():
            threading.Thread(target=look_up, name="prefactor-exporter-dns", daemon=True).start()
        else:
            look_up()
        return await found

    def _tell(self, found: "asyncio.Future[Any]", error: OSError | None, addresses: Any) -> None:
        def tell() -> None:
            if found.done():  # nobody waits any more
                return
            if error is not None:
                found.set_exception(error)
            else:
                found.set_result(addresses)

        try:
            self.call_soon_threadsafe(tell)
        except RuntimeError:  # the loop was closed meanwhile
            return


def _has_standard_files() -> bool:
    """Return whether standard input, output and error are open; a daemon may have closed them."""
    try:
        for number in range(3):
            os.fstat(number)
    except OSError:
        return False
    return True
