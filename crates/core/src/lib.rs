//! What shardmill does with the machine: CPU levels and vectors, file maps, memory on huge pages,
//! element types, checksums.
//!
//! The crates `shardmill` and `shardmill-tokenizer` stand on it. It is not meant for others: it
//! changes with them, in every release.
//!
//! ```text
//! simd    UNSAFE ROOM: CPU levels, and the vector operations of the kernels
//! map     UNSAFE ROOM: file maps, tables and buffers on huge pages
//! system  UNSAFE ROOM: files without a name, writes past the page cache, writeback, use of CPUs
//! dtype   f16, bf16 and f32
//! hash    checksums
//! show    names and numbers for people
//! choice  enums whose variants a user chooses by name
//! token   ids
//! ```

#[cfg(windows)]
compile_error!("shardmill needs Linux or macOS; on Windows, build and run it in WSL");

mod choice;
pub mod dtype;
pub mod hash;
pub mod map;
pub mod show;
pub mod simd;
pub mod system;
pub mod token;
