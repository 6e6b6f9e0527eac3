use std::sync::atomic::{AtomicUsize, Ordering};

use doorward_oauth::time::SystemClock;
use futures_util::future::{pending, ready};
use futures_util::poll;
use tokio::sync::oneshot;

use super::*;

fn cut_off<V>(why: &str) -> Outcome<V> {
    Err(ClientError::Transport(FetchFailure::busy(why)))
}

/// The outcome, or why there is none.
async fn join(flights: &Flights<u8, u8>, start: impl Fn() -> Flight<u8>) -> Result<u8, String> {
    let outcome = flights.join(&1, &SystemClock, |_| None, start).await;
    outcome.map_err(|error| match error {
        ClientError::Transport(failure) => failure.to_string(),
        other => format!("{other:?}"),
    })
}

#[tokio::test]
async fn the_end_of_an_old_request_takes_no_newer_one_off_the_table() {
    let flights = Flights::default();
    let (tell, told) = oneshot::channel();
    let told = told.map(Result::unwrap).boxed().shared();
    let mut first = Box::pin(join(&flights, || pending().boxed()));
    assert!(poll!(&mut first).is_pending());
    // What `take_off` made for the first: as long as it lives, the request is not over.
    let old = Landing {
        flights: Flights(Arc::clone(&flights.0)),
        key: 1,
        number: 1,
    };
    drop(first);
    let mut second = Box::pin(join(&flights, || told.clone().boxed()));
    assert!(poll!(&mut second).is_pending());
    drop(old);
    let mut third = Box::pin(join(&flights, || ready(Ok(9)).boxed()));
    assert!(poll!(&mut third).is_pending(), "it has joined the second");
    tell.send(Ok(2)).unwrap();
    assert_eq!((second.await, third.await), (Ok(2), Ok(2)));
}

#[tokio::test]
async fn those_who_joined_a_request_that_was_cut_off_begin_anew_once() {
    let flights = Flights::default();
    let started = AtomicUsize::new(0);
    let (cut, is_cut) = oneshot::channel::<Outcome<u8>>();
    let is_cut = is_cut.map(Result::unwrap).boxed().shared();
    let begin = || match started.fetch_add(1, Ordering::SeqCst) {
        0 => is_cut.clone().boxed(),
        _ => ready(Ok(7)).boxed(),
    };
    let mut callers: Vec<_> = (0..3).map(|_| Box::pin(join(&flights, begin))).collect();
    for caller in &mut callers {
        assert!(poll!(caller).is_pending());
    }
    cut.send(cut_off("cut off")).unwrap();
    let outcomes = futures_util::future::join_all(callers).await;
    assert_eq!(outcomes, [Err("cut off".to_owned()), Ok(7), Ok(7)]);
}

#[tokio::test]
async fn who_is_cut_off_again_gives_up() {
    let flights = Flights::default();
    let gates: Vec<_> = (0..2).map(|_| oneshot::channel::<Outcome<u8>>()).collect();
    let (tell, told): (Vec<_>, Vec<_>) = gates.into_iter().unzip();
    let told = Mutex::new(told);
    let begin = || told.lock().unwrap().remove(0).map(Result::unwrap).boxed();
    let mut first = Box::pin(join(&flights, begin));
    let mut second = Box::pin(join(&flights, begin));
    assert!(poll!(&mut first).is_pending() && poll!(&mut second).is_pending());
    let mut tell = tell.into_iter();
    tell.next().unwrap().send(cut_off("cut off")).unwrap();
    assert_eq!(first.await, Err("cut off".to_owned()));
    assert!(poll!(&mut second).is_pending(), "it has begun anew");
    tell.next().unwrap().send(cut_off("again")).unwrap();
    assert_eq!(second.await, Err("again".to_owned()));
}

#[tokio::test]
async fn a_request_that_panics_is_an_error_for_everybody_who_waits() {
    let flights = Flights::default();
    let breaks = || async { panic!("the transport breaks") }.boxed();
    let mut callers: Vec<_> = (0..3).map(|_| Box::pin(join(&flights, breaks))).collect();
    let outcomes = futures_util::future::join_all(&mut callers).await;
    assert_eq!(
        outcomes,
        [(); 3].map(|()| Err("the transport panicked".to_owned()))
    );
    assert_eq!(join(&flights, || ready(Ok(7)).boxed()).await, Ok(7));
}
