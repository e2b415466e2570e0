-- No auto_vacuum: pages of removed rows are used again by later ones, so the file grows no larger than the longest backlog, and
-- each commit is spared the pages that map where others lie.

-- Accepted events that are not acknowledged yet.
CREATE TABLE IF NOT EXISTS messages (
    -- Numbers of removed rows are not used again: receipts name messages by them.
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    conversation BLOB NOT NULL,
    deduplication BLOB NOT NULL,
    body TEXT NOT NULL,
    payload BLOB NOT NULL,
    -- Unix milliseconds, as all times here.
    sent_at INTEGER NOT NULL,
    receive_count INTEGER NOT NULL,
    -- The first message of its conversation, which alone can be handed out.
    is_head INTEGER NOT NULL,
    -- When a head may be handed out.
    due_at INTEGER NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS messages_by_id ON messages (conversation, deduplication);
CREATE INDEX IF NOT EXISTS messages_by_conversation ON messages (conversation, sequence);
CREATE INDEX IF NOT EXISTS heads ON messages (due_at, sequence) WHERE is_head;

-- Ids of acknowledged messages that are still duplicates.
CREATE TABLE IF NOT EXISTS acknowledged (
    conversation BLOB NOT NULL,
    deduplication BLOB NOT NULL,
    until INTEGER NOT NULL,
    PRIMARY KEY (conversation, deduplication)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS acknowledged_by_end ON acknowledged (until);

CREATE TABLE IF NOT EXISTS dead_letters (
    sequence INTEGER PRIMARY KEY,
    conversation BLOB NOT NULL,
    deduplication BLOB NOT NULL,
    body TEXT NOT NULL,
    payload BLOB NOT NULL,
    sent_at INTEGER NOT NULL,
    receive_count INTEGER NOT NULL
);
