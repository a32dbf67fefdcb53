//! The `shardmill` program: parse, run, exit with a code.

mod cli;
mod fault;

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: fault::Allocator = fault::Allocator;

fn main() -> ExitCode {
    cli::main()
}
