"""Signatures of models as one calls them: their fields by keyword, with types and defaults."""

from typing import Any

import msgspec
from sphinx.application import Sphinx
from sphinx.util.typing import stringify_annotation

from prefactor_http.models.base import Model


def signature(cls: type[Model]) -> str:
    """Return the fields of *cls* as arguments."""
    arguments = []
    for field in msgspec.structs.fields(cls):
        shown = f"{field.encode_name}: {stringify_annotation(field.type, 'smart')}"
        if field.default is not msgspec.NODEFAULT:
            shown += f" = {field.default!r}"
        elif field.default_factory is not msgspec.NODEFAULT:
            shown += f" = {field.default_factory.__name__}()"
        arguments.append(shown)
    return f"(*, {', '.join(arguments)})"


def show(
    _app: Sphinx, what: str, _name: str, described: Any, *_: object
) -> tuple[str, None] | None:
    """Answer Sphinx when it asks for the signature of a model."""
    if what == "class" and isinstance(described, type) and issubclass(described, Model):
        return signature(described), None
    return None


def setup(app: Sphinx) -> dict[str, bool]:
    """Take part in autodoc."""
    app.setup_extension("sphinx.ext.autodoc")
    app.connect("autodoc-process-signature", show)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
