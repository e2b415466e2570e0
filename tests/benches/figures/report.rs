//! Prints the figures as Markdown.

use crate::{
    configuration::Row,
    functions::{Found, HELLO},
    machine::median,
    own_cpu::Cost,
    throughput::{CONNECTIONS, Rates, Table},
    traffic::Call,
};

/// Requests per second of a durable `Node.js` and `PostgreSQL` control plane of the same API on two such cores, by
/// [`CONNECTIONS`], and its CPU time in µs with 32 connections. Measured once, on another day.
const OTHER: [([u32; CONNECTIONS.len()], &str); Call::ALL.len()] =
    [([920, 1_443], "914"), ([727, 1_391], "1,073"), ([156, 348], "4,502"), ([177, 358], "4,506"), ([194, 650], "")];
/// The other control plane's rate and CPU time for a delivered Slack event.
const OTHER_DELIVERED: (u32, u32) = (329, 4_727);

/// Prints size, start-up time and memory of each function.
pub fn functions(found: &[Found]) {
    let hello = found.iter().find(|found| found.name == HELLO).map_or(f64::NAN, |hello| hello.start);
    println!(
        "| Function | Zip | Start to first request for work | Beside hello | Memory idle | After its requests | CPU time of one |"
    );
    println!("|---|---|---|---|---|---|---|");
    for Found { name, zipped_megabytes, start, requests, idle_megabytes, used_megabytes, cpu } in found {
        let beside = start / hello;
        println!(
            "| {name} | {zipped_megabytes:.2} MB | {start:.1} ms | × {beside:.2} | {idle_megabytes:.1} MB | \
             {used_megabytes:.1} MB ({requests}) | {cpu:.0} µs |"
        );
    }
}

/// Prints the CPU time of each kind of request.
pub fn cpu(costs: &[Cost], found: &[Found]) {
    let of = |name: &str| found.iter().find(|found| found.name == name).map_or(f64::NAN, |found| found.cpu);
    let functions = ["skills", "internal", "slack"];
    println!("\n| CPU time of a request | Own | AWS client | Lambda's runtime client | The function's whole process |");
    println!("|---|---|---|---|---|");
    for ((call, name), cost) in Call::OF_FUNCTIONS.into_iter().zip(functions).zip(costs) {
        println!(
            "| {} | {:.0} µs | {:.0} µs | {:.0} µs | {:.0} µs |",
            call.name(),
            cost.own,
            cost.aws_client,
            of(HELLO),
            of(name)
        );
    }
    println!("| relay: one event delivered | | | {:.0} µs | {:.0} µs |", of(HELLO), of("relay"));
    println!(
        "\nOwn: the router's, called in memory without a socket, less the AWS client's called alike. AWS client: its calls for \
         such a request alone, over sockets. Lambda's runtime client: the whole process of hello. All by /proc/PID/stat."
    );
}

/// Memory sizes of a function, in MB.
const MEMORY: [u32; 4] = [128, 256, 512, 1024];
/// Memory size that has one whole core, in MB. Source: AWS Lambda, "Configure Lambda function memory".
const MEMORY_OF_A_CORE: f64 = 1769.0;
/// Prices of a GB-second on arm64 and of a request, in US dollars, us-east-1. Source: AWS, "AWS Lambda Pricing", 2026.
const GIGABYTE_SECOND: f64 = 0.000_013_333_4;
const REQUEST: f64 = 0.000_000_2;
/// Latency of a call within a region, in ms: typical and 99th percentile. Assumptions, not measured here; DynamoDB
/// promises "single-digit milliseconds".
const CALL: f64 = 4.0;
const SLOW_CALL: f64 = 10.0;

/// Prints duration and price of each kind of request on Lambda, by memory size.
pub fn lambda(found: &[Found]) {
    // Number of sequential calls that each waits for; a delivery also waits for the pool's answer.
    let kinds = [("skills", "GET secrets", 1.0), ("internal", "heartbeat", 1.0), ("slack", "Slack event", 1.0)];
    let kinds = kinds.into_iter().chain([("relay", "delivery", 5.0)]);
    println!(
        "\n| On Lambda | CPU time | Start's own part | {} |\n|---|---|---|{}|",
        MEMORY.map(|memory| format!("{memory} MB: CPU, p50, p99; $ a million")).join(" | "),
        MEMORY.map(|_| "---").join("|")
    );
    for (name, kind, calls) in kinds {
        let Some(of) = found.iter().find(|found| found.name == name) else { continue };
        let columns = MEMORY.map(|memory| {
            let work = of.cpu / 1e3 * (MEMORY_OF_A_CORE / f64::from(memory)).max(1.0);
            let (usual, slow) = (work + calls * CALL, work + (calls - 1.0) * CALL + SLOW_CALL);
            let dollars = usual / 1e3 * f64::from(memory) / 1024.0 * GIGABYTE_SECOND + REQUEST;
            format!("{work:.1}, {usual:.1}, {slow:.1} ms; {:.2}", dollars * 1e6)
        });
        println!("| {name}: {kind} | {:.0} µs | {:.1} ms | {} |", of.cpu, of.start, columns.join(" | "));
    }
    println!(
        "\nCPU: the CPU time at the memory size's share of a core ({MEMORY_OF_A_CORE} MB are one). p50, p99: with {CALL} ms for each \
         call that is waited for, of which one takes {SLOW_CALL} ms."
    );
}

/// Prints requests per second and CPU time of a stack in memory and of one with `--data`.
pub fn throughput(table: &Table) {
    let both = |rates: &[Rates], of: fn(&Rates) -> &Vec<f64>| {
        rates.iter().map(|rates| format!("{:.0}", median(of(rates).clone()))).collect::<Vec<_>>().join(" / ")
    };
    let columns = |row: &[[Rates; CONNECTIONS.len()]], of: fn(&Rates) -> &Vec<f64>| {
        let rates: Vec<_> = row.iter().map(|rates| both(rates, of)).collect();
        let cpu: Vec<_> = row.iter().map(|rates| both(rates, |rates| &rates.cpu)).collect();
        format!("{} | {}", rates.join(" | "), cpu.join(" | "))
    };
    println!(
        "\n| With 1 / 32 connections | A second, in memory | A second, `--data` | CPU in µs, in memory | CPU in µs, \
         `--data` | Node.js and PostgreSQL: a second | CPU in µs |\n|---|---|---|---|---|---|---|"
    );
    for ((call, row), ([one, many], cpu)) in Call::ALL.into_iter().zip(table).zip(OTHER) {
        println!("| {} | {} | {one} / {many} | {cpu} |", call.name(), columns(row, |rates| &rates.answered));
    }
    if let Some(row) = table.last() {
        let (rate, cpu) = OTHER_DELIVERED;
        println!("| Slack event, delivered | {} | – / {rate} | {cpu} |", columns(row, |rates| &rates.delivered));
    }
    println!(
        "\nCPU: of the stack's whole process, by /proc/PID/stat; of a Slack event that of its delivery too. Node.js and \
         PostgreSQL: measured once, on another day."
    );
}

/// Prints the figures of the pools' configurations.
pub fn configurations(rows: &[Row]) {
    println!("\n| GET config/latest | Bytes | 1 connection | 32 connections |\n|---|---|---|---|");
    for Row { bots, full, bytes, rates: [one, many] } in rows {
        let kind = if *full { "full" } else { "304" };
        println!("| {bots} bots, {kind} | {bytes} | {:.0} | {:.0} |", median(one.clone()), median(many.clone()));
    }
}
