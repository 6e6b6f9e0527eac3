use doorward_oauth::time::ManualClock;

use super::*;

const COOLDOWN: Duration = Duration::from_secs(30);

fn breaker() -> (Breaker, ManualClock) {
    let clock = ManualClock::new(UnixSeconds(1_000));
    let policy = BreakerPolicy {
        threshold: 5,
        cooldown: COOLDOWN,
    };
    (Breaker::new("test", policy, Arc::new(clock.clone())), clock)
}

/// A breaker whose circuit is open and whose cooldown is over: the next permit is the probe.
fn half_open() -> (Breaker, ManualClock) {
    let (breaker, clock) = breaker();
    for _ in 0..5 {
        breaker.enter().unwrap().failed(None);
    }
    assert!(breaker.enter().is_err());
    clock.advance(COOLDOWN);
    (breaker, clock)
}

fn is_closed(breaker: &Breaker) -> bool {
    let permits: Vec<_> = (0..3).filter_map(|_| breaker.enter().ok()).collect();
    permits.len() == 3
}

#[test]
fn five_outages_in_a_row_open_the_circuit() {
    let (breaker, clock) = breaker();
    for _ in 0..4 {
        breaker.enter().unwrap().failed(None);
    }
    breaker.enter().unwrap().answered();
    for _ in 0..4 {
        breaker.enter().unwrap().failed(None);
    }
    drop(breaker.enter().unwrap());
    breaker.enter().unwrap().failed(None);
    let refused = breaker.enter().err().unwrap();
    assert_eq!(refused.retry_after, COOLDOWN);
    clock.advance(Duration::from_secs(29));
    assert_eq!(breaker.enter().err().unwrap().retry_after, Duration::from_secs(1));
}

#[test]
fn after_the_cooldown_one_probe_goes_out_and_an_answer_closes_the_circuit() {
    let (breaker, _) = half_open();
    let probe = breaker.enter().unwrap();
    assert!(breaker.enter().is_err());
    probe.answered();
    assert!(is_closed(&breaker));
}

#[test]
fn a_probe_that_fails_opens_the_circuit_again() {
    let (breaker, clock) = half_open();
    breaker.enter().unwrap().failed(None);
    assert_eq!(breaker.enter().err().unwrap().retry_after, COOLDOWN);
    clock.advance(COOLDOWN);
    breaker.enter().unwrap().answered();
    assert!(is_closed(&breaker));
}

#[test]
fn a_probe_that_is_dropped_gives_its_place_to_the_next_caller() {
    let (breaker, _) = half_open();
    for _ in 0..100 {
        let probe = breaker.enter().unwrap();
        assert!(breaker.enter().is_err());
        drop(probe);
    }
    breaker.enter().unwrap().answered();
    assert!(is_closed(&breaker));
}

#[test]
fn a_probe_that_panics_gives_its_place_to_the_next_caller() {
    let (breaker, _) = half_open();
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _probe = breaker.enter().unwrap();
        panic!("on purpose");
    }));
    assert!(panicked.is_err());
    breaker.enter().unwrap().answered();
    assert!(is_closed(&breaker));
}

#[test]
fn a_probe_that_never_ends_loses_its_place() {
    let (breaker, clock) = half_open();
    let stuck = breaker.enter().unwrap();
    clock.advance(Duration::from_secs(59));
    assert!(breaker.enter().is_err());
    clock.advance(Duration::from_secs(1));
    let second = breaker.enter().unwrap();
    // Neither the end nor the drop of the first one touches the second one's place.
    stuck.failed(None);
    assert!(breaker.enter().is_err());
    second.answered();
    assert!(is_closed(&breaker));
}

#[test]
fn what_becomes_of_requests_from_before_does_not_count() {
    let (breaker, clock) = breaker();
    let (late_answer, late_failure) = (breaker.enter().unwrap(), breaker.enter().unwrap());
    for _ in 0..5 {
        breaker.enter().unwrap().failed(None);
    }
    late_answer.answered();
    assert!(breaker.enter().is_err());
    clock.advance(Duration::from_secs(29));
    late_failure.failed(None);
    clock.advance(Duration::from_secs(1));
    breaker.enter().unwrap().answered();
    assert!(is_closed(&breaker));
}

#[test]
fn retry_after_is_respected_within_bounds() {
    let (breaker, clock) = breaker();
    breaker.enter().unwrap().failed(Some(Duration::from_secs(90)));
    assert_eq!(
        breaker.enter().err().unwrap().retry_after,
        Duration::from_secs(90)
    );
    clock.advance(Duration::from_secs(90));
    breaker.enter().unwrap().failed(Some(Duration::from_hours(48)));
    assert_eq!(breaker.enter().err().unwrap().retry_after, MAX_PAUSE);
    clock.advance(MAX_PAUSE);
    breaker.enter().unwrap().failed(Some(Duration::ZERO));
    assert_eq!(breaker.enter().err().unwrap().retry_after, Duration::from_secs(1));
}

#[test]
fn fifty_callers_get_one_probe() {
    let (breaker, _) = half_open();
    let gate = std::sync::Barrier::new(50);
    let probes = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..50)
            .map(|_| {
                scope.spawn(|| {
                    gate.wait();
                    breaker.enter().ok()
                })
            })
            .collect();
        // Permits are kept until all have asked.
        let permits: Vec<_> = callers.into_iter().map(|caller| caller.join().unwrap()).collect();
        permits.iter().flatten().count()
    });
    assert_eq!(probes, 1);
}

#[test]
fn a_clock_that_is_set_back_does_not_keep_the_circuit_open() {
    let (breaker, clock) = half_open();
    breaker.enter().unwrap().failed(None);
    assert!(breaker.enter().is_err());
    clock.set(UnixSeconds(5));
    breaker.enter().unwrap().answered();
    assert!(is_closed(&breaker));
}
