"""The files the browser loads, read once from beside this module."""

import functools
from importlib.resources import files
from typing import NamedTuple

_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
SHELL = "index.html"


class Asset(NamedTuple):
    """One file and its media type."""

    content_type: str
    body: bytes


@functools.cache
def assets() -> dict[str, Asset]:
    """Return the files by name. A request can name these and nothing else on the disk."""
    folder = files("prefactor_http.devserver.page") / "static"
    return {
        entry.name: Asset(_TYPES[suffix], entry.read_bytes())
        for entry in folder.iterdir()
        if (suffix := entry.name[entry.name.rfind(".") :]) in _TYPES
    }
