//! Texts that Google's answers are made of: addresses, ids, times.

use std::hash::{DefaultHasher, Hash, Hasher};

use aws_lc_rs::rand::fill;
use jiff::Timestamp;
use jiff::tz::Offset;

use crate::schema::Object;

const ROOT: &str = "https://www.googleapis.com/compute/v1/";

/// The address of a resource, given what comes after the version.
pub(crate) fn link(resource: &str) -> String {
    format!("{ROOT}{resource}")
}

/// A resource out of any of its addresses: `projects/P/...`, or `global/...` of the project at hand.
pub(crate) fn unlink(address: &str) -> &str {
    let Some((_, below)) = address.split_once("://") else { return address };
    below.find("/projects/").map_or(address, |start| &below[start + 1..])
}

/// A field of text; empty where there is none.
pub(crate) fn of<'a>(object: &'a Object, field: &str) -> &'a str {
    object.get(field).and_then(|value| value.as_str()).unwrap_or_default()
}

/// Random bytes in hexadecimal.
pub(crate) fn random<const BYTES: usize>() -> String {
    let mut bytes = [0; BYTES];
    fill(&mut bytes).expect("the system has random numbers");
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A new id: 64 bits in decimal, without a leading zero.
pub(crate) fn number() -> String {
    let random = u64::from_str_radix(&random::<8>(), 16).unwrap_or_default();
    (random | 1 << 62).to_string()
}

/// A number that is always the same for a text.
pub(crate) fn hashed(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish() % 900_000_000_000 + 100_000_000_000
}

/// The name that Google would give an operation.
pub(crate) fn operation_name() -> String {
    let millis = Timestamp::now().as_millisecond();
    format!("operation-{millis}-{}-{}-{}", &random::<7>()[..13], random::<4>(), random::<4>())
}

/// Now, as it stands in resources.
pub(crate) fn now() -> String {
    Offset::constant(-8).to_datetime(Timestamp::now()).strftime("%Y-%m-%dT%H:%M:%S%.3f-08:00").to_string()
}
