//! How fast a network gets calls of one kind: as fast as it answers, until it says that this is too fast.
//!
//! A throttled call cuts the rate below what got through lately, and each answer raises it a little, so that it swings
//! around what the cloud grants. Clouds count each kind of call by itself, so each has a pace of its own.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// What a throttled call leaves of the rate.
const CUT: f64 = 0.8;
/// What each answer makes of it.
const GROWTH: f64 = 1.01;
/// Calls a second, at the least.
const SLOWEST: f64 = 0.5;
/// How far back "lately" goes.
const LATELY: Duration = Duration::from_secs(2);

/// The rate of one kind of call in one network.
#[derive(Debug, Default)]
pub(crate) struct Pace(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Calls a second; `None`: nothing has asked to slow down.
    rate: Option<f64>,
    /// When the next call may begin.
    next: Option<Instant>,
    /// The answers of lately.
    answered: VecDeque<Instant>,
    /// How often the rate was cut.
    cuts: usize,
}

/// When a call was begun, in terms of the rate.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Begun(usize);

impl Pace {
    /// Begins a call, unless it is too early; then says when it is time.
    pub fn begin(&self) -> Result<Begun, Instant> {
        let (mut state, now) = (self.lock(), Instant::now());
        if let Some(next) = state.next.filter(|next| *next > now) {
            return Err(next);
        }
        state.next = state.rate.map(|rate| now + Duration::from_secs_f64(1.0 / rate));
        Ok(Begun(state.cuts))
    }

    /// When the next call may begin; `None`: now.
    pub fn turn(&self) -> Option<Instant> {
        self.lock().next.filter(|next| *next > Instant::now())
    }

    /// A call was answered.
    pub fn answered(&self) {
        let mut state = self.lock();
        state.answered.push_back(Instant::now());
        state.forget();
        state.rate = state.rate.map(|rate| rate * GROWTH);
    }

    /// A call was throttled; `asked` is how long the cloud wants to be left alone. Calls that were begun before the rate was cut
    /// don't cut it again.
    pub fn throttled(&self, begun: Begun, asked: Option<Duration>) {
        let (mut state, now) = (self.lock(), Instant::now());
        if begun.0 == state.cuts {
            state.forget();
            let lately = state.answered.len() as f64 / LATELY.as_secs_f64();
            let rate = (state.rate.map_or(lately, |rate| rate.min(lately)) * CUT).max(SLOWEST);
            state.rate = Some(rate);
            state.cuts += 1;
            state.next = Some(now + Duration::from_secs_f64(1.0 / rate));
        }
        if let Some(asked) = asked {
            state.next = state.next.max(Some(now + asked));
        }
    }

    // Numbers can't be half-written: a panic elsewhere leaves them good.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn forget(&mut self) {
        while self.answered.front().is_some_and(|at| at.elapsed() > LATELY) {
            self.answered.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(pace: &Pace) -> f64 {
        pace.lock().rate.unwrap()
    }

    async fn answers(pace: &Pace, count: u32, each: Duration) {
        for _ in 0..count {
            tokio::time::sleep(each).await;
            pace.answered();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_waits_until_a_call_is_throttled() {
        let pace = Pace::default();
        assert!((0..100).all(|_| pace.begin().is_ok()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_of_throttled_calls_cuts_once() {
        let pace = Pace::default();
        let burst: Vec<Begun> = (0..8).map(|_| pace.begin().unwrap()).collect();
        answers(&pace, 40, Duration::from_millis(50)).await;
        burst.iter().for_each(|begun| pace.throttled(*begun, None));
        assert_eq!(rate(&pace), 16.0, "20 a second got through");
        let too_early = pace.begin().unwrap_err();
        tokio::time::sleep_until(too_early).await;
        let begun = pace.begin().unwrap();
        pace.throttled(begun, None);
        assert!(rate(&pace) < 16.0);
    }

    #[tokio::test(start_paused = true)]
    async fn it_never_stops_altogether() {
        let pace = Pace::default();
        for _ in 0..20 {
            let begun = loop {
                match pace.begin() {
                    Ok(begun) => break begun,
                    Err(at) => tokio::time::sleep_until(at).await,
                }
            };
            pace.throttled(begun, None);
        }
        assert_eq!(rate(&pace), SLOWEST);
    }

    #[tokio::test(start_paused = true)]
    async fn it_grows_with_what_is_answered() {
        let pace = Pace::default();
        pace.throttled(pace.begin().unwrap(), None);
        answers(&pace, 300, Duration::from_millis(100)).await;
        assert!(rate(&pace) > 5.0, "{}", rate(&pace));
    }

    #[tokio::test(start_paused = true)]
    async fn a_cloud_that_asks_for_time_gets_it() {
        let (pace, start) = (Pace::default(), Instant::now());
        pace.throttled(pace.begin().unwrap(), Some(Duration::from_secs(9)));
        assert_eq!(pace.begin().unwrap_err() - start, Duration::from_secs(9));
    }
}
