//! The notebook, cell by cell, with the numbers that it prints: with the library, with the program,
//! and with the example.
#![allow(
    clippy::unwrap_used,
    reason = "a value that is not there fails the test"
)]

#[path = "../../examples/dataset.rs"]
#[allow(dead_code, reason = "an example has a main of its own")]
mod dataset;
use crate::golden::support;

use shardmill::table::TorchGenerator;
use shardmill::{Gatherer, Table, Tokenizer, Windows};

use support::{flat_u32, golden, read_npy, sha256, shardmill, succeed, verdict_path};

/// A row of a tensor as PyTorch prints it: four decimals, three elements at either end.
fn printed(row: &[f32]) -> String {
    let show = |row: &[f32]| {
        let numbers = row.iter().map(|x| format!("{x:.4}"));
        numbers.collect::<Vec<_>>().join(", ")
    };
    format!("{}, ..., {}", show(&row[..3]), show(&row[row.len() - 3..]))
}

fn printed_row(table: &Table, row: usize) -> String {
    let mut values = vec![0.0; table.dim()];
    table.row_to_f32(row, &mut values);
    printed(&values)
}

/// The ids of one batch: the inputs, then the targets, shifted by one.
fn batch(ids: &[u32], windows: &Windows, number: u64) -> [Vec<Vec<u32>>; 2] {
    let rows = windows.batches(8, false).unwrap().rows(number);
    let slice = |range: std::ops::Range<u64>| {
        ids[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()].to_vec()
    };
    let inputs = rows.clone().map(|i| slice(windows.inputs(i))).collect();
    [inputs, rows.map(|i| slice(windows.targets(i))).collect()]
}

#[test]
#[expect(clippy::too_many_lines, reason = "the notebook from top to bottom")]
fn the_notebook_cell_by_cell() {
    // with open("the-verdict.txt", "r", encoding="utf-8") as f: raw_text = f.read()
    let raw_text = std::fs::read_to_string(verdict_path()).unwrap();

    // tokenizer = tiktoken.get_encoding("gpt2"); len(tokenizer.encode(raw_text))
    let tokenizer = Tokenizer::by_name("gpt2").unwrap();
    let ids = tokenizer.encode_ordinary(&raw_text);
    assert_eq!(ids.len(), 5146);

    // create_dataloader(raw_text, batch_size=8, max_length=4, stride=5, shuffle=False)
    let windows = Windows::new(ids.len() as u64, 4, 5).unwrap();
    assert_eq!(windows.len(), 1029);

    // first_batch = next(data_iter)
    let [inputs, targets] = batch(&ids, &windows, 0);
    assert_eq!(
        inputs,
        [
            [40, 367, 2885, 1464],
            [3619, 402, 271, 10899],
            [257, 7026, 15632, 438],
            [257, 922, 5891, 1576],
            [568, 340, 373, 645],
            [5975, 284, 502, 284],
            [326, 11, 287, 262],
            [286, 465, 13476, 11],
        ]
    );
    assert_eq!(targets[0], [367, 2885, 1464, 1807]);
    assert_eq!(targets[7], [465, 13476, 11, 339]);

    // second_batch = next(data_iter)
    let [second, second_targets] = batch(&ids, &windows, 1);
    assert_eq!(second[0], [550, 5710, 465, 12036]);
    assert_eq!(second[7], [198, 198, 1, 464]);
    assert_eq!(second_targets[0], [5710, 465, 12036, 11]);
    assert_eq!(second_targets[7], [198, 1, 464, 6001]);

    // torch.manual_seed(123); embedding = torch.nn.Embedding(50257, 256)
    let mut torch = TorchGenerator::new(123);
    let embedding = torch.embedding(50257, 256).unwrap();
    for (row, expected) in [
        (0, "0.3374, -0.1778, -0.3035, ..., 1.3337, 0.0771, -0.0522"),
        (1, "0.2386, 0.1411, -1.3354, ..., -0.0315, -1.0640, 0.9417"),
        (
            2,
            "-1.3152, -0.0677, -0.1350, ..., -0.3181, -1.3936, 0.5226",
        ),
        (
            50254,
            "0.5871, -0.0572, -1.1628, ..., -0.6887, -0.7364, 0.4479",
        ),
        (50255, "0.4438, 0.7411, 1.1263, ..., 1.2091, 0.6781, 0.3331"),
        (
            50256,
            "-0.2537, 0.1446, 0.7203, ..., -0.2134, 0.2144, 0.3006",
        ),
    ] {
        assert_eq!(printed_row(&embedding, row), expected, "row {row}");
    }

    // embedding(torch.tensor([1]))
    let lookup = Gatherer::new(embedding.clone(), None).unwrap();
    let mut row = vec![0.0f32; 256];
    lookup.gather_into(&[1], 1, &mut row).unwrap();
    assert_eq!(
        printed(&row),
        "0.2386, 0.1411, -1.3354, ..., -0.0315, -1.0640, 0.9417"
    );

    // token_embeddings = embedding(inputs): torch.Size([8, 4, 256])
    let inputs = inputs.concat();
    let mut token_embeddings = vec![0.0f32; 8 * 4 * 256];
    lookup
        .gather_into(&inputs, 4, &mut token_embeddings)
        .unwrap();

    // pos_embedding_layer = torch.nn.Embedding(4, 256), a cell that was run twice
    torch.embedding(4, 256).unwrap();
    let pos_embedding_layer = torch.embedding(4, 256).unwrap();
    for (row, expected) in [
        (0, "-0.9694, 0.4167, 0.5280, ..., -0.0023, 1.1440, 0.8301"),
        (
            1,
            "-1.4067, -0.8280, -0.3587, ..., -0.9408, 1.5647, -0.6394",
        ),
        (2, "0.3999, -0.3997, -1.9166, ..., 0.1630, 0.2393, -0.1784"),
        (3, "-0.5676, 1.7856, -0.0915, ..., -0.7356, 1.2118, -1.1895"),
    ] {
        assert_eq!(
            printed_row(&pos_embedding_layer, row),
            expected,
            "row {row}"
        );
    }

    // input_embeddings = token_embeddings + pos_embeddings: torch.Size([8, 4, 256])
    let gatherer = Gatherer::new(embedding, Some(pos_embedding_layer.clone())).unwrap();
    let mut input_embeddings = vec![0.0f32; 8 * 4 * 256];
    gatherer
        .gather_into(&inputs, 4, &mut input_embeddings)
        .unwrap();
    for (row, expected) in [
        (0, "-1.0334, 0.7484, 0.6350, ..., 0.5326, 0.3416, -1.4937"),
        (
            1,
            "-1.7592, -0.4772, 0.6286, ..., -2.7873, -0.1388, -0.3171",
        ),
        (2, "1.4016, 0.5302, -3.1799, ..., -1.0627, 1.3572, -0.0442"),
        (3, "0.2320, 4.0693, -0.7440, ..., -1.8572, 1.6823, -1.0363"),
        (28, "1.3470, 1.1394, 0.6045, ..., -1.3438, 0.9548, 1.3744"),
        (
            29,
            "-2.2094, -2.6379, 0.1963, ..., -1.3427, 1.7142, -0.3856",
        ),
        (30, "3.1098, -1.1553, -1.6903, ..., 0.6768, 1.9112, 0.4888"),
        (31, "1.2380, 0.7791, 0.0667, ..., -0.4977, 0.0279, -1.5074"),
    ] {
        let values = &input_embeddings[row * 256..][..256];
        assert_eq!(printed(values), expected, "row {row}");
    }

    // The same, as in the notebook: one lookup per table, then a sum.
    let mut position = vec![0.0f32; 256];
    for (i, row) in token_embeddings.chunks_mut(256).enumerate() {
        pos_embedding_layer.row_to_f32(i % 4, &mut position);
        for (x, p) in row.iter_mut().zip(&position) {
            *x += p;
        }
    }
    assert!(token_embeddings == input_embeddings);
}

#[test]
fn the_notebook_in_one_command() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let mut command = shardmill(&["run"]);
    command.arg(verdict_path()).arg("--out").arg(&out);
    command.args("--eot none --seq-len 4 --stride 5 --batch-size 8".split(' '));
    command.args("--init-seed 123 --init-position-draw 2 --dim 256 --json".split(' '));
    let report: serde_json::Value = serde_json::from_slice(&succeed(&mut command).stdout).unwrap();
    assert_eq!(
        report["embeddings"]["record"]["shape"],
        serde_json::json!([1029, 4, 256])
    );

    let (header, embeddings) = read_npy(&out.join("embeddings/embeddings.npy"));
    assert!(header.contains("'descr': '<f4'"), "{header}");
    assert!(header.contains("'shape': (1029, 4, 256)"), "{header}");
    assert_eq!(embeddings.len(), 1029 * 4 * 256 * 4);
    let first_batch = sha256(&embeddings[..8 * 4 * 256 * 4]);
    assert_eq!(
        first_batch,
        "c486df31c18d574452a52ebfc6a05ef184bb93ce47bb8db6e989b5a3de2ab284"
    );
    let sums = golden("sums_first_batch");
    assert_eq!(first_batch, sums["le_sha256"]["f32"]);

    let windows = golden("windows");
    let case = &windows["cases"][0];
    assert_eq!(
        (&case["max_length"], &case["stride"]),
        (&4.into(), &5.into())
    );
    for (name, hash, part) in [
        ("inputs.npy", "inputs_u32le_sha256", 0),
        ("targets.npy", "targets_u32le_sha256", 1),
    ] {
        let (header, ids) = read_npy(&out.join("embeddings").join(name));
        assert!(header.contains("'descr': '<u4'"), "{header}");
        assert!(header.contains("'shape': (1029, 4)"), "{header}");
        assert_eq!(sha256(&ids), case[hash], "{name}");
        let words = ids.as_chunks::<4>().0.iter();
        let ids: Vec<u32> = words.map(|word| u32::from_le_bytes(*word)).collect();
        let batches = &golden("batches")["drop_last_false"];
        assert_eq!(ids[..32], flat_u32(&batches["first"][part]));
        assert_eq!(ids[32..64], flat_u32(&batches["second"][part]));
        assert_eq!(ids[1024 * 4..], flat_u32(&batches["last"][part]));
    }
}

#[test]
fn the_notebook_in_the_example() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    // The second time, the dataset already exists.
    for _ in 0..2 {
        let mut printed = Vec::new();
        dataset::run(&verdict_path(), &out, &mut printed).unwrap();
        assert_eq!(
            String::from_utf8(printed).unwrap(),
            "inputs [[40, 367, 2885, 1464], [3619, 402, 271, 10899], [257, 7026, 15632, 438], \
             [257, 922, 5891, 1576], [568, 340, 373, 645], [5975, 284, 502, 284], \
             [326, 11, 287, 262], [286, 465, 13476, 11]]\n\
             targets [[367, 2885, 1464, 1807], [402, 271, 10899, 2138], [7026, 15632, 438, 2016], \
             [922, 5891, 1576, 438], [340, 373, 645, 1049], [284, 502, 284, 3285], \
             [11, 287, 262, 6001], [465, 13476, 11, 339]]\n\
             embeddings [8, 4, 256]\n\
             first row [-1.0334, 0.7484, 0.6350] ...\n\
             5146 tokens, 1029 windows, 129 batches\n"
        );
    }
}
