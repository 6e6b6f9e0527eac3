//! What a refusal shows of what it refuses: never a secret.

use super::Settings;
use super::tests::{load, refusal};

#[test]
fn an_excerpt_does_not_show_a_secret() {
    let refused = refusal("[admin]\nbootstrap_key = [\"hunter2-hunter2\"]\n", &[]);
    assert!(
        refused.contains("bootstrap_key = …") && !refused.contains("hunter2"),
        "{refused}"
    );
}

/// However a line is broken, a secret in it is shown by nobody: not by the excerpt, nor by what the parser says.
#[test]
fn nothing_of_a_secret_is_shown_whatever_is_wrong_with_the_file() {
    // Any eight characters of it are looked for.
    const PIECE: &str = "Qx7-Qx7-";
    let secret = "Qx7-".repeat(10);
    let url = format!("postgres://ada:{secret}@db.example/doorward");
    for broken in [
        format!("[storage]\nurl = \"{url}\n"),
        format!("[storage]\nurl = \"{url}?host=${{DB_HOST}}\"\n"),
        format!("[storage]\nurl = {url}\n"),
        format!("storage = \"{url}\"\n"),
        format!("storage.url = {{ a = \"{url}\" }}\n"),
        format!("[[storage]]\nurl = \"{url}\"\n"),
        format!("[storage]\nurl = \"{url}\"\nurl = \"{url}\"\n"),
        format!("[admin]\nbootstrap_key \"{secret}\"\n"),
        format!("[admin]\nbootstrap_key {secret}==\n"),
        format!("[admin]\nbootstrap_key: {secret}\n"),
        format!("[admin]\nbootstrap_key = \"\"\"\n{secret}=\n\"\"\"\n"),
        format!("[admin]\nbootstrap_key = \"\"\"\n{secret}=\n"),
        format!("[admin]\nbootstrap_key = \"a\"\n{secret}\n"),
        format!("[admin]\nbootstrap_kye = \"{secret}\"\n"),
        format!("admin = {{ bootstrap_key = \"{secret}\", adress = \"127.0.0.1:1\" }}\n"),
        format!("admin = {{ bootstrap_key = \"{secret}\", address = 5 }}\n"),
        format!("admin = {{ bootstrap_key \"{secret}==\" }}\n"),
        format!("[server]\ntrusted_proxies = [\n  \"{secret}\",\n  5\n]\n"),
        format!("[tokens]\naccess_ttl = 5 # {secret}\n"),
        format!("[server]\nissuer = \"https://ada:{secret}@h.example\"\n"),
    ] {
        let refused = refusal(&broken, &[]);
        assert!(!refused.contains(PIECE), "{broken}\n{refused}");
        assert!(refused.lines().count() > 1, "{broken}\n{refused}");
    }
    let good = format!(
        "[storage]\nurl = \"{url}\"\n[admin]\nbootstrap_key = \"{secret}\"\naddress = \"127.0.0.1:1\"\n[keys]\nmaster_key = \"{secret}\"\n"
    );
    load(Some(&good), &[]).unwrap();
    let places = good.char_indices().map(|(at, _)| at);
    for at in places {
        let shorter = format!("{}{}", &good[..at], &good[at + 1..]);
        let longer = [
            '"', '\'', '=', '\n', '[', ']', '{', '}', ',', '.', '#', ' ', '\\', '\0', 'é', '$',
        ]
        .map(|more| format!("{}{more}{}", &good[..at], &good[at..]));
        for text in longer.into_iter().chain([shorter]) {
            if let Err(refused) = load(Some(&text), &[]) {
                assert!(!refused.contains(PIECE), "{text}\n{refused}");
            }
        }
    }
}

#[test]
fn what_is_no_secret_is_shown_where_it_is_wrong() {
    let text = refusal(
        "[tokens]\naccess_ttl = \"5 minutes\"  # five\n[storage]\nurl = 5\n[keys]\nalgorithm = \"HS256\"\n[login]\nfree_attempts = -1\n",
        &[],
    );
    insta::assert_snapshot!(text, @r#"
    the configuration is refused:
    FILE:2:14: `tokens.access_ttl`: expected a length of time such as `90s`, `15m`, `12h` or `30d`
      |
    2 | access_ttl = "5 minutes"
      |              ^^^^^^^^^^^
    FILE:4:7: `storage.url`: expected a database URL, found an integer
      |
    4 | url = …
      |       ^
    FILE:6:13: `keys.algorithm`: expected `ES256`, `EdDSA`, `RS256` or `PS256`
      |
    6 | algorithm = "HS256"
      |             ^^^^^^^
    FILE:8:17: `login.free_attempts`: expected a whole number, at most 4294967295
      |
    8 | free_attempts = -1
      |                 ^^
    "#);
    let text = refusal("[storage]\nurl = \"sqlite://doorward.db\n", &[]);
    insta::assert_snapshot!(text, @r#"
    the configuration is refused:
    FILE:2:28: invalid basic string, expected `"`
      |
    2 | url = …
      |       ^
    "#);
}

/// The environment is refused in the same words, without what is in it.
#[test]
fn a_variable_that_is_refused_does_not_show_its_value() {
    let secret = "Qx7-Qx7-Qx7-Qx7-\u{7}";
    for key in Settings::registry() {
        let name = key.environment_name();
        for value in [secret.to_owned(), format!("${{{secret}")] {
            if let Err(refused) = load(None, &[(&name, &value)]) {
                assert!(!refused.contains("Qx7-Qx7-"), "{name}: {refused}");
            }
        }
    }
    let refused = load(None, &[("DOORWARD_ADMIN_BOOTSTRAP_KYE", secret)]).unwrap_err();
    assert!(!refused.contains("Qx7-"), "{refused}");
}
