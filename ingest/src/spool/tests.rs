//! The spool on disks that fail and folders that are damaged; what draining does is tested with a real log.

use std::ops::Range;
use std::sync::atomic::AtomicI64;

use super::disk::SegmentFile;
use super::frame::{Found, SpoolRecord};
use super::segment::{list, path_of};
use super::*;

/// A disk with room for so many bytes.
#[derive(Debug, Clone)]
struct SmallDisk(Arc<AtomicI64>);

struct SmallFile(Box<dyn SegmentFile>, Arc<AtomicI64>);

impl Disk for SmallDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn SegmentFile>> {
        Ok(Box::new(SmallFile(FileSystem.create(path)?, Arc::clone(&self.0))))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<u64>> {
        FileSystem.list(folder)
    }

    fn read(&self, path: &Path, range: Range<u64>) -> io::Result<Vec<u8>> {
        FileSystem.read(path, range)
    }
}

/// A disk of which so many readings fail, as with too many open files.
#[derive(Debug, Clone)]
struct BusyDisk(Arc<AtomicI64>);

impl BusyDisk {
    fn check(&self) -> io::Result<()> {
        let left = self.0.fetch_sub(1, Ordering::Relaxed);
        if left > 0 { Err(io::Error::from_raw_os_error(24)) } else { Ok(()) }
    }
}

impl Disk for BusyDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn SegmentFile>> {
        FileSystem.create(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<u64>> {
        self.check().and_then(|()| FileSystem.list(folder))
    }

    fn read(&self, path: &Path, range: Range<u64>) -> io::Result<Vec<u8>> {
        self.check().and_then(|()| FileSystem.read(path, range))
    }
}

impl SegmentFile for SmallFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let room = self.1.fetch_sub(bytes.len() as i64, Ordering::Relaxed).max(0) as usize;
        self.0.append(&bytes[..room.min(bytes.len())])?;
        if room < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync()
    }
}

fn config(dir: &Path) -> SpoolConfig {
    SpoolConfig { dir: dir.join("spool"), bytes_max: 1 << 20, after_ms: 100 }
}

async fn append(spool: &Spool, number: i64) -> Result<(), SpoolError> {
    let mut frames = Vec::new();
    frame::write(&mut frames, SpoolRecord { received_at_ms: number, key: "k", content: &[7; 100] });
    spool.append(frames, 1, number).await
}

/// Numbers of all records in a folder, in order.
fn numbers(dir: &Path) -> Vec<i64> {
    let mut numbers = Vec::new();
    for segment in list(dir).unwrap() {
        let bytes = std::fs::read(path_of(dir, segment)).unwrap();
        let mut at = 0;
        while let Some(found) = frame::next(&bytes, at) {
            at = match found {
                Found::Record(record, end) => {
                    numbers.push(record.received_at_ms);
                    end
                }
                Found::Damaged(end) | Found::Torn(end) => end,
            };
        }
    }
    numbers
}

#[tokio::test]
async fn what_was_appended_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let spool = Spool::open(&config).unwrap();
    for number in 0..20 {
        append(&spool, number).await.unwrap();
    }
    assert!(matches!(Spool::open(&config), Err(OpenError::InUse(_))));
    spool.unlock();
    let again = Spool::open(&config).unwrap();
    assert_eq!(again.records(), 20);
    append(&again, 20).await.unwrap();
    assert_eq!(numbers(&config.dir), (0..21).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_full_disk_refuses_and_loses_nothing_that_was_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let room = Arc::new(AtomicI64::new(450));
    let spool = Spool::open_on(&config, SmallDisk(Arc::clone(&room))).unwrap();
    let mut acknowledged = Vec::new();
    for number in 0..10 {
        match append(&spool, number).await {
            Ok(()) => acknowledged.push(number),
            Err(error) => assert_eq!(error, SpoolError::Disk(io::ErrorKind::StorageFull)),
        }
    }
    assert_eq!(acknowledged, [0, 1, 2]);
    assert_eq!(spool.refusal(), Some("the spool's disk refuses writes"));
    room.store(1 << 20, Ordering::Relaxed);
    let freed = async {
        while append(&spool, 100).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), freed).await.unwrap();
    assert_eq!(spool.refusal(), None);
    spool.unlock();
    let again = Spool::open(&config).unwrap();
    assert_eq!(again.records(), 4);
    assert_eq!(numbers(&config.dir), [0, 1, 2, 100]);
}

#[tokio::test]
async fn what_cannot_be_read_for_a_moment_is_read_later() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let spool = Spool::open(&config).unwrap();
    for number in 0..3 {
        append(&spool, number).await.unwrap();
    }
    spool.unlock();
    let failures = Arc::new(AtomicI64::new(3));
    let again = Spool::open_on(&config, BusyDisk(Arc::clone(&failures))).unwrap();
    assert_eq!(again.records(), 3);
    failures.store(2, Ordering::Relaxed);
    let front = again.shared.front().unwrap();
    let read = drain::read_patiently(&again.shared, front.number, 0..front.bytes).await;
    assert_eq!(read.unwrap().len() as u64, front.bytes);
    std::fs::remove_file(path_of(&config.dir, front.number)).unwrap();
    let gone = drain::read_patiently(&again.shared, front.number, 0..front.bytes).await;
    assert_eq!(gone.unwrap_err().kind(), io::ErrorKind::NotFound);
}

#[test]
fn a_folder_that_cannot_be_listed_is_not_taken_for_empty() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    std::fs::create_dir(&config.dir).unwrap();
    let opened = Spool::open_on(&config, BusyDisk(Arc::new(AtomicI64::new(1_000))));
    assert!(matches!(opened, Err(OpenError::Unreadable { .. })), "{opened:?}");
}

#[tokio::test]
async fn at_the_bound_it_refuses() {
    let dir = tempfile::tempdir().unwrap();
    let mut frame = Vec::new();
    frame::write(&mut frame, SpoolRecord { received_at_ms: 0, key: "k", content: &[7; 100] });
    let config = SpoolConfig { bytes_max: 2 * frame.len() as u64, ..config(dir.path()) };
    let spool = Spool::open(&config).unwrap();
    append(&spool, 0).await.unwrap();
    append(&spool, 1).await.unwrap();
    assert_eq!(append(&spool, 2).await, Err(SpoolError::Full));
    assert_eq!(spool.refusal(), Some("the spool is full"));
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_refuses_until_it_can() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    std::fs::write(&config.dir, "in the way").unwrap();
    let spool = Spool::open(&config).unwrap();
    assert!(matches!(append(&spool, 0).await, Err(SpoolError::Disk(_))));
    std::fs::remove_file(&config.dir).unwrap();
    let repaired = async {
        while append(&spool, 1).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), repaired).await.unwrap();
    assert_eq!(numbers(&config.dir), [1]);
    assert!(matches!(Spool::open(&config), Err(OpenError::InUse(_))), "it is locked as soon as it can be");
}
