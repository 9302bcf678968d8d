"""Who may talk to the viewer: whoever knows the token, from this computer, from the viewer's own page.

The token keeps other users of the computer out, Host and Origin keep out web pages that the user has open elsewhere
(cross-site requests, DNS rebinding).  Pure functions of what a request says.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass

HOST = "127.0.0.1"
"""The only interface that the viewer listens on."""
TOKEN_BYTES = 24


def new_token() -> str:
    """A token that nobody can guess, fit for an address; lower case, as trame's page makes all of its addresses."""
    return secrets.token_hex(TOKEN_BYTES)


@dataclass(frozen=True)
class Access:
    """What a request must say to be let in."""

    token: str
    port: int

    @property
    def address(self) -> str:
        """Where the page is."""
        return f"http://{HOST}:{self.port}/{self.token}/"

    def refusal(self, path: str, host: str | None, origin: str | None, is_websocket: bool = False) -> str:
        """Why a request is refused, one sentence; "" when it is let in.

        path: with its leading slash; one without, as in ``OPTIONS *``, names no page.  host, origin: the headers, None
        where they are absent.  Browsers always name the origin of a websocket; other requests without one do not come
        from another page's script.
        """
        if host not in self._hosts:
            return "This address is not the viewer's; open the one that it printed."
        if origin is None:
            if is_websocket:
                return "A connection must come from the viewer's own page."
        elif origin not in {f"http://{name}" for name in self._hosts}:
            return "A request from another page is refused."
        first = path.split("/")[1] if path.startswith("/") else ""
        if not hmac.compare_digest(first.encode("utf-8", "surrogateescape"), self.token.encode()):
            return "The address lacks the viewer's token; open the whole address that the viewer printed."
        return ""

    @property
    def _hosts(self) -> tuple[str, str]:
        return (f"{HOST}:{self.port}", f"localhost:{self.port}")
