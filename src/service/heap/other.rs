/// Nothing to do.
pub fn give_back() {}
