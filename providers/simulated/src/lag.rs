//! Reads that lag: earlier worlds that a describe still shows, until enough calls have gone by.

use crate::world::World;

/// What the world was like before changes that reads don't show yet, the oldest first.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Lag(pub(crate) Vec<Earlier>);

/// The world before one change.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Earlier {
    /// Calls that don't show the change yet; at least 1.
    pub calls: u64,
    pub world: World,
}

impl Lag {
    /// Whether reads show what is.
    pub fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    /// What a read sees of `now`.
    pub fn seen<'a>(&'a mut self, now: &'a mut World) -> &'a mut World {
        self.0.first_mut().map_or(now, |earlier| &mut earlier.world)
    }

    /// Keeps what was `before` a change from the reads among the next `calls` calls.
    pub fn hide_change(&mut self, before: World, calls: u64) {
        // Changes come to light in the order in which they were made, even when the lag was edited to be shorter.
        let calls = self.0.last().map_or(calls, |last| last.calls.max(calls));
        if calls > 0 {
            self.0.push(Earlier { calls, world: before });
        }
    }

    /// One call has gone by.
    pub fn pass(&mut self) {
        self.0.retain_mut(|earlier| {
            earlier.calls -= 1;
            earlier.calls > 0
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_quota(groups: u32) -> World {
        let mut world = World::default();
        world.quota.groups = groups;
        world
    }

    fn seen(lag: &mut Lag) -> u32 {
        lag.seen(&mut of_quota(9)).quota.groups
    }

    #[test]
    fn a_change_shows_after_that_many_calls() {
        let mut lag = Lag::default();
        lag.hide_change(of_quota(1), 2);
        assert_eq!(seen(&mut lag), 1);
        lag.pass();
        assert_eq!(seen(&mut lag), 1);
        lag.pass();
        assert_eq!(seen(&mut lag), 9);
        assert!(lag.is_over());
    }

    #[test]
    fn changes_show_one_by_one() {
        let mut lag = Lag::default();
        lag.hide_change(of_quota(1), 2);
        lag.pass();
        lag.hide_change(of_quota(2), 2);
        assert_eq!(seen(&mut lag), 1);
        lag.pass();
        assert_eq!(seen(&mut lag), 2);
    }

    #[test]
    fn without_lag_nothing_is_hidden() {
        let mut lag = Lag::default();
        lag.hide_change(of_quota(1), 0);
        assert!(lag.is_over());
    }
}
