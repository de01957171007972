//! Kafka as a part: one KRaft node from Maven Central's jars.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::StackError;
use crate::part::{PartCommand, StopBy};
use crate::tool;

/// The cluster's id: any 16 bytes in Kafka's base64, kept in the data folder.
const CLUSTER_ID: &str = "Y2xpZW50LXNsaS1sb2NhbA";
/// What to do without Java.
const JAVA_WAY_OUT: &str = "install Java 17 or later (Debian: apt install openjdk-17-jre-headless), or use a \
                            Kafka that runs by --kafka-brokers";
/// What Java is needed for.
const JAVA_PURPOSE: &str = "which runs Kafka";

/// Writes the configuration below `dir`, formats the storage when it is new, and gives the broker's command.
pub(super) fn prepare(
    dir: &Path,
    log: PathBuf,
    libraries: &Path,
    port: u16,
    controller_port: u16,
) -> Result<PartCommand, StackError> {
    let data = dir.join("data");
    std::fs::create_dir_all(&data).map_err(StackError::io("create", &data))?;
    let write = |name: &str, content: String| {
        let path = dir.join(name);
        std::fs::write(&path, content).map_err(StackError::io("write", &path)).map(|()| path)
    };
    let properties = write("server.properties", server_properties(&data, port, controller_port))?;
    let logging = write("log4j2.properties", logging_properties())?;
    let classpath = format!("{}/lib/*", libraries.display());
    if !data.join("meta.properties").exists() {
        let mut format = Command::new("java");
        format
            .args(["-Xmx128m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", &classpath])
            .arg(format!("-Dlog4j2.configurationFile={}", logging.display()))
            .args(["kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c"])
            .arg(&properties);
        tool::run(
            format,
            JAVA_PURPOSE,
            JAVA_WAY_OUT,
            "formatting Kafka's storage",
            "Kafka needs Java 17 or later (java -version)",
        )?;
    }
    let logging = format!("-Dlog4j2.configurationFile={}", logging.display());
    let args =
        ["-Xms256m", "-Xmx512m", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-cp", &classpath, &logging];
    Ok(PartCommand {
        program: "java".into(),
        args: args.into_iter().map(Into::into).chain(["kafka.Kafka".into(), properties.into()]).collect(),
        env: Default::default(),
        dir: dir.to_owned(),
        log,
        stop_by: StopBy::Terminate,
    })
}

fn server_properties(data: &Path, port: u16, controller_port: u16) -> String {
    format!(
        "process.roles=broker,controller\n\
         node.id=1\n\
         controller.quorum.voters=1@127.0.0.1:{controller_port}\n\
         listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}\n\
         advertised.listeners=PLAINTEXT://127.0.0.1:{port}\n\
         controller.listener.names=CONTROLLER\n\
         listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT\n\
         log.dirs={data}\n\
         auto.create.topics.enable=false\n\
         offsets.topic.num.partitions=4\n\
         offsets.topic.replication.factor=1\n\
         transaction.state.log.num.partitions=4\n\
         transaction.state.log.replication.factor=1\n\
         transaction.state.log.min.isr=1\n\
         share.coordinator.state.topic.num.partitions=1\n\
         share.coordinator.state.topic.replication.factor=1\n\
         share.coordinator.state.topic.min.isr=1\n\
         group.initial.rebalance.delay.ms=0\n\
         broker.session.timeout.ms=4000\n\
         broker.heartbeat.interval.ms=500\n\
         num.network.threads=2\n\
         num.io.threads=4\n\
         controlled.shutdown.max.retries=1\n",
        data = data.display()
    )
}

/// Warnings to standard output, which is the part's log file.
fn logging_properties() -> String {
    "rootLogger.level=warn\n\
     rootLogger.appenderRef.out.ref=out\n\
     appender.out.type=Console\n\
     appender.out.name=out\n\
     appender.out.layout.type=PatternLayout\n\
     appender.out.layout.pattern=%d{ISO8601} %p %c{1}: %m%n\n"
        .into()
}
