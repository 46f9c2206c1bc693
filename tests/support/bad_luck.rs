//! What any cloud must stand: `kill -9` at any call, and calls that fail on the way.

use std::cell::Cell;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::Scene;
use super::proxy::{Fate, Proxy};

/// A place in a cloud, of its own, where an apply has several calls to make.
pub trait Place {
    fn scene(&mut self) -> &mut Scene;

    /// From now on rsgsync reaches the cloud through this.
    fn through(&mut self, decide: impl Fn(&str, usize) -> Fate + Send + 'static) -> Proxy;

    /// Fails the test unless all is there that the inventory wants.
    fn assert_whole(&self);

    /// All that is others', with all that the cloud tells of it.
    fn others(&self) -> Vec<Value>;
}

const KILLS: usize = 5;
/// No more calls of a run fail than the engine tries one again.
const FAILURES: u32 = 8;

/// A run that is killed anywhere is ended by the next one. `make` gets the number of the place.
pub fn kills<P: Place>(make: impl Fn(usize) -> P) {
    let requests = {
        let mut place = make(0);
        let proxy = place.through(|_, _| Fate::Pass);
        place.scene().run(&["apply"]).exits(0);
        place.assert_whole();
        proxy.total()
    };
    assert!(requests > KILLS, "{requests} calls");
    let chance = Chance::new();
    for kill in 0..KILLS {
        // Each falls on some call of its share, before or after the cloud has carried it out.
        let (first, next) = (requests * kill / KILLS, requests * (kill + 1) / KILLS);
        let (at, carried_out) = (first + chance.below(next - first), chance.below(2) == 0);
        eprintln!("killed at call {at} of {requests}, carried out: {carried_out}");
        let mut place = make(kill + 1);
        let before = place.others();
        let victim = Victim::default();
        let _proxy = place.through(victim.dies(at, carried_out));
        victim.run(place.scene().command(&["apply"]));
        converges(&mut place, &before);
    }
}

/// Calls that fail at random are made again, or what they did is found.
pub fn failures<P: Place>(make: impl Fn(usize) -> P) {
    let mut place = make(0);
    let before = place.others();
    let (chance, left) = (Chance::new(), Cell::new(FAILURES));
    let _proxy = place.through(move |request, _| {
        if left.get() == 0 || chance.below(3) > 0 {
            return Fate::Pass;
        }
        left.set(left.get() - 1);
        let (what, fate) = match chance.below(4) {
            0 => ("refused with 500", Fate::Refuse("500 Internal Server Error")),
            1 => ("refused with 503", Fate::Refuse("503 Service Unavailable\r\nRetry-After: 1")),
            2 => ("dropped", Fate::Drop),
            _ => ("carried out, its answer lost", Fate::Lose),
        };
        eprintln!("{request}: {what}");
        fate
    });
    converges(&mut place, &before);
}

/// The next apply ends well, and what is others' is byte for byte as before.
fn converges<P: Place>(place: &mut P, before: &[Value]) {
    place.scene().run(&["apply"]).exits(0);
    place.assert_whole();
    assert!(!before.is_empty());
    assert_eq!(place.others(), before, "what isn't ours");
    place.scene().run(&["plan", "--detailed-exitcode"]).exits(0);
}

/// A run that dies while it waits for an answer.
#[derive(Default)]
struct Victim(Arc<Mutex<Option<Child>>>);

impl Victim {
    /// It dies at its `at`th call, from 0.
    fn dies(&self, at: usize, carried_out: bool) -> impl Fn(&str, usize) -> Fate + Send + 'static {
        let (run, made) = (Arc::clone(&self.0), Cell::new(0));
        move |_, _| {
            if made.replace(made.get() + 1) != at {
                return Fate::Pass;
            }
            run.lock().unwrap().as_mut().unwrap().kill().unwrap();
            if carried_out { Fate::Lose } else { Fate::Drop }
        }
    }

    /// Fails the test if it ends by itself.
    fn run(&self, mut command: Command) {
        {
            // Whoever is to kill it waits until it is there.
            let mut run = self.0.lock().unwrap();
            *run = Some(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        }
        let ended = loop {
            if let Some(ended) = self.0.lock().unwrap().as_mut().unwrap().try_wait().unwrap() {
                break ended;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        };
        assert_eq!(ended.code(), None, "it was not killed");
    }
}

/// Other numbers each time, and told by what they lead to.
struct Chance(Cell<u64>);

impl Chance {
    fn new() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Self(Cell::new(u64::from(now.subsec_nanos()) << 32 | now.as_secs() | 1))
    }

    fn below(&self, most: usize) -> usize {
        let mut x = self.0.get();
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.0.set(x);
        usize::try_from(x >> 33).unwrap() % most
    }
}
