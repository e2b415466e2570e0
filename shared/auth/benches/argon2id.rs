//! Benchmark of a password's hash, the main cost of a sign-in. Run: `cargo bench -p portcullis-auth`.

#![allow(clippy::panic, reason = "a benchmark that cannot start says so")]

use std::{hint::black_box, time::Duration};

use argon2::{Algorithm, Argon2, Params, Version};
use criterion::{Criterion, criterion_group, criterion_main};
use portcullis_auth::password::{ARGON2_LANES, ARGON2_MEMORY_KIB, ARGON2_PASSES};

const PASSWORD: &[u8] = b"correct horse battery";
const SALT: &[u8; 16] = b"a salt for bench";

fn bare(criterion: &mut Criterion) {
    let params = Params::new(ARGON2_MEMORY_KIB, ARGON2_PASSES, ARGON2_LANES, None)
        .unwrap_or_else(|error| panic!("the parameters are none: {error}"));
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let mut group = criterion.benchmark_group("argon2id");
    group.measurement_time(Duration::from_secs(5)).sample_size(50);
    group.bench_function("bare", |bencher| {
        bencher.iter(|| {
            let mut hash = [0; 32];
            argon2
                .hash_password_into(black_box(PASSWORD), SALT, &mut hash)
                .unwrap_or_else(|error| panic!("no hash: {error}"));
            hash
        });
    });
    group.finish();
}

criterion_group!(benches, bare);
criterion_main!(benches);
