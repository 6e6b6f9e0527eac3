use super::*;
use crate::client::request_state::{RequestStateError, RequestStateKey};

const NOW: UnixSeconds = UnixSeconds(1_800_000_000);

fn consent() -> ConsentRequired {
    let members = json!({
        "error": "consent_required",
        "error_description": "Connect your calendar",
        "service_id": "calendar",
        "cause": "no grant",
        "consent_url": "https://as.example/connect/calendar?ticket=1",
    });
    ConsentRequired::read("consent_required", members.as_object().unwrap(), false)
}

fn principal() -> Principal {
    Principal {
        issuer: "https://as.example".to_owned(),
        client_id: "app".to_owned(),
        subject: "alice".to_owned(),
    }
}

fn states() -> RequestStates {
    RequestStates::new(&[RequestStateKey::new([1; 32])]).unwrap()
}

fn answer(consent: &ConsentRequired, version: &str, method: &str, capability: Option<bool>) -> McpAnswer {
    let call = McpCall {
        protocol_version: version,
        method,
        params: &json!({"name": "calendar"}),
        principal: &principal(),
        url_elicitation: capability,
    };
    consent.to_mcp(&call, &states(), NOW).unwrap()
}

fn code(answer: &McpAnswer) -> Option<i32> {
    match answer {
        McpAnswer::Error { code, .. } => Some(*code),
        McpAnswer::InputRequired { .. } => None,
    }
}

/// Row 57: the exact shape.
#[test]
fn up_to_2025_11_25_consent_is_the_error_32042() {
    for (version, capability) in [
        ("2025-11-25", Some(true)),
        ("2025-11-25", None),
        ("2025-06-18", Some(false)),
        ("2025-03-26", None),
    ] {
        let (member, error) = answer(&consent(), version, "tools/call", capability).to_json();
        assert_eq!(member, "error");
        let id = error["data"]["elicitations"][0]["elicitationId"]
            .as_str()
            .unwrap();
        assert_eq!((id.len(), &id[14..15]), (36, "4"));
        assert_eq!(
            error,
            json!({
                "code": -32042,
                "message": "doorward: token exchange: Connect your calendar (calendar: no grant)",
                "data": {"elicitations": [{
                    "mode": "url",
                    "message": "Connect your calendar (calendar: no grant)",
                    "url": "https://as.example/connect/calendar?ticket=1",
                    "elicitationId": id,
                }]},
            }),
            "{version}"
        );
    }
}

#[test]
fn every_elicitation_has_its_own_id() {
    let id = || {
        let (_, error) = answer(&consent(), "2025-11-25", "tools/call", None).to_json();
        error["data"]["elicitations"][0]["elicitationId"].clone()
    };
    assert_ne!(id(), id());
}

#[test]
fn from_2026_07_28_on_consent_is_an_input_required_result() {
    let (member, result) = answer(&consent(), "2026-07-28", "tools/call", Some(true)).to_json();
    assert_eq!(member, "result");
    let state = result["requestState"].as_str().unwrap();
    assert_eq!(
        result,
        json!({
            "resultType": "input_required",
            "inputRequests": {"consent": {
                "method": "elicitation/create",
                "params": {
                    "mode": "url",
                    "url": "https://as.example/connect/calendar?ticket=1",
                    "message": "Connect your calendar (calendar: no grant)",
                },
            }},
            "requestState": state,
        })
    );
    let principal = principal();
    let request = BoundRequest {
        principal: &principal,
        method: "tools/call",
        params: &json!({"name": "calendar", "requestState": state}),
    };
    assert_eq!(states().open(state, &request, NOW).unwrap(), b"calendar");
    assert_eq!(
        states().open(state, &request, NOW + LIFETIME),
        Err(RequestStateError::Expired)
    );
}

#[test]
fn a_client_that_cannot_open_a_page_gets_a_plain_error() {
    for (version, method, capability) in [
        ("2025-11-25", "tools/call", Some(false)),
        ("2026-07-28", "tools/call", Some(false)),
        ("2026-07-28", "tools/call", None),
        // The revision allows it for three methods only.
        ("2026-07-28", "tools/list", Some(true)),
    ] {
        let answer = answer(&consent(), version, method, capability);
        assert_eq!(code(&answer), Some(-32600), "{version} {method} {capability:?}");
        assert!(!answer.to_json().1.to_string().contains("https://"));
    }
}

#[test]
fn without_a_page_there_is_nothing_to_open() {
    for url in [
        json!(null),
        json!(5),
        json!(""),
        json!("http://as.example/connect"),
        json!("javascript:alert(1)"),
        json!("https://user:pw@as.example/connect"),
        json!("https://as.example/con nect"),
        json!("https://as.example/\u{202e}"),
        json!(format!("https://as.example/{}", "x".repeat(2048))),
        json!("/connect"),
    ] {
        let members = json!({"consent_url": url});
        let consent = ConsentRequired::read("consent_required", members.as_object().unwrap(), false);
        assert_eq!(consent.consent_url, None, "{url}");
        assert_eq!(
            code(&answer(&consent, "2025-11-25", "tools/call", Some(true))),
            Some(-32600)
        );
        assert_eq!(
            code(&answer(&consent, "2026-07-28", "tools/call", Some(true))),
            Some(-32600)
        );
    }
}

#[test]
fn pages_on_loopback_are_for_issuers_on_loopback() {
    let members = json!({"consent_url": "http://localhost:9000/connect/x"});
    let read = |loopback| {
        ConsentRequired::read("consent_required", members.as_object().unwrap(), loopback).consent_url
    };
    assert!(read(true).is_some());
    assert!(read(false).is_none());
}

#[test]
fn the_service_has_several_names() {
    for (members, service) in [
        (json!({"service_id": "a", "service": "b", "resource": "c"}), "a"),
        (json!({"service": "b", "resource": "c"}), "b"),
        (json!({"resource": "c"}), "c"),
        (json!({"service_id": 5}), "unknown_service"),
        (json!({}), "unknown_service"),
    ] {
        let consent = ConsentRequired::read("interaction_required", members.as_object().unwrap(), false);
        assert_eq!(
            (consent.service.as_str(), consent.code()),
            (service, "interaction_required")
        );
    }
}
