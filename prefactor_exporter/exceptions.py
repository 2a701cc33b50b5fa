"""Own the errors the exporter raises.

The exporter raises only where a person is at the keyboard: building a configuration, and illegal
values in strict mode. Nothing here is ever raised for the network, the API, the disk or overload.

::

    PrefactorHttpError (prefactor_http)
    └── ExporterError
        ├── ConfigError          also a ValueError
        └── InvalidEventError    also a ValueError
"""

from prefactor_http.exceptions import PrefactorHttpError

__all__ = ["ConfigError", "ExporterError", "InvalidEventError"]


class ExporterError(PrefactorHttpError):
    """Base of every error the exporter raises itself."""


class ConfigError(ExporterError, ValueError):
    """A setting has an illegal value; the text names the setting, the value and the way out."""


class InvalidEventError(ExporterError, ValueError):
    """A record call got an illegal value while ``strict`` is on."""
