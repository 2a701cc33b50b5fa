"""A WSGI application for a preforking server."""

from prefactor_exporter import Exporter

exporter = Exporter.from_env()


def app(environ, start_response):
    """Answer one request, in a run of its own."""
    with exporter.instance() as run:
        with run.span("agent:answer", {"path": environ["PATH_INFO"]}) as span:
            span.set_result({"answer": 42})
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"42\n"]
