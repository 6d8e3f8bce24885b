//! Files of the repository that are generated, and tested to be what is generated now.

/// Compares with the file at this path in the repository, or writes it where `RCC_GOLDEN=write`
/// asks for it.
#[track_caller]
pub(crate) fn assert_golden(file: &str, text: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if std::env::var_os("RCC_GOLDEN").is_some_and(|mode| mode == "write") {
        std::fs::write(&path, text).unwrap();
    }
    let current = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(current == text, "{file} is not what is generated now: run the tests with RCC_GOLDEN=write\n{text}");
}
