//! A bounded map that forgets what was not used for longest.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

pub(crate) struct Lru<K, V> {
    capacity: usize,
    /// Counts uses; every entry has its own last one.
    uses: u64,
    entries: HashMap<K, (u64, V)>,
    by_use: BTreeMap<u64, K>,
}

impl<K: Eq + Hash + Clone, V> Lru<K, V> {
    /// `0` keeps nothing.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            uses: 0,
            entries: HashMap::new(),
            by_use: BTreeMap::new(),
        }
    }

    pub(crate) fn get(&mut self, key: &K) -> Option<&V> {
        let (last_use, value) = self.entries.get_mut(key)?;
        self.uses += 1;
        if let Some(key) = self.by_use.remove(last_use) {
            self.by_use.insert(self.uses, key);
        }
        *last_use = self.uses;
        Some(value)
    }

    pub(crate) fn insert(&mut self, key: K, value: V) {
        if self.capacity == 0 {
            return;
        }
        self.remove(&key);
        if self.entries.len() >= self.capacity
            && let Some((_, oldest)) = self.by_use.pop_first()
        {
            self.entries.remove(&oldest);
        }
        self.uses += 1;
        self.by_use.insert(self.uses, key.clone());
        self.entries.insert(key, (self.uses, value));
    }

    pub(crate) fn remove(&mut self, key: &K) {
        if let Some((last_use, _)) = self.entries.remove(key) {
            self.by_use.remove(&last_use);
        }
    }

    pub(crate) fn retain(&mut self, keep: impl Fn(&V) -> bool) {
        let by_use = &mut self.by_use;
        self.entries.retain(|_, (last_use, value)| {
            let keep = keep(value);
            if !keep {
                by_use.remove(last_use);
            }
            keep
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_entry_that_was_not_used_for_longest_goes_first() {
        let mut cache = Lru::new(2);
        cache.insert("a", 1);
        cache.insert("b", 2);
        assert_eq!(cache.get(&"a"), Some(&1));
        cache.insert("c", 3);
        assert_eq!(cache.get(&"b"), None);
        assert_eq!(cache.get(&"a"), Some(&1));
        assert_eq!(cache.get(&"c"), Some(&3));
    }

    #[test]
    fn both_tables_stay_the_same_size() {
        let mut cache = Lru::new(3);
        for number in 0..100 {
            cache.insert(number % 7, number);
            cache.get(&(number % 5));
            if number % 11 == 0 {
                cache.remove(&(number % 3));
            }
            assert!(cache.entries.len() <= 3);
            assert_eq!(cache.entries.len(), cache.by_use.len());
        }
        cache.retain(|value| value % 2 == 0);
        assert_eq!(cache.entries.len(), cache.by_use.len());
        assert!(cache.entries.values().all(|(_, value)| value % 2 == 0));
    }

    #[test]
    fn without_room_nothing_is_kept() {
        let mut cache = Lru::new(0);
        cache.insert("a", 1);
        assert_eq!(cache.get(&"a"), None);
    }
}
