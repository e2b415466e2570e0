//! Libraries of documents: versions, pieces, and the retention of replaced ones.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::types::AttributeValue;
use portcullis_auth::{Clock, LibraryName};
use portcullis_store::{
    Contents, Document, Library, MAXIMUM_ACTIVE_BYTES, MAXIMUM_ANSWER_BYTES, MAXIMUM_DOCUMENTS, PutDocumentError,
    Store, Table, round_trips::counted,
};
use tokio::task::JoinSet;

use crate::support::{World, item, text};

const SKILLS: Library = Library::Skills;

fn name(text: &str) -> LibraryName {
    text.parse().expect("a name")
}

fn document(content: impl Into<Vec<u8>>) -> Document {
    let content = content.into();
    Document { is_active: true, bytes: content.len(), answer_bytes: content.len(), content }
}

async fn put(store: &Store, key: &str, document: Document) -> u64 {
    store.put_document(SKILLS, &name(key), document).await.expect("is stored")
}

async fn read(store: &Store) -> (Contents, BTreeMap<LibraryName, Vec<u8>>) {
    let contents = store.library(SKILLS).await.expect("reads");
    let documents = store.active_documents(SKILLS, &contents).await.expect("all pieces are there");
    (contents, documents)
}

#[tokio::test]
async fn versions_count_what_is_active_and_an_unchanged_document_makes_none() {
    let world = World::new().await;
    let store = &world.store;
    assert_eq!(read(store).await, (Contents::default(), BTreeMap::new()));
    assert_eq!(store.library_versions().await, Ok((0, 0)));

    let (version, calls) = counted(put(store, "a", document("one"))).await;
    assert_eq!((version, calls), (1, 2));
    assert_eq!(counted(put(store, "a", document("one"))).await, (1, 1), "unchanged");
    let inactive = Document { is_active: false, ..document("b") };
    assert_eq!(put(store, "b", inactive).await, 1, "nothing that is active has changed");
    assert_eq!(put(store, "a", document("two")).await, 2);
    let (contents, documents) = read(store).await;
    assert_eq!((contents.version, documents), (2, BTreeMap::from([(name("a"), b"two".to_vec())])));
    assert_eq!(put(store, "b", document("b")).await, 3);
    let with_both = read(store).await.0.hash();
    assert_eq!(put(store, "b", Document { is_active: false, ..document("b") }).await, 4);
    assert_eq!(read(store).await.1.len(), 1);
    assert_eq!(read(store).await.0.hash(), contents.hash());
    assert_ne!(with_both, contents.hash());
    assert_eq!(store.library_versions().await, Ok((4, 0)), "templates are counted by themselves");
}

#[tokio::test]
async fn a_document_of_many_pieces_is_read_as_it_was_written() {
    let world = World::new().await;
    let content: Vec<u8> = (0..=250).cycle().take(1_500_000).collect();
    put(&world.store, "large", document(content.clone())).await;
    put(&world.store, "empty", document("")).await;
    let ((_, documents), calls) = counted(read(&world.store)).await;
    assert_eq!(calls, 2);
    assert!(documents[&name("large")] == content, "as it was written");
    assert_eq!(documents[&name("empty")], b"");
}

#[tokio::test]
async fn replaced_pieces_expire_within_the_hour_and_named_ones_never() {
    let world = World::new().await;
    for content in ["one", "two", "three"] {
        put(&world.store, "a", document([content, &"x".repeat(400_000)].concat())).await;
    }
    let before = world.store.library(SKILLS).await.unwrap();
    put(&world.store, "a", document("four")).await;
    // An overtaken reader still finds the pieces of the contents that it has read.
    let read = world.store.active_documents(SKILLS, &before).await.unwrap();
    assert!(read[&name("a")].starts_with(b"three"));

    let rows = world.engine.rows(Table::Skills).await;
    let (expiring, staying): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row.contains_key("expiresAt"));
    assert_eq!((expiring.len(), staying.len()), (6, 3), "two pieces of each; one piece, the contents, the version");
    assert!(staying.iter().any(|row| row.get("bytes").is_some_and(|bytes| bytes.as_b().unwrap().as_ref() == b"four")));
    let latest = (world.clock.now().as_second() + 3600).to_string();
    assert!(expiring.iter().all(|row| row["expiresAt"].as_n().unwrap() <= &latest));
}

#[tokio::test]
async fn a_document_that_does_not_fit_is_refused_and_nothing_of_it_is_stored() {
    let world = World::new().await;
    let store = &world.store;
    let counting = |bytes: usize, answer_bytes: usize| Document { bytes, answer_bytes, ..document("x") };
    put(store, "a", counting(MAXIMUM_ACTIVE_BYTES, 10)).await;
    let before = world.engine.rows(Table::Skills).await.len();
    let refused = store.put_document(SKILLS, &name("b"), counting(1, 1)).await;
    assert_eq!(refused, Err(PutDocumentError::TooLarge));
    assert_eq!(world.engine.rows(Table::Skills).await.len(), before);
    let inactive = Document { is_active: false, ..counting(1, MAXIMUM_ANSWER_BYTES) };
    put(store, "b", inactive).await;
    put(store, "a", Document { content: b"y".into(), ..counting(1, MAXIMUM_ANSWER_BYTES) }).await;
    let refused = store.put_document(SKILLS, &name("c"), counting(1, 1)).await;
    assert_eq!(refused, Err(PutDocumentError::AnswerTooLarge));
}

#[tokio::test]
async fn there_are_as_many_documents_as_one_row_can_name() {
    let world = World::new().await;
    let number = |value: usize| AttributeValue::N(value.to_string());
    let documents = (1..MAXIMUM_DOCUMENTS).map(|document| {
        let entry = item([
            ("schema", number(1)),
            ("active", AttributeValue::Bool(false)),
            ("digest", text(&"0".repeat(64))),
            ("bytes", number(1024 * 1024)),
            ("answerBytes", number(1024 * 1024)),
            ("write", text(&"0".repeat(36))),
            ("pieces", number(4)),
        ]);
        // The longest names.
        (format!("{document:064}"), AttributeValue::M(entry))
    });
    let contents = item([
        ("schema", number(1)),
        ("name", text("#library")),
        ("part", text("contents")),
        ("number", number(1)),
        ("revision", number(1)),
        ("createdAt", text("2026-01-02T03:04:05.678Z")),
        ("documents", AttributeValue::M(documents.collect())),
    ]);
    world.engine.put(Table::Skills, contents).await;
    assert_eq!(put(&world.store, "the-last", document("x")).await, 2);
    let refused = world.store.put_document(SKILLS, &name("one-more"), document("x")).await;
    assert_eq!(refused, Err(PutDocumentError::TooMany));
    assert_eq!(read(&world.store).await.1.len(), 1);
}

#[tokio::test]
async fn writers_and_readers_that_race_see_whole_versions_without_gaps() {
    let world = World::new().await;
    let mut writers = JoinSet::new();
    for writer in 0..8_u8 {
        let store = world.store.clone();
        writers.spawn(async move {
            let mut versions = Vec::new();
            for round in 0..4_u8 {
                // Two pieces of a single letter.
                let content = vec![b'a' + writer * 3 + round % 3; 400_000];
                versions.push(put(&store, &format!("skill-{}", writer % 2), document(content)).await);
            }
            versions
        });
    }
    let mut readers = JoinSet::new();
    for _ in 0..4 {
        let store = world.store.clone();
        readers.spawn(async move {
            for _ in 0..10 {
                for document in read(&store).await.1.into_values() {
                    assert!(document.len() == 400_000 && document.iter().all(|byte| *byte == document[0]), "half");
                }
            }
        });
    }
    let versions: Vec<u64> = writers.join_all().await.concat();
    readers.join_all().await;
    let distinct: BTreeSet<u64> = versions.iter().copied().collect();
    let last = read(&world.store).await.0.version;
    assert_eq!(distinct, (1..=last).collect(), "no gap, and none that nobody was told of");
}
