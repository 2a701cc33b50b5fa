"""What the guide says of proxies and certificates is what happens on the network."""

import asyncio
import shutil
import ssl
import subprocess
import threading

import pytest

pytestmark = pytest.mark.slow

RECORD = """
from prefactor_exporter import Exporter
exporter = Exporter.from_env()
exporter.record_span("agent:step")
while not exporter.flush(timeout=0.1) and not exporter.stats().last_error:
    pass
print(bool(exporter.flush(timeout=0)), exporter.stats().last_error)
exporter.shutdown(timeout=0)
"""
DEAD = "http://127.0.0.1:9"


def test_proxies_of_the_environment_are_not_used(server, example):
    """Nobody listens at the proxy, and all arrives."""
    names = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
    done = example(code=RECORD, NO_PROXY="", **dict.fromkeys(names, DEAD)).end()

    assert done == (0, "True None\n", "")
    assert len(server.spans()) == 1


@pytest.fixture
def certificate(tmp_path):
    """A certificate for this machine that no public authority knows, and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl to make a certificate with")
    made, key = tmp_path / "made.pem", tmp_path / "key.pem"
    subject = ["-subj", "/CN=a test", "-addext", "subjectAltName=IP:127.0.0.1"]
    kind = ["-x509", "-newkey", "rsa:2048", "-nodes"]
    subprocess.run(
        [openssl, "req", *kind, *subject, "-out", made, "-keyout", key],
        check=True,
        capture_output=True,
    )
    return made, key


@pytest.fixture
def gateway(server, certificate):
    """An address with TLS that leads to the server."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)
    loop = asyncio.new_event_loop()

    async def pump(reader, writer):
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    async def relay(reader, writer):
        behind, ahead = await asyncio.open_connection(server.host, server.port)
        await asyncio.gather(pump(reader, ahead), pump(behind, writer))

    async def listen():
        return await asyncio.start_server(relay, "127.0.0.1", 0, ssl=context)

    listening = loop.run_until_complete(listen())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield f"https://127.0.0.1:{listening.sockets[0].getsockname()[1]}"

    async def close():
        listening.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.wait(others) if others else None

    asyncio.run_coroutine_threadsafe(close(), loop).result(20)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def test_an_authority_of_our_own_is_trusted_when_it_is_named(server, example, gateway, certificate):
    made, _ = certificate
    done = example(code=RECORD, PREFACTOR_API_URL=gateway, SSL_CERT_FILE=str(made)).end()

    assert done == (0, "True None\n", "")
    assert len(server.spans()) == 1


def test_nothing_is_sent_where_the_certificate_is_not_trusted(server, example, gateway):
    status, out, err = example(code=RECORD, PREFACTOR_API_URL=gateway).end()

    assert (status, err) == (0, "")
    assert out.startswith("False ") and "CERTIFICATE_VERIFY_FAILED" in out
    assert server.spans() == []
