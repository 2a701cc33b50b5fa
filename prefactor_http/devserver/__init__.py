"""A development server that speaks the Prefactor API, for tests, demos and life without an account.

Start it with ``python -m prefactor_http.devserver`` or, in Python, ``with DevServer() as server:``.
"""

from prefactor_http.devserver.faults import FaultRule as FaultRule
from prefactor_http.devserver.faults import FaultScript as FaultScript
from prefactor_http.devserver.server import DevServer as DevServer
from prefactor_http.devserver.storage import StorageError as StorageError
from prefactor_http.devserver.switches import Switches as Switches

__all__ = ["DevServer", "FaultRule", "FaultScript", "StorageError", "Switches"]
