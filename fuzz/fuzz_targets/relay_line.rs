//! `cargo fuzz run relay_line`: bytes of a sandbox, through what they go through before the relay decides.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    rcc::relay::exercise::exercise(bytes);
});
