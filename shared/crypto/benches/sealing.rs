//! What sealing and opening a secret cost. Run: `cargo bench -p portcullis-crypto`.

use std::{hint::black_box, time::Duration};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use portcullis_crypto::{Cell, Keyring, Randomness};

const CELL: Cell<'_> =
    Cell { table: "pool_secrets", partition_key: "pool-1", sort_key: Some("skill:maps#MAPS_KEY"), attribute: "value" };

/// The operating system's generator, as in production: a nonce is part of the price.
struct System;

impl Randomness for System {
    fn fill(&self, destination: &mut [u8]) {
        #[expect(clippy::expect_used, reason = "a bench without randomness has nothing to measure")]
        getrandom::fill(destination).expect("the system's generator answers");
    }
}

fn sealing(criterion: &mut Criterion) {
    let keyring = Keyring::from_single_key(&"5a".repeat(32)).unwrap_or_else(|refusal| panic!("{refusal}"));
    let mut group = criterion.benchmark_group("sealing");
    group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2)).sample_size(50);
    for size in [64, 1024, 16 * 1024] {
        let plaintext = vec![0x42; size];
        let sealed = keyring.seal(&System, &CELL, &plaintext);
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(BenchmarkId::new("seal", size), |bencher| {
            bencher.iter(|| keyring.seal(&System, &CELL, black_box(&plaintext)));
        });
        group.bench_function(BenchmarkId::new("open", size), |bencher| {
            bencher.iter(|| keyring.open(&CELL, black_box(&sealed)));
        });
    }
    group.finish();
}

criterion_group!(benches, sealing);
criterion_main!(benches);
