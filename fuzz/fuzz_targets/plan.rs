//! A saved plan, as it is and with its checksum put right; what can be read is proved.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rsgsync_core::document::{Document, Saved, checksum};

fuzz_target!(|text: &[u8]| {
    prove(text);
    if let Ok(mut document) = serde_json::from_slice::<Document>(text) {
        document.checksum = checksum(&document);
        prove(&serde_json::to_vec(&document).expect("a document is JSON"));
    }
});

fn prove(text: &[u8]) {
    if let Ok(saved) = Saved::read(text) {
        saved.prove().witness.map(|witness| saved.in_words(&witness));
    }
}
