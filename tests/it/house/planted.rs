//! What is planted in a made-up crate is found.

use super::{Room, Sources, circles, code, uses, wrong_rooms};

/// A crate of three rooms, to which a test adds what it must not have.
fn planted(module: &str, text: &str) -> Sources {
    let files = [
        ("lib", "mod a; mod b; mod c; pub use c::Front;"),
        ("a", "pub(crate) struct A;"),
        ("b", "mod one; mod two; use one::One;"),
        (
            "b::one",
            "pub(crate) struct One; struct Deep(super::two::Two);",
        ),
        ("b::two", "use crate::a::A; pub(crate) struct Two(A);"),
        ("b::two::inner", "pub(crate) struct Inner;"),
        ("c", "use crate::b; pub struct Front(b::One);"),
    ];
    let files = files.into_iter().chain([(module, text)]);
    let own = |(module, text): (&str, &str)| (module.to_owned(), code(text));
    files.map(own).collect()
}

const PLANTED: [Room; 3] = [("a", &[]), ("b", &["a"]), ("c", &["b"])];

#[test]
fn what_is_planted_is_found() {
    let sound = planted("a", "pub(crate) struct A;");
    assert_eq!(wrong_rooms(&sound, &PLANTED), [""; 0]);
    assert!(circles(&sound).is_empty());
    for text in [
        "use crate::c::Front;",
        "use crate::Front;",
        r#"const URL: &str = "s3://a"; struct Up(crate::c::Front);"#,
        "use crate::b; struct Up(b::two::Two);",
        "use super::b::{one::One, two};",
    ] {
        let wrong = wrong_rooms(&planted("a", text), &PLANTED);
        assert_eq!(wrong.len(), 1, "{text}: {wrong:?}");
    }
    let mut passed_on = planted("b", "mod one; mod two; pub(crate) use crate::a::A;");
    passed_on.insert("c".to_owned(), "pub struct Front(crate::b::A);".to_owned());
    assert_eq!(wrong_rooms(&passed_on, &PLANTED).len(), 1);
    for (module, text) in [
        ("b::two", "use super::one::One; use crate::a::A;"),
        ("b::two", "use crate::b::one::One; use crate::a::A;"),
        ("b::two", "use crate::{a::A, b}; struct Two(b::one::One);"),
        ("b::two::inner", "use crate::b::One;"),
    ] {
        let found = circles(&planted(module, text));
        assert!(!found.is_empty(), "{module}: {text}");
    }
}

#[test]
#[should_panic(expected = "leads nowhere")]
fn a_path_that_leads_nowhere_is_found() {
    uses(&planted("a", "use crate::Missing;"));
}
