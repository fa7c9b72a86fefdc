//! How the crate's small error enums become text.

/// Implements a `const` message, `Display` and `core::error::Error` for a field-less error enum.
macro_rules! display_error {
    ($name:ident { $($variant:ident => $text:literal),+ $(,)? }) => {
        impl $name {
            /// The error in words; `const`, so that a broken embedded model is a readable compile error.
            #[must_use]
            pub const fn message(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }
        }

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str(self.message())
            }
        }

        impl core::error::Error for $name {}
    };
}

pub(crate) use display_error;
