//! Which message is due next: kept in memory beside the table, so that a receive need not read.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;

use super::rows::Stored;

/// The messages that are not yet acknowledged, by groups.
#[derive(Debug, Default)]
pub(super) struct Index {
    groups: HashMap<String, Group>,
    /// The group of each message.
    homes: HashMap<u64, String>,
    /// Groups that have a message to hand out, the longest waiting first.
    ready: BTreeSet<(u64, String)>,
    /// Groups whose message is out, by when it is due again.
    held: BTreeSet<(Timestamp, String)>,
}

#[derive(Debug, Default)]
struct Group {
    waiting: BTreeMap<u64, Stored>,
    /// The one message that somebody has, or that is deferred. Nothing else of the group is handed out meanwhile.
    out: Option<Out>,
}

#[derive(Debug)]
struct Out {
    message: Stored,
    until: Timestamp,
}

impl Index {
    pub(super) fn contains(&self, sequence: u64) -> bool {
        self.homes.contains_key(&sequence)
    }

    /// Adds a message at its place; one that is there already changes nothing.
    pub(super) fn insert(&mut self, message: Stored) {
        if self.contains(message.sequence) {
            return;
        }
        let name = message.group.clone();
        self.homes.insert(message.sequence, name.clone());
        self.change(&name, |group| {
            group.waiting.insert(message.sequence, message);
        });
    }

    /// Hands out up to `limit` messages that are due at `now`, one a group, each out until `until`.
    pub(super) fn take(&mut self, limit: usize, now: Timestamp, until: Timestamp) -> Vec<Stored> {
        self.take_back(now);
        let names: Vec<String> = self.ready.iter().take(limit).map(|(_, name)| name.clone()).collect();
        let taken = names.iter().filter_map(|name| {
            self.change(name, |group| {
                let (_, mut message) = group.waiting.pop_first()?;
                message.receive_count = message.receive_count.saturating_add(1);
                group.out = Some(Out { message: message.clone(), until });
                Some(message)
            })
        });
        taken.collect()
    }

    /// Makes the message of this receipt due again at `until`; gives it back, or nothing where the receipt has expired.
    pub(super) fn defer(&mut self, sequence: u64, receive_count: u32, until: Timestamp) -> Option<Stored> {
        let name = self.homes.get(&sequence)?.clone();
        self.change(&name, |group| {
            let out = group.out.as_mut()?;
            let is_same = out.message.sequence == sequence && out.message.receive_count == receive_count;
            is_same.then(|| {
                out.until = until;
                out.message.clone()
            })
        })
    }

    /// Removes a message for good, whoever has it.
    pub(super) fn remove(&mut self, sequence: u64) {
        let Some(name) = self.homes.remove(&sequence) else { return };
        self.change(&name, |group| {
            group.waiting.remove(&sequence);
            group.out.take_if(|out| out.message.sequence == sequence);
        });
    }

    /// What nobody acknowledged in time waits at its old place.
    fn take_back(&mut self, now: Timestamp) {
        let due: Vec<String> =
            self.held.iter().take_while(|(until, _)| *until <= now).map(|(_, name)| name.clone()).collect();
        for name in due {
            self.change(&name, |group| {
                if let Some(out) = group.out.take() {
                    group.waiting.insert(out.message.sequence, out.message);
                }
            });
        }
    }

    /// Changes a group, and lists it anew where it now belongs.
    fn change<T>(&mut self, name: &str, change: impl FnOnce(&mut Group) -> T) -> T {
        let group = self.groups.entry(name.to_owned()).or_default();
        match group.listing() {
            Listing::Held(until) => self.held.remove(&(until, name.to_owned())),
            Listing::Ready(first) => self.ready.remove(&(first, name.to_owned())),
            Listing::Empty => false,
        };
        let result = change(group);
        match group.listing() {
            Listing::Held(until) => self.held.insert((until, name.to_owned())),
            Listing::Ready(first) => self.ready.insert((first, name.to_owned())),
            Listing::Empty => self.groups.remove(name).is_some(),
        };
        result
    }
}

enum Listing {
    Held(Timestamp),
    Ready(u64),
    Empty,
}

impl Group {
    fn listing(&self) -> Listing {
        match (&self.out, self.waiting.first_key_value()) {
            (Some(out), _) => Listing::Held(out.until),
            (None, Some((first, _))) => Listing::Ready(*first),
            (None, None) => Listing::Empty,
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn message(sequence: u64, group: &str) -> Stored {
        Stored {
            sequence,
            group: group.to_owned(),
            deduplication: sequence.to_string(),
            body: String::new(),
            payload: Bytes::new(),
            sent_at: at(0),
            receive_count: 0,
        }
    }

    fn index(messages: &[(u64, &str)]) -> Index {
        let mut index = Index::default();
        for (sequence, group) in messages {
            index.insert(message(*sequence, group));
        }
        index
    }

    fn take(index: &mut Index, now: i64) -> Vec<u64> {
        index.take(10, at(now), at(now + 100)).into_iter().map(|message| message.sequence).collect()
    }

    #[test]
    fn one_message_a_group_is_handed_out_the_longest_waiting_group_first() {
        let mut index = index(&[(4, "b"), (2, "a"), (3, "a"), (5, "c")]);
        assert_eq!(take(&mut index, 0), [2, 4, 5]);
        assert_eq!(take(&mut index, 0), [0; 0], "every group has a message out");
        index.remove(2);
        assert_eq!(take(&mut index, 0), [3]);
    }

    #[test]
    fn what_is_not_acknowledged_in_time_is_due_again_before_what_came_after_it() {
        let mut index = index(&[(1, "a"), (2, "a")]);
        assert_eq!(take(&mut index, 0), [1]);
        assert_eq!(take(&mut index, 99), [0; 0]);
        let again = index.take(1, at(100), at(200));
        assert_eq!((again[0].sequence, again[0].receive_count), (1, 2));
    }

    #[test]
    fn a_receipt_that_has_expired_defers_nothing() {
        let mut index = index(&[(1, "a")]);
        take(&mut index, 0);
        take(&mut index, 100);
        assert!(index.defer(1, 1, at(500)).is_none(), "the first receipt");
        assert!(index.defer(1, 2, at(150)).is_some(), "the second");
        assert_eq!(take(&mut index, 149), [0; 0]);
        assert_eq!(take(&mut index, 150), [1]);
        assert!(index.defer(9, 1, at(500)).is_none(), "no such message");
    }

    #[test]
    fn a_message_can_be_removed_when_it_is_out_and_when_it_waits_again() {
        let mut index = index(&[(1, "a"), (2, "a")]);
        take(&mut index, 0);
        index.take_back(at(100));
        index.remove(1);
        index.remove(1);
        assert!(!index.contains(1));
        assert_eq!(take(&mut index, 100), [2]);
        index.remove(2);
        assert!(index.groups.is_empty() && index.ready.is_empty() && index.held.is_empty() && index.homes.is_empty());
    }

    #[test]
    fn a_message_that_is_there_already_is_not_added_again() {
        let mut index = index(&[(1, "a")]);
        take(&mut index, 0);
        index.insert(message(1, "a"));
        index.remove(1);
        assert_eq!(take(&mut index, 500), [0; 0]);
    }
}
