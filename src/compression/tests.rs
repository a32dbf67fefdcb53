use super::*;

#[test]
fn names_and_content_choose_the_compression() {
    for row in &COMPRESSIONS {
        let compression = row.compression;
        assert_eq!(compression.row().compression, compression);
        for extension in row.extensions {
            let path = format!("a.b/c.jsonl.{extension}");
            let inside = Path::new("a.b/c.jsonl").to_owned();
            assert_eq!(
                Compression::of_path(Path::new(&path)),
                Some((compression, inside))
            );
        }
    }
    assert_eq!(COMPRESSIONS.len(), Compression::ALL.len());
    for name in ["gz", "a.gzip.txt", "a.xz", ".gz"] {
        assert_eq!(Compression::of_path(Path::new(name)), None, "{name}");
    }
    for (head, found) in [
        (&b"\x1f\x8b\x08"[..], Some(Compression::Gzip)),
        (b"\x28\xb5\x2f\xfd", Some(Compression::Zstd)),
        (b"\x5a\x2a\x4d\x18\0", Some(Compression::Zstd)),
        (b"\x28\xb5\x2f", None),
        (b"P*M", None),
        (b"", None),
    ] {
        assert_eq!(Compression::of_content(head), found, "{head:?}");
    }
}
