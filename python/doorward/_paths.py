"""What an application may take the path of a request for.

Frameworks differ: some collapse slashes, some match the beginning alone, some cut out the path that they are mounted at
wherever it occurs first, some read the path as it was sent, some do not mind the case of letters. A path that any of
them might take for the guarded one is guarded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import quote, unquote

from doorward._asgi_types import Scope

_SLASHES = re.compile(r"[/\\]+")
_PARAMETERS = re.compile(r";[^/]*")
_DOT_SEGMENT = re.compile(r"/\.\.?(?:/|$)")
# What nobody sends in this form who does not mean to be misread: unreserved characters (RFC 3986 §2.3), slashes, percent signs.
_HIDDEN = re.compile(r"%(?:2[def5]|3[0-9]|[46][1-9a-f]|[57][0-9a]|5[cf]|7e)", re.IGNORECASE)
_MAY_STAND_BARE = "/:@!$&'()*+,;=-._~"


def is_under(path: str, base: str) -> bool:
    """Whether ``path`` is ``base`` or below it."""
    return path == base or base == "/" or path.startswith(base + "/")


def route_path(scope: Scope) -> str:
    """The path without the prefix that the application is mounted at, exactly as Starlette's router sees it."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    # Not `is_under`: a root path of "/" takes nothing off, and what is cut at another place would not be guarded.
    is_mounted = bool(root) and (path == root or path.startswith(root + "/"))
    return path[len(root) :] or "/" if is_mounted else path


def raw_path(scope: Scope) -> bytes:
    """The path as it was sent: what a proof was made for."""
    raw: bytes | None = scope.get("raw_path")
    if raw:
        return raw.partition(b"?")[0]
    return quote(scope["path"], safe=_MAY_STAND_BARE + "%").encode("ascii")


def guarded_path(given: str) -> str:
    """The path that an operator wants guarded, as it is compared.

    Raises:
        ValueError: No request has such a path.
    """
    path = "/" + _SLASHES.sub("/", unquote(given)).strip("/")
    if _DOT_SEGMENT.search(path) or "?" in path or "#" in path:
        raise ValueError(f"path={given!r} must be written as a router has it, like '/mcp': no dot segments, no query")
    return path


def is_open(scope: Scope, base: str) -> bool:
    """Whether no application takes the path of a request for ``base``, for something below it, or for something that
    begins like it.
    """
    # A proxy's form of a request (RFC 9112 §3.2.2), or none at all: some applications look for the path inside.
    is_path = scope["path"][:1] in ("/", "")
    return is_path and not any(_may_lead_to(base, text) for text in _texts(scope, base))


def is_as_written(scope: Scope, path: str) -> bool:
    """Whether ``path`` is what was sent as well: no application can take it for another."""
    if not scope.get("raw_path"):
        return True
    sent = raw_path(scope).decode("latin-1")
    if _HIDDEN.search(sent):
        return False
    return unquote(sent) in (path, scope.get("root_path", "") + path)


def _texts(scope: Scope, base: str) -> Iterator[str]:
    """The path as decoded by the server and as sent, whole and without what the application is mounted at."""
    root: str = scope.get("root_path", "")
    mount = root.rstrip("/")
    if mount and scope["path"].startswith(mount + "/") and is_as_written(scope, scope["path"]):
        # A plain path below its mount. The mount is no part of what is guarded, unless the operator named it.
        if not base.lower().startswith(mount.lower()):
            yield scope["path"][len(mount) :]
            return
    for text in (scope["path"], raw_path(scope).decode("latin-1")):
        for whole in (text, unquote(text), unquote(unquote(text))):
            yield whole
            for spelling in (whole, _SLASHES.sub("/", whole)) if root else ():
                if root in spelling:
                    yield spelling.split(root, 1)[1]


def _may_lead_to(base: str, text: str) -> bool:
    base, normal = base.lower(), _SLASHES.sub("/", "/" + text.lower())
    plain = _SLASHES.sub("/", _PARAMETERS.sub("", normal))
    return normal.startswith(base) or plain.startswith(base) or _DOT_SEGMENT.search(plain) is not None
