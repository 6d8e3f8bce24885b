//! `cargo fuzz run dns`: bytes of a sandbox and of an upstream, through every parser and filter.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    rcc::resolver::wire::exercise(bytes);
});
