"""A process that gevent has patched delivers too, and its greenlets go on meanwhile."""

import pytest

from tests.integration.exporter.conftest import names

pytestmark = pytest.mark.slow

PATCH = "from gevent import monkey; monkey.patch_all()"
WORK = """
import gevent
exporter = Exporter(config())
beats = []
def beat():
    while True:
        beats.append(None)
        gevent.sleep(0)
heart = gevent.spawn(beat)
def agent(name):
    for n in range(20):
        with exporter.span("a", {"n": f"{name}.{n}"}):
            gevent.sleep(0)
gevent.joinall([gevent.spawn(agent, name) for name in range(10)])
before = len(beats)
assert exporter.flush(20)
assert len(beats) > before, "the other greenlets stood still"
heart.kill()
"""


@pytest.mark.parametrize("when", ["before", "after"])
def test_greenlets_record_and_go_on_while_another_one_flushes(server, child, when):
    """Whether gevent patched the process before or after the package was imported."""
    first, then = (PATCH, WORK) if when == "before" else ("", PATCH + WORK)
    status, out, err = child(then, first=first).end()

    assert (status, out) == (0, ""), err
    assert sorted(names(server)) == sorted(f"{a}.{n}" for a in range(10) for n in range(20))
