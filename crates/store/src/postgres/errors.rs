//! What a PostgreSQL error means: for the caller, and for the next attempt.

use deadpool_postgres::PoolError;
use deadpool_postgres::tokio_postgres::error::SqlState;
use tokio_postgres::Error;

use crate::StoreError;
use crate::rules::partitions;

/// Why an attempt came to nothing.
#[derive(Debug, Clone)]
pub(super) enum Fault {
    /// The answer; another attempt would give the same.
    Refused(StoreError),
    /// Others were in the way, and the database undid the attempt: run it again.
    Contended(String),
    /// The connection or its server is gone, or cannot write any more. What was sent last may have happened.
    Lost(String),
}

pub(super) type Fallible<T> = std::result::Result<T, Fault>;

impl Fault {
    /// Of what failed together with others: whether it may have been done all the same. An error when it would fail alone
    /// too, for want of room or because of the database. What was refused was perhaps another one, and nothing was done; an
    /// answer that could not be read was given when it was done.
    pub(super) fn may_have_happened(self) -> crate::Result<bool> {
        match self {
            Self::Refused(error @ (StoreError::Busy | StoreError::Unavailable(_))) => Err(error),
            Self::Refused(StoreError::Internal(_)) | Self::Contended(_) | Self::Lost(_) => Ok(true),
            Self::Refused(_) => Ok(false),
        }
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Refused(error)
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        let Some(database) = error.as_db_error() else {
            return if is_transport(&error) {
                Self::Lost(describe(&error))
            } else {
                Self::Refused(StoreError::Internal(describe(&error)))
            };
        };
        // Never the detail: it quotes the row.
        let why = format!("{} ({})", database.message(), database.code().code());
        if database.code() == &SqlState::CHECK_VIOLATION && is_of_partitions(database.constraint()) {
            return Self::Contended(why);
        }
        by_state(database.code(), why)
    }
}

/// Whether a row was on its way into a partition that was no longer, or not yet, the one of its time: the table's own rules
/// have names that say something else.
fn is_of_partitions(constraint: Option<&str>) -> bool {
    constraint.is_none_or(partitions::is_name)
}

fn by_state(state: &SqlState, why: String) -> Fault {
    match state.code() {
        "40001" | "40P01" => Fault::Contended(why),
        // A read-only server was a primary before; the others: a plan or a prepared statement that the
        // connection lost (a schema step, a pooler in between), an ended connection, a server that goes.
        "25006" | "0A000" | "26000" | "25P03" | "57P01" | "57P02" | "57P03" | "57P05" => Fault::Lost(why),
        "22021" | "22P05" => Fault::Refused(StoreError::Invalid(
            "a text with a NUL character cannot be stored",
        )),
        code => match &code[..2] {
            "08" => Fault::Lost(why),
            "23" => Fault::Refused(StoreError::Conflict),
            // Resources, cancelled (a timeout), locks, input and output. Not "54", what is too large: it will not pass.
            "53" | "55" | "57" | "58" => Fault::Refused(StoreError::Unavailable(why)),
            _ => Fault::Refused(StoreError::Internal(why)),
        },
    }
}

/// The driver's own message and what it rests on, without the rows and values that a server may quote.
pub(super) fn describe(error: &Error) -> String {
    if let Some(database) = error.as_db_error() {
        return format!("{} ({})", database.message(), database.code().code());
    }
    match std::error::Error::source(error) {
        Some(source) => format!("{}: {source}", kind(error)),
        None => kind(error),
    }
}

/// The message up to its source.
fn kind(error: &Error) -> String {
    let whole = error.to_string();
    whole.split(": ").next().unwrap_or_default().to_owned()
}

fn is_transport(error: &Error) -> bool {
    let io = std::error::Error::source(error).and_then(|source| source.downcast_ref::<std::io::Error>());
    error.is_closed() || io.is_some()
}

impl From<PoolError> for Fault {
    fn from(error: PoolError) -> Self {
        use deadpool_postgres::TimeoutType;
        match error {
            PoolError::Timeout(TimeoutType::Wait) => Self::Refused(StoreError::Busy),
            PoolError::Timeout(TimeoutType::Create | TimeoutType::Recycle) => {
                Self::Lost("the database does not answer".to_owned())
            }
            // Whatever it is (starting up, too many connections, a password that changed), nothing was done.
            PoolError::Backend(error) => Self::Lost(describe(&error)),
            PoolError::Closed => Self::Refused(closed()),
            error => Self::Refused(StoreError::Internal(error.to_string())),
        }
    }
}

pub(super) fn closed() -> StoreError {
    StoreError::Unavailable("the store is closed".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(code: &str) -> Fault {
        by_state(&SqlState::from_code(code), String::new())
    }

    #[test]
    fn a_row_that_meets_a_change_of_partitions_is_tried_again() {
        assert!(is_of_partitions(None));
        assert!(is_of_partitions(Some("issuance_20270117_20270121")));
        for rule in ["heartbeat_id_check", "20270117_20270121", "a_20270117_2027012x"] {
            assert!(!is_of_partitions(Some(rule)), "{rule}");
        }
    }

    #[test]
    fn every_state_has_its_meaning() {
        for code in ["40001", "40P01"] {
            assert!(matches!(fault(code), Fault::Contended(_)), "{code}");
        }
        for code in ["08006", "57P01", "57P02", "57P03", "25006", "26000"] {
            assert!(matches!(fault(code), Fault::Lost(_)), "{code}");
        }
        for code in ["53100", "53300", "57014", "55P03", "58030"] {
            assert!(
                matches!(fault(code), Fault::Refused(StoreError::Unavailable(_))),
                "{code}"
            );
        }
        assert!(matches!(fault("23505"), Fault::Refused(StoreError::Conflict)));
        assert!(matches!(fault("22021"), Fault::Refused(StoreError::Invalid(_))));
        assert!(matches!(fault("42601"), Fault::Refused(StoreError::Internal(_))));
    }

    #[test]
    fn what_fails_together_is_tried_alone_where_that_may_help() {
        let alone = |error| Fault::Refused(error).may_have_happened();
        assert_eq!(alone(StoreError::Busy), Err(StoreError::Busy));
        let unavailable = StoreError::Unavailable("a disk is full".to_owned());
        assert_eq!(alone(unavailable.clone()), Err(unavailable));
        assert_eq!(alone(StoreError::Conflict), Ok(false));
        assert_eq!(alone(StoreError::Invalid("a NUL")), Ok(false));
        assert_eq!(alone(StoreError::Internal("malformed".to_owned())), Ok(true));
        assert_eq!(Fault::Lost(String::new()).may_have_happened(), Ok(true));
        assert_eq!(Fault::Contended(String::new()).may_have_happened(), Ok(true));
    }
}
