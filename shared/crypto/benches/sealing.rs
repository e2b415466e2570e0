//! Benchmarks of sealing and opening a secret. Run: `cargo bench -p portcullis-crypto`.

#![allow(clippy::panic, reason = "a benchmark that cannot start says so")]

use std::{
    hint::black_box,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use portcullis_crypto::{Cell, Keyring, Randomness};

const CELL: Cell<'_> =
    Cell { table: "pool_secrets", partition_key: "pool-1", sort_key: Some("skill:maps#MAPS_KEY"), attribute: "value" };

/// Unique nonces from a counter, since the generator's cost is not measured.
#[derive(Default)]
struct Counted(AtomicU64);

impl Randomness for Counted {
    fn fill(&self, destination: &mut [u8]) {
        let count = self.0.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        count.into_iter().zip(destination).for_each(|(byte, place)| *place = byte);
    }
}

fn sealing(criterion: &mut Criterion) {
    let keyring = Keyring::from_single_key(&"5a".repeat(32)).unwrap_or_else(|refusal| panic!("{refusal}"));
    let randomness = Counted::default();
    let mut group = criterion.benchmark_group("sealing");
    group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2)).sample_size(50);
    for size in [64, 1024, 16 * 1024] {
        let plaintext = vec![0x42; size];
        let sealed = keyring.seal(&randomness, &CELL, &plaintext);
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(BenchmarkId::new("seal", size), |bencher| {
            bencher.iter(|| keyring.seal(&randomness, &CELL, black_box(&plaintext)));
        });
        group.bench_function(BenchmarkId::new("open", size), |bencher| {
            bencher.iter(|| keyring.open(&CELL, black_box(&sealed)));
        });
    }
    group.finish();
}

criterion_group!(benches, sealing);
criterion_main!(benches);
