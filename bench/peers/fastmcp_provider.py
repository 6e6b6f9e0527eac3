"""FastMCP's `InMemoryOAuthProvider` behind its own HTTP: opaque tokens in dictionaries, nothing signed or written."""

from __future__ import annotations

import argparse

import uvicorn
from fastmcp import FastMCP
from fastmcp.server.auth.auth import ClientRegistrationOptions
from fastmcp.server.auth.providers.in_memory import InMemoryOAuthProvider


def main() -> None:
    """Serves until it is killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    port = parser.parse_args().port
    provider = InMemoryOAuthProvider(
        base_url=f"http://127.0.0.1:{port}",
        client_registration_options=ClientRegistrationOptions(
            enabled=True, valid_scopes=["tools/read", "tools/write"], default_scopes=["tools/read", "tools/write"]
        ),
    )
    app = FastMCP("bench", auth=provider).http_app(stateless_http=True)
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error", access_log=False)


if __name__ == "__main__":
    main()
