"""The example before it was protected, `E2E_PROGRAM`: it works, for anybody."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time

from fastmcp import Client
from steps import Walk, expect


async def main() -> None:
    walk = Walk("before the retrofit")
    # Nobody else gets the port before the program has it: servers reuse addresses.
    kept = socket.socket()
    kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    kept.bind(("127.0.0.1", 0))
    port = kept.getsockname()[1]
    program = subprocess.Popen([sys.executable, os.environ["E2E_PROGRAM"]], env={**os.environ, "PORT": str(port)})
    try:
        with walk.step("anybody may call"):
            began = time.monotonic()
            while True:
                try:
                    async with Client(f"http://127.0.0.1:{port}/mcp", timeout=20) as client:
                        told = await client.call_tool("dice", {"sides": 1})
                    break
                except Exception:
                    if time.monotonic() - began > 30:
                        raise
                    await asyncio.sleep(0.2)
            expect("1" in str(told.content), str(told))
    finally:
        program.terminate()
        program.wait(60)
        kept.close()


asyncio.run(main())
