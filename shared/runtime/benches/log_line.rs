//! Benchmarks the log line of a request. Run: `cargo bench -p portcullis-runtime`.

#![expect(clippy::expect_used, reason = "a benchmark that cannot begin has nothing to go on with")]

use std::{fs::File, io::Write, sync::Arc};

use criterion::{Criterion, criterion_group, criterion_main};
use portcullis_runtime::logging::{self, Format, LineSink};

/// A log on the system's null device: measures the write without a disk.
struct Null(File);

impl LineSink for Null {
    fn write_line(&self, line: &str) {
        let _ = writeln!(&self.0, "{line}");
    }
}

fn line(criterion: &mut Criterion) {
    let null = File::options().write(true).open("/dev/null").expect("there is /dev/null");
    logging::start(Format::Json, Arc::new(Null(null)), Some("info"));
    let mut group = criterion.benchmark_group("log line");
    group.bench_function("of a request, JSON", |bencher| {
        bencher.iter(|| {
            tracing::info!(
                requestId = "00000000-0000-4000-8000-000000000000",
                function = "internal",
                method = "POST",
                route = "/api/internal/pools/heartbeat",
                status = 200,
                code = "-",
                detail = "-",
                durationMs = 3.25,
                storeRounds = 1,
                "request"
            );
        });
    });
    group.bench_function("within a span, JSON", |bencher| {
        let span = tracing::info_span!("delivery", requestId = "00000000-0000-4000-8000-000000000000", attempt = 1);
        let _inside = span.entered();
        bencher.iter(|| tracing::info!(channel = "channel-1", durationMs = 3.25, "delivered"));
    });
    group.finish();
}

criterion_group!(benches, line);
criterion_main!(benches);
