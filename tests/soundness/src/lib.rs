//! Nothing but tests: of the vector kernels and of the C library, where the code is that the compiler cannot check.
//! `bash tests/undefined_behaviour.sh` runs them in Miri and under AddressSanitizer.
