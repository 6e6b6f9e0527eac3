//! The style sheet and the icon, compiled in, under names that change with their content.

use std::sync::LazyLock;

use axum::Router;
use axum::http::HeaderName;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::routing::get;
use doorward_jose::{base64url, sha256};

const STYLE: &[u8] = include_bytes!("../../assets/doorward.css");
const ICON: &[u8] = include_bytes!("../../assets/doorward.svg");

static STYLE_PATH: LazyLock<String> = LazyLock::new(|| path(STYLE, "doorward.css"));
static ICON_PATH: LazyLock<String> = LazyLock::new(|| path(ICON, "doorward.svg"));

fn path(content: &[u8], name: &str) -> String {
    format!("/assets/{}/{name}", base64url::encode(&sha256(content)[..12]))
}

/// Where the style sheet is served.
pub(super) fn style() -> &'static str {
    &STYLE_PATH
}

/// Where the icon is served.
pub(super) fn icon() -> &'static str {
    &ICON_PATH
}

/// The routes of the assets.
pub(crate) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route(
            style(),
            get(|| async { immutable("text/css; charset=utf-8", STYLE) }),
        )
        .route(icon(), get(|| async { immutable("image/svg+xml", ICON) }))
}

/// Good for ever: another content has another path.
fn immutable(kind: &'static str, content: &'static [u8]) -> ([(HeaderName, &'static str); 2], &'static [u8]) {
    (
        [
            (CONTENT_TYPE, kind),
            (CACHE_CONTROL, "public, max-age=31536000, immutable"),
        ],
        content,
    )
}
