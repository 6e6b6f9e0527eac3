//! Settings that are one word out of a few.

macro_rules! choice {
    (
        $(#[doc = $about:literal])+
        pub enum $name:ident as $kind:literal {
            $($(#[doc = $doc:literal])+ $variant:ident = $word:literal,)+
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl $name {
            /// The word that stands in the configuration.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl $crate::config::value::Value for $name {
            const KIND: &'static str = $kind;

            fn from_text(text: &str) -> Result<Self, String> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(format!("expected {}", Self::KIND)),
                }
            }

            fn show(&self) -> String {
                $crate::config::value::quoted(self.as_str())
            }
        }
    };
}
pub(super) use choice;
