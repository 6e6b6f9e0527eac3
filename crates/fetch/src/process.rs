//! What a forked process must not take over.

use std::mem;
use std::process;

/// A value that counts only in the process that made it. Threads do not come along into a forked process: what they were
/// doing is never done there. So there it is made anew.
#[derive(Debug, Default)]
pub struct PerProcess<T> {
    made_in: Option<u32>,
    value: T,
}

impl<T: Default> PerProcess<T> {
    /// The value of this process.
    pub fn get(&mut self) -> &mut T {
        self.get_in(process::id())
    }

    fn get_in(&mut self, process: u32) -> &mut T {
        match self.made_in {
            Some(made_in) if made_in == process => {}
            None => self.made_in = Some(process),
            // Another process' runtime is none to call, not even by dropping what runs there.
            Some(_) => {
                self.made_in = Some(process);
                mem::forget(mem::take(&mut self.value));
            }
        }
        &mut self.value
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_value_counts_in_the_process_that_made_it() {
        let mut value = PerProcess::<Vec<u8>>::default();
        value.get_in(1).push(7);
        assert_eq!(value.get_in(1), &[7]);
        assert!(value.get_in(2).is_empty());
        value.get_in(2).push(8);
        assert_eq!(value.get_in(2), &[8]);
    }

    #[test]
    fn what_another_process_made_is_not_dropped() {
        let theirs = Arc::new(());
        let mut value = PerProcess::<Option<Arc<()>>>::default();
        *value.get_in(1) = Some(theirs.clone());
        assert_eq!(value.get_in(2), &None);
        assert_eq!(Arc::strong_count(&theirs), 2);
        *value.get_in(2) = Some(theirs.clone());
        drop(value);
        assert_eq!(Arc::strong_count(&theirs), 2, "its own is dropped");
    }
}
