"""Own the hooks into the life of the process: its end, its signals, its forks. All hold weakly."""

import _thread
import atexit
import contextlib
import os
import signal
import sys
import threading
import weakref
from collections.abc import Callable, Iterable
from types import FrameType
from typing import Final, Protocol

from prefactor_exporter._core.snapshot import forget_threads
from prefactor_exporter._delivery.barrier import no_fork
from prefactor_exporter._delivery.clock import SystemClock

__all__ = ["Guarded", "guard", "guard_signals", "uncaught"]


class Guarded(Protocol):
    """What the hooks call."""

    def end_of_process(self) -> None:
        """Deliver what time allows; the process is about to end."""
        ...

    def end_of_grace(self) -> None:
        """Deliver what time allows; the process was asked to end, and cannot."""
        ...

    def is_recording(self, frame: FrameType) -> bool:
        """Return whether *frame* is one of a record call, which wants to return first."""
        ...

    def restart_in_child(self) -> None:
        """Begin afresh in a forked child: threads and connections stayed with the parent."""
        ...


_alive: "weakref.WeakSet[Guarded]" = weakref.WeakSet()
_known_to_children: "weakref.WeakSet[Guarded]" = weakref.WeakSet()
_hooked = False
_INIT: Final = 1
"""Number of the first process, as in a container: no signal that it does not handle ends it."""
_EARLY: Final = 100
"""Priority of a finalizer: before the children's own children are joined."""
_AGAIN_AFTER: Final = 0.001
"""Seconds after which a signal that struck inside a record call comes again."""
_MOST_TIMES: Final = 200


def guard(guarded: Guarded, *, at_exit: bool) -> None:
    """Call *guarded* at forks and, if *at_exit*, at the end of the process, while it lives."""
    global _hooked  # noqa: PLW0603  # hooks of the process are installed once
    _alive.add(guarded)
    if at_exit:
        atexit.register(_ender(guarded))
        _guard_child(guarded)
        _tell_children(guarded)
    if not _hooked:
        _hooked = True
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(
                before=no_fork.acquire,
                after_in_parent=no_fork.release,
                after_in_child=_after_fork,
            )


def _after_fork() -> None:
    global _impatient  # noqa: PLW0603  # a child has a life of its own
    _impatient = False
    no_fork.release()
    forget_threads()
    for guarded in list(_alive):
        guarded.restart_in_child()
        _tell_children(guarded)


def _tell_children(guarded: Guarded) -> None:
    """Have a child of multiprocessing guard what was made before it knew that it is one.

    That is what it inherits, and what the main module makes when the child imports it first of
    all. It forgets all finalizers after that, and then asks these.
    """
    util = sys.modules.get("multiprocessing.util")
    if util is not None and guarded not in _known_to_children:
        _known_to_children.add(guarded)
        util.register_after_fork(guarded, _guard_child)


def _guard_child(guarded: Guarded) -> None:
    """Call *guarded* when a child of multiprocessing returns: it ends without the exit hooks."""
    process = sys.modules.get("multiprocessing.process")
    util = sys.modules.get("multiprocessing.util")
    if process is None or util is None or process.parent_process() is None:
        return
    util.Finalize(None, _ender(guarded), exitpriority=_EARLY)


def _ender(guarded: Guarded) -> Callable[[], None]:
    """Return a function that ends *guarded*, if it is still alive, without keeping it alive."""
    reference = weakref.ref(guarded)

    def end() -> None:
        alive = reference()
        if alive is not None:
            _end([alive])

    return end


def _end(all_guarded: Iterable[Guarded]) -> None:
    """Deliver what time allows, or what an impatient Ctrl-C allows; keep the exit status."""
    global _impatient  # noqa: PLW0603  # the process ends once
    try:
        for guarded in all_guarded:
            if not _impatient:
                guarded.end_of_process()
    except KeyboardInterrupt:
        _impatient = True
    if isinstance(uncaught(), KeyboardInterrupt):
        # The interpreter forgets that it dies of Ctrl-C as soon as any code is run from text, as
        # imports do; this reminds it.
        with contextlib.suppress(KeyboardInterrupt):
            exec("raise KeyboardInterrupt")  # noqa: S102  # text is the point


_impatient = False


def uncaught() -> BaseException | None:
    """Return what ends the process; None if nothing does, or only a line or a cell was ended."""
    if hasattr(sys, "ps1"):
        return None
    error: BaseException | None = getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)
    return error


def guard_signals(signals: tuple[int, ...]) -> None:
    """Deliver before the process dies of *signals*, where nobody else handles them.

    Only a default disposition is replaced, only from the main thread, and the process still dies of
    the signal, so that its parent sees the true cause.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    for number in signals:
        with contextlib.suppress(ValueError, OSError):  # a signal nobody can catch
            if signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, _deliver_and_die)


def _deliver_and_die(number: int, frame: FrameType | None) -> None:
    if _postpone(number, frame):
        return
    if os.getpid() == _INIT:
        for guarded in list(_alive):
            guarded.end_of_grace()
        return
    _end(list(_alive))
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def _postpone(number: int, frame: FrameType | None) -> bool:
    """Let a record call that the signal interrupted return first; what it records counts.

    Returns:
        False if there is none, or no way to have the signal come again.
    """
    global _postponed  # noqa: PLW0603  # signals strike the process as a whole
    if _postponed >= _MOST_TIMES or not _is_recording(frame):
        return False
    try:
        # A Thread takes locks when it starts, which the call that was interrupted may hold.
        _thread.start_new_thread(_strike_again, (os.getpid(), number))
    except RuntimeError:  # the interpreter is about to end
        return False
    _postponed += 1
    return True


_postponed = 0


def _strike_again(process: int, number: int) -> None:
    SystemClock().pause(_AGAIN_AFTER)
    os.kill(process, number)


def _is_recording(frame: FrameType | None) -> bool:
    while frame is not None:
        if any(guarded.is_recording(frame) for guarded in list(_alive)):
            return True
        frame = frame.f_back
    return False
