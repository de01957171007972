//! The drills that come with the product, and how one is found by its name.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use schema::definition::file::nearest;

/// Ending of a drill's file.
const ENDING: &str = "yaml";

/// The files of the drills in `folder`, by their names.
///
/// # Errors
/// When the folder cannot be read.
pub fn files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()
        .with_context(|| format!("reading {}", folder.display()))?;
    files.retain(|path| path.extension().is_some_and(|ending| ending == ENDING));
    files.sort();
    Ok(files)
}

/// The file that is meant: one that is there, or the drill of that name in `folder`.
///
/// # Errors
/// When there is neither, with the nearest name.
pub fn find(folder: &Path, asked: &str) -> anyhow::Result<PathBuf> {
    let path = Path::new(asked);
    if path.is_file() {
        return Ok(path.to_owned());
    }
    let files = files(folder)?;
    let names: Vec<&str> = files.iter().filter_map(|path| path.file_stem()?.to_str()).collect();
    if names.contains(&asked) {
        return Ok(folder.join(format!("{asked}.{ENDING}")));
    }
    match nearest(asked, names.iter().copied()) {
        Some(near) => bail!("there is no file and no drill {asked}; did you mean {near}?"),
        None => bail!("there is no file and no drill {asked}; there are {}", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drill_is_found_by_its_name_and_by_its_file() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["kill-kafka.yaml", "notes.md"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let path = folder.path().join("kill-kafka.yaml");
        assert_eq!(files(folder.path()).unwrap(), std::slice::from_ref(&path));
        assert_eq!(find(folder.path(), "kill-kafka").unwrap(), path);
        assert_eq!(find(folder.path(), path.to_str().unwrap()).unwrap(), path);
        let wrong = find(folder.path(), "kil-kafka").unwrap_err().to_string();
        assert_eq!(wrong, "there is no file and no drill kil-kafka; did you mean kill-kafka?");
        let wrong = find(folder.path(), "earthquake").unwrap_err().to_string();
        assert_eq!(wrong, "there is no file and no drill earthquake; there are kill-kafka");
    }
}
