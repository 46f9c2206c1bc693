//! Whatever stands in a journal, it is read, or refused with its line.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Err(error) = rsgsync_engine::journal::read(bytes) {
        assert!(!error.to_string().is_empty());
    }
});
