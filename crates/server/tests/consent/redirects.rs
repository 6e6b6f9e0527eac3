//! Where the answer goes.

use crate::support::Authorization;
use crate::{ALLOW, REDIRECT, scene};
use doorward_store::ClientSource::{Admin, Dynamic};
use http::StatusCode;
use serde_json::json;

/// [AUTHZ-021, REDIR-055]
#[tokio::test]
async fn the_redirect_uri_is_given_back_byte_for_byte() {
    let scene = scene().await;
    for uri in [
        "https://c.example/cb?tenant=1&x=a%20b+c",
        "https://c.example/a%2Fb/~x?y=%7E&z=1+2",
        "https://c.example",
        "https://c.example/cb?",
    ] {
        let client_id = scene.app.add_client(Dynamic, &[uri]).await;
        let page = scene
            .browser
            .open(&Authorization::new(&client_id, uri).path())
            .await;
        let reply = scene.browser.submit(&page.form("/consent"), ALLOW).await;
        let rest = reply
            .location()
            .unwrap()
            .strip_prefix(uri)
            .unwrap_or_else(|| panic!("{reply:?}"));
        assert!(
            rest.trim_start_matches(['?', '&']).starts_with("code=dwa_"),
            "{reply:?}"
        );
    }
}

/// [REDIR-034..037]
#[tokio::test]
async fn a_loopback_port_is_free_and_nothing_else_is() {
    let scene = scene().await;
    for uri in [
        "http://127.0.0.1:53123/cb",
        "http://127.0.0.1/cb",
        "http://localhost:4000/cb",
    ] {
        let request = Authorization::new(&scene.client_id, uri).set("prompt", "consent");
        let page = scene.browser.open(&request.path()).await;
        let reply = scene.browser.submit(&page.form("/consent"), ALLOW).await;
        assert!(
            reply.location().unwrap().starts_with(&format!("{uri}?code=")),
            "{reply:?}"
        );
    }
    let refused = [
        "http://127.0.0.1:53123/Cb",
        "http://127.0.0.1:53123/cb/",
        "http://127.0.0.1:53123/cb?x=1",
        "http://[::1]:1/cb",
        "https://127.0.0.1/cb",
        "http://localhost.evil.example/cb",
        "http://localhost:80@evil.example/cb",
        "http://127.1:5/cb",
        "http://0x7f.1:5/cb",
        "http://2130706433:5/cb",
        "http://127.000.000.001:5/cb",
        "http://127.0.0.1.:5/cb",
        "http://127.0.0.2:5/cb",
        "http://127.0.0.1:99999/cb",
        "http://127.0.0.1:65536/cb",
        "http://127.0.0.1:-1/cb",
        "http://127.0.0.1:abc/cb",
        "http://127.0.0.1::/cb",
        "http://127.0.0.1:80:80/cb",
        "http://127.0.0.1:%38080/cb",
    ];
    for uri in refused {
        scene
            .browser
            .get(&Authorization::new(&scene.client_id, uri).path())
            .await
            .assert_error_page();
    }
}

/// [REDIR-002..033]
#[tokio::test]
async fn a_redirect_uri_matches_by_its_bytes_alone() {
    let scene = scene().await;
    let client_id = scene
        .app
        .add_client(
            Dynamic,
            &["https://c.example/app/cb?a=1&b=2", "https://c.example/*"],
        )
        .await;
    let refused = [
        "https://c.example/app/cb",
        "https://c.example/app/cb?b=2&a=1",
        "https://c.example/app/cb?a=1&b=2&c=3",
        "https://c.example/app/cb/?a=1&b=2",
        "https://c.example:443/app/cb?a=1&b=2",
        "https://c.example/app/cb?a=1&b=2#frag",
        "https://c.example@evil.example/app/cb?a=1&b=2",
        "https://a@c.example@evil.example/app/cb?a=1&b=2",
        "https://evil.example\\@c.example/app/cb?a=1&b=2",
        "https://c.example\\.evil.example/app/cb?a=1&b=2",
        "https://c.example/app/../app/cb?a=1&b=2",
        "https://c.example/app/%2e%2e/app/cb?a=1&b=2",
        "https://c.example/app/..;/cb?a=1&b=2",
        "https://c.example/%61pp/cb?a=1&b=2",
        "https://c.example/app%2Fcb?a=1&b=2",
        "https://evil.c.example/app/cb?a=1&b=2",
        "http://c.example/app/cb?a=1&b=2",
        "https://C.example/app/cb?a=1&b=2",
        "HTTPS://c.example/app/cb?a=1&b=2",
        "https://c\u{ff0e}example/app/cb?a=1&b=2",
        " https://c.example/app/cb?a=1&b=2",
        "https://c.example/app/cb?a=1&b=2 ",
        "https://c.example/app/cb?a=1&b=2\u{0}",
        "https://c.example/app/cb?a=1&b=2\u{0}.evil",
        "https://c.example/anything",
        "//c.example/app/cb?a=1&b=2",
        "javascript:alert(1)//",
        "data:text/html,x",
    ];
    for uri in refused {
        scene
            .browser
            .get(&Authorization::new(&client_id, uri).path())
            .await
            .assert_error_page();
    }
    let good = Authorization::new(&client_id, "https://c.example/app/cb?a=1&b=2");
    assert_eq!(scene.browser.open(&good.path()).await.status, StatusCode::OK);
}

/// [REDIR-031]: a store that was written to by somebody else does not make a script run.
#[tokio::test]
async fn a_stored_script_uri_is_not_followed() {
    let scene = scene().await;
    for (index, uri) in [
        "JaVaScRiPt:alert(1)//",
        " javascript:alert(1)",
        "DATA:text/html,x",
    ]
    .into_iter()
    .enumerate()
    {
        let mut client = scene.app.client(
            &format!("dwc_{index}"),
            Admin,
            json!({ "redirect_uris": [REDIRECT] }),
        );
        client.metadata = client.metadata.replace(REDIRECT, uri);
        scene
            .app
            .context
            .store
            .create_client(client.clone())
            .await
            .unwrap();
        let reply = scene
            .browser
            .get(&Authorization::new(&client.client_id, uri).path())
            .await;
        assert!(reply.location().is_none(), "{reply:?}");
        assert!(!reply.status.is_success());
    }
}
