//! What to paste into the clients that people use.

use super::Place;
use super::setup::Person;

/// The lines for Claude Code, VS Code, Cursor and Inspector.
pub fn lines(place: &Place, person: &Person) -> String {
    let Place { issuer, mcp_url, .. } = place;
    let Person { email, password } = person;
    format!(
        "
Everything stays up. Point your own client at {mcp_url} and sign in as
  {email}
  {password}

Claude Code   claude mcp add --transport http doorward-demo {mcp_url}
VS Code       code --add-mcp '{{\"name\":\"doorward-demo\",\"type\":\"http\",\"url\":\"{mcp_url}\"}}'
Cursor        .cursor/mcp.json: {{\"mcpServers\":{{\"doorward-demo\":{{\"url\":\"{mcp_url}\"}}}}}}
Inspector     npx @modelcontextprotocol/inspector --server-url {mcp_url} --transport http   (Node 22.19 or newer)

Issuer        {issuer}
Metadata      {issuer}/.well-known/oauth-authorization-server
Stop          Ctrl-C"
    )
}
