//! Pages of the documentation whose numbers come from a file say what the file says.

use std::path::{Path, PathBuf};

use loadtest::{capacity, page, peers, scale};

fn docs(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name)
}

/// A page without a file has no numbers.
fn check(file: &str, name: &str, part: &str, render: impl Fn(&Path) -> String) {
    let written = page::part(&docs(name), part).unwrap();
    let expect = match docs(file) {
        path if path.exists() => render(&path),
        _ => {
            assert!(written.starts_with("Not measured yet"), "{name} has numbers of {part} without {file}");
            return;
        }
    };
    assert_eq!(written, expect.trim(), "{name} is not what {file} says");
}

#[test]
fn pages_say_what_their_files_say() {
    let read = page::read_json::<peers::report::Report>;
    check("peers.json", "peers.md", "peers", |path| read(path).unwrap().markdown());
    let read = page::read_json::<capacity::report::Report>;
    check("capacity.json", "capacity.md", "capacity", |path| read(path).unwrap().markdown());
    let read = page::read_json::<scale::report::Report>;
    check("scale.json", "capacity.md", "scale", |path| read(path).unwrap().markdown());
}
