"""A FastAPI application with an MCP endpoint behind the guard, next to routes that anybody may call."""

from __future__ import annotations

import os
from typing import Any

import uvicorn
from fastapi import FastAPI, Request

app = FastAPI()
# doorward:begin
from doorward import Guard  # noqa: E402
from doorward.asgi import GuardMiddleware, current_claims  # noqa: E402

guard = Guard(os.environ["DOORWARD_ISSUER"], f"{os.environ['DOORWARD_BASE_URL']}/mcp", required_scopes=["mcp:read"])
app.add_middleware(GuardMiddleware, guard=guard, path="/mcp")
# doorward:end


@app.get("/health")
def health() -> dict[str, str]:
    """Anybody may ask."""
    return {"status": "up"}


@app.post("/mcp")
async def mcp(request: Request) -> dict[str, Any]:
    """One method of an MCP server, to show where the caller is found."""
    message = await request.json()
    if message.get("method") == "ping":
        return {"jsonrpc": "2.0", "id": message.get("id"), "result": {}}
    claims = current_claims()
    error = {"code": -32601, "message": f"{claims.sub} asks for a method that is not there"}
    return {"jsonrpc": "2.0", "id": message.get("id"), "error": error}


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ.get("PORT", "8080")))
