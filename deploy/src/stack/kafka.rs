//! Kafka as a part: one KRaft node from Maven Central's jars.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::secured::Secured;
use crate::error::StackError;
use crate::part::{PartCommand, StopBy};
use crate::tool;

/// The cluster's id: any 16 bytes in Kafka's base64, kept in the data folder.
const CLUSTER_ID: &str = "Y2xpZW50LXNsaS1sb2NhbA";
/// The mechanisms of SASL that keep salted passwords in the cluster.
const SCRAM: [&str; 2] = ["SCRAM-SHA-256", "SCRAM-SHA-512"];
/// What to do without Java.
const JAVA_WAY_OUT: &str = "install Java 17 or later (Debian: apt install openjdk-17-jre-headless), or use a \
                            Kafka that runs by --kafka-brokers";
/// What Java is needed for.
const JAVA_PURPOSE: &str = "which runs Kafka";

/// Where the broker listens.
#[derive(Debug, Clone)]
pub(super) struct Listeners {
    pub(super) port: u16,
    pub(super) controller_port: u16,
    /// A listener with TLS and a login, and its port.
    pub(super) secured: Option<(Secured, u16)>,
    /// Listeners behind something else.
    pub(super) fronts: Vec<KafkaFront>,
}

/// A listener of Kafka whose clients are to come by way of a proxy, also once they have learned the broker's address
/// from the broker itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaFront {
    /// Where the broker listens, `host:port`.
    pub listens: String,
    /// Where it tells clients to come, `host:port`: the proxy's address, which is reserved for it.
    pub advertised: String,
}

/// Writes the configuration below `dir`, formats the storage when it is new, and gives the broker's command.
pub(super) fn prepare(
    dir: &Path,
    log: PathBuf,
    libraries: &Path,
    listeners: &Listeners,
) -> Result<PartCommand, StackError> {
    let data = dir.join("data");
    std::fs::create_dir_all(&data).map_err(StackError::io("create", &data))?;
    let write = |name: &str, content: String| {
        let path = dir.join(name);
        std::fs::write(&path, content).map_err(StackError::io("write", &path)).map(|()| path)
    };
    let mut text = server_properties(&data, listeners);
    let mut scram = Vec::new();
    if let Some((secured, _)) = &listeners.secured {
        let keystore = write("keystore.pem", format!("{}{}", secured.key, secured.certificate))?;
        let password = std::fs::read_to_string(&secured.password_file)
            .map_err(StackError::io("read", &secured.password_file))?;
        text.push_str(&secured_properties(&keystore, &secured.user, password.trim_end()));
        scram = SCRAM
            .iter()
            .flat_map(|mechanism| {
                let user = format!("{mechanism}=[name={},password={}]", secured.user, password.trim_end());
                ["--add-scram".to_owned(), user]
            })
            .collect();
    }
    let properties = write("server.properties", text)?;
    let logging = write("log4j2.properties", logging_properties())?;
    let classpath = format!("{}/lib/*", libraries.display());
    if !data.join("meta.properties").exists() {
        let mut format = Command::new("java");
        format
            .args(["-Xmx128m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", &classpath])
            .arg(format!("-Dlog4j2.configurationFile={}", logging.display()))
            .args(["kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c"])
            .arg(&properties)
            .args(scram);
        tool::run(
            format,
            JAVA_PURPOSE,
            JAVA_WAY_OUT,
            "formatting Kafka's storage",
            "Kafka needs Java 17 or later (java -version)",
        )?;
    }
    let logging = format!("-Dlog4j2.configurationFile={}", logging.display());
    // As large from the start as it may become, so that whatever else grows in the process is seen.
    let args =
        ["-Xms512m", "-Xmx512m", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-cp", &classpath, &logging];
    Ok(PartCommand {
        program: "java".into(),
        args: args.into_iter().map(Into::into).chain(["kafka.Kafka".into(), properties.into()]).collect(),
        env: Default::default(),
        dir: dir.to_owned(),
        log,
        stop_by: StopBy::Terminate,
    })
}

fn server_properties(data: &Path, listeners: &Listeners) -> String {
    let Listeners { port, controller_port, secured, fronts } = listeners;
    let secured =
        secured.as_ref().map_or_else(String::new, |(_, port)| format!(",SECURED://127.0.0.1:{port}"));
    let of_fronts = |address: fn(&KafkaFront) -> &str| -> String {
        fronts.iter().zip(1..).map(|(front, number)| format!(",FRONT{number}://{}", address(front))).collect()
    };
    let (listened, advertised) = (of_fronts(|front| &front.listens), of_fronts(|front| &front.advertised));
    let protocols: String = (1..=fronts.len()).map(|number| format!(",FRONT{number}:PLAINTEXT")).collect();
    format!(
        "process.roles=broker,controller\n\
         node.id=1\n\
         controller.quorum.voters=1@127.0.0.1:{controller_port}\n\
         listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}{secured}{listened}\n\
         advertised.listeners=PLAINTEXT://127.0.0.1:{port}{secured}{advertised}\n\
         controller.listener.names=CONTROLLER\n\
         listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURED:SASL_SSL{protocols}\n\
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
         group.consumer.min.session.timeout.ms=6000\n\
         group.consumer.session.timeout.ms=6000\n\
         group.consumer.min.heartbeat.interval.ms=500\n\
         group.consumer.heartbeat.interval.ms=500\n\
         broker.heartbeat.interval.ms=500\n\
         num.network.threads=2\n\
         num.io.threads=4\n\
         controlled.shutdown.max.retries=1\n",
        data = data.display()
    )
}

/// The listener with TLS and a login.
fn secured_properties(keystore: &Path, user: &str, password: &str) -> String {
    let module = |name: &str, options: &str| {
        format!("org.apache.kafka.common.security.{name}LoginModule required{options};\n")
    };
    let scram = SCRAM.map(|mechanism| {
        let mechanism = mechanism.to_lowercase();
        format!("listener.name.secured.{mechanism}.sasl.jaas.config={}", module("scram.Scram", ""))
    });
    format!(
        "ssl.keystore.type=PEM\n\
         ssl.keystore.location={keystore}\n\
         sasl.enabled.mechanisms=PLAIN,{mechanisms}\n\
         listener.name.secured.plain.sasl.jaas.config={plain}{scram}",
        keystore = keystore.display(),
        mechanisms = SCRAM.join(","),
        plain = module("plain.Plain", &format!(" user_{user}=\"{password}\"")),
        scram = scram.concat(),
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
