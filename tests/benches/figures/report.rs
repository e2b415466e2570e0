//! What was found, in Markdown.

use crate::{
    configuration::Row,
    functions::{Found, HELLO},
    machine::median,
    own_cpu::Cost,
    throughput::{CONNECTIONS, Rates, Table},
    traffic::Call,
};

/// What the `Node.js` and `PostgreSQL` control plane of the same API does on two such cores, by [`CONNECTIONS`].
const NODE: [[u32; CONNECTIONS.len()]; Call::ALL.len()] = [[1_098, 1_544], [737, 1_186], [344, 649]];

/// Of each function: size, start and memory.
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

/// Of each request: CPU time.
pub fn cpu(costs: &[Cost], found: &[Found]) {
    let of = |name: &str| found.iter().find(|found| found.name == name).map_or(f64::NAN, |found| found.cpu);
    let functions = ["skills", "internal", "slack"];
    println!("\n| CPU time of a request | Own | AWS client | Lambda's runtime client | The function's whole process |");
    println!("|---|---|---|---|---|");
    for ((call, name), cost) in Call::ALL.into_iter().zip(functions).zip(costs) {
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

/// Requests a second.
pub fn throughput(table: &Table) {
    let both = |row: &[Rates], of: fn(&Rates) -> &Vec<f64>| {
        row.iter().map(|rates| format!("{:.0}", median(of(rates).clone()))).collect::<Vec<_>>().join(" / ")
    };
    println!(
        "\n| Requests a second, 1 / 32 connections | Portcullis | Its embedded DynamoDB alone | Node.js and PostgreSQL |"
    );
    println!("|---|---|---|---|");
    for ((call, row), node) in Call::ALL.into_iter().zip(table).zip(NODE) {
        let (front, database) = (both(row, |rates| &rates.front), both(row, |rates| &rates.database));
        let [one, many] = node;
        println!("| {} | {front} | {database} | {one} / {many} |", call.name());
    }
    if let Some(row) = table.last() {
        println!("| … delivered to its pool | {} | | |", both(row, |rates| &rates.delivered));
    }
}

/// What pools' configurations cost.
pub fn configurations(rows: &[Row]) {
    println!("\n| GET config/latest | Bytes | 1 connection | 32 connections |\n|---|---|---|---|");
    for Row { bots, full, bytes, rates: [one, many] } in rows {
        let kind = if *full { "full" } else { "304" };
        println!("| {bots} bots, {kind} | {bytes} | {:.0} | {:.0} |", median(one.clone()), median(many.clone()));
    }
}
