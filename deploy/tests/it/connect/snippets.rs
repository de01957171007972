//! Code blocks of the pages in `docs/connect` as files: those whose opening line names one, as in "```js faro.js".

use std::path::Path;

/// What pages write for the address of ingest.
pub(super) const ADDRESS: &str = "https://rum.example";
/// What pages write for the write key.
const KEY: &str = "your-write-key";

/// Writes the named blocks of `docs/connect/PAGE.md` to `into`, with a real address and key. At least one is there.
pub(super) fn write(page: &str, into: &Path, address: &str, key: &str) {
    let text = text_of(page);
    let blocks = named_blocks(&text);
    assert!(!blocks.is_empty(), "{page}.md has no block that names a file");
    std::fs::create_dir_all(into).unwrap();
    for (name, code) in blocks {
        std::fs::write(into.join(name), code.replace(ADDRESS, address).replace(KEY, key)).unwrap();
    }
}

fn text_of(page: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../docs/connect/{page}.md"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Names and content of the blocks that name a file.
fn named_blocks(text: &str) -> Vec<(&str, String)> {
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(opening) = line.strip_prefix("```") else { continue };
        let code: Vec<&str> = lines.by_ref().take_while(|line| !line.starts_with("```")).collect();
        if let Some((_, name)) = opening.split_once(' ') {
            blocks.push((name.trim(), code.join("\n") + "\n"));
        }
    }
    blocks
}

#[test]
fn only_blocks_with_a_name_are_files() {
    let text = "a\n```sh\nnpm\n```\n```js a.js\nlet a;\n\nlet b;\n```\n```js b.js\n```\n";
    assert_eq!(named_blocks(text), [("a.js", "let a;\n\nlet b;\n".to_owned()), ("b.js", "\n".to_owned())]);
}
