use std::sync::atomic::{AtomicUsize, Ordering};

use doorward_oauth::time::SystemClock;
use futures_util::future::{pending, ready};
use futures_util::poll;
use tokio::sync::oneshot;

use super::*;

type Outcome = Result<u8, &'static str>;

fn join(
    flights: &Flights<u8, Outcome>,
    start: impl Fn() -> BoxFuture<'static, Outcome>,
) -> impl Future<Output = Outcome> {
    flights.join(&1, &SystemClock, |_| None, start, Result::is_err)
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
    let (cut, is_cut) = oneshot::channel::<Outcome>();
    let is_cut = is_cut.map(Result::unwrap).boxed().shared();
    let begin = || match started.fetch_add(1, Ordering::SeqCst) {
        0 => is_cut.clone().boxed(),
        _ => ready(Ok(7)).boxed(),
    };
    let mut callers: Vec<_> = (0..3).map(|_| Box::pin(join(&flights, begin))).collect();
    for caller in &mut callers {
        assert!(poll!(caller).is_pending());
    }
    cut.send(Err("cut off")).unwrap();
    let outcomes = futures_util::future::join_all(callers).await;
    assert_eq!(outcomes, [Err("cut off"), Ok(7), Ok(7)]);
}

#[tokio::test]
async fn who_is_cut_off_again_gives_up() {
    let flights = Flights::default();
    let gates: Vec<_> = (0..2).map(|_| oneshot::channel::<Outcome>()).collect();
    let (tell, told): (Vec<_>, Vec<_>) = gates.into_iter().unzip();
    let told = Mutex::new(told);
    let begin = || told.lock().unwrap().remove(0).map(Result::unwrap).boxed();
    let mut first = Box::pin(join(&flights, begin));
    let mut second = Box::pin(join(&flights, begin));
    assert!(poll!(&mut first).is_pending() && poll!(&mut second).is_pending());
    let mut tell = tell.into_iter();
    tell.next().unwrap().send(Err("cut off")).unwrap();
    assert_eq!(first.await, Err("cut off"));
    assert!(poll!(&mut second).is_pending(), "it has begun anew");
    tell.next().unwrap().send(Err("again")).unwrap();
    assert_eq!(second.await, Err("again"));
}
