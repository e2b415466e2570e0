//! A bounded queue of lines, before a writer that may block for ever, as a pipe without a reader does.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Maximum bytes in the queue.
const LIMIT: usize = 256 * 1024;

/// Overhead of each entry, in bytes.
const OVERHEAD: usize = 64;

/// A queue with the thread that writes its lines. Pushing never blocks.
#[derive(Clone, Debug)]
pub struct Outlet(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    entries: VecDeque<Entry>,
    bytes: usize,
    is_writing: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Entry {
    Lines(Vec<u8>),
    /// Number of lines that were dropped at this place.
    Dropped(u64),
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn push(&mut self, lines: &[u8]) {
        let size = lines.len() + OVERHEAD;
        if self.bytes + size <= LIMIT {
            self.bytes += size;
            self.entries.push_back(Entry::Lines(lines.to_vec()));
            return;
        }
        let dropped = lines.split_inclusive(|byte| *byte == b'\n').count() as u64;
        if let Some(Entry::Dropped(count)) = self.entries.back_mut() {
            *count = count.saturating_add(dropped);
        } else {
            self.entries.push_back(Entry::Dropped(dropped));
        }
    }

    fn pop(&mut self) -> Option<Entry> {
        let entry = self.entries.pop_front()?;
        if let Entry::Lines(lines) = &entry {
            self.bytes -= lines.len() + OVERHEAD;
        }
        Some(entry)
    }
}

impl Outlet {
    /// Starts the writer's thread. `dropped` formats the line that reports a number of dropped lines.
    pub fn start(mut write: impl FnMut(&[u8]) + Send + 'static, dropped: fn(u64) -> Vec<u8>) -> Self {
        let shared = Arc::<Shared>::default();
        let of_thread = Arc::clone(&shared);
        let work = move || {
            let mut queue = of_thread.lock();
            loop {
                queue.is_writing = false;
                of_thread.changed.notify_all();
                while queue.entries.is_empty() {
                    queue = of_thread.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
                }
                let Some(entry) = queue.pop() else { continue };
                queue.is_writing = true;
                drop(queue);
                match entry {
                    Entry::Lines(lines) => write(&lines),
                    Entry::Dropped(count) => write(&dropped(count)),
                }
                queue = of_thread.lock();
            }
        };
        // Without a thread all lines are dropped once the queue is full. A log that cannot be written does not stop the
        // sidecar.
        let _ = std::thread::Builder::new().name("log".to_owned()).spawn(work);
        Self(shared)
    }

    /// Queues whole lines, to be written in one call. Drops and counts them if the queue is full.
    pub fn push(&self, lines: &[u8]) {
        self.0.lock().push(lines);
        self.0.changed.notify_all();
    }

    /// Waits until all lines are written, at most `patience`. Returns whether they are.
    #[must_use]
    pub fn flush(&self, patience: Duration) -> bool {
        let is_busy = |queue: &mut Queue| queue.is_writing || !queue.entries.is_empty();
        let waited = self.0.changed.wait_timeout_while(self.0.lock(), patience, is_busy);
        !is_busy(&mut waited.unwrap_or_else(PoisonError::into_inner).0)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn lines_before_a_blocked_writer_are_dropped_counted_and_told_where_they_lack() {
        let (open, gate) = mpsc::channel::<()>();
        let (written, seen) = mpsc::channel();
        let write = move |line: &[u8]| {
            // A dropped sender unblocks the writer for good.
            let _ = gate.recv();
            written.send(line.to_vec()).unwrap();
        };
        let outlet = Outlet::start(write, |count| format!("dropped {count}").into());
        let line = vec![b'x'; 64 * 1024];
        // The writer has one entry, and three fit into the queue.
        outlet.push(b"first");
        while !outlet.0.lock().is_writing {
            std::thread::yield_now();
        }
        for _ in 0..13 {
            outlet.push(&line);
        }
        assert!(!outlet.flush(Duration::ZERO));
        drop(open);
        assert!(outlet.flush(Duration::MAX));
        outlet.push(b"last");
        assert!(outlet.flush(Duration::MAX));
        let seen: Vec<Vec<u8>> = seen.try_iter().collect();
        let expected = [b"first".to_vec(), line.clone(), line.clone(), line, b"dropped 10".to_vec(), b"last".to_vec()];
        assert!(seen == expected, "{:?}", seen.iter().map(Vec::len).collect::<Vec<_>>());
    }
}
