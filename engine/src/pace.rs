//! How fast a network gets calls of one kind: as fast as it answers, until it says that this is too fast.
//!
//! A throttled call cuts the rate below what got through lately, and each answer raises it a little, so that it swings
//! around what the cloud grants. As long as that is only guessed, answers raise it a lot. Clouds count each kind of call by itself, so each has a pace of its own.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// What a throttled call leaves of the rate.
const CUT: f64 = 0.8;
/// What each answer makes of it.
const GROWTH: f64 = 1.01;
/// Calls a second that each answer adds while the rate is a guess: it doubles in less than a second.
const SEARCH: f64 = 1.0;
/// Answers of lately that make a rate more than a guess.
const MEASURED: usize = 4;
/// Calls a second, at the least.
const SLOWEST: f64 = 0.5;
/// How far back "lately" goes.
const LATELY: Duration = Duration::from_secs(2);
/// The longest that a cloud can ask for.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// The rate of one kind of call in one network.
#[derive(Debug, Default)]
pub(crate) struct Pace(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Calls a second; `None`: nothing has asked to slow down.
    rate: Option<f64>,
    /// The rate is a guess: cut for the first time, or when hardly anything had been answered.
    guessed: bool,
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
        let guessed = state.guessed;
        state.rate = state.rate.map(|rate| if guessed { rate + SEARCH } else { rate * GROWTH });
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
            state.guessed = state.cuts == 0 || state.answered.len() < MEASURED;
            state.cuts += 1;
            state.next = Some(now + Duration::from_secs_f64(1.0 / rate));
        }
        if let Some(asked) = asked {
            state.next = state.next.max(Some(now + asked.min(LONGEST)));
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
    use std::sync::atomic::Ordering;

    use futures_util::StreamExt;

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

    /// The seconds that `calls` calls take, eight at once and 20 ms each, when the cloud throttles `throttled` of the first.
    async fn seconds(calls: usize, throttled: usize) -> f64 {
        let (pace, start) = (Pace::default(), Instant::now());
        let (pace, throttled) = (&pace, &std::sync::atomic::AtomicUsize::new(throttled));
        let call = |_| async move {
            loop {
                let begun = loop {
                    match pace.begin() {
                        Ok(begun) => break begun,
                        Err(at) => tokio::time::sleep_until(at).await,
                    }
                };
                tokio::time::sleep(Duration::from_millis(20)).await;
                let less = |left: usize| left.checked_sub(1);
                match throttled.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less) {
                    Ok(_) => pace.throttled(begun, None),
                    Err(_) => return pace.answered(),
                }
            }
        };
        futures_util::stream::iter(0..calls).map(call).buffer_unordered(8).count().await;
        start.elapsed().as_secs_f64()
    }

    #[tokio::test(start_paused = true)]
    async fn one_throttled_call_before_any_answer_does_not_slow_the_rest_for_long() {
        assert!(seconds(40, 0).await < 0.2);
        let one = seconds(40, 1).await;
        assert!(one < 5.0, "{one}");
        let burst = seconds(40, 8).await;
        assert!(burst < 8.0, "{burst}");
        let twice = seconds(40, 10).await;
        assert!(twice < 12.0, "{twice}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_measured_rate_grows_slowly() {
        let pace = Pace::default();
        for _ in 0..2 {
            answers(&pace, 40, Duration::from_millis(50)).await;
            let begun = pace.begin().unwrap();
            pace.throttled(begun, None);
        }
        let before = rate(&pace);
        pace.answered();
        assert_eq!(rate(&pace), before * GROWTH);
    }

    #[tokio::test(start_paused = true)]
    async fn a_cloud_that_asks_for_aeons_gets_a_day() {
        let (pace, start) = (Pace::default(), Instant::now());
        pace.throttled(pace.begin().unwrap(), Some(Duration::from_secs(u64::MAX)));
        assert_eq!(pace.begin().unwrap_err() - start, LONGEST);
    }

    #[tokio::test(start_paused = true)]
    async fn a_cloud_that_asks_for_time_gets_it() {
        let (pace, start) = (Pace::default(), Instant::now());
        pace.throttled(pace.begin().unwrap(), Some(Duration::from_secs(9)));
        assert_eq!(pace.begin().unwrap_err() - start, Duration::from_secs(9));
    }
}
