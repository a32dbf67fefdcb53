//! Reruns the golden tests on an emulated CPU without AVX2, FMA and F16C, where only the scalar
//! level exists: this executable runs itself, and the program, under `qemu-x86_64`.

use std::process::Command;

use shardmill::Level;

use super::support::{golden, read_npy, sha256, skip, succeed, verdict_path};

/// Set in the run under qemu.
const INSIDE: &str = "SHARDMILL_GOLDEN_INSIDE_QEMU";

/// A CPU with SSE4.2 and nothing later.
fn emulated(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("qemu-x86_64");
    command.args(["-cpu", "Nehalem"]).arg(program);
    command
}

fn has_qemu() -> bool {
    let version = Command::new("qemu-x86_64").arg("--version").output();
    cfg!(target_arch = "x86_64") && version.is_ok_and(|output| output.status.success())
}

/// The tests to rerun: conversions with the whole sweep, sums of drawn tables, and normal
/// numbers.
const TESTS: [&str; 8] = [
    "golden::qemu::the_emulated_cpu_has_the_scalar_level_alone",
    "golden::gather::",
    "golden::positions::",
    "golden::sums::the_first_batch_in_every_type",
    "golden::sums::with_the_first_position_table",
    "golden::sums::without_positions",
    "golden::torch::normals_and_the_state_after_them",
    "golden::tokens::the_encoding_gives_tiktokens_ids",
];

#[test]
fn the_emulated_cpu_has_the_scalar_level_alone() {
    if std::env::var_os(INSIDE).is_some() {
        assert_eq!(Level::available(), [Level::scalar()]);
    } else {
        assert_eq!(Level::available()[0], Level::scalar());
    }
}

#[test]
fn golden_values_without_avx2() {
    if std::env::var_os(INSIDE).is_some() {
        return;
    }
    if !has_qemu() {
        return skip("qemu", "the golden values on a CPU without AVX2");
    }
    let mut command = emulated(std::env::current_exe().unwrap());
    let output = succeed(command.args(TESTS).env(INSIDE, "1"));
    let output = String::from_utf8_lossy(&output.stdout);
    for test in TESTS {
        assert!(output.contains(&format!("test {test}")), "{test}: {output}");
    }
    assert!(output.contains("test result: ok."), "{output}");
}

#[test]
fn the_program_without_avx2() {
    if std::env::var_os(INSIDE).is_some() {
        return;
    }
    if !has_qemu() {
        return skip("qemu", "the program on a CPU without AVX2");
    }
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let mut command = emulated(env!("CARGO_BIN_EXE_shardmill"));
    command
        .arg("run")
        .arg(verdict_path())
        .arg("--out")
        .arg(&out);
    command.args("--eot none --seq-len 4 --stride 5 --batch-size 8 --dim 256".split(' '));
    command.args("--init-seed 123 --init-position-draw 2 --dtype bf16".split(' '));
    succeed(&mut command);
    let shard = std::fs::read(out.join("shard-00000.u32")).unwrap();
    assert_eq!(sha256(&shard), golden("tokens")["u32le_sha256"]);
    let (header, elements) = read_npy(&out.join("embeddings/embeddings.npy"));
    assert!(header.contains("'shape': (1029, 4, 256)"), "{header}");
    let first_batch = &elements[..8 * 4 * 256 * 2];
    assert_eq!(
        sha256(first_batch),
        golden("sums_first_batch")["le_sha256"]["bf16"]
    );
}
