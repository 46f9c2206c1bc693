//! The simulated cloud's state file: what is read is written, and read again as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rsgsync_core::name::NetworkName;
use rsgsync_simulated::Simulated;

fuzz_target!(|text: &[u8]| {
    let network = NetworkName::new("eu").expect("a name");
    if let Ok(cloud) = Simulated::in_memory(text, network.clone()) {
        let state = cloud.state();
        let again = Simulated::in_memory(state.to_string().as_bytes(), network).expect("what was written can be read");
        assert_eq!(again.state(), state);
    }
});
