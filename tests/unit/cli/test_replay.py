"""Where a replay goes: what is given, else the development server on this machine."""

import pytest
import typer

from prefactor_exporter.cli.connection import LOCAL_URL
from prefactor_exporter.cli.replay import settings
from prefactor_exporter.config import DEFAULT_API_URL
from prefactor_http.devserver.server import DEFAULT_DEPLOYMENT_TOKEN


@pytest.mark.parametrize(
    ("url", "token", "expected"),
    [
        (None, None, (LOCAL_URL, DEFAULT_DEPLOYMENT_TOKEN)),
        ("", "", (LOCAL_URL, DEFAULT_DEPLOYMENT_TOKEN)),
        ("http://localhost:1", None, ("http://localhost:1", DEFAULT_DEPLOYMENT_TOKEN)),
        ("http://[::1]:1", None, ("http://[::1]:1", DEFAULT_DEPLOYMENT_TOKEN)),
        (None, "mine", (DEFAULT_API_URL, "mine")),
        ("https://api", "mine", ("https://api", "mine")),
    ],
)
def test_address_and_token_belong_together(url, token, expected):
    """A token of one's own goes to the API, none at all to the development server only."""
    http = settings(url, token, None, None, patience=1.0).http

    assert (http.api_url, http.api_token) == expected


def test_what_the_exporter_refuses_is_wrong_usage(capsys):
    """A setting the exporter does not take is a mistake of the user, in one line."""
    with pytest.raises(typer.Exit) as caught:
        settings(None, None, None, None, patience=float("nan"))

    assert caught.value.exit_code == 2
    assert capsys.readouterr().err == "error: block_timeout must be at least 0, got nan\n"
