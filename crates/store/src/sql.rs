//! SQL as constants, for both engines.
//!
//! A [`Sql`] can only be made by [`statements!`], which also puts it into the list of its file: each engine's
//! tests prepare every statement of their lists against an empty migrated database and read its query plan.

/// One statement.
#[derive(Clone, Copy)]
pub(crate) struct Sql {
    #[cfg(test)]
    pub(crate) name: &'static str,
    #[cfg(test)]
    pub(crate) scans: bool,
    text: &'static str,
}

impl Sql {
    pub(crate) const fn new(name: &'static str, scans: bool, text: &'static str) -> Self {
        #[cfg(not(test))]
        let _ = (name, scans);
        Self {
            #[cfg(test)]
            name,
            #[cfg(test)]
            scans,
            text,
        }
    }

    pub(crate) const fn text(self) -> &'static str {
        self.text
    }
}

/// Declares statements. `NAME = "…"` has to find its rows by an index; `NAME scans = "…"` may read a
/// whole (small) table or walk an index in order.
macro_rules! statements {
    ($($(#[$doc:meta])* $name:ident $($scans:ident)? = $text:expr;)*) => {
        $($(#[$doc])* const $name: $crate::sql::Sql = $crate::sql::Sql::new(
            stringify!($name), !stringify!($($scans)?).is_empty(), $text);)*
        #[cfg(test)]
        pub(super) const STATEMENTS: &[$crate::sql::Sql] = &[$($name),*];
    };
}
pub(crate) use statements;
