"""Runs FastMCP's own tests of its JWT verifier with Doorward's in its place.

The tests are taken from the source distribution of the FastMCP that is installed beside this interpreter; wheels have none.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tarfile
import tempfile
from importlib.metadata import version
from pathlib import Path

SUITES = [
    "tests/server/auth/test_jwt_provider.py",
    "tests/server/auth/test_jwt_provider_bearer.py",
    "tests/server/http/test_bearer_auth_backend.py",
    "tests/server/http/test_http_auth_middleware.py",
    "tests/server/auth/test_multi_auth.py",
    "tests/server/auth/test_enhanced_error_responses.py",
]


def main() -> int:
    """Fetch the tests once, run them, and end as pytest does."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, required=True, help="where source distributions are kept")
    parser.add_argument("--stock", action="store_true", help="FastMCP's own verifier, for comparison")
    arguments, further = parser.parse_known_args()
    sources = unpacked(arguments.cache, version("fastmcp"))
    here = Path(__file__).parent
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *further]
    if not arguments.stock:
        command += ["-p", "doorward_in_fastmcp"]
    environment = os.environ | {"PYTHONPATH": str(here), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run([*command, *SUITES], cwd=sources, env=environment, check=False).returncode


def unpacked(cache: Path, wanted: str) -> Path:
    """The folder of FastMCP's sources, downloaded by pip if it is not there."""
    sources = cache / f"fastmcp-{wanted}"
    if not sources.exists():
        cache.mkdir(parents=True, exist_ok=True)
        download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", "fastmcp"]
        subprocess.run([*download, "--dest", str(cache), f"fastmcp=={wanted}"], check=True)
        archive = cache / f"{sources.name}.tar.gz"
        with tarfile.open(archive) as files, tempfile.TemporaryDirectory(dir=cache) as partly:
            members = [member for member in files.getmembers() if not member.name.startswith(f"{sources.name}/docs/")]
            files.extractall(partly, members=members, filter="data")
            # There whole, or not at all.
            (Path(partly) / sources.name).rename(sources)
        archive.unlink()
    return sources


if __name__ == "__main__":
    sys.exit(main())
