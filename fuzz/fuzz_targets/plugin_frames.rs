//! `cargo fuzz run plugin_frames`: bytes of a sandbox, through what they go through before the broker decides.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    rcc::plugin::wire::exercise::exercise(bytes);
});
