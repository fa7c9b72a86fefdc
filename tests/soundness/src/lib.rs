//! Tests of the vector kernels and of the C library, where the code is that the compiler cannot check.
//! `bash tests/undefined_behaviour.sh` runs them in Miri and under AddressSanitizer.

/// How many of `all` a test takes: every one, but `few` in Miri, which is some thousand times slower, and eight times as
/// many as `few` there if the environment has the variable `CFM_FULL`.
#[must_use]
pub fn portion(all: usize, few: usize) -> usize {
    if !cfg!(miri) {
        all
    } else if std::env::var_os("CFM_FULL").is_some() {
        all.min(8 * few)
    } else {
        all.min(few)
    }
}
