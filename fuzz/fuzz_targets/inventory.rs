//! An inventory's text, and what is worked out from it where it is right.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| rsgsync_fuzz::journey::go(text, None));
