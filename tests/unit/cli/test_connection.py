"""Where and as whom: what is given, else the development server, and each mistake in one line."""

import ssl

import pytest

from prefactor_exporter import HttpClientConfig
from prefactor_exporter.cli.connection import (
    LOCAL_URL,
    connection,
    explained,
    with_client,
)
from prefactor_http.exceptions import (
    PrefactorApiError,
    PrefactorAuthError,
    PrefactorResponseContractError,
    PrefactorRetryExhaustedError,
)

URL = "https://api.example"
HTTP = HttpClientConfig(URL, "secret")


def test_a_token_alone_goes_to_prefactor():
    """The token of somebody's account is never sent to the development server by chance."""
    assert connection(None, "mine", local_token="dev").api_url == "https://app.prefactorai.com"
    assert connection(None, None, local_token="dev") == HttpClientConfig(LOCAL_URL, "dev")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (
            PrefactorAuthError("no", "bad_authtoken", 401),
            "https://api.example refuses the token (no): check --token or PREFACTOR_API_TOKEN",
        ),
        (
            PrefactorRetryExhaustedError("tired", PrefactorApiError("busy", "busy", 503)),
            "https://api.example answered: busy",
        ),
        (
            PrefactorResponseContractError("not JSON"),
            f"what answers at {URL} does not speak the Prefactor API (not JSON): check --url",
        ),
        (
            TimeoutError(),
            f"no connection to {URL} (no answer in time): check --url or PREFACTOR_API_URL",
        ),
        (
            ssl.SSLError(1, "wrong version number"),
            (
                f"no connection to {URL}: no encrypted connection: wrong version number: "
                "check the port, and whether the address begins with http:// or https://"
            ),
        ),
    ],
)
def test_errors_are_explained_in_one_line(error, text):
    """Each says what to check, and none shows the token."""
    assert explained(error, HTTP) == text


def test_a_defect_is_no_trouble_of_the_network():
    """What is our fault is not blamed on the API."""

    async def defect(_client):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        with_client(HTTP, defect)
