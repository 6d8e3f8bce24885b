/// Gives what is free back to the system, whichever thread freed it (malloc_trim(3)).
pub fn give_back() {
    // SAFETY: it takes no pointer, and locks what other threads use.
    unsafe { libc::malloc_trim(0) };
}
