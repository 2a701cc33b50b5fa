"""The version of this distribution, in one place."""

PACKAGE_NAME = "prefactor-http"
__version__ = "0.1.0"
PACKAGE_VERSION = __version__
