use doorward_oauth::time::ManualClock;

use super::*;

fn pauses() -> (Pauses, ManualClock) {
    let clock = ManualClock::new(UnixSeconds(1_000));
    (Pauses::new(Arc::new(clock.clone())), clock)
}

fn form(token: &str) -> Form {
    let mut form = Form::default();
    form.push("token", token);
    form
}

fn enter(pauses: &Pauses, token: &str) -> Result<Call, Duration> {
    pauses.enter(Endpoint::Token, &form(token))
}

fn refuse(pauses: &Pauses, token: &str, retry_after: u64) {
    let call = enter(pauses, token).ok().unwrap();
    pauses.refused_by_server(&call, Some(Duration::from_secs(retry_after)));
}

#[test]
fn only_the_call_that_was_refused_waits() {
    let (pauses, clock) = pauses();
    refuse(&pauses, "a", 20);
    assert_eq!(enter(&pauses, "a").err(), Some(Duration::from_secs(20)));
    assert!(enter(&pauses, "b").is_ok());
    assert!(pauses.enter(Endpoint::Introspection, &form("a")).is_ok());
    clock.advance(Duration::from_secs(20));
    assert!(enter(&pauses, "a").is_ok());
}

#[test]
fn five_different_calls_refused_in_a_row_mean_everybody_at_this_endpoint() {
    let (pauses, clock) = pauses();
    for token in ["a", "b", "c", "d"] {
        refuse(&pauses, token, 20);
        assert!(enter(&pauses, "other").is_ok());
    }
    refuse(&pauses, "e", 30);
    assert_eq!(enter(&pauses, "other").err(), Some(Duration::from_secs(30)));
    assert!(pauses.enter(Endpoint::Introspection, &form("other")).is_ok());
    clock.advance(Duration::from_secs(30));
    assert!(enter(&pauses, "other").is_ok());
}

#[test]
fn another_answer_between_them_means_that_it_is_not_everybodys_limit() {
    let (pauses, _) = pauses();
    for token in ["a", "b", "c", "d"] {
        refuse(&pauses, token, 20);
    }
    pauses.answered(&enter(&pauses, "good").ok().unwrap());
    refuse(&pauses, "e", 20);
    assert!(enter(&pauses, "other").is_ok());
}

#[test]
fn one_call_that_keeps_being_refused_stops_nobody_else() {
    let (pauses, clock) = pauses();
    for _ in 0..20 {
        refuse(&pauses, "a", 5);
        clock.advance(Duration::from_secs(5));
    }
    assert!(enter(&pauses, "b").is_ok());
}

#[test]
fn the_wait_is_between_a_second_and_a_minute() {
    let (pauses, clock) = pauses();
    for (told, wait) in [(0, 1), (59, 59), (61, 60), (300, 60), (u64::MAX, 60)] {
        refuse(&pauses, "a", told);
        assert_eq!(
            enter(&pauses, "a").err(),
            Some(Duration::from_secs(wait)),
            "{told}"
        );
        clock.advance(Duration::from_secs(wait));
    }
    let call = enter(&pauses, "a").ok().unwrap();
    pauses.refused_by_server(&call, None);
    assert_eq!(enter(&pauses, "a").err(), Some(Duration::from_secs(1)));
}

#[test]
fn what_is_remembered_is_bounded() {
    let (pauses, _) = pauses();
    for number in 0..CAPACITY + 10 {
        refuse(&pauses, &number.to_string(), 60);
        pauses.answered(&enter(&pauses, "good").ok().unwrap());
    }
    let waiting = |number: usize| enter(&pauses, &number.to_string()).is_err();
    let count = (0..CAPACITY + 10).filter(|number| waiting(*number)).count();
    assert_eq!(count, CAPACITY);
}

#[test]
fn a_clock_that_is_set_back_keeps_nobody_waiting() {
    let (pauses, clock) = pauses();
    refuse(&pauses, "a", 60);
    clock.set(UnixSeconds(5));
    assert!(enter(&pauses, "a").is_ok());
}
