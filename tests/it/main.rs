//! The tests of the program and of the library from outside, in one executable, because linking
//! once takes less time than linking each file. `cargo test --test it NAME` runs those of the file
//! `NAME`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod arrow;
mod bad_records;
mod bench_command;
#[path = "../checks/mod.rs"]
mod checks;
mod cli;
mod columnar;
mod common_dataset;
mod compressed;
mod damage;
mod determinism;
mod documents;
mod estimates;
mod faults;
mod file_systems;
mod golden;
mod hostile;
mod hostile_dataset;
mod hostile_files;
mod hostile_output;
mod hostile_tables;
mod house;
mod inputs;
mod kept;
mod limits;
mod load;
mod loader;
mod many_shards;
mod messages;
mod model;
mod notebook;
mod numpy;
mod oracle;
mod order;
mod parquet;
mod positions;
mod publish;
#[cfg(feature = "remote")]
mod remote;
mod report;
mod resume;
mod roundtrip;
mod shuffled;
mod sinks;
mod standard_output;
mod states;
mod support;
mod tokenizers;
mod unread;
mod urls;
