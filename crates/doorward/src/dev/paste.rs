//! What to paste into the clients that people use.

use std::path::Path;

use super::Place;
use super::setup::Person;

/// The lines for Claude Code, VS Code, Cursor and Inspector, and for operators.
pub fn lines(place: &Place, person: &Person, data_dir: &Path) -> String {
    let Place {
        issuer,
        admin_url,
        mcp_url,
    } = place;
    // For another shell, which may be elsewhere.
    let admin_key = data_dir.join("admin.key");
    let admin_key = std::path::absolute(&admin_key).unwrap_or(admin_key);
    // After `cargo run` it is not where a shell looks for programs.
    let program =
        std::env::current_exe().map_or_else(|_| "doorward".to_owned(), |path| path.display().to_string());
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
Operators     export DOORWARD_ADMIN_URL={admin_url} DOORWARD_ADMIN_KEY=$(cat '{}')   then: {program} admin --help
Stop          Ctrl-C",
        admin_key.display()
    )
}
