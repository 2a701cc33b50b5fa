"""The page at ``/``: the runs, and each run as a waterfall of its spans, live.

Python answers small, bounded questions in JSON; the files in ``static`` draw.
"""

from prefactor_http.devserver.page.routes import add_page as add_page

__all__ = ["add_page"]
