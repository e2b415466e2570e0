//! Conformance tests that every [`EventQueue`] has to pass: SQS and this machine's own queue are held to the same
//! promises.
//!
//! Each promise uses message groups of its own, so that all can be tested on one queue, one after another. A broken
//! promise panics.

use std::{future::Future, time::Duration};

use bytes::Bytes;
use portcullis_crypto::{Digest, Randomness};
use portcullis_runtime::queue::{DEDUPLICATION_WINDOW, EventQueue, NewMessage, ReceivedMessage, VISIBILITY};

/// Time that a receive waits for an expected message.
const PATIENCE: Duration = Duration::from_secs(5);
/// Time that a receive waits to see that no message comes. SQS counts in whole seconds.
const GLANCE: Duration = Duration::from_secs(1);
/// A deferral short enough to wait for on a real clock.
const SHORT_DELAY: Duration = Duration::from_secs(2);

/// The queue's clock.
pub trait Time {
    /// Lets `duration` pass.
    fn pass(&self, duration: Duration) -> impl Future<Output = ()> + Send;

    /// Whether the clock can skip minutes; promises that take minutes are tested only then.
    fn can_leap(&self) -> bool;

    /// Whether a deduplication id outlives its message, as in SQS. An emulator may forget the id with the message.
    fn remembers_acknowledged(&self) -> bool {
        true
    }
}

/// A queue under test.
pub struct Held<'a, T> {
    queue: &'a dyn EventQueue,
    time: &'a T,
    randomness: &'a dyn Randomness,
}

/// Tests every promise on a queue. The queue must be empty and have no other user.
pub async fn keeps_the_queues_promises<T: Time>(queue: &dyn EventQueue, time: &T, randomness: &dyn Randomness) {
    let held = Held { queue, time, randomness };
    held.a_message_comes_back_as_it_was_sent().await;
    held.a_duplicate_is_dropped().await;
    held.a_group_comes_in_order_one_at_a_time().await;
    held.a_deferred_message_holds_up_its_own_group_alone().await;
    held.an_acknowledgement_can_be_repeated().await;
    held.a_dead_letter_is_still_to_be_acknowledged().await;
    if time.can_leap() {
        held.a_message_that_is_not_acknowledged_is_due_again().await;
        held.a_deduplication_id_is_forgotten_after_its_window().await;
    }
}

impl<T: Time> Held<'_, T> {
    fn digest(&self) -> Digest {
        let mut bytes = [0; 32];
        self.randomness.fill(&mut bytes);
        Digest::of(&bytes)
    }

    async fn send(&self, group: Digest, body: &str) -> NewMessage {
        let message = NewMessage { group, deduplication: self.digest(), body: body.to_owned(), payload: Bytes::new() };
        self.queue.send(&message).await.expect("a message is taken");
        message
    }

    async fn next(&self) -> ReceivedMessage {
        let mut messages = self.queue.receive(1, PATIENCE).await.expect("the queue answers");
        assert_eq!(messages.len(), 1, "one message is due");
        messages.remove(0)
    }

    async fn nothing_is_due(&self, why: &str) {
        let messages = self.queue.receive(1, GLANCE).await.expect("the queue answers");
        assert!(messages.is_empty(), "{why}");
    }

    async fn done(&self, message: &ReceivedMessage) {
        self.queue.acknowledge(message).await.expect("an acknowledgement is taken");
    }

    async fn a_message_comes_back_as_it_was_sent(&self) {
        // A text with quotes, a line break and a four-byte character; a payload with every byte; and the largest
        // payload that fits beside a text.
        let text = "{\"a\":\"\\\"\n\u{1f512}\"}";
        let largest = (0..1_047_552_u32).map(|number| number.to_le_bytes()[0]).collect::<Vec<_>>();
        for payload in [Bytes::new(), (0..=255).collect(), largest.into()] {
            let (group, deduplication) = (self.digest(), self.digest());
            let sent = NewMessage { group, deduplication, body: text.to_owned(), payload };
            self.queue.send(&sent).await.expect("a message is taken");
            let received = self.next().await;
            assert!(received.body == text && received.payload == sent.payload, "a message comes back as it was");
            assert_eq!(received.group, sent.group.to_hex());
            assert_eq!(received.deduplication, sent.deduplication.to_hex());
            assert_eq!(received.receive_count, 1);
            self.done(&received).await;
        }
        self.nothing_is_due("an acknowledged message does not come again").await;
    }

    async fn a_duplicate_is_dropped(&self) {
        let sent = self.send(self.digest(), "once").await;
        self.queue.send(&sent).await.expect("a duplicate is accepted");
        let received = self.next().await;
        self.queue.send(&sent).await.expect("a duplicate of one in flight is accepted");
        self.done(&received).await;
        self.nothing_is_due("a duplicate is dropped").await;
        if self.time.remembers_acknowledged() {
            self.queue.send(&sent).await.expect("a duplicate of an acknowledged one is accepted");
            self.nothing_is_due("a duplicate of an acknowledged one is dropped").await;
        }
    }

    async fn a_group_comes_in_order_one_at_a_time(&self) {
        let group = self.digest();
        for body in ["first", "second", "third"] {
            self.send(group, body).await;
        }
        for body in ["first", "second", "third"] {
            let received = self.next().await;
            assert_eq!(received.body, body);
            self.nothing_is_due("a group with a message in flight hands out no other").await;
            self.done(&received).await;
        }
    }

    async fn a_deferred_message_holds_up_its_own_group_alone(&self) {
        let (slow, other) = (self.digest(), self.digest());
        self.send(slow, "slow 1").await;
        self.send(slow, "slow 2").await;
        let deferred = self.next().await;
        self.queue.defer(&deferred, SHORT_DELAY).await.expect("a deferral is taken");
        self.send(other, "other").await;
        let received = self.next().await;
        assert_eq!(received.body, "other");
        self.done(&received).await;
        self.time.pass(SHORT_DELAY).await;
        let again = self.next().await;
        assert_eq!((again.body.as_str(), again.receive_count), ("slow 1", 2), "order holds over a deferral");
        assert_eq!(again.id, deferred.id, "a message keeps its id");
        assert_eq!(again.sent_at, deferred.sent_at, "a message keeps its time");
        self.done(&again).await;
        let last = self.next().await;
        assert_eq!(last.body, "slow 2");
        self.done(&last).await;
    }

    async fn an_acknowledgement_can_be_repeated(&self) {
        let group = self.digest();
        self.send(group, "one").await;
        let received = self.next().await;
        self.done(&received).await;
        self.done(&received).await;
        self.send(group, "two").await;
        let received = self.next().await;
        assert_eq!(received.body, "two");
        self.done(&received).await;
    }

    async fn a_dead_letter_is_still_to_be_acknowledged(&self) {
        let group = self.digest();
        self.send(group, "given up").await;
        self.send(group, "next").await;
        let received = self.next().await;
        self.queue.dead_letter(&received).await.expect("a dead letter is taken");
        self.nothing_is_due("a dead letter holds up its group until it is acknowledged").await;
        self.done(&received).await;
        let next = self.next().await;
        assert_eq!(next.body, "next");
        self.done(&next).await;
    }

    async fn a_message_that_is_not_acknowledged_is_due_again(&self) {
        let group = self.digest();
        self.send(group, "first").await;
        self.send(group, "second").await;
        let lost = self.next().await;
        self.time.pass(VISIBILITY.saturating_sub(Duration::from_secs(1))).await;
        self.nothing_is_due("a message is invisible for its whole time").await;
        self.time.pass(Duration::from_secs(1)).await;
        let again = self.next().await;
        assert_eq!((again.body.as_str(), again.receive_count), ("first", 2));
        assert_ne!(again.receipt, lost.receipt, "each receipt has its own name");
        let deferred = self.queue.defer(&lost, Duration::ZERO).await;
        assert!(deferred.is_err(), "an expired receipt defers nothing");
        self.done(&again).await;
        let second = self.next().await;
        assert_eq!(second.body, "second");
        self.done(&second).await;
    }

    async fn a_deduplication_id_is_forgotten_after_its_window(&self) {
        let sent = self.send(self.digest(), "again").await;
        let received = self.next().await;
        self.done(&received).await;
        self.time.pass(DEDUPLICATION_WINDOW.saturating_sub(Duration::from_secs(1))).await;
        self.queue.send(&sent).await.expect("a duplicate is accepted");
        self.nothing_is_due("it is a duplicate for the whole window").await;
        self.time.pass(Duration::from_secs(1)).await;
        self.queue.send(&sent).await.expect("a message is taken");
        let received = self.next().await;
        assert_eq!(received.body, "again");
        self.done(&received).await;
    }
}
