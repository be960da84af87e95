//! Numbers for things that maps index by: VIPs and pools.
//!
//! A key keeps its number for as long as it is wanted, over restarts too, because the agent hands over what it
//! finds in the pins. A number that was given back is the last to be given out again: what still names it (a
//! packet in flight, a metric that is being read) has the longest time to end.

use std::collections::{BTreeMap, VecDeque};

/// Which key has which number.
#[derive(Debug)]
pub struct Numbers<K> {
    taken: BTreeMap<K, u16>,
    /// Numbers never given out, or given back, in the order in which they will be given out.
    free: VecDeque<u16>,
}

impl<K: Ord + Clone> Numbers<K> {
    /// Numbers from `first` up to but not including `end`, with what is already taken. Of two keys with one
    /// number the first keeps it; a number outside the range is not taken.
    pub fn restore(first: u16, end: u16, taken: impl IntoIterator<Item = (K, u16)>) -> Self {
        let mut numbers = Self {
            taken: BTreeMap::new(),
            free: (first..end).collect(),
        };
        for (key, number) in taken {
            let position = numbers.free.iter().position(|free| *free == number);
            if let Some(position) = position
                && !numbers.taken.contains_key(&key)
            {
                numbers.free.remove(position);
                numbers.taken.insert(key, number);
            }
        }
        numbers
    }

    /// The key's number, a new one if it has none; `None` when all are taken.
    pub fn take(&mut self, key: &K) -> Option<u16> {
        if let Some(number) = self.taken.get(key) {
            return Some(*number);
        }
        let number = self.free.pop_front()?;
        self.taken.insert(key.clone(), number);
        Some(number)
    }

    /// The key's number, if it has one.
    pub fn get(&self, key: &K) -> Option<u16> {
        self.taken.get(key).copied()
    }

    /// Gives a number back. Only when nothing in the kernel names it any more.
    pub fn give_back(&mut self, key: &K) {
        if let Some(number) = self.taken.remove(key) {
            self.free.push_back(number);
        }
    }

    /// All keys that have a number, in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&K, u16)> {
        self.taken.iter().map(|(key, number)| (key, *number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fresh(end: u16) -> Numbers<&'static str> {
        Numbers::restore(1, end, [])
    }

    #[test]
    fn a_key_keeps_its_number() {
        let mut numbers = fresh(10);
        let first = numbers.take(&"a");
        numbers.take(&"b");
        assert_eq!(numbers.take(&"a"), first);
        assert_eq!(numbers.get(&"a"), first);
    }

    #[test]
    fn a_number_given_back_is_the_last_to_return() {
        let mut numbers = fresh(4);
        assert_eq!([numbers.take(&"a"), numbers.take(&"b")], [Some(1), Some(2)]);
        numbers.give_back(&"a");
        assert_eq!(numbers.take(&"c"), Some(3));
        assert_eq!(numbers.take(&"d"), Some(1));
        assert_eq!(numbers.take(&"e"), None, "all are taken");
    }

    #[test]
    fn what_the_pins_hold_stays_taken() {
        let mut numbers = Numbers::restore(1, 5, [("a", 3), ("b", 3), ("c", 9), ("d", 1)]);
        assert_eq!(numbers.iter().collect::<Vec<_>>(), [(&"a", 3), (&"d", 1)]);
        assert_eq!(numbers.take(&"b"), Some(2));
        assert_eq!(numbers.take(&"c"), Some(4));
    }
}
