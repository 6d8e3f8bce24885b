//! The filter between the agent's output and the user's terminal, which sees every byte.

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use rcc::terminal::filter::Filter;

/// As much as the launcher reads at once, or more.
const SIZE: usize = 64 << 10;

fn main() {
    divan::main();
}

/// The same text over and over, up to [`SIZE`] bytes.
fn repeated(text: &str) -> Vec<u8> {
    text.bytes().cycle().take(SIZE).collect()
}

fn feed(bencher: Bencher<'_, '_>, input: &[u8]) {
    let (mut filter, mut out) = (Filter::default(), Vec::with_capacity(2 * SIZE));
    bencher.counter(BytesCount::of_slice(input)).bench_local(|| {
        out.clear();
        filter.feed(black_box(input), &mut out);
        out.len()
    });
}

/// Output of a compiler or of `cat`.
#[divan::bench]
fn plain_text(bencher: Bencher<'_, '_>) {
    feed(bencher, &repeated("   Compiling a crate of that name v1.2.3 (/home/user/project)\r\n"));
}

/// A program that draws: colours, cursor movements, characters of several bytes.
#[divan::bench]
fn full_screen(bencher: Bencher<'_, '_>) {
    feed(bencher, &repeated("\x1b[2;5H\x1b[38;5;208m╭─ done ✓\x1b[0m\x1b[K\r\n"));
}

/// What is not passed on.
#[divan::bench]
fn refused(bencher: Bencher<'_, '_>) {
    feed(bencher, &repeated("\x1b]52;c;aGVsbG8gd29ybGQ=\x07"));
}
