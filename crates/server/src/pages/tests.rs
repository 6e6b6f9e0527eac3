use askama::Template;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};

use super::*;

const HOSTILE: [&str; 7] = [
    "\"><script>alert(1)</script>",
    "'/><img src=x onerror=alert(1)>",
    "</title></textarea><svg/onload=alert(1)>",
    "{{7*7}} ${7*7} <%=7*7%>",
    "ab\u{202e}cd\u{2066}\u{200b}\u{0}\r\n",
    "javascript:alert(1)",
    "\u{2028}\u{2029}<!--",
];

/// Every page, with `text` in every field that anybody else could have written.
fn pages_with(text: &str) -> Vec<(&'static str, String)> {
    let t = || text.to_owned();
    let scopes = vec![
        ConsentScope {
            name: t(),
            description: t(),
            checked: true,
            granted: true,
        },
        ConsentScope {
            name: t(),
            description: String::new(),
            checked: false,
            granted: false,
        },
    ];
    let consent = ConsentPage {
        client_name: t(),
        client_host: Some(t()),
        redirect_host: t(),
        resources: vec![ConsentResource { name: t(), uri: t() }],
        account: t(),
        request: t(),
        csrf_token: t(),
        scopes,
        ..ConsentPage::sample()
    };
    let login = LoginPage {
        request: t(),
        csrf_token: t(),
        email: t(),
        error: Some(t()),
        client_name: Some(t()),
        resource_name: Some(t()),
        ..LoginPage::sample()
    };
    vec![
        ("login", html(&login)),
        ("consent", html(&consent)),
        (
            "error",
            html(&ErrorPage {
                title: t(),
                message: t(),
                error_id: t(),
                ..ErrorPage::sample()
            }),
        ),
        (
            "device",
            html(&DevicePage {
                csrf_token: t(),
                user_code: t(),
                error: Some(t()),
                ..DevicePage::sample()
            }),
        ),
        ("device_done", html(&DeviceDonePage::denied("", text))),
        (
            "hand_over",
            html(&HandOverPage {
                callback: t(),
                code: t(),
                ..HandOverPage::sample()
            }),
        ),
        (
            "signed_in",
            html(&SignedInPage {
                account: t(),
                csrf_token: t(),
                ..SignedInPage::sample()
            }),
        ),
    ]
}

/// The tags and attribute names of a page: what a browser would act on.
fn structure(html: &str) -> Vec<String> {
    let mut tags = Vec::new();
    let mut rest = html;
    while let Some(start) = rest.find('<') {
        let (tag, after) = rest[start + 1..].split_once('>').expect("every tag ends");
        let mut names = String::new();
        for (index, part) in tag.split('"').enumerate() {
            if index % 2 == 0 {
                names.push_str(part);
            }
        }
        tags.push(names);
        rest = after;
    }
    tags
}

#[test]
fn hostile_text_stays_text() {
    let harmless = pages_with("x");
    for text in HOSTILE {
        for ((name, page), (_, plain)) in pages_with(text).iter().zip(&harmless) {
            assert_eq!(structure(page), structure(plain), "{name} with {text:?}");
            assert!(
                !page.contains(text) || !text.contains(['<', '"']),
                "{name} with {text:?}"
            );
        }
    }
}

#[test]
fn a_permission_is_shown_whole() {
    let mut page = ConsentPage::sample();
    page.scopes[0].description = format!("{}and delete all of them", "Read the mail, ".repeat(25));
    assert!(html(&page).contains(&page.scopes[0].description));
}

#[test]
fn names_that_others_chose_cannot_reorder_the_page() {
    let consent = ConsentPage {
        client_name: HOSTILE[4].to_owned(),
        ..ConsentPage::sample()
    };
    let page = html(&consent);
    assert!(!page.contains(['\u{202e}', '\u{2066}', '\u{200b}']));
    assert!(page.contains("ab\u{fffd}cd"));
}

#[test]
fn a_very_long_name_does_not_push_the_question_away() {
    let long = "x".repeat(100_000);
    let consent = ConsentPage {
        client_name: long.clone(),
        resources: vec![ConsentResource {
            name: long.clone(),
            uri: long.clone(),
        }],
        redirect_host: long,
        ..ConsentPage::sample()
    };
    assert!(html(&consent).len() < 8_000);
}

#[test]
fn no_page_has_script_inline_style_or_a_foreign_address() {
    let pages = [
        html(&LoginPage::sample()),
        html(&ConsentPage::sample()),
        html(&ErrorPage::sample()),
        html(&SignedInPage::sample()),
        html(&LoggedOutPage::sample()),
        html(&DevicePage::sample()),
        html(&DeviceDonePage::allowed("", "Example Editor")),
        html(&HandOverPage::sample()),
    ];
    for page in pages {
        for forbidden in ["<script", "style=", "<style", " on", "autofocus", "javascript:"] {
            let tags = structure(&page).join("\n");
            assert!(!tags.contains(forbidden), "{forbidden} in {page}");
        }
        assert!(page.contains("<html lang=\"en\">"));
        assert_eq!(page.matches("<h1").count(), 1);
        assert!(
            !page.contains("=\"http"),
            "nothing is loaded from elsewhere: {page}"
        );
        let inputs = page.matches("<input").count() + page.matches("<textarea").count()
            - page.matches("type=\"hidden\"").count();
        assert_eq!(
            page.matches("<label for=").count(),
            inputs,
            "every field has its label"
        );
    }
}

#[test]
fn the_issuers_path_stands_before_every_link() {
    let page = html(&LoginPage {
        base: "/tenant".to_owned(),
        ..LoginPage::sample()
    });
    assert!(page.contains("action=\"/tenant/login\"") && page.contains("href=\"/tenant/assets/"));
}

#[test]
fn a_form_that_ends_at_the_client_may() {
    let response = ConsentPage::sample().render_response(StatusCode::OK, Some("http://127.0.0.1:4711/cb"));
    let policy = response.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap();
    assert!(
        policy.contains("form-action 'self' http://127.0.0.1:4711;"),
        "{policy}"
    );
    assert_eq!(response.headers()[CONTENT_TYPE], "text/html; charset=utf-8");
}

/// The page without the names of its assets, which change with their content.
fn stable(page: &impl Template) -> String {
    html(page)
        .replace(assets::style(), "/assets/HASH/doorward.css")
        .replace(assets::icon(), "/assets/HASH/doorward.svg")
}

#[test]
fn the_pages_look_as_agreed() {
    insta::assert_snapshot!("login", stable(&LoginPage::sample()));
    insta::assert_snapshot!("consent", stable(&ConsentPage::sample()));
    insta::assert_snapshot!("error", stable(&ErrorPage::sample()));
    insta::assert_snapshot!("signed_in", stable(&SignedInPage::sample()));
    insta::assert_snapshot!("logged_out", stable(&LoggedOutPage::sample()));
    insta::assert_snapshot!("device", stable(&DevicePage::sample()));
    insta::assert_snapshot!(
        "device_done",
        stable(&DeviceDonePage::allowed("", "Example Editor"))
    );
    insta::assert_snapshot!("hand_over", stable(&HandOverPage::sample()));
    insta::assert_snapshot!("consent_device", stable(&ConsentPage::of_device()));
}
