//! The cache of downloaded parts, outside the repository: Kafka's jars and ClickHouse's library.
//!
//! A part is a folder whose files and digests are listed in `deploy/parts/*.sums`. It is downloaded into a
//! folder beside its place, compared with the list, and renamed: a part is there whole or not at all. Later
//! starts compare names and sizes only. A locked file makes two stacks that start at once download once.
//! How a part is downloaded is in [`download`].

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::error::StackError;
use crate::progress::Progress;

pub mod download;
pub mod tools;

/// A file that a part must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpectedFile {
    /// SHA-256, hex.
    pub sha256: String,
    /// Size.
    pub bytes: u64,
    /// Path below the part's folder.
    pub path: String,
}

/// Something to download.
#[derive(Debug, Clone, Copy)]
pub struct CachedPart {
    /// Name for people.
    pub title: &'static str,
    /// Folder in the cache; carries the version.
    pub folder: &'static str,
    /// List of its files: digest, size and path a line.
    pub sums: &'static str,
    /// Room that the download needs while it runs.
    pub download_bytes: u64,
    /// Fills a folder with the files.
    pub fetch: fn(&Path, &CachedPart, Progress) -> Result<(), StackError>,
}

/// Kafka as Maven Central has it.
pub const KAFKA: CachedPart = CachedPart {
    title: "Kafka 4.1.0",
    folder: "kafka-4.1.0",
    sums: include_str!("../parts/kafka.sums"),
    download_bytes: 100 << 20,
    fetch: download::kafka,
};

/// ClickHouse as a shared library, as npm has it.
pub const CLICKHOUSE: CachedPart = CachedPart {
    title: "ClickHouse 26.7",
    folder: "clickhouse-26.7.3-stable.1",
    sums: include_str!("../parts/clickhouse.sums"),
    download_bytes: 800 << 20,
    fetch: download::clickhouse,
};

/// The folder of all parts.
#[derive(Debug, Clone)]
pub struct Cache {
    root: PathBuf,
}

impl Cache {
    /// The user's cache: `SLI_CACHE_DIR`, else `client-sli` in `XDG_CACHE_HOME` or `~/.cache`.
    ///
    /// # Errors
    /// When no variable says where.
    pub fn of_user() -> Result<Self, StackError> {
        Self::from_variables(|name| {
            std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
        })
    }

    /// A cache in `root`.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    fn from_variables(variable: impl Fn(&str) -> Option<PathBuf>) -> Result<Self, StackError> {
        variable("SLI_CACHE_DIR")
            .or_else(|| variable("XDG_CACHE_HOME").map(|dir| dir.join("client-sli")))
            .or_else(|| variable("HOME").map(|dir| dir.join(".cache/client-sli")))
            .map(Self::at)
            .ok_or_else(|| {
                StackError::Settings(
                    "no place for downloads: none of SLI_CACHE_DIR, XDG_CACHE_HOME and HOME is set".into(),
                )
            })
    }

    /// The part's folder, downloaded first where it is missing or broken.
    ///
    /// # Errors
    /// When it can't be downloaded, is not what was expected, or there is no room for it.
    pub fn part(&self, part: &CachedPart, progress: Progress) -> Result<PathBuf, StackError> {
        let place = self.root.join(part.folder);
        let files = expected_files(part.sums);
        if compare_sizes(&place, &files).is_ok() {
            return Ok(place);
        }
        std::fs::create_dir_all(&self.root).map_err(StackError::io("create", &self.root))?;
        let _lock = self.lock(part.folder, part.title, progress)?;
        // Another process may have downloaded it while this one waited for the lock.
        match compare_sizes(&place, &files) {
            Ok(()) => return Ok(place),
            Err(detail) if place.exists() => {
                progress.say(format_args!("{}: {detail}; downloading it again", place.display()));
                std::fs::remove_dir_all(&place).map_err(StackError::io("remove", &place))?;
            }
            Err(_) => {}
        }
        self.remove_unfinished(part);
        require_space(&self.root, part.download_bytes, part.title, "SLI_CACHE_DIR")?;
        let coming = tempfile::Builder::new()
            .prefix(&format!("{}.coming-", part.folder))
            .tempdir_in(&self.root)
            .map_err(StackError::io("create a folder in", &self.root))?;
        (part.fetch)(coming.path(), part, progress)?;
        self.verify_files(part, coming.path(), &files)?;
        let coming = coming.keep();
        std::fs::rename(&coming, &place).map_err(StackError::io("rename the download to", &place))?;
        Ok(place)
    }

    /// Compares every byte of a part that is there with its list.
    ///
    /// # Errors
    /// When a file differs.
    pub fn verify(&self, part: &CachedPart) -> Result<(), StackError> {
        self.verify_files(part, &self.root.join(part.folder), &expected_files(part.sums))
    }

    fn verify_files(&self, part: &CachedPart, dir: &Path, files: &[ExpectedFile]) -> Result<(), StackError> {
        compare_sizes(dir, files).and_then(|()| compare_digests(dir, files)).map_err(|detail| {
            StackError::BrokenDownload {
                part: part.title.into(),
                detail,
                way_out: format!(
                    "remove {} and start again, and if it happens again look for a proxy or mirror that \
                     changes packages",
                    self.root.join(part.folder).display()
                ),
            }
        })
    }

    /// Removes what killed downloads left behind; the caller holds the lock.
    fn remove_unfinished(&self, part: &CachedPart) {
        let prefix = format!("{}.coming-", part.folder);
        for entry in std::fs::read_dir(&self.root).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(&prefix) {
                // What can't be removed only costs room, which is checked next.
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
    }

    /// Waits for other processes that fill the folder.
    fn lock(&self, folder: &str, title: &str, progress: Progress) -> Result<File, StackError> {
        let path = self.root.join(format!("{folder}.lock"));
        let file = File::create(&path).map_err(StackError::io("create", &path))?;
        if file.try_lock().is_err() {
            progress.say(format_args!("waiting for another process that downloads {title}"));
            file.lock().map_err(StackError::io("lock", &path))?;
        }
        Ok(file)
    }
}

/// The files of a list: digest, size and path a line.
fn expected_files(sums: &str) -> Vec<ExpectedFile> {
    sums.lines()
        .filter_map(|line| {
            let mut columns = line.split_whitespace();
            Some(ExpectedFile {
                sha256: columns.next()?.to_owned(),
                bytes: columns.next()?.parse().ok()?,
                path: columns.next()?.to_owned(),
            })
        })
        .collect()
}

fn compare_sizes(dir: &Path, files: &[ExpectedFile]) -> Result<(), String> {
    for file in files {
        match std::fs::metadata(dir.join(&file.path)) {
            Ok(metadata) if metadata.len() == file.bytes => {}
            Ok(metadata) => {
                return Err(format!("{} has {} bytes instead of {}", file.path, metadata.len(), file.bytes));
            }
            Err(_) => return Err(format!("{} is missing", file.path)),
        }
    }
    Ok(())
}

fn compare_digests(dir: &Path, files: &[ExpectedFile]) -> Result<(), String> {
    for file in files {
        let digest = sha256_of(&dir.join(&file.path)).map_err(|error| format!("{}: {error}", file.path))?;
        if digest != file.sha256 {
            return Err(format!("{} has SHA-256 {digest} instead of {}", file.path, file.sha256));
        }
    }
    Ok(())
}

fn sha256_of(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect());
        }
        hash.update(&buffer[..read]);
    }
}

/// Refuses when the file system of `path` has fewer than `needed_bytes` free.
///
/// # Errors
/// When there is too little room.
pub fn require_space(
    path: &Path,
    needed_bytes: u64,
    purpose: &str,
    flag: &'static str,
) -> Result<(), StackError> {
    // A file system that can't say how full it is gets a try.
    let Ok(state) = nix::sys::statvfs::statvfs(path) else { return Ok(()) };
    let free_bytes = state.blocks_available().saturating_mul(state.fragment_size());
    if free_bytes >= needed_bytes {
        return Ok(());
    }
    Err(StackError::DiskFull {
        path: path.to_owned(),
        purpose: purpose.into(),
        free_mib: free_bytes >> 20,
        needed_mib: needed_bytes >> 20,
        flag,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const GREETING: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824 5 lib/hello.jar";

    fn part(fetch: fn(&Path, &CachedPart, Progress) -> Result<(), StackError>) -> CachedPart {
        CachedPart { title: "Greeting 1", folder: "greeting-1", sums: GREETING, download_bytes: 1, fetch }
    }

    fn write(dir: &Path, content: &str) -> Result<(), StackError> {
        std::fs::create_dir_all(dir.join("lib")).unwrap();
        std::fs::write(dir.join("lib/hello.jar"), content).unwrap();
        Ok(())
    }

    #[test]
    fn concurrent_starts_download_once() {
        static DOWNLOADS: AtomicUsize = AtomicUsize::new(0);
        let dir = tempfile::tempdir().unwrap();
        let part = part(|dir, _, _| {
            DOWNLOADS.fetch_add(1, Ordering::Relaxed);
            write(dir, "hello")
        });
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| Cache::at(dir.path()).part(&part, Progress::Quiet).unwrap());
            }
        });
        assert_eq!(DOWNLOADS.load(Ordering::Relaxed), 1);
        Cache::at(dir.path()).verify(&part).unwrap();
    }

    #[test]
    fn a_broken_part_is_downloaded_again() {
        let dir = tempfile::tempdir().unwrap();
        let part = part(|dir, _, _| write(dir, "hello"));
        let cache = Cache::at(dir.path());
        let place = cache.part(&part, Progress::Quiet).unwrap();
        write(&place, "hel").unwrap();
        assert!(cache.verify(&part).is_err());
        cache.part(&part, Progress::Quiet).unwrap();
        cache.verify(&part).unwrap();
    }

    #[test]
    fn a_download_of_other_content_is_refused_and_not_kept() {
        let dir = tempfile::tempdir().unwrap();
        let part = part(|dir, _, _| write(dir, "hallo"));
        let error = Cache::at(dir.path()).part(&part, Progress::Quiet).unwrap_err().to_string();
        assert!(error.starts_with("Greeting 1 is broken: lib/hello.jar has SHA-256"), "{error}");
        assert!(error.contains("remove "), "{error}");
        let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().flatten().map(|e| e.file_name()).collect();
        assert_eq!(left, ["greeting-1.lock"]);
    }

    #[test]
    fn too_little_room_is_said_before_the_download() {
        let dir = tempfile::tempdir().unwrap();
        let part = CachedPart { download_bytes: u64::MAX, ..part(|_, _, _| panic!("must not download")) };
        let error = Cache::at(dir.path()).part(&part, Progress::Quiet).unwrap_err().to_string();
        assert!(error.contains("MiB free and Greeting 1 needs"), "{error}");
        assert!(error.contains("SLI_CACHE_DIR"), "{error}");
    }

    #[test]
    fn the_place_of_the_cache_follows_the_variables() {
        let check = |set: &[(&str, &str)], expect: Option<&str>| {
            let cache = Cache::from_variables(|name| {
                set.iter().find(|(set, _)| *set == name).map(|(_, value)| PathBuf::from(value))
            });
            assert_eq!(cache.ok().map(|cache| cache.root), expect.map(PathBuf::from));
        };
        check(&[("SLI_CACHE_DIR", "/a"), ("XDG_CACHE_HOME", "/b"), ("HOME", "/c")], Some("/a"));
        check(&[("XDG_CACHE_HOME", "/b"), ("HOME", "/c")], Some("/b/client-sli"));
        check(&[("HOME", "/c")], Some("/c/.cache/client-sli"));
        check(&[], None);
    }

    #[test]
    fn the_lists_of_parts_are_read_whole() {
        for part in [KAFKA, CLICKHOUSE] {
            assert_eq!(expected_files(part.sums).len(), part.sums.lines().count(), "{}", part.title);
        }
    }
}
