"""Doorward's guard for Python: verified access tokens for MCP servers, on a Rust core."""

from doorward._core import __version__

__all__ = ["__version__"]
