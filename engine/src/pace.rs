//! How many calls a network gets at once: halved when it asks to slow down, growing back one by one.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// The concurrency of one network.
#[derive(Debug)]
pub(crate) struct Pace {
    most: usize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    limit: usize,
    /// Answers since the limit last changed.
    answers: usize,
    /// How often the limit was halved.
    halved: usize,
}

/// When a call was begun, in terms of the limit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Begun(usize);

impl Pace {
    /// At most `most` calls at once, at least one.
    pub fn new(most: usize) -> Self {
        let most = most.max(1);
        Self { most, state: Mutex::new(State { limit: most, answers: 0, halved: 0 }) }
    }

    /// How many calls there may be now.
    pub fn limit(&self) -> usize {
        self.lock().limit
    }

    /// A call begins.
    pub fn begin(&self) -> Begun {
        Begun(self.lock().halved)
    }

    /// A call was answered: after as many answers as the limit, the limit grows by one.
    pub fn answered(&self) {
        let mut state = self.lock();
        state.answers += 1;
        if state.answers >= state.limit && state.limit < self.most {
            state.limit += 1;
            state.answers = 0;
        }
    }

    /// A call was throttled. Calls that were begun before the limit was halved don't halve it again.
    pub fn throttled(&self, begun: Begun) {
        let mut state = self.lock();
        if begun.0 == state.halved {
            state.limit = (state.limit / 2).max(1);
            state.halved += 1;
        }
        state.answers = 0;
    }

    // Numbers can't be half-written: a panic elsewhere leaves them good.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_of_throttled_calls_halves_once() {
        let pace = Pace::new(8);
        let burst: Vec<Begun> = (0..8).map(|_| pace.begin()).collect();
        for begun in burst {
            pace.throttled(begun);
        }
        assert_eq!(pace.limit(), 4);
        let next = pace.begin();
        pace.throttled(next);
        assert_eq!(pace.limit(), 2);
    }

    #[test]
    fn it_never_stops_altogether() {
        let pace = Pace::new(2);
        for _ in 0..5 {
            let begun = pace.begin();
            pace.throttled(begun);
        }
        assert_eq!(pace.limit(), 1);
        assert_eq!(Pace::new(0).limit(), 1);
    }

    #[test]
    fn it_recovers_one_by_one_and_no_further_than_it_was() {
        let pace = Pace::new(4);
        let begun = pace.begin();
        pace.throttled(begun);
        assert_eq!(pace.limit(), 2);
        pace.answered();
        assert_eq!(pace.limit(), 2);
        pace.answered();
        assert_eq!(pace.limit(), 3);
        (0..50).for_each(|_| pace.answered());
        assert_eq!(pace.limit(), 4);
    }
}
