//! Two texts, registered and requested (a line each): a URI that is accepted means the same to the URL standard, and
//! only the port of a loopback URI may differ.
#![no_main]

use doorward_oauth::redirect::{RedirectUri, RedirectUriKind, form_action_source, location};
use libfuzzer_sys::fuzz_target;
use url::Url;

fuzz_target!(|text: &str| {
    let (registered, requested) = text.split_once('\n').unwrap_or((text, text));
    let Ok(uri) = RedirectUri::parse(registered) else {
        return;
    };
    let _ = (
        uri.host_for_display(),
        uri.comparable(),
        form_action_source(registered),
    );
    let kind = uri.kind();
    // Whether an internationalised name is well-formed needs tables that the server does without; it is not resolved then.
    let named_in_ascii = !registered.to_ascii_lowercase().contains("xn--");
    if kind != RedirectUriKind::PrivateUse && !registered.contains(":*") && named_in_ascii {
        assert!(uri.matches(registered));
        let standard = Url::parse(registered).expect("the URL standard reads it, too");
        let written = registered
            .split("//")
            .nth(1)
            .expect("an authority")
            .split(['/', '?'])
            .next()
            .expect("a host");
        let host = standard.host_str().expect("a host");
        let plain = written
            .rsplit_once(':')
            .filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()));
        let written = plain.map_or(written, |(host, _)| host).to_ascii_lowercase();
        assert!(written == host || written.starts_with('['), "{written} {host}");
    }
    if uri.matches(requested) {
        let answer = location(requested, &[("code", "a&b=c\r\n#"), ("state", registered)]);
        assert!(answer.starts_with(requested));
        assert!(!answer[requested.len()..].contains(['\r', '\n', '#', ' ']));
        if kind != RedirectUriKind::Loopback {
            assert_eq!(requested, registered);
        } else {
            let standard = Url::parse(requested).expect("the URL standard reads it, too");
            assert!(
                matches!(standard.host_str(), Some("localhost" | "127.0.0.1" | "[::1]")),
                "{requested}"
            );
            assert_eq!(standard.scheme(), "http");
        }
    }
});
