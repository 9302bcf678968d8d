"""Who is let in: token, Host and Origin."""

from __future__ import annotations

import pytest
from VertebraLabelingLib.view.access import Access, new_token

TOKEN = "a1b2c3"
ACCESS = Access(TOKEN, 8123)
OWN = "127.0.0.1:8123"


def test_tokens_are_long_different_and_fit_for_an_address():
    tokens = {new_token() for _ in range(50)}
    assert len(tokens) == 50
    assert all(len(token) >= 43 and token.isalnum() and token == token.lower() for token in tokens)


def test_the_own_page_is_let_in():
    assert ACCESS.refusal(f"/{TOKEN}/", OWN, None) == ""
    assert ACCESS.refusal(f"/{TOKEN}/upload", OWN, f"http://{OWN}") == ""
    assert ACCESS.refusal(f"/{TOKEN}/ws", "localhost:8123", "http://localhost:8123", is_websocket=True) == ""
    assert ACCESS.address == f"http://{OWN}/{TOKEN}/"


@pytest.mark.parametrize(
    "path", ["/", "/ws", "/wrong/", f"/{TOKEN}x/", f"/{TOKEN[:-1]}/", f"//{TOKEN}/", "/ä/", "/\udcff/", "*", "", TOKEN]
)
def test_without_the_token_nothing_is_served(path):
    assert "token" in ACCESS.refusal(path, OWN, None)


@pytest.mark.parametrize("host", [None, "", "evil.example", "evil.example:8123", "127.0.0.1", "127.0.0.1:8124"])
def test_another_host_name_is_refused_even_with_the_token(host):
    """A page of another site whose name was pointed at 127.0.0.1 (DNS rebinding) says its own name."""
    assert "address" in ACCESS.refusal(f"/{TOKEN}/", host, None)


@pytest.mark.parametrize("origin", ["http://evil.example", "null", f"https://{OWN}", "http://127.0.0.1:9999", ""])
@pytest.mark.parametrize("is_websocket", [False, True])
def test_another_origin_is_refused_even_with_the_token(origin, is_websocket):
    assert "another page" in ACCESS.refusal(f"/{TOKEN}/", OWN, origin, is_websocket)


def test_a_websocket_without_an_origin_is_refused():
    assert "own page" in ACCESS.refusal(f"/{TOKEN}/ws", OWN, None, is_websocket=True)
