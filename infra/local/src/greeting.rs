//! What is printed at the start: where everything is, and what to try.

use std::path::Path;

use local::{demo::Step, secrets::GENERATED_FILE};

/// Prints the addresses, where the tokens are, and what to try. Never a token.
pub(crate) fn print(base_url: &str, data: Option<&Path>, folder: &Path) {
    let data = data.map_or("in memory, gone at the end".to_owned(), |data| data.display().to_string());
    let file = folder.join(GENERATED_FILE);
    println!(
        "
  API       {base_url}
  Data      {data}
  Tokens    {file}, where neither the environment nor .env has them

  To try, in another terminal:

    set -a; . {file}; set +a
    curl {base_url}/health
    curl {base_url}/api/internal/pools/register -H \"x-internal-token: $INTERNAL_API_TOKEN\" \\
      -H 'content-type: application/json' -d '{{\"poolId\":\"pool-1\",\"podIp\":\"127.0.0.1\"}}'
    curl -X PUT {base_url}/api/internal/pools/pool-1/secrets -H \"x-internal-token: $INTERNAL_API_TOKEN\" \\
      -H 'content-type: application/json' -d '{{\"secrets\":{{\"MAPS_KEY\":{{\"value\":\"not-a-real-key\",\"scope\":\"skill:maps\"}}}}}}'

  Ctrl-C ends it.
",
        file = file.display(),
    );
}

/// Prints where `cargo lambda watch` finds this database. Its credentials stand in `file`.
pub(crate) fn print_environment(database_url: &str, folder: &Path, file: &Path) {
    println!(
        "
  Database  {database_url}

  In another terminal:

    set -a; . {generated}; . {file}; set +a
    export EVENT_QUEUE_URL=http://127.0.0.1:9/no-queue.fifo   # no SQS here: a Slack event gets a 503
    cargo lambda watch -A 127.0.0.1

  Ctrl-C ends it.
",
        generated = folder.join(GENERATED_FILE).display(),
        file = file.display(),
    );
}

/// Prints one line of the demonstration.
pub(crate) fn print_step(step: &Step) {
    println!("  {:<9} {}", step.place, step.what);
}
