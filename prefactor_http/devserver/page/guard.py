"""Who may read the page and press its button, and the headers that keep it harmless."""

import ipaddress
import re

from aiohttp import web

from prefactor_http.devserver.backend import Backend
from prefactor_http.devserver.errors import ApiError

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_PORT = re.compile(r":\d+$")
_LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
_OWN_SITES = frozenset({"same-origin", "none"})


def check_reader(request: web.Request, backend: Backend) -> None:
    """Let in who sits on this machine and asked for it by its name, and who has a token.

    A foreign name in ``Host`` means that a web page elsewhere points its own name at this machine.

    Raises:
        ApiError: 401 for everybody else.
    """
    name = _PORT.sub("", request.host)
    local = request.remote is not None and ipaddress.ip_address(request.remote).is_loopback
    if not local or name not in _LOCAL_NAMES:
        backend.tokens.bearer(request.headers.get("Authorization"))


def check_origin(request: web.Request) -> None:
    """Refuse what a browser sends on behalf of a page from elsewhere.

    Programs that are no browsers say nothing about an origin and pass.

    Raises:
        ApiError: 403 for a request from another origin.
    """
    site = request.headers.get("Sec-Fetch-Site", "same-origin")
    origin = request.headers.get("Origin")
    if site not in _OWN_SITES or (origin is not None and origin != f"http://{request.host}"):
        raise ApiError("forbidden", "only the page itself may ask for this", status=403)


def check_writer(request: web.Request, backend: Backend) -> None:
    """Let the page's button through and nothing that another page could send.

    A form of another page cannot send JSON without asking first, and nobody answers that question.

    Raises:
        ApiError: 401, 403 or 415.
    """
    check_reader(request, backend)
    check_origin(request)
    if request.content_type != "application/json":
        raise ApiError("bad_request", "the body must be application/json", status=415)
