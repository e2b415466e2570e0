//! Counter of the store calls that a request waits for, one after another.
//!
//! A call that starts while another of the same scope is in flight adds no latency, so it is not counted: `join!`ed
//! calls count once. This figure dominates the latency on AWS, and each endpoint has a budget of it.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

#[derive(Default)]
struct RoundTrips {
    in_flight: AtomicU32,
    sequential: AtomicU32,
}

tokio::task_local! {
    static SCOPE: Arc<RoundTrips>;
}

/// Runs `future` and counts the sequential store calls that it makes. Calls of tasks that it spawns are not counted.
pub async fn counted<F: Future>(future: F) -> (F::Output, u32) {
    let scope = Arc::new(RoundTrips::default());
    let output = SCOPE.scope(Arc::clone(&scope), future).await;
    (output, scope.sequential.load(Ordering::Relaxed))
}

/// Makes one call, counted if there is a scope.
pub(crate) async fn one<F: Future>(call: F) -> F::Output {
    let _flight = SCOPE.try_with(Arc::clone).ok().map(Flight::begin);
    call.await
}

struct Flight(Arc<RoundTrips>);

impl Flight {
    fn begin(scope: Arc<RoundTrips>) -> Self {
        if scope.in_flight.fetch_add(1, Ordering::Relaxed) == 0 {
            scope.sequential.fetch_add(1, Ordering::Relaxed);
        }
        Self(scope)
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::yield_now;

    use super::*;

    #[tokio::test]
    async fn calls_one_after_another_each_count_and_joined_calls_count_once() {
        let ((), sequential) = counted(async {
            one(yield_now()).await;
            one(yield_now()).await;
        })
        .await;
        assert_eq!(sequential, 2);
        let (((), (), ()), joined) =
            counted(async { tokio::join!(one(yield_now()), one(yield_now()), one(yield_now())) }).await;
        assert_eq!(joined, 1);
    }

    #[tokio::test]
    async fn a_call_that_is_dropped_in_flight_does_not_hide_the_next() {
        let ((), count) = counted(async {
            tokio::select! {
                biased;
                () = one(std::future::pending::<()>()) => {}
                () = yield_now() => {}
            }
            one(yield_now()).await;
        })
        .await;
        assert_eq!(count, 2);
    }

    #[tokio::test]
    async fn scopes_do_not_see_each_others_calls() {
        let (((), inner), outer) = counted(async {
            one(yield_now()).await;
            counted(one(yield_now())).await
        })
        .await;
        assert_eq!((inner, outer), (1, 1));
    }
}
