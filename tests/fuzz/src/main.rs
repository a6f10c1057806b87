// SPDX-License-Identifier: BSD-2-Clause
//! Runs targets on mutations of their corpora for some time, or one on one input.

use fuzz::{Mutator, TARGETS, corpus, target};
use std::process::ExitCode;
use std::time::{Duration, Instant};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["run", name, seconds] => run(name, seconds),
        ["one", name, file] => one(name, file),
        _ => {
            eprintln!("usage: fuzz run TARGET|all SECONDS | fuzz one TARGET FILE; targets:");
            for (name, _) in TARGETS {
                eprintln!("  {name}");
            }
            ExitCode::FAILURE
        }
    }
}

fn run(name: &str, seconds: &str) -> ExitCode {
    let Ok(seconds) = seconds.parse() else {
        eprintln!("not a number of seconds: {seconds}");
        return ExitCode::FAILURE;
    };
    let chosen: Vec<_> = TARGETS.iter().filter(|(known, _)| name == "all" || *known == name).collect();
    if chosen.is_empty() {
        eprintln!("no target {name}");
        return ExitCode::FAILURE;
    }
    for (name, target) in chosen {
        let corpus = corpus(name).unwrap_or_default();
        // A new seed each time: what it finds is a file, not a seed.
        let seed = std::process::id().into();
        let (mut mutator, start, mut count) = (Mutator::new(&corpus, seed), Instant::now(), 0u64);
        while start.elapsed() < Duration::from_secs(seconds) {
            let input = mutator.input();
            count += 1;
            if std::panic::catch_unwind(|| target(&input)).is_err() {
                let file = format!("crash-{name}-{seed:x}-{count}");
                let saved = std::fs::write(&file, &input);
                eprintln!("{name}: the input is in {file} {saved:?}");
                return ExitCode::FAILURE;
            }
        }
        println!("{name}: {count} inputs");
    }
    ExitCode::SUCCESS
}

fn one(name: &str, file: &str) -> ExitCode {
    match (target(name), std::fs::read(file)) {
        (Some(target), Ok(input)) => {
            target(&input);
            ExitCode::SUCCESS
        }
        (None, _) => {
            eprintln!("no target {name}");
            ExitCode::FAILURE
        }
        (_, Err(error)) => {
            eprintln!("{file}: {error}");
            ExitCode::FAILURE
        }
    }
}
